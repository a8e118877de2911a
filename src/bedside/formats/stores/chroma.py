"""Chroma's persistent folders, read by chromadb itself from a copy."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bedside.formats.foreign import Records, choose, library, refuse
from bedside.types import Document

_PAGE = 1_000
"""Records per query: far below the number of variables that SQLite allows in one."""


def read_chroma(
    path: str | os.PathLike[str], *, collection: str | None = None, text_key: str | None = None
) -> Iterator[Document]:
    """Yield the records of a Chroma collection, in Chroma's order.

    chromadb writes to a folder even where it only reads, so it is given a temporary copy. A collection in cosine
    space holds vectors at length one once Chroma has moved them into its index; their direction is that of what was
    added. The other spaces hold them as they were added. LlamaIndex's nodes are taken apart.

    Args:
        path: The folder that was given to ``chromadb.PersistentClient``; nothing should be writing to it.
        collection: Needed where the folder has several.
        text_key: A metadata key that holds the text. By default the text is Chroma's document.

    Raises:
        InvalidInputError: One of several collections must be named.
        UnreadableFileError: The folder is not one of Chroma's, or is damaged.
        InvalidVectorError: A vector is zero, not finite in float32, or of another dimension than the first.
        MissingExtraError: chromadb is not installed.
    """
    folder = Path(path)
    chromadb = library("chromadb", "chromadb")
    if not (folder / "chroma.sqlite3").is_file():
        refuse(folder.name, "expected a Chroma folder with a file chroma.sqlite3")
    with tempfile.TemporaryDirectory() as beside:
        copy = shutil.copytree(folder, Path(beside) / "chroma", copy_function=shutil.copyfile)
        try:
            yield from _records(chromadb, copy, folder.name, collection, text_key)
        except chromadb.errors.ChromaError as error:
            refuse(folder.name, f"Chroma cannot read it: {error}")


def _records(chromadb: Any, copy: Path, name: str, collection: str | None, text_key: str | None) -> Iterator[Document]:
    client = chromadb.PersistentClient(str(copy), settings=chromadb.Settings(anonymized_telemetry=False))
    try:
        names = [getattr(held, "name", held) for held in client.list_collections()]
        chosen = choose(collection, names, name, "collection")
        held = client.get_collection(chosen, embedding_function=None)
        records, count = Records(text_key), held.count()
        for start in range(0, count, _PAGE):
            page = held.get(limit=_PAGE, offset=start, include=["documents", "metadatas", "embeddings"])
            columns = (page["ids"], page["embeddings"], page["metadatas"], page["documents"])
            for id, vector, metadata, text in zip(*columns, strict=True):
                where = f"{chosen}, record {len(records) + 1}"
                yield records.document(where, id, vector, metadata or {}, text)
        if len(records) != count:
            refuse(name, f"{chosen} gave {len(records)} records of {count}")
    finally:
        client.close()
