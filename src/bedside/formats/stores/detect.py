"""Which store wrote a folder or a file: told by what is in it, not by its name."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from bedside.formats.vectra.files import index_files, is_index

_STRING = r'"(?:[^"\\]|\\.)*"'
_LANGCHAIN = re.compile(rf'\s*\{{\s*{_STRING}\s*:\s*\{{\s*"id"\s*:\s*{_STRING}\s*,\s*"vector"\s*:\s*\[')
_PINECONE = re.compile(rf'\s*\{{(?:\s*{_STRING}\s*:\s*(?:{_STRING}|null)\s*,)*\s*"vectors"\s*:\s*[\[{{]')
_SIMPLE_STORE = re.compile(r'\s*\{\s*"embedding_dict"\s*:')
_HEAD = 4_096
"""Bytes that tell a JSON file's layout."""


def is_vectra(path: Path, head: bytes) -> bool:
    """A folder with ``index.pb``, or with a JSON file that begins as vectra's index; or that file."""
    del head
    return is_index(path) if path.is_file() else bool(index_files(path))


def is_llama_index(path: Path, head: bytes) -> bool:
    """A folder with a vector store's file, or that file."""
    return any(path.glob("*vector_store.json")) if path.is_dir() else _begins(_SIMPLE_STORE, head)


def is_langchain(path: Path, head: bytes) -> bool:
    """A JSON object of records that begin with id and vector."""
    return path.is_file() and _begins(_LANGCHAIN, head)


def is_pinecone(path: Path, head: bytes) -> bool:
    """A JSON object with ``vectors``, only short values before it."""
    return path.is_file() and _begins(_PINECONE, head)


def is_chroma(path: Path, head: bytes) -> bool:
    """A folder with Chroma's database."""
    del head
    return (path / "chroma.sqlite3").is_file()


def is_lancedb(path: Path, head: bytes) -> bool:
    """A folder of Lance tables."""
    del head
    return any(table.is_dir() for table in path.glob("*.lance"))


def is_faiss(path: Path, head: bytes) -> bool:
    """A folder with an index and the docstore beside it."""
    del head
    return any(index.with_suffix(".pkl").is_file() for index in path.glob("*.faiss"))


def is_qdrant(path: Path, head: bytes) -> bool:
    """A folder with the local mode's list of collections."""
    del head
    return (path / "meta.json").is_file() and (path / "collection").is_dir()


TESTS: dict[str, Callable[[Path, bytes], bool]] = {
    "vectra": is_vectra,
    "llama-index": is_llama_index,
    "langchain": is_langchain,
    "chroma": is_chroma,
    "lancedb": is_lancedb,
    "faiss": is_faiss,
    "qdrant": is_qdrant,
    "pinecone": is_pinecone,
}
"""The test of each store by its name."""


def detect(path: Path) -> str | None:
    """The name of the store that wrote ``path``, or ``None``."""
    head = _read_head(path) if path.is_file() else b""
    return next((name for name, test in TESTS.items() if test(path, head)), None)


def _read_head(file: Path) -> bytes:
    with file.open("rb") as source:
        return source.read(_HEAD)


def _begins(pattern: re.Pattern[str], head: bytes) -> bool:
    return pattern.match(head.decode("utf-8", "ignore")) is not None
