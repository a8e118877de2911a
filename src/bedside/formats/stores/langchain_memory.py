"""The dump of LangChain's ``InMemoryVectorStore``: one JSON object of ``{id, vector, text, metadata}`` by id."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bedside.errors import InvalidDocumentError, InvalidVectorError, UnreadableFileError
from bedside.formats.fields import kind
from bedside.formats.foreign import Records, mapping, parse_json, refuse
from bedside.formats.json_parts import parts_of
from bedside.support.files import replace_file
from bedside.types import Document

_ESCAPED = "__lc_escaped__"


def read_langchain(path: str | os.PathLike[str]) -> Iterator[Document]:
    """Yield the documents of an ``InMemoryVectorStore`` dump, in its order, reading one at a time.

    Args:
        path: The file that ``InMemoryVectorStore.dump`` wrote.

    Raises:
        UnreadableFileError: The file is damaged, or a metadata value is a Python object that LangChain wrote as a
            description of itself; the message names the record.
        InvalidVectorError: A vector is zero, not finite in float32, or of another dimension than the first.
    """
    name = Path(path).name
    records = Records()
    with parts_of(Path(path)) as parts:
        for key in parts.children(b"{", records=True):
            where = f"{name}, record {len(records) + 1}"
            yield _document(records, where, key, mapping(parse_json(parts.value(), where), where))


def _document(records: Records, where: str, key: str, record: dict[str, Any]) -> Document:
    if record.get("id") != key:
        refuse(f"{where}.id", "is not the key it stands at")
    text = record.get("text")
    if not isinstance(text, str):
        refuse(f"{where}.text", f"expected a string, got {kind(text)}")
    metadata = _plain(record.get("metadata") or {}, f"{where}.metadata")
    return records.document(where, key, record.get("vector"), metadata, text, is_split=True)


def write_langchain(path: str | os.PathLike[str], documents: Iterable[Document]) -> int:
    """Write a dump that ``InMemoryVectorStore.load`` opens, and return the number of documents.

    The numbers of a vector are written whole, so LangChain's cosines are those of the float32 that we hold.

    Args:
        path: The file; it is complete or as it was.
        documents: Each with an id and a vector.

    Raises:
        InvalidVectorError: A document without a vector.
        InvalidDocumentError: A document without an id, or metadata that is not JSON.
        DuplicateIdError: Two documents with one id.
    """
    records = Records()
    replace_file(Path(path), _dumped(records, documents))
    return len(records)


def _dumped(records: Records, documents: Iterable[Document]) -> Iterator[bytes]:
    yield b"{"
    for document in documents:
        where = f"documents[{len(records)}]"
        if document.vector is None:
            raise InvalidVectorError(f"{where}.vector: LangChain's store keeps vectors; export with them")
        comma = b",\n" if len(records) else b"\n"
        try:
            checked = records.document(
                where, document.id, document.vector, document.metadata, document.text, is_split=True
            )
        except UnreadableFileError as error:
            raise InvalidDocumentError(str(error)) from None
        record = {
            "id": checked.id,
            "vector": np.asarray(checked.vector, dtype=np.float64).tolist(),
            "text": checked.text,
            "metadata": _escaped(checked.metadata),
        }
        yield comma + json.dumps(checked.id).encode() + b": " + json.dumps(record, allow_nan=False).encode()
    yield b"\n}\n"


def _escaped(value: Any) -> Any:
    """Mark dicts that LangChain would take for its own, as it does itself."""
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "lc" in value or set(value) == {_ESCAPED}:
        return {_ESCAPED: value}
    return {key: _escaped(item) for key, item in value.items()}


def _plain(value: Any, where: str) -> Any:
    """Undo LangChain's escapes of dicts that look like its own."""
    if isinstance(value, list):
        return [_plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if set(value) == {_ESCAPED}:
        return value[_ESCAPED]  # as it was: LangChain escapes nothing inside
    if "lc" in value:
        refuse(where, "a Python object, which JSON cannot hold")
    return {key: _plain(item, f"{where}.{key}") for key, item in value.items()}
