"""vectra's protobuf schema: its messages as the objects that its JSON files hold.

The messages and their fields, as vectra 0.15.0 declares them::

    IndexData        version 1, metadata_config 2, items 3
    MetadataConfig   indexed 1
    IndexItem        id 1, metadata 2 (map), vector 3 (float32), norm 4 (float64), metadata_file 5
    MetadataValue    string_value 1, number_value 2 (float64), bool_value 3
    DocumentCatalog  version 1, count 2, uri_to_id 3, id_to_uri 4, uri_to_hash 5 (maps)

A map is a repeated message of key 1 and value 2. Every reader here raises :class:`ValueError` with the place.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from bedside.formats.vectra import wire

_MAPS = {3: "uriToId", 4: "idToUri", 5: "uriToHash"}


def items(file: BinaryIO) -> Iterator[dict[str, Any]]:
    """Decode the items of an ``IndexData`` one by one; each vector is a float32 array."""
    count = 0
    for number, value in _read(file, "index"):
        if number == 2:
            for field, text in _fields(value, "metadata_config"):
                _utf8(text if field == 1 else b"", "indexed")
        elif number == 3:
            yield _item(value, f"items[{count}]")
            count += 1


def catalog(data: bytes) -> dict[str, dict[str, str]]:
    """Decode a ``DocumentCatalog``."""
    maps: dict[str, dict[str, str]] = {name: {} for name in _MAPS.values()}
    for number, value in _fields(data, "catalog"):
        if number in _MAPS:
            where = _MAPS[number]
            entry = {field: _utf8(text, where) for field, text in _fields(value, where)}
            maps[where][entry.get(1, "")] = entry.get(2, "")
    return maps


def _item(data: Any, where: str) -> dict[str, Any]:
    item: dict[str, Any] = {"id": "", "metadata": {}, "norm": 0.0}
    floats: list[bytes] = []
    for number, value in _fields(data, where):
        match number:
            case 1:
                item["id"] = _utf8(value, f"{where}.id")
            case 2:
                key, held = _metadata(value, f"{where}.metadata")
                item["metadata"][key] = held
            case 3:  # packed in one run or number by number: readers of proto3 take both
                floats.append(_bytes(value, f"{where}.vector"))
            case 4:
                item["norm"] = _double(value, f"{where}.norm")
            case 5:
                item["metadataFile"] = _utf8(value, f"{where}.metadata_file")
    item["vector"] = _floats(b"".join(floats), f"{where}.vector")
    return item


def _metadata(data: Any, where: str) -> tuple[str, Any]:
    entry = dict(_fields(data, where))
    key = _utf8(entry.get(1, b""), where)
    return key, _value(entry.get(2, b""), f"{where}.{key}")


def _value(data: Any, where: str) -> Any:
    found: Any = ""
    for number, value in _fields(data, where):
        match number:
            case 1:
                found = _utf8(value, where)
            case 2:
                found = _number(_double(value, where))
            case 3:
                found = bool(value)
    return found


def _number(value: float) -> int | float:
    """The number as JSON would have it: JavaScript writes 71.0 as ``71``."""
    return int(value) if value.is_integer() and abs(value) <= 2**53 else value


def _floats(data: bytes, where: str) -> NDArray[np.float32]:
    if len(data) % 4:
        raise ValueError(f"{where}: not a whole number of float32")
    return np.frombuffer(data, "<f4")


def _fields(data: Any, where: str) -> list[tuple[int, Any]]:
    return list(_read(BytesIO(_bytes(data, where)), where))


def _read(message: BinaryIO, where: str) -> Iterator[tuple[int, Any]]:
    try:
        for number, _, value in wire.fields(message):
            yield number, value
    except wire.WireError as error:
        raise ValueError(f"{where}: {error}") from None


def _bytes(value: Any, where: str) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError(f"{where}: expected bytes, got a number")  # noqa: TRY004 - damaged input, not a wrong call
    return value


def _utf8(value: Any, where: str) -> str:
    try:
        return _bytes(value, where).decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{where}: expected UTF-8 text") from None


def _double(value: Any, where: str) -> float:
    data = _bytes(value, where)
    if len(data) != 8:
        raise ValueError(f"{where}: expected a float64")
    return float(struct.unpack("<d", data)[0])
