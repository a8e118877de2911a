"""The files of a vectra folder, parsed and checked: the index, its side-car metadata, the catalog and its texts.

The layout is vectra 0.15.0's: ``index.json`` or ``index.pb`` holds the items; an item's ``metadataFile`` holds the
metadata that is not indexed; ``catalog.json`` or ``catalog.pb`` names the documents, each with ``<id>.txt`` and
sometimes metadata in ``<id>.json`` or ``<id>.pb``. The ``.pb`` metadata files hold JSON text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from bedside.formats.fields import BOM, kind
from bedside.formats.foreign import mapping, refuse
from bedside.formats.json_parts import parts_of
from bedside.formats.vectra import protobuf

SUFFIXES = (".json", ".pb")
"""Of the index, the catalog and the metadata files: JSON, or protobuf."""
_BEGINNING = re.compile(rb'\s*\{\s*"version"\s*:\s*\d+\s*,\s*"metadata_config"\s*:')
_HEAD = 4_096
"""Bytes of a JSON file that tell whether it is an index."""


@dataclass(frozen=True)
class Item:
    """One item as the index file holds it.

    Attributes:
        id: Not checked yet.
        metadata: All of it, or only the indexed keys where there is a ``metadata_file``.
        vector: Numbers, not checked yet.
        metadata_file: The side-car file with the whole metadata.
    """

    id: Any
    metadata: dict[str, Any]
    vector: Any
    metadata_file: str | None = None


@dataclass(frozen=True)
class Catalog:
    """The documents of a document index: their ids, URIs, and, since vectra 0.15, content hashes by URI."""

    uris: Mapping[str, str] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)


class Folder:
    """Reads the files of one vectra folder; every error names the file and the place in it.

    Args:
        path: The folder, or the index file in it, whatever its name: ``LocalIndex`` takes another one.

    Raises:
        UnreadableFileError: It holds no index, or several: ``index.json`` beside ``index.pb``, as an interrupted
            migration leaves them, or two of other names.
    """

    def __init__(self, path: Path) -> None:
        index = path if path.is_file() else _only_index(path)
        self.path, self.index = index.parent, index.name
        self.suffix = ".pb" if index.suffix == ".pb" else ".json"

    def items(self) -> Iterator[Item]:
        """Yield the items of the index file in order; memory holds one."""
        name = self.index
        raw = self._json_items(name) if self.suffix == ".json" else self._protobuf_items(name)
        for i, item in enumerate(raw):
            yield _item(item, f"{name}: items[{i}]")

    def catalog(self) -> Catalog | None:
        """The catalog, or ``None`` where the folder is an index of items only."""
        name = f"catalog{self.suffix}"
        if not (self.path / name).exists():
            return None
        return _catalog(name, self._json(name) if self.suffix == ".json" else self._protobuf_catalog(name))

    def metadata(self, item: Item) -> dict[str, Any]:
        """All metadata of an item, from its side-car file where it has one."""
        if item.metadata_file is None:
            return item.metadata
        return mapping(self._json(item.metadata_file), item.metadata_file)

    def text(self, document_id: str) -> str:
        """The text of a document, byte for byte."""
        name = f"{document_id}.txt"
        try:
            return self._bytes(name).decode("utf-8")
        except UnicodeDecodeError as error:
            refuse(f"{name}, byte {error.start}", "not UTF-8")

    def document_metadata(self, document_id: str) -> dict[str, Any]:
        """The metadata of a document; ``{}`` where it was added without."""
        name = f"{document_id}{self.suffix}"
        return mapping(self._json(name), name) if is_plain(name) and (self.path / name).exists() else {}

    def _bytes(self, name: str) -> bytes:
        if not is_plain(name):
            refuse(repr(name), "a file name that leads out of the folder")
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            refuse(name, f"cannot be read: {error.strerror}")

    def _json_items(self, name: str) -> Iterator[Any]:
        found = False
        with parts_of(self.path / name) as parts:
            for key in parts.children(b"{"):
                if key == "items":
                    found = True
                    for i, _ in enumerate(parts.children(b"[", records=True)):
                        yield _parsed(parts.value(), f"{name}: items[{i}]")
                elif key == "metadata_config":
                    _check_config(_parsed(parts.value(), f"{name}: {key}"), f"{name}: {key}")
                else:
                    parts.skip()
        if not found:
            refuse(f"{name}: items", "missing")

    def _protobuf_items(self, name: str) -> Iterator[Any]:
        try:
            file = (self.path / name).open("rb")
        except OSError as error:
            refuse(name, f"cannot be read: {error.strerror}")
        with file, _of_schema(name):
            yield from protobuf.items(file)

    def _protobuf_catalog(self, name: str) -> Any:
        data = self._bytes(name)
        with _of_schema(name):
            return protobuf.catalog(data)

    def _json(self, name: str) -> Any:
        return _parsed(self._bytes(name), name)


def index_files(path: Path) -> list[Path]:
    """The index files of a folder: those that vectra names itself, else the JSON files that begin as one does."""
    own = [file for file in (path / f"index{suffix}" for suffix in SUFFIXES) if file.is_file()]
    return own if any(map(is_index, own)) else [file for file in sorted(path.glob("*.json")) if is_index(file)]


def is_index(file: Path) -> bool:
    """Whether a file is vectra's ``index.pb``, begins as its JSON index does, or is an empty ``index.json``.

    vectra empties the file before it writes it anew, so a process that is killed then leaves an empty one.
    """
    if file.suffix != ".json":
        return file.name == "index.pb"
    with file.open("rb") as source:
        head = source.read(_HEAD).removeprefix(BOM)
    return _BEGINNING.match(head) is not None or (not head and file.name == "index.json")


def _only_index(path: Path) -> Path:
    index = path / "index.json"
    found = index_files(path) or [file for file in [index] if file.is_file()]  # its reader says what is wrong with it
    if not found:
        refuse(path.name, "not a vectra folder: no index.json or index.pb")
    if len(found) > 1 and index in found:
        refuse(path.name, "not a vectra folder: both index.json and index.pb; finish vectra's migration")
    if len(found) > 1:
        refuse(path.name, f"several indexes: {', '.join(file.name for file in found)}; name the file that is meant")
    return found[0]


def is_plain(name: str) -> bool:
    """Whether a name is that of a file in the folder, and leads nowhere else."""
    return Path(name).name == name and "\\" not in name and "\0" not in name and name not in (".", "..")


@contextmanager
def _of_schema(name: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        refuse(name, f"not protobuf of vectra's schema: {error}")


def _parsed(data: bytes, where: str) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        refuse(where, f"not JSON that can be stored: {error}")


def _check_config(config: Any, where: str) -> None:
    """Refuse a ``metadata_config`` that is damaged; what it says is already done to the items."""
    indexed = mapping(config or {}, where).get("indexed") or []
    if not isinstance(indexed, list):
        refuse(f"{where}.indexed", f"expected a list of strings, got {kind(indexed)}")
    for i, key in enumerate(indexed):
        _string(key, f"{where}.indexed[{i}]")


def _item(raw: Any, where: str) -> Item:
    item = mapping(raw, where)
    length, file = item.get("norm"), item.get("metadataFile")
    if length is not None and type(length) not in (int, float):
        refuse(f"{where}.norm", f"expected a number, got {kind(length)}")
    if file is not None:
        _string(file, f"{where}.metadataFile")
    metadata = mapping(item.get("metadata") or {}, f"{where}.metadata")
    return Item(item.get("id"), metadata, _listed(item.get("vector")), file or None)


def _listed(vector: Any) -> Any:
    """The numbers of a vector: ``JSON.stringify`` makes an object of a ``Float32Array``, with its places as keys."""
    if isinstance(vector, dict) and vector and list(vector) == list(map(str, range(len(vector)))):
        return list(vector.values())
    return vector


def _catalog(name: str, raw: Any) -> Catalog:
    catalog = mapping(raw, name)
    ids, uris, hashes = (
        _string_map(catalog.get(key) or {}, f"{name}: {key}") for key in ("uriToId", "idToUri", "uriToHash")
    )
    if {uri: id for id, uri in uris.items()} != ids:
        refuse(name, "uriToId and idToUri name different documents")
    return Catalog(uris, hashes)


def _string(value: Any, where: str) -> str:
    if not isinstance(value, str):
        refuse(where, f"expected a string, got {kind(value)}")
    return value


def _string_map(value: Any, where: str) -> dict[str, str]:
    return {key: _string(item, f"{where}.{key}") for key, item in mapping(value, where).items()}
