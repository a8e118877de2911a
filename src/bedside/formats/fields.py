"""A record as the JSON object that the formats share: ``{"id", "text", "metadata", "vector"}``.

Parsed by orjson: NaN, numbers beyond every float, lone surrogates and anything nested deeper than 1,024 levels are
refused. Of a key given twice the last one counts, and a whole number beyond 64 bits becomes a float.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson

from bedside.errors import UnreadableFileError
from bedside.types import Document, Vector, VectorLike

BOM = b"\xef\xbb\xbf"
MAX_RECORD = 1 << 26
"""Bytes of one record: 64 MiB, so that a file without an end to its first record does not fill the memory."""
_FIELDS = {"id", "text", "metadata", "vector"}


def to_line(document: Document, *, vectors: bool) -> bytes:
    """Return a document as one line of JSON, without its line feed."""
    fields: dict[str, Any] = {"id": document.id, "text": document.text, "metadata": dict(document.metadata)}
    if vectors and document.vector is not None:
        fields["vector"] = exact_numbers(document.vector)
    return orjson.dumps(fields, option=orjson.OPT_SERIALIZE_NUMPY)


def exact_numbers(vector: VectorLike) -> Any:
    """Return a vector's float32 values as the doubles equal to them.

    The shortest digits of a float32 do not always come back: 7.038531e-26 read as a double and then rounded to float32
    is the next number. The shortest digits of the double always do.
    """
    return np.asarray(vector, np.float32).astype(np.float64)


def from_line(line: bytes, file: str, where: str) -> Document:
    """Parse one JSON object.

    Raises:
        UnreadableFileError: It is not JSON, not an object, or a field has the wrong name or type.
    """
    fields = parse(line, file, where)
    if not isinstance(fields, dict):
        raise UnreadableFileError(file, f"{where}: expected a JSON object, got {kind(fields)}")
    if unknown := sorted(set(fields) - _FIELDS):
        raise UnreadableFileError(file, f"{where}: unknown field {unknown[0]!r}; allowed: id, text, metadata, vector")
    return make(fields, file, where)


def make(fields: dict[str, Any], file: str, where: str) -> Document:
    """Return the document of parsed fields; the collection checks the rest."""
    id, text, metadata = fields.get("id"), fields.get("text"), fields.get("metadata")
    for name, value, allowed in (("id", id, str), ("text", text, str), ("metadata", metadata, dict)):
        if value is not None and not isinstance(value, allowed):
            raise UnreadableFileError(file, f"{where}.{name}: expected {kind(allowed())}, got {kind(value)}")
    vector = fields.get("vector")
    return Document(text or "", metadata or {}, id, None if vector is None else to_vector(vector, file, where))


def to_vector(numbers: Any, file: str, where: str) -> Vector:
    """Return a list of numbers as float32; numeric strings are refused."""
    if not isinstance(numbers, list) or not {float, int}.issuperset(map(type, numbers)):
        raise UnreadableFileError(file, f"{where}.vector: expected a list of numbers")
    with np.errstate(over="ignore"):  # the collection refuses what is not finite
        return np.array(numbers, np.float64).astype(np.float32)


def parse(text: bytes | str, file: str, where: str) -> Any:
    """Parse JSON; the error says where in the record, never what stands there."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise UnreadableFileError(file, f"{where}: {why_not_json(text, error)}") from None


def why_not_json(text: bytes | str, error: orjson.JSONDecodeError) -> str:
    """Say why a text is not JSON: some shells write UTF-16, of which a parser says nothing that helps."""
    try:
        _ = text.decode() if isinstance(text, bytes) else text
    except UnicodeDecodeError as undecodable:
        return f"byte {undecodable.start} is not UTF-8; save the file as UTF-8"
    return f"not JSON: {error}"


def kind(value: object) -> str:
    """Return the name of a value's type."""
    return type(value).__name__
