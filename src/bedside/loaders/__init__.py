"""Files as notes: text, Markdown, HTML, PDF, DOCX, CSV rows and FHIR documents, told apart by what is in them.

::

    from bedside import Collection
    from bedside.loaders import load

    with Collection.open("ward.bedside") as notes:
        notes.add_notes(load("letters/2024-03-01.pdf", root="letters"))

Only CSV, Markdown and HTML without a frame, which nothing in them gives away, are known by their suffix. A file that is
damaged, encrypted, of another kind or made to do harm raises :class:`bedside.errors.UnreadableFileError`, which names
it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from bedside.engines import holds_collection
from bedside.errors import UnreadableFileError
from bedside.loaders.content import MAX_BYTES, Content, documents_of
from bedside.types import Document

__all__ = ["MAX_BYTES", "files", "load", "read"]

_PARTIAL = (".part", ".partial", ".tmp", ".temp", ".crdownload", ".download", ".swp")


def load(
    path: str | os.PathLike[str], *, root: str | os.PathLike[str] | None = None, encoding: str | None = None
) -> Iterator[Document]:
    """Yield what a file holds as documents for :meth:`bedside.Collection.add_notes`, or each file of a folder in turn.

    Each has the file's path relative to ``root`` as its id and in its metadata as ``source``, and its kind as ``type``:
    ``text``, ``markdown``, ``html``, ``pdf``, ``docx``, ``csv`` or ``fhir``. A file that holds several, such as
    the rows of a table, adds ``#`` and what tells them apart to the id. Documents without text are left out.

    Args:
        path: A file, or a folder as :func:`files` walks it.
        root: What ``source`` is relative to; ``None`` is the folder given, or the one the file lies in.
        encoding: Of files that are plain text, HTML or CSV and have no byte order mark, which is believed before it.
            ``None`` takes UTF-8, and what an HTML page declares; anything else is refused, since a guess corrupts text
            silently.

    Raises:
        UnreadableFileError: A file cannot be read as what it is; the message names it.
        MissingExtraError: ``bedside[loaders]`` is not installed, and a file needs it.

    Example:
        >>> import pathlib, tempfile
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "visit.txt"
        >>> _ = file.write_text("HPI: Cough.")
        >>> list(load(file))
        [Document(text='HPI: Cough.', metadata={'source': 'visit.txt', 'type': 'text'}, id='visit.txt')]
    """
    path = Path(path)
    is_folder = os.path.isdir(path)  # noqa: PTH112 - says no where pathlib raises; reading it then names the error
    base = Path(root) if root is not None else path if is_folder else path.parent
    for file in files(path) if is_folder else [path]:
        yield from read(_bytes(file), _relative(file, base), encoding=encoding)


def read(data: bytes, source: str, *, encoding: str | None = None) -> Iterator[Document]:
    """Yield what the bytes of a file hold, as :func:`load` does; ``source`` is the path that names it."""
    return documents_of(Content(data, source, encoding))


def files(
    folder: str | os.PathLike[str], *, onerror: Callable[[UnreadableFileError], None] | None = None
) -> Iterator[Path]:
    """Yield the files of a folder and its subfolders in the order of their names.

    Hidden files and folders, files that editors and copying programs have not finished (``~$…``, ``#…#``, ``.part``,
    ``.tmp``, …), symbolic links and the folders of Bedside's own collections are left out.

    Args:
        folder: The folder.
        onerror: Called for each folder that cannot be listed, and the rest is yielded; ``None`` raises.

    Raises:
        UnreadableFileError: A folder cannot be listed; the message names it.
    """

    def refused(error: OSError) -> None:
        if isinstance(error, FileNotFoundError) and Path(error.filename) != Path(folder):
            return  # it was there a moment ago
        named = UnreadableFileError(Path(error.filename).as_posix(), error.strerror or type(error).__name__)
        if onerror is None:
            raise named from error
        onerror(named)

    for parent, folders, names in os.walk(folder, onerror=refused):
        if holds_collection(parent):
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent, name) for name in sorted(names) if is_wanted(name) and _is_plain(Path(parent, name)))


def is_wanted(name: str) -> bool:
    """Whether a file of this name is one that :func:`files` yields."""
    saved = name.startswith("#") and name.endswith("#")  # by Emacs, of a file that is being written
    return not saved and not name.startswith((".", "~$")) and not name.lower().endswith((*_PARTIAL, "~"))


def _is_plain(file: Path) -> bool:
    """Whether a name is that of a file proper; where that cannot be told, reading it says why."""
    try:
        return stat.S_ISREG(file.lstat().st_mode)
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _bytes(file: Path) -> bytes:
    try:
        with file.open("rb") as source:
            data = source.read(MAX_BYTES + 1)
    except OSError as error:
        raise UnreadableFileError(file.as_posix(), error.strerror or type(error).__name__) from error
    if len(data) > MAX_BYTES:
        raise UnreadableFileError(file.as_posix(), f"larger than {MAX_BYTES >> 20} MiB, the most that is read")
    return data


def _relative(file: Path, root: Path) -> str:
    try:
        name = file.absolute().relative_to(root.absolute()).as_posix()
        name.encode()
    except UnicodeEncodeError:
        raise UnreadableFileError(file.as_posix(), "its name is not UTF-8, and would be its id; rename it") from None
    except ValueError:
        raise UnreadableFileError(file.as_posix(), f"lies outside of the root {root.as_posix()}") from None
    return name
