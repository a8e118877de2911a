"""Collections in folders, looked at without opening them."""

from __future__ import annotations

import os
from pathlib import Path

from bedside.engines.embedded.log.manifest import FORMAT, NAME, Manifest
from bedside.errors import NotACollectionError

_LOGS = "log-*.jsonl"


def holds_collection(place: str | os.PathLike[str]) -> bool:
    """Tell whether a folder holds a collection, or a damaged one: another program's ``manifest.json`` has no log."""
    file = os.path.join(place, NAME)  # noqa: PTH118 - as the next line
    if not os.path.isfile(file):  # noqa: PTH113 - says no where pathlib raises
        return False
    return _names_format(Path(file)) or any(Path(place).glob(_LOGS))


def read_facts(place: str | os.PathLike[str]) -> Manifest:
    """Read the manifest in a folder."""
    if not holds_collection(place):
        raise NotACollectionError(f"{place} holds no Bedside collection")
    file = Path(place, NAME)
    return Manifest.from_bytes(file.read_bytes(), str(file))


def log_bytes(place: str | os.PathLike[str]) -> int:
    """Return the size of the log in a folder."""
    return Path(place, read_facts(place).log).stat().st_size


def list_collections(root: str | os.PathLike[str]) -> list[str]:
    """Return the names of the folders in ``root`` that hold a collection; symbolic links are left out."""
    return [folder.name for folder in Path(root).iterdir() if not folder.is_symlink() and holds_collection(folder)]


def _names_format(file: Path) -> bool:
    try:
        with file.open("rb") as manifest:
            return FORMAT.encode() in manifest.read(1 << 16)
    except OSError:
        return False
