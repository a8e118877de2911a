"""Pinecone's JSON: ``{"vectors": [{"id", "values", "metadata", "sparseValues"}]}``, as its API gives and takes it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bedside.errors import BedsideWarning
from bedside.formats.foreign import Records, mapping, parse_json
from bedside.formats.json_parts import parts_of
from bedside.types import Document


def read_pinecone(path: str | os.PathLike[str], *, text_key: str | None = None) -> Iterator[Document]:
    """Yield the documents of a Pinecone JSON file, in its order, reading one at a time.

    ``vectors`` is the list that ``upsert`` takes and ``query`` and ``list`` return pages of, or the object by id that
    ``fetch`` returns. Sparse values are not brought over, because words are counted anew from the texts; a warning
    says how many there were.

    Args:
        path: The file.
        text_key: The metadata key of the text; see :mod:`bedside.formats.foreign` for what happens without.

    Raises:
        UnreadableFileError: The file is damaged; the message names the record.
        InvalidVectorError: A vector is zero, not finite in float32, or of another dimension than the first.
        DuplicateIdError: The same id twice.
    """
    name = Path(path).name
    records, sparse = Records(text_key), 0
    for where, vector in _vectors(Path(path)):
        sparse += bool(vector.get("sparseValues") or vector.get("sparse_values"))
        yield records.document(where, vector.get("id"), vector.get("values"), vector.get("metadata") or {})
    if sparse:
        message = f"{name}: the sparse values of {sparse} vectors were left out: words are counted from the texts"
        warnings.warn(message, BedsideWarning, stacklevel=2)


def _vectors(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The place and the object of each vector."""
    with parts_of(path) as parts:
        for _ in parts.member("vectors"):
            for i, _ in enumerate(parts.children(records=True)):
                where = f"{path.name}: vectors[{i}]"
                yield where, mapping(parse_json(parts.value(), where), where)
