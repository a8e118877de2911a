"""One log line: a JSON object whose last key is the CRC-32 of everything before it.

``{"op":"put","id":"a","text":"…","metadata":{…},"vector":"…","crc":"1c291ca3"}``

CRC-32 finds every error of up to 32 bits in a row and so every flipped byte; it is no defence against an attacker.
"""

from __future__ import annotations

import zlib
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from bedside.types import Vector

_KEY = b',"crc":"'
_TAIL = len(_KEY) + 8 + len(b'"}\n')


class BrokenSealError(ValueError):
    """A line is not what was written. Internal: the log adds file and line number."""


def seal(record: Mapping[str, Any]) -> bytes:
    """Return ``record`` as one line of JSON, ended by its checksum and a line feed."""
    return sealed(orjson.dumps(record)[:-1])


def sealed(body: bytes) -> bytes:
    """Return JSON that lacks its closing brace as :func:`seal` ends it."""
    return b'%b%b%08x"}\n' % (body, _KEY, zlib.crc32(body))


def check(line: bytes) -> None:
    """Raise :class:`BrokenSealError` unless ``line``, with its line feed, is as :func:`seal` wrote it."""
    if len(line) <= _TAIL or line[-3:] != b'"}\n' or line[-_TAIL : -_TAIL + len(_KEY)] != _KEY:
        raise BrokenSealError("the line does not end with its checksum")
    if line[-11:-3] != b"%08x" % zlib.crc32(memoryview(line)[:-_TAIL]):
        raise BrokenSealError("the line does not match its checksum")


def unseal(line: bytes) -> dict[str, Any]:
    """Check ``line`` and return its object, the checksum left out."""
    check(line)
    record: dict[str, Any] = orjson.loads(line)
    del record["crc"]
    return record


def vector_to_text(vector: Vector) -> str:
    """Return float32 ``[d]`` as base64 of its little-endian bytes: bit-exact, and the fastest of the JSON forms."""
    return b2a_base64(np.ascontiguousarray(vector, dtype="<f4").data, newline=False).decode("ascii")


def text_to_vector(text: str) -> Vector:
    """Return the float32 ``[d]`` that :func:`vector_to_text` wrote."""
    return np.frombuffer(a2b_base64(text), dtype="<f4").astype(np.float32, copy=False)
