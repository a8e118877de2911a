"""LanceDB tables, read by lancedb itself, batch by batch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bedside.errors import InvalidInputError
from bedside.formats.foreign import Records, choose, library, refuse
from bedside.types import Document

_BATCH = 1_000


def read_lancedb(
    path: str | os.PathLike[str],
    *,
    table: str | None = None,
    id_key: str = "id",
    vector_key: str | None = None,
    text_key: str | None = None,
) -> Iterator[Document]:
    """Yield the rows of a LanceDB table.

    A row's columns are its metadata, but for the id, the vector and the text; a struct is an object. Where a table
    has a column, every row has the key: what a row lacked comes as ``None``, because Lance keeps no difference.

    Args:
        path: The folder that was given to ``lancedb.connect``.
        table: Needed where the folder has several.
        id_key: The column of ids, which must be strings.
        vector_key: Needed where the table has several columns of fixed-size vectors.
        text_key: The column of the text; see :mod:`bedside.formats.foreign` for what happens without.

    Raises:
        InvalidInputError: The folder has no such table or column, or one of several must be named.
        UnreadableFileError: The table is damaged, or holds values that JSON has not, such as dates.
        InvalidVectorError: A vector is zero, not finite in float32, or of another dimension than the first.
        MissingExtraError: lancedb is not installed.
    """
    folder = Path(path)
    lancedb = library("lancedb", "lancedb")
    name = choose(table, _tables(folder), folder.name, "table")
    try:
        held = lancedb.connect(str(folder)).open_table(name)
        batches = held.search().limit(held.count_rows()).to_batches(_BATCH)
        vectors = choose(vector_key, _vector_columns(held.schema), name, "vector_key")
        if id_key not in held.schema.names:
            raise InvalidInputError(f"{name}: id_key={id_key!r}: expected one of its columns: {held.schema.names}")
        yield from _rows(batches, Records(text_key), name, id_key, vectors)
    except (RuntimeError, OSError) as error:
        refuse(name, f"LanceDB cannot read it: {str(error).splitlines()[0]}")


def _tables(folder: Path) -> list[str]:
    return sorted(table.name.removesuffix(".lance") for table in folder.glob("*.lance"))


def _vector_columns(schema: Any) -> list[str]:
    return [field.name for field in schema if str(field.type).startswith("fixed_size_list<")]


def _rows(batches: Any, records: Records, name: str, id_key: str, vector_key: str) -> Iterator[Document]:
    for batch in batches:
        columns = [key for key in batch.schema.names if key != vector_key]
        vectors = batch.column(vector_key)
        for i, row in enumerate(batch.select(columns).to_pylist()):
            where = f"{name}, record {len(records) + 1}"
            id, vector = row.pop(id_key), vectors[i].as_py()
            yield records.document(where, id, vector, row)
