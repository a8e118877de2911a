"""Records as the log's lines, and back: the one place that knows a line's keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from bedside.engines.embedded.index.rows import Delete, Entry, Put
from bedside.engines.embedded.log.log import Span
from bedside.engines.embedded.log.seal import text_to_vector, vector_to_text
from bedside.errors import InvalidDocumentError, InvalidVectorError
from bedside.records import Record, check_vectors
from bedside.types import Document, Encoder, Matrix


def payload(change: Record | Delete) -> dict[str, Any]:
    """Return what the log keeps of a change."""
    if isinstance(change, Delete):
        return {"op": "delete", "id": change.id, **({"scope": change.scope} if change.scope else {})}
    vector = {} if change.vector is None else {"vector": vector_to_text(change.vector)}
    return {"op": "put", "id": change.id, "text": change.text, "metadata": change.metadata, **vector}


def entry(change: Record | Delete, span: Span) -> Entry:
    """Return what the index takes over of a change that was written at ``span``."""
    if isinstance(change, Delete):
        return change
    return Put(change.id, change.scope, change.text, change.metadata, change.vector, span)


def stored_entry(record: Mapping[str, Any], span: Span, scope_keys: Sequence[str]) -> Entry:
    """Return what the index takes over of a record that was read from the log."""
    if record["op"] == "delete":
        return Delete(record["id"], tuple(record.get("scope", ())))
    metadata = record["metadata"]
    vector = text_to_vector(record["vector"]) if "vector" in record else None
    return Put(record["id"], tuple(metadata[key] for key in scope_keys), record["text"], metadata, vector, span)


def reencoded(records: Iterator[dict[str, Any]], encoder: Encoder, batch_size: int) -> Iterator[dict[str, Any]]:
    """Yield records with the vectors of another encoder; raises on a record without text."""
    dimension = encoder.dimension
    while batch := list(islice(records, batch_size)):
        if empty := [record["id"] for record in batch if not record["text"].strip()]:
            raise InvalidDocumentError(f"record {empty[0]!r}: has a vector but no text, and cannot be encoded anew")
        vectors = check_encoded(encoder.encode_documents([r["text"] for r in batch]), len(batch), dimension)
        dimension = vectors.shape[1]
        for record, vector in zip(batch, vectors, strict=True):
            yield {**record, "vector": vector_to_text(vector)}


def check_encoded(vectors: Matrix, count: int, dimension: int | None) -> Matrix:
    """Return an encoder's vectors for ``count`` texts, checked."""
    checked = check_vectors(vectors, "the encoder's vectors", dimension)
    if len(checked) != count:
        raise InvalidVectorError(f"the encoder's vectors: expected {count} for as many texts, got {len(checked)}")
    return checked


def document(record: Mapping[str, Any], *, vectors: bool = False) -> Document:
    """Return a record as the document it was."""
    vector = text_to_vector(record["vector"]) if vectors and "vector" in record else None
    return Document(record["text"], record["metadata"], record["id"], vector)
