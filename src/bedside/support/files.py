"""Files that only their owner can read, written so that a crash leaves the old or the new, never a mixture."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bedside.errors import BedsideError, InvalidInputError, WriteFailedError

FILE_MODE = 0o600
FOLDER_MODE = 0o700
_BINARY = getattr(os, "O_BINARY", 0)  # Windows would translate line feeds without it


def open_private(path: Path, *, writable: bool, create: bool = False) -> int:
    """Open ``path`` and return its descriptor; a created file is readable by its owner only."""
    flags = (os.O_RDWR if writable else os.O_RDONLY) | _BINARY | (os.O_CREAT if create else 0)
    return os.open(path, flags, FILE_MODE)


def missing_folders(path: Path) -> list[Path]:
    """Return which of ``path`` and the folders above it are not there, the innermost first."""
    return [folder for folder in (path, *path.parents) if not folder.exists()]


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove folders that were made for nothing; one into which somebody has put something stays."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def make_private_folder(path: Path) -> None:
    """Create ``path``, readable by its owner only, and what is missing above it; they survive a power cut."""
    missing = missing_folders(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=FOLDER_MODE, exist_ok=True)
    for folder in missing:
        with contextlib.suppress(PermissionError):  # a folder may be one to write to and not to read
            sync_folder(folder.parent)


@contextmanager
def refusals(name: str, outcome: str) -> Iterator[None]:
    """Raise :class:`WriteFailedError` for what the file system refuses, naming the file and the outcome."""
    try:
        yield
    except BedsideError:
        raise
    except OSError as error:
        raise WriteFailedError(error.errno, f"{name}: {error.strerror}; {outcome}") from error


def read_at(fd: int, offset: int, length: int, lock: threading.Lock) -> bytes:
    """Read ``length`` bytes at ``offset``, fewer at the end of the file; safe from several threads."""
    read = part = _read_some(fd, offset, length, lock)
    while part and len(read) < length:  # rarely: a read of over 2 GiB, or one at the end of the file
        part = _read_some(fd, offset + len(read), length - len(read), lock)
        read += part
    return read


def _read_some(fd: int, offset: int, length: int, lock: threading.Lock) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(fd, length, offset)
    with lock:
        os.lseek(fd, offset, os.SEEK_SET)
        return os.read(fd, length)


def place_of(path: Path) -> Path:
    """Return where a file that somebody named is put in place: where a symbolic link leads.

    Raises:
        InvalidInputError: It is a device or a pipe, such as /dev/stdout, which a file would be put in the place of.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise InvalidInputError(f"{path}: expected the name of a file, got a device or a pipe")
    return path.resolve() if path.is_symlink() else path


def replace_file(path: Path, content: Iterable[bytes | memoryview]) -> None:
    """Make ``path`` hold the chunks of ``content``: written beside it, synced, then renamed over it.

    Raises:
        WriteFailedError: The disk refused; ``path`` is as before.
    """
    beside = path.with_name(path.name + ".new")
    with refusals(path.name, "the file is as before"):
        try:
            with open(open_private(beside, writable=True, create=True), "wb") as out:  # a descriptor
                out.truncate(0)
                out.writelines(content)
                out.flush()
                os.fsync(out.fileno())
            beside.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                beside.unlink()
            raise
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make renames and new files in ``path`` survive a power cut; where folders cannot be synced, do nothing."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
