"""The dump of LangChain's ``InMemoryVectorStore``: one JSON object of ``{id, vector, text, metadata}`` by id."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bedside.formats.stores.common import Records, kind, load_json, mapping, refuse
from bedside.types import Document

_ESCAPED = "__lc_escaped__"


def read_langchain(path: str | os.PathLike[str]) -> Iterator[Document]:
    """Yield the documents of an ``InMemoryVectorStore`` dump, in its order.

    Args:
        path: The file that ``InMemoryVectorStore.dump`` wrote.

    Raises:
        InvalidDocumentError: The file is damaged, or a metadata value is a Python object that LangChain wrote as a
            description of itself; the message names the record.
        InvalidVectorError: A vector is zero, not finite in float32, or of another dimension than the first.
    """
    name = Path(path).name
    records = Records()
    for key, value in mapping(load_json(Path(path)), name).items():
        where = f"{name}: record {len(records)}"
        record = mapping(value, where)
        if record.get("id") != key:
            refuse(f"{where}.id", "is not the key it stands at")
        text = record.get("text")
        if not isinstance(text, str):
            refuse(f"{where}.text", f"expected a string, got {kind(text)}")
        metadata = _plain(record.get("metadata") or {}, f"{where}.metadata")
        yield records.document(where, key, record.get("vector"), metadata, text, is_split=True)


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
