"""Parquet and Arrow IPC files: columns ``id``, ``text``, ``metadata`` (JSON) and ``vector`` (fixed-size float32 list).

Metadata is JSON in one column, because Arrow's columns have one type each and no difference between null and absent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from bedside.errors import InvalidVectorError, UnreadableFileError
from bedside.formats.fields import make, parse
from bedside.support.extras import needs
from bedside.types import Document

_BATCH = 1_000
"""Rows of one row group or record batch."""
_COLUMNS = ("id", "text", "metadata", "vector")


def detect_parquet(path: Path, head: bytes) -> bool:
    """A file that begins with Parquet's mark."""
    return path.is_file() and head.startswith(b"PAR1")


def detect_arrow(path: Path, head: bytes) -> bool:
    """A file that begins with Arrow's mark."""
    return path.is_file() and head.startswith(b"ARROW1")


def read_parquet(path: Path) -> Iterator[Document]:
    """Yield the records of a Parquet file."""
    with needs("arrow"):
        import pyarrow.parquet as pq

    def batches() -> Iterator[Any]:
        with pq.ParquetFile(path) as file:
            _check(file.schema_arrow, path.name)
            yield from file.iter_batches(batch_size=_BATCH)

    return _documents(batches, path.name)


def read_arrow(path: Path) -> Iterator[Document]:
    """Yield the records of an Arrow IPC file, which is mapped into memory."""
    with needs("arrow"):
        import pyarrow as pa

    def batches() -> Iterator[Any]:
        with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as file:
            _check(file.schema, path.name)
            for i in range(file.num_record_batches):
                batch = file.get_batch(i)
                batch.validate(full=True)
                yield from (batch.slice(start, _BATCH) for start in range(0, len(batch), _BATCH))

    return _documents(batches, path.name)


def count_parquet(path: Path) -> int:
    """Return how many records a Parquet file says that it has."""
    with needs("arrow"):
        import pyarrow as pa
        import pyarrow.parquet as pq
    try:
        return int(pq.read_metadata(path).num_rows)
    except pa.ArrowException:
        raise UnreadableFileError(path.name, "damaged, or cut off") from None


def count_arrow(path: Path) -> int:
    """Return how many records an Arrow IPC file has; its columns are not read."""
    with needs("arrow"):
        import pyarrow as pa
    try:
        with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as file:
            return sum(len(file.get_batch(i)) for i in range(file.num_record_batches))
    except pa.ArrowException:
        raise UnreadableFileError(path.name, "damaged, or cut off") from None


def write_parquet(path: Path, documents: Iterable[Document], *, vectors: bool) -> None:
    """Write a Parquet file, compressed with Zstandard, one row group for each 1,000 records."""
    with needs("arrow"):
        import pyarrow.parquet as pq

    def writer(schema: Any) -> Any:
        return pq.ParquetWriter(path, schema, compression="zstd")

    _write(writer, documents, vectors=vectors)


def write_arrow(path: Path, documents: Iterable[Document], *, vectors: bool) -> None:
    """Write an Arrow IPC file, which other programs can map into memory."""
    with needs("arrow"):
        import pyarrow as pa

    def writer(schema: Any) -> Any:
        return pa.ipc.new_file(str(path), schema)

    _write(writer, documents, vectors=vectors)


def _documents(batches: Callable[[], Iterator[Any]], file: str) -> Iterator[Document]:
    import pyarrow as pa

    number = 0
    try:
        for batch in batches():
            for fields in _rows(batch):
                number += 1
                yield _document(fields, file, f"record {number}")
    except (pa.ArrowException, UnicodeDecodeError, OverflowError):
        raise UnreadableFileError(file, f"after record {number}: damaged, or cut off") from None


def _rows(batch: Any) -> Iterator[dict[str, Any]]:
    names = [name for name in batch.schema.names if name != "vector"]
    columns = [batch.column(name).to_pylist() for name in names]
    vectors: Iterable[Any] = batch.column("vector") if "vector" in batch.schema.names else [None] * len(batch)
    for i, vector in enumerate(vectors):
        values = None if vector is None or not vector.is_valid else vector.values.to_numpy(zero_copy_only=False)
        yield {**{name: column[i] for name, column in zip(names, columns, strict=True)}, "vector": values}


def _document(fields: dict[str, Any], file: str, where: str) -> Document:
    vector, text = fields.pop("vector"), fields.get("metadata")
    if text is not None:
        fields["metadata"] = parse(text, file, f"{where}.metadata")
    document = make(fields, file, where)
    return document if vector is None else Document(document.text, document.metadata, document.id, np.array(vector))


def _check(schema: Any, file: str) -> None:
    import pyarrow as pa

    if unknown := [name for name in schema.names if name not in _COLUMNS] or len(set(schema.names)) < len(schema.names):
        raise UnreadableFileError(file, f"unknown columns {unknown}; allowed, each once: {', '.join(_COLUMNS)}")
    for column in schema:
        of = column.type.value_type if column.name == "vector" and pa.types.is_nested(column.type) else column.type
        strings = pa.types.is_string(of) or pa.types.is_large_string(of) or pa.types.is_null(of)
        if not (pa.types.is_float32(of) if column.name == "vector" else strings):
            allowed = "a list of float32" if column.name == "vector" else "strings"
            raise UnreadableFileError(file, f"column {column.name}: expected {allowed}, got {column.type}")


def _write(open_writer: Callable[[Any], Any], documents: Iterable[Document], *, vectors: bool) -> None:
    import pyarrow as pa

    source = iter(documents)
    first = list(islice(source, _BATCH))
    known = [len(d.vector) for d in first if d.vector is not None] if vectors else []
    columns = [pa.field(name, pa.string()) for name in _COLUMNS[:3]]
    if known:
        columns.append(pa.field("vector", pa.list_(pa.float32(), known[0])))
    schema = pa.schema(columns)
    with open_writer(schema) as out:
        for rest in chain([first], iter(lambda: list(islice(source, _BATCH)), [])):
            out.write_batch(_batch(rest, schema, known[0] if known else 0, vectors=vectors))


def _batch(documents: Sequence[Document], schema: Any, dimension: int, *, vectors: bool) -> Any:
    import pyarrow as pa

    held = [d.vector for d in documents] if vectors else []
    if any(vector is not None and len(vector) != dimension for vector in held):
        raise InvalidVectorError(f"a table holds vectors of one dimension; the first was {dimension or 'none'}")
    columns = [
        pa.array([d.id for d in documents], pa.string()),
        pa.array([d.text for d in documents], pa.string()),
        pa.array([orjson.dumps(dict(d.metadata)).decode() for d in documents], pa.string()),
    ]
    if dimension:
        empty = np.zeros(dimension, np.float32)
        numbers = np.concatenate([np.asarray(empty if v is None else v, np.float32) for v in held] or [empty[:0]])
        mask = pa.array([vector is None for vector in held], pa.bool_())
        columns.append(pa.FixedSizeListArray.from_arrays(pa.array(numbers), dimension, mask=mask))
    return pa.record_batch(columns, schema=schema)
