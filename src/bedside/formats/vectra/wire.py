"""The protobuf wire format, as far as vectra's schema needs it: varints, fixed numbers and delimited bytes.

https://protobuf.dev/programming-guides/encoding is the format's definition. Groups, which proto3 has not, are
refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, TypeAlias

from bedside.formats.fields import MAX_RECORD

Value: TypeAlias = "int | bytes"
"""A varint as an int; every other field as its bytes."""
VARINT, FIXED64, DELIMITED, FIXED32 = 0, 1, 2, 5
_FIXED = {FIXED64: 8, FIXED32: 4}


class WireError(ValueError):
    """Bytes that are no message; it says at which byte."""


def fields(message: BinaryIO) -> Iterator[tuple[int, int, Value]]:
    """Yield each field's number, wire type and value, in the order written; memory holds one field.

    Raises:
        WireError: The bytes are no message: cut off, or of an unknown wire type, or a field is longer than 64 MiB. It
            says at which byte.

    Example:
        >>> from io import BytesIO
        >>> list(fields(BytesIO(bytes.fromhex("0896011203616263"))))
        [(1, 0, 150), (2, 2, b'abc')]
    """
    while first := message.read(1):
        tag = _varint(message, first)
        number, kind = tag >> 3, tag & 7
        if number == 0:
            raise WireError(f"byte {message.tell()}: field number 0")
        if kind == VARINT:
            yield number, kind, _varint(message)
        elif kind == DELIMITED:
            yield number, kind, _taken(message, _varint(message))
        elif kind in _FIXED:
            yield number, kind, _taken(message, _FIXED[kind])
        else:
            raise WireError(f"byte {message.tell()}: wire type {kind} is not one of proto3's")


def _taken(message: BinaryIO, length: int) -> bytes:
    found = message.read(min(length, MAX_RECORD))
    if len(found) < length:
        reason = "are left" if length <= MAX_RECORD else "are read"
        raise WireError(f"byte {message.tell()}: a field of {length} bytes, and only {len(found)} {reason}")
    return found


def _varint(message: BinaryIO, read: bytes = b"") -> int:
    """The number that comes next, of whose bytes the first may have been read."""
    value = 0
    for place in range(10):
        byte = read if read and not place else message.read(1)
        if not byte:
            raise WireError(f"byte {message.tell()}: cut off inside a number")
        value |= (byte[0] & 0x7F) << (7 * place)
        if byte[0] < 0x80:
            return value
    raise WireError(f"byte {message.tell()}: a number of more than ten bytes")
