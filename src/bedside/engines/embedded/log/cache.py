"""``cache/``: the derived index of a log up to one position, so that opening need not replay it.

``log-000001-0.bin`` holds the index of the log ``log-000001.jsonl`` as it was at one checkpoint, and ``…-1.bin``,
``…-2.bin`` and so on what came until the next ones. Files may be deleted at any time; one that does not follow what was
read before it is passed over, and so are those behind it. One that is damaged is told of. Layout of a file: eight bytes
of magic, the length of the header (little-endian int64), the header as one sealed JSON line, then the arrays, each at a
multiple of 64 bytes and named by the header with type, shape, offset and CRC-32; all between is zero. Arrays are views
of a memory map.

The cache of an encrypted collection begins with magic, length, the name of its key and a CRC-32 of these, so that one
of an earlier key is no damage. The other parts are the same, each sealed: the header, then every array in pieces of
4 MiB. It is opened in memory, so its arrays are no views of a file.
"""

from __future__ import annotations

import contextlib
import logging
import mmap
import zlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

from bedside.engines.embedded.log.cipher import NONCE, TAG, Cipher
from bedside.engines.embedded.log.seal import BrokenSealError, seal, unseal
from bedside.errors import CorruptCacheError, WriteFailedError
from bedside.remedies import Call
from bedside.support.files import make_private_folder, refusals, replace_file
from bedside.support.keys import derived

SUFFIX = ".bin"
_MAGIC = b"BEDSIDE\x01"
_SEALED_MAGIC = b"BEDSIDE\x02"
_NAME = 8
_FRONT = 16 + _NAME + 4  # of a sealed cache: magic, length, name of the key, checksum
_ALIGN = 64
_PIECE = 4 * 2**20
_log = logging.getLogger(__name__)

Arrays: TypeAlias = dict[str, NDArray[Any]]
Stored: TypeAlias = NDArray[Any] | list[NDArray[Any]]
"""An array as it is written: whole, or what lies in several blocks as these, in order and at least one."""


def write_cache(file: Path, facts: Mapping[str, Any], arrays: Mapping[str, Stored], key: bytes | None = None) -> bool:
    """Write ``facts`` (JSON) and ``arrays``; where the disk refuses, log it, go on without a cache and say False.

    Args:
        file: Is replaced.
        facts: What a reader compares.
        arrays: By name.
        key: Seals all of it.
    """
    parts = {name: parts_of(array) for name, array in arrays.items()}
    try:
        make_private_folder(file.parent)
        replace_file(file, _plain(facts, parts) if key is None else _sealed(facts, parts, key))
    except (WriteFailedError, OSError) as error:
        _log.warning("the cache was not written, the next open replays the log: %s", error)
        return False
    return True


def parts_of(array: Stored) -> list[NDArray[Any]]:
    """Return the parts of an array, contiguous."""
    return [np.ascontiguousarray(part) for part in (array if isinstance(array, list) else [array])]


def read_cache(path: Path, facts: Mapping[str, Any], key: bytes | None = None) -> tuple[dict[str, Any], Arrays] | None:
    """Return the cache's facts and arrays; ``None`` where there is none, or one of other facts or of another key.

    Raises:
        CorruptCacheError: The file is not what was written.
    """
    try:
        with path.open("rb") as file:
            whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        return _read(whole, facts) if key is None else _opened(whole, facts, key)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:  # an empty file cannot be mapped
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise CorruptCacheError(
            f"{path.parent.name}/{path.name} is damaged or cannot be read ({why}): it was not used, and nothing is "
            "lost, as the log holds everything",
            remedies=[Call("compact", "to write the cache anew")],
        ) from None


def _plain(facts: Mapping[str, Any], arrays: Mapping[str, list[NDArray[Any]]]) -> Iterator[bytes | memoryview]:
    table, offset, sizes = {}, 0, []
    for name, parts in arrays.items():
        checksum = 0
        for part in parts:
            checksum = zlib.crc32(part.data, checksum)
        table[name] = [*_kind(parts), offset, checksum]
        sizes.append(sum(part.nbytes for part in parts))
        offset = _aligned(offset + sizes[-1])
    header = seal({"facts": facts, "arrays": table})
    yield (_MAGIC + len(header).to_bytes(8, "little") + header).ljust(_aligned(16 + len(header)), b"\0")
    for parts, size in zip(arrays.values(), sizes, strict=True):
        yield from map(_bytes, parts)
        yield b"\0" * (_aligned(size) - size)


def _kind(parts: list[NDArray[Any]]) -> tuple[str, tuple[int, ...]]:
    """Return the type and the shape of the array that parts are of."""
    return parts[0].dtype.str, (sum(map(len, parts)), *parts[0].shape[1:])


def _bytes(array: NDArray[Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _read(whole: memoryview, facts: Mapping[str, Any]) -> tuple[dict[str, Any], Arrays] | None:
    end = 16 + int.from_bytes(whole[8:16], "little")
    if whole[:8] != _MAGIC:
        raise BrokenSealError("not a cache of this format")
    header = unseal(bytes(whole[16:end]))
    if any(header["facts"].get(key) != value for key, value in facts.items()):
        return None
    first = _aligned(end)
    arrays: Arrays = {}
    for name, (dtype, shape, offset, checksum) in header["arrays"].items():
        kind = np.dtype(dtype)
        start = first + offset
        _check_zero(whole[end:start])
        end = start + int(np.prod(shape, dtype=np.int64)) * kind.itemsize
        data = whole[start:end]
        # 4.9 GB/s here: 60 ms for 100,000 vectors of 768 numbers, paid so that a damaged cache never ranks.
        if zlib.crc32(data) != checksum:
            raise BrokenSealError(f"array {name} does not match its checksum")
        arrays[name] = np.frombuffer(data, kind).reshape(shape)
    _check_zero(whole[end:])
    if len(whole) != _aligned(end):
        raise BrokenSealError("it does not end behind its last array")
    return header["facts"], arrays


def _check_zero(between: memoryview) -> None:
    if any(between[:_ALIGN]):
        raise BrokenSealError("there is something between its arrays")


def _sealed(facts: Mapping[str, Any], arrays: Mapping[str, list[NDArray[Any]]], key: bytes) -> Iterator[bytes]:
    """Yield the sealed header, then each array in pieces; every piece is bound to its header and to its place."""
    cipher = Cipher(key)
    table = {name: _kind(parts) for name, parts in arrays.items()}
    header = cipher.seal(orjson.dumps({"facts": facts, "arrays": table}), _SEALED_MAGIC)
    front = _SEALED_MAGIC + len(header).to_bytes(8, "little") + _name_of(key)
    yield front + zlib.crc32(front).to_bytes(4, "little") + header
    numbers = count()
    for parts in arrays.values():
        for piece in _pieces(map(_bytes, parts)):
            yield cipher.seal(piece, _place(header, next(numbers)))


def _pieces(parts: Iterable[memoryview]) -> Iterator[memoryview | bytes]:
    """Yield what parts hold, one behind the other, in pieces of one size; the last may be shorter."""
    rest = bytearray()  # of a part whose end fills no piece
    for part in parts:
        start = min(len(part), _PIECE - len(rest)) if rest else 0
        rest += part[:start]
        if len(rest) == _PIECE:
            yield bytes(rest)
            rest = bytearray()
        whole = start + (len(part) - start) // _PIECE * _PIECE
        yield from (part[at : at + _PIECE] for at in range(start, whole, _PIECE))
        rest += part[whole:]
    if rest:
        yield bytes(rest)


def _opened(whole: memoryview, facts: Mapping[str, Any], key: bytes) -> tuple[dict[str, Any], Arrays] | None:
    """Return what a sealed cache holds, in memory of this process alone."""
    front = bytes(whole[: _FRONT - 4])
    if not front.startswith(_SEALED_MAGIC) or whole[_FRONT - 4 : _FRONT] != zlib.crc32(front).to_bytes(4, "little"):
        raise BrokenSealError("not a sealed cache of this format")
    if front[16:] != _name_of(key):
        return None  # made before a scope was shredded
    cipher = Cipher(key)
    at = _FRONT + int.from_bytes(front[8:16], "little")
    header = bytes(whole[_FRONT:at])
    said = orjson.loads(cipher.open(header, _SEALED_MAGIC))
    if any(said["facts"].get(key) != value for key, value in facts.items()):
        return None
    arrays: Arrays = {}
    numbers = count()
    for name, (dtype, shape) in said["arrays"].items():
        arrays[name] = array = np.empty(shape, np.dtype(dtype))
        room = _bytes(array)
        for start in range(0, len(room), _PIECE):
            piece = room[start : start + _PIECE]
            end = at + NONCE + len(piece) + TAG
            cipher.open_into(whole[at:end], _place(header, next(numbers)), piece)
            at = end
    if at != len(whole):
        raise BrokenSealError("it does not end behind its last array")
    return said["facts"], arrays


def _name_of(key: bytes) -> bytes:
    return derived(key, "cache name")[:_NAME]


def _place(header: bytes, number: int) -> bytes:
    return header[-TAG:] + number.to_bytes(8, "little")


def remove_cache(folder: Path) -> None:
    """Delete the cache, and its folder where nobody put anything else there.

    Raises:
        WriteFailedError: The file system refused.
    """
    with refusals(folder.name, "the cache was not deleted"):
        for file in cache_files(folder):
            file.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


def cache_files(folder: Path, *, without: str | None = None) -> list[Path]:
    """Return the files of a cache, and what a killed writer left of one; ``without`` those of one log."""
    kept = None if without is None else f"{Path(without).stem}-"
    found = [*folder.glob(f"*{SUFFIX}"), *folder.glob(f"*{SUFFIX}.new")]
    return [file for file in found if kept is None or not file.name.startswith(kept)]


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGN) * _ALIGN
