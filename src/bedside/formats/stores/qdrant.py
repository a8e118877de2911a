"""The folder that qdrant-client's local mode keeps: ``meta.json``, and a SQLite file of pickled points per collection.

It is read without qdrant-client, which would unpickle whatever the file names, rewrite old rows, and give a cosine
collection's vectors at length one instead of as they were added.
"""

from __future__ import annotations

import base64
import os
import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bedside.formats.foreign import Records, choose, load_json, mapping, refuse
from bedside.formats.stores.pickles import Shell, attributes, check_allowed, loads
from bedside.types import Document

_MODELS = "qdrant_client.http.models.models"
_CLASSES = {(_MODELS, "PointStruct"), (_MODELS, "SparseVector")}


def read_qdrant(
    path: str | os.PathLike[str],
    *,
    collection: str | None = None,
    vector_name: str | None = None,
    text_key: str | None = None,
    allow_pickle: bool = False,
) -> Iterator[Document]:
    """Yield the points of a collection in a local Qdrant folder, in the order they were written.

    An id that is a number becomes its digits. LangChain's and LlamaIndex's payloads are taken apart; of named
    vectors one comes over, and sparse ones do not, because words are counted anew from the texts.

    Args:
        path: The folder that was given to ``QdrantClient(path=...)``. It is only read.
        collection: Needed where the folder has several.
        vector_name: Needed where the points have several dense vectors.
        text_key: The payload key of the text; see :mod:`bedside.formats.foreign` for what happens without.
        allow_pickle: The points are pickles, which nobody's default should be to read. With ``True``, only plain
            data and Qdrant's point classes are let in.

    Raises:
        InvalidInputError: Without ``allow_pickle``, or where one of several collections must be named.
        UnreadableFileError: A file is damaged; the message names the row.
        InvalidVectorError: A vector is zero, not finite in float32, or of another dimension than the first.
    """
    folder = Path(path)
    held = mapping(mapping(load_json(folder / "meta.json"), "meta.json").get("collections"), "meta.json: collections")
    name = choose(collection, list(held), folder.name, "collection")
    if Path(name).name != name or name in (".", ".."):
        refuse("meta.json: collections", "a name that leads out of the folder")
    check_allowed(allow_pickle, f"a point in {folder.name}")
    records = Records(text_key)
    for row, blob in _points(folder / "collection" / name / "storage.sqlite"):
        where = f"storage.sqlite: row {row}"
        point = attributes(loads(blob, _CLASSES, where), where)
        vector = _vector(point.get("vector"), vector_name, where)
        payload = mapping(point.get("payload") or {}, f"{where}.payload")
        yield records.document(where, str(_id(point.get("id"), where)), vector, payload)


def _points(file: Path) -> Iterator[tuple[int, bytes]]:
    """The latest row of every point: old clients wrote some twice, and the client takes the last."""
    try:
        connection = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)
        try:
            keys = connection.execute("SELECT rowid, id FROM points ORDER BY rowid")
            latest = {_id_of_key(row, key): row for row, key in keys}
            query = "SELECT rowid, id, point FROM points ORDER BY rowid"
            for row, key, blob in connection.execute(query):
                if latest[_id_of_key(row, key)] == row:
                    yield row, blob
        finally:
            connection.close()
    except (sqlite3.Error, UnicodeDecodeError) as error:
        refuse(file.name, f"not a whole Qdrant storage: {error}")


def _id_of_key(row: int, key: Any) -> str | int:
    """The id in a row's key, which is a pickle in base64."""
    where = f"storage.sqlite: row {row}"
    try:
        data = base64.b64decode(key)
    except (TypeError, ValueError):
        refuse(f"{where}.id", "expected base64")
    return _id(loads(data, (), where), where)


def _id(value: Any, where: str) -> str | int:
    """A point's id in the one spelling that Qdrant gives it."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        return str(uuid.UUID(value))
    except (AttributeError, TypeError, ValueError):
        refuse(f"{where}.id", "expected a whole number or a UUID")


def _vector(value: Any, name: str | None, where: str) -> Any:
    """The dense vector that is meant, alone or by name."""
    if not isinstance(value, dict):
        return value
    dense = {key: vector for key, vector in value.items() if not isinstance(vector, Shell)}
    return dense[choose(name, list(dense), where, "vector_name")]
