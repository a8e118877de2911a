"""Records as columns, and back."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import compress
from typing import Any, NamedTuple

import numpy as np
import orjson

from bedside.errors import InvalidDocumentError
from bedside.filters.rules import fields
from bedside.records import Record, ScopeKey, with_id
from bedside.text.analyzer import Analyzer
from bedside.types import Document, Vector

LONGEST_ID = 2_000
"""Bytes: what an index entry of PostgreSQL has room for, with some to spare."""
LONGEST_VECTOR = 16_000
"""Dimensions of pgvector's type."""
_MARK = {"": 0}
"""Stands for an object, and for what a list holds beside scalars: no comparison reaches into them."""
_SMALL, _GREAT = 1e-12, 1e12
"""Lengths of a vector between which the server's float32 sums neither overflow nor lose their digits."""


def check_storable(record: Record, where: str) -> None:
    """Refuse what PostgreSQL cannot hold.

    Raises:
        InvalidDocumentError: An id of over 2,000 bytes, U+0000 in an id or in metadata, or too many dimensions.
    """
    if "\0" in record.id:
        raise InvalidDocumentError(f"{where}.id: holds U+0000, which PostgreSQL does not store")
    if len(record.id.encode()) > LONGEST_ID:
        raise InvalidDocumentError(f"{where}.id: has over {LONGEST_ID} bytes, the most on PostgreSQL")
    for path, value in fields(record.metadata).items():
        strings = [path, *(each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str))]
        if any("\0" in string for string in strings):
            shown = path.replace("\0", "\\0")
            sentence = f"{where}.metadata.{shown}: holds U+0000, which PostgreSQL does not store"
            raise with_id(InvalidDocumentError(sentence), record.id)
    if record.vector is not None and len(record.vector) > LONGEST_VECTOR:
        sentence = f"{where}.vector: has over {LONGEST_VECTOR} dimensions, the most of pgvector"
        raise with_id(InvalidDocumentError(sentence), record.id)


def flat(metadata: Mapping[str, Any]) -> bytes:
    """Return what filters read of a record's metadata, as JSON: every path with its value."""
    return orjson.dumps({path: _plain(value) for path, value in fields(metadata).items()})


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_MARK if isinstance(each, list | dict) else number(each) for each in value]
    if isinstance(value, dict):
        return _MARK if value else {}
    return number(value)


def number(value: Any) -> Any:
    """Return a float that is a whole number as an int: its shortest decimal may be another int's."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        return int(value)
    return value


def scalar(text: str) -> Any:
    """Return a scalar of jsonb: a whole number that is not a 64-bit int was a float."""
    if text.startswith('"'):
        return orjson.loads(text)  # twenty times as fast, and most are strings
    return json.loads(text, parse_int=lambda digits: int(digits) if -(2**63) <= int(digits) < 2**63 else float(digits))


def record_to_json(record: Record) -> bytes:
    """Return all of a record but its vector and its scope, which is in the metadata."""
    return orjson.dumps({"id": record.id, "text": record.text, "metadata": record.metadata})


def document_of(text: str, vector: Vector | None = None) -> Document:
    """Return the document that :func:`record_to_json` wrote."""
    found = orjson.loads(text)
    return Document(found["text"], found["metadata"], found["id"], vector)


def record_of(text: str, scope_keys: tuple[str, ...], vector: Vector | None) -> Record:
    """Return the record that :func:`record_to_json` wrote."""
    found = orjson.loads(text)
    scope = tuple(found["metadata"][key] for key in scope_keys)
    return Record(found["id"], found["text"], found["metadata"], scope, vector)


def searched(vector: Vector) -> tuple[Vector, bytes | None]:
    """Return the vector as the server compares it, and its bytes as given where that is another one."""
    length = float(np.linalg.norm(vector.astype(np.float64)))
    if _SMALL < length < _GREAT:
        return vector, None
    return (vector.astype(np.float64) / length).astype(np.float32), np.asarray(vector, "<f4").tobytes()


def scope_to_json(scope: ScopeKey) -> str:
    """Return a scope as the ``scope`` table holds it."""
    return orjson.dumps(scope).decode()


def scope_of(text: str) -> ScopeKey:
    """Return the scope that :func:`scope_to_json` wrote."""
    return tuple(orjson.loads(text))


def sid_of(scope: ScopeKey) -> int:
    """Return the number of a scope. Two may share one: readers and writers compare the scope itself as well."""
    return _hash(scope_to_json(scope).encode())


class Terms(NamedTuple):
    """How often a record holds each term, how many of these occurrences it negates, and how long it counts as."""

    counts: Counter[str]
    negated: Counter[str]
    length: int


def terms_of(record: Record, analyzer: Analyzer) -> Terms:
    """Count the terms of a record."""
    terms, negated, length = analyzer.terms(record.text, record.metadata)
    return Terms(Counter(terms), Counter(compress(terms, negated)), length)


@lru_cache(maxsize=1 << 16)
def term_key(sid: int, term: str) -> int:
    """Return the number of a term within a scope; kept, as notes of a scope share most of their words."""
    return _hash(term.encode(), sid.to_bytes(8, "big", signed=True))


def _hash(content: bytes, key: bytes = b"") -> int:
    return int.from_bytes(hashlib.blake2b(content, digest_size=8, key=key).digest(), "big", signed=True)


def in_parts(values: Any, size: int) -> Iterator[Any]:
    """Yield a sequence or an array in parts."""
    for start in range(0, len(values), size):
        yield values[start : start + size]
