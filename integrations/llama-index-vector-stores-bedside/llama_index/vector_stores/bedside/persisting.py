"""Where ``StorageContext.persist`` finds and leaves a collection.

LlamaIndex names a file. A collection is a folder, or tables on a server, so the file is a pointer to it: a JSON list,
because another store's loader, which expects an object, must fail on it and not read an empty index. The pointer is
replaced last and atomically; whatever happens before leaves the previous one, and what it points to, as they were. It
holds no password.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from pathlib import Path
from typing import Any

from bedside import Collection
from bedside.engines import holds_collection, shown
from bedside.errors import InvalidInputError, NotACollectionError

__all__ = ["check_local", "check_there", "locate", "save"]

_WHAT = "This points to a Bedside collection: BedsideVectorStore.from_persist_dir opens it."


def check_local(fs: Any) -> None:
    """Refuse a remote file system: the pointer is a local file.

    Args:
        fs: An fsspec file system or None.

    Raises:
        InvalidInputError: It is not local.
    """
    if fs is not None and "file" not in fs.protocol:
        raise InvalidInputError(f"fs: a collection is a folder on a local file system, got {type(fs).__name__}")


def save(records: Collection, pointer: Path) -> None:
    """Make ``pointer`` lead to the collection, writing it out first where it is in memory.

    Args:
        records: What the store sees.
        pointer: The file to write; nothing is done where it is the collection's folder itself.
    """
    pointer = pointer.absolute()
    if pointer.is_dir():
        _check_same(records.path, pointer)
        return
    previous = _target(pointer) if pointer.is_file() else None
    pointer.parent.mkdir(parents=True, exist_ok=True)
    if records.path is None and records.place is not None:
        target: Path | str = records.place
        where = {"url": records.place}
    else:
        target = _write_out(records, pointer) if records.path is None else records.path.absolute()
        where = {"collection": os.path.relpath(target, pointer.parent)}
    _replace(pointer, json.dumps([_WHAT, where], indent=1))
    if isinstance(previous, Path) and previous != target and _is_ours(previous, pointer):
        shutil.rmtree(previous)


def locate(pointer: Path) -> Path | str:
    """Give the folder or the URL of the collection that :func:`save` left at ``pointer``.

    Raises:
        NotACollectionError: There is nothing, something else, or the collection is gone.
    """
    pointer = pointer.absolute()
    target = pointer if pointer.is_dir() else _target(pointer)
    if not holds_collection(target):
        raise NotACollectionError(f"{pointer}: the collection it points to, {shown(target)}, is not there")
    return target


def check_there(place: str) -> None:
    """Refuse a place where there is no collection, which opening would create.

    Raises:
        NotACollectionError: There is none.
    """
    if not holds_collection(place):
        raise NotACollectionError(f"{shown(place)}: there is no collection")


def _target(pointer: Path) -> Path | str:
    try:
        what, where = json.loads(pointer.read_text("utf-8"))
        if what != _WHAT:
            raise ValueError(what)
        return str(where["url"]) if "url" in where else Path(os.path.normpath(pointer.parent / where["collection"]))
    except FileNotFoundError:
        raise NotACollectionError(f"{pointer}: there is no persisted Bedside collection") from None
    except (ValueError, TypeError, KeyError):
        raise NotACollectionError(f"{pointer}: was not written by a BedsideVectorStore") from None


def _check_same(folder: Path | None, found: Path) -> None:
    if folder is None or folder.resolve() != found.resolve():
        raise NotACollectionError(f"{found}: is a folder; expected the name of a file to write")


def _write_out(records: Collection, pointer: Path) -> Path:
    folder = pointer.with_name(f"{_prefix(pointer)}{uuid.uuid4().hex}")
    if not records.scope:
        records.copy_to(folder)
        return folder
    with Collection.open(folder, encoder=records.encoder, scope_keys=records.scope_keys) as copy:
        copy.add(records.stream(include_vectors=True))
    return folder


def _prefix(pointer: Path) -> str:
    return f"{pointer.name}.bedside-"


def _is_ours(folder: Path, pointer: Path) -> bool:
    """Whether a folder was written by an earlier :func:`save` of a collection in memory."""
    return folder.parent == pointer.parent and folder.name.startswith(_prefix(pointer))


def _replace(path: Path, text: str) -> None:
    beside = path.with_name(f"{path.name}.new")
    with beside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
