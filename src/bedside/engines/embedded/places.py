"""Collections in folders, looked at without opening them."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import NoReturn

from bedside.engines.embedded.log.codec import Codec
from bedside.engines.embedded.log.log import DiskFile, Log, Scan
from bedside.engines.embedded.log.manifest import FORMAT, NAME, Manifest
from bedside.engines.embedded.log.sealed import SealedCodec
from bedside.engines.reports import VerifyReport
from bedside.errors import CorruptLogError, InvalidInputError, NotACollectionError
from bedside.remedies import Call

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


def sizes(place: str | os.PathLike[str]) -> dict[str, int]:
    """Return the size of the log in a folder."""
    return {"log_bytes": Path(place, read_facts(place).log).stat().st_size}


def examine(place: str | os.PathLike[str]) -> NoReturn:
    """Refuse: there is no server."""
    raise InvalidInputError(f"{place}: there is no server to examine", remedies=[Call("verify")])


def shown(place: str | os.PathLike[str]) -> str:
    """Return a folder's path."""
    return str(place)


def root_of(root: str | os.PathLike[str]) -> Path:
    """Return the absolute path of a folder of collections."""
    if holds_collection(root):
        raise InvalidInputError(f"{root} is itself a collection: give the folder that it is in")
    folder = Path(root).resolve(strict=True)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(root))
    return folder


def below(root: str | os.PathLike[str], name: str) -> Path | None:
    """Return the folder of a name in a root; ``None`` where it is a symbolic link, which may lead elsewhere."""
    folder = Path(root, name)
    return None if folder.is_symlink() else folder


def verify_without_key(place: str | os.PathLike[str]) -> VerifyReport:
    """Check what needs no key of the log in a folder: checksums and chain."""
    manifest = read_facts(place)
    file = DiskFile(Path(place, manifest.log), writable=False)
    log = Log(file, SealedCodec((), None, manifest.log) if manifest.sealed else Codec(()))
    try:
        end = log.verify(Scan()).position
        if (committed := manifest.committed) and end.offset < committed.offset:
            raise CorruptLogError(log.name, end.line + 1, "the log ends before what its manifest says was committed")
        return VerifyReport(log.name, end.offset, end.line, None, log.size() - end.offset)
    finally:
        log.close()


def list_collections(root: str | os.PathLike[str]) -> list[str]:
    """Return the names of the folders in ``root`` that hold a collection; symbolic links are left out."""
    return [folder.name for folder in Path(root).iterdir() if not folder.is_symlink() and holds_collection(folder)]


def _names_format(file: Path) -> bool:
    try:
        with file.open("rb") as manifest:
            return FORMAT.encode() in manifest.read(1 << 16)
    except OSError:
        return False
