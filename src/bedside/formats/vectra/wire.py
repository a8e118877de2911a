"""The protobuf wire format, as far as vectra's schema needs it: varints, fixed numbers and delimited bytes.

https://protobuf.dev/programming-guides/encoding is the format's definition. Groups, which proto3 has not, are
refused.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TypeAlias

Value: TypeAlias = "int | bytes"
"""A varint as an int; every other field as its bytes."""
VARINT, FIXED64, DELIMITED, FIXED32 = 0, 1, 2, 5
_FIXED = {FIXED64: 8, FIXED32: 4}


class WireError(ValueError):
    """Bytes that are no message; it says at which byte."""


def fields(message: bytes) -> Iterator[tuple[int, int, Value]]:
    """Yield each field's number, wire type and value, in the order written.

    Raises:
        WireError: The bytes are no message: cut off, or of an unknown wire type. It says at which byte.

    Example:
        >>> list(fields(bytes.fromhex("0896011203616263")))
        [(1, 0, 150), (2, 2, b'abc')]
    """
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if number == 0:
            raise WireError(f"byte {at}: field number 0")
        if kind == VARINT:
            value, at = _varint(message, at)
            yield number, kind, value
            continue
        if kind == DELIMITED:
            length, at = _varint(message, at)
        elif kind in _FIXED:
            length = _FIXED[kind]
        else:
            raise WireError(f"byte {at}: wire type {kind} is not one of proto3's")
        if at + length > len(message):
            raise WireError(f"byte {at}: a field of {length} bytes, and only {len(message) - at} are left")
        yield number, kind, message[at : at + length]
        at += length


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(10):
        if at + place >= len(message):
            raise WireError(f"byte {at}: cut off inside a number")
        byte = message[at + place]
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at + place + 1
    raise WireError(f"byte {at}: a number of more than ten bytes")


def varint(value: int) -> bytes:
    """Encode a number that is not negative.

    Example:
        >>> varint(150).hex()
        '9601'
    """
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field: int, value: int) -> bytes:
    """Encode a ``uint32`` or ``bool`` field."""
    return varint(field << 3 | VARINT) + varint(value)


def double(field: int, value: float) -> bytes:
    """Encode a ``double`` field."""
    return varint(field << 3 | FIXED64) + struct.pack("<d", value)


def delimited(field: int, value: bytes | str) -> bytes:
    """Encode a string, a packed list or a message inside a message."""
    data = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | DELIMITED) + varint(len(data)) + data
