"""vectra's content hash, by which it leaves a document alone that is added again unchanged."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from bedside.formats.vectra.filter import entries, number_text


def content_hash(text: str, metadata: Mapping[str, Any] | None = None, doc_type: str | None = None) -> str:
    """The SHA-256, in hex, that vectra 0.15.0 keeps for a document in its catalog.

    Args:
        text: The document.
        metadata: As it was given to ``upsertDocument``; none is the same as empty.
        doc_type: As it was given to ``upsertDocument``; one that vectra takes from the URI does not count.

    Example:
        >>> content_hash("abc")[:16]
        'c644c11b51786853'
    """
    held = metadata or {}
    keys = sorted(held, key=lambda key: key.encode("utf-16-be", "surrogatepass"))  # JavaScript orders code units
    parts = (text, doc_type or "", "{" + ",".join(f"{_quoted(key)}:{_json(held[key])}" for key in keys) + "}")
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _json(value: Any) -> str:
    """JavaScript's ``JSON.stringify``."""
    if isinstance(value, str):
        return _quoted(value)
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{_quoted(key)}:{_json(item)}" for key, item in entries(value)) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_json, value)) + "]"
    return number_text(float(value))


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
