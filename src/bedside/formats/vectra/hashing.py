"""vectra's content hash, by which it leaves a document alone that is added again unchanged."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any


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
        return "{" + ",".join(f"{_quoted(key)}:{_json(item)}" for key, item in _entries(value)) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_json, value)) + "]"
    return number_text(float(value)) if math.isfinite(value) else "null"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _entries(value: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """Keys and values in the order in which JavaScript lists an object: the whole numbers first, ascending."""
    return sorted(value.items(), key=lambda entry: int(entry[0]) if _is_place(entry[0]) else math.inf)


def _is_place(key: str) -> bool:
    return key.isascii() and key.isdigit() and (key == "0" or key[0] != "0") and int(key) < 2**32 - 1


def number_text(value: float) -> str:
    """Write a finite number as JavaScript does: the shortest digits, and exponents from 1e21 and below 1e-6.

    Example:
        >>> number_text(71.0), number_text(1e21), number_text(2.5e-7)
        ('71', '1e+21', '2.5e-7')
    """
    if value == 0:
        return "0"
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    text, point = "".join(map(str, digits)), len(digits) + int(exponent)
    if len(text) <= point <= 21:
        body = text.ljust(point, "0")
    elif 0 < point <= 21:
        body = f"{text[:point]}.{text[point:]}"
    elif -6 < point <= 0:
        body = "0." + "0" * -point + text
    else:
        body = f"{text[0]}{'.' if text[1:] else ''}{text[1:]}e{point - 1:+d}"
    return "-" * sign + body
