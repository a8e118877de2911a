"""Writes a vectra folder of protobuf files, as vectra's ProtobufCodec does; Bedside only reads them."""

import math
import struct

import numpy as np
import orjson


def write_protobuf(folder, documents, indexed=()):
    """Make a folder of items; metadata that is not indexed goes into a file per item."""
    folder.mkdir()
    config = b"".join(_part(1, key.encode()) for key in indexed)
    with (folder / "index.pb").open("wb") as out:
        out.write(b"\x08\x01" + _part(2, config))
        for i, document in enumerate(documents):
            metadata = {**document.metadata, "text": document.text}
            kept = {key: value for key, value in metadata.items() if key in indexed} if indexed else metadata
            side_car = None if kept == metadata else f"item-{i}.pb"
            if side_car:
                (folder / side_car).write_bytes(orjson.dumps(metadata))
            out.write(_part(3, _item(document.id, kept, np.asarray(document.vector, "<f4"), side_car)))
    return folder


def _item(id, metadata, vector, side_car):
    entries = [_part(2, _part(1, key.encode()) + _part(2, _value(value))) for key, value in metadata.items()]
    norm = b"\x21" + struct.pack("<d", math.sqrt(float(np.dot(vector, vector))))
    parts = [_part(1, id.encode()), *entries, _part(3, vector.tobytes()), norm]
    return b"".join(parts) + (_part(5, side_car.encode()) if side_car else b"")


def _value(value):
    if isinstance(value, bool):
        return b"\x18" + bytes([value])
    return _part(1, value.encode()) if isinstance(value, str) else b"\x11" + struct.pack("<d", value)


def _part(field, data):
    length, size = len(data), bytearray()
    while length > 0x7F:
        size.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([field << 3 | 2, *size, length]) + data
