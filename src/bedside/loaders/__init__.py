r"""Files as notes: told apart by what is in them, read whole, and what could not be read is named.

::

    from bedside import Collection
    from bedside.loaders import LoadReport, load

    report = LoadReport()
    with Collection.open("ward.bedside") as notes:
        notes.add_notes(load("letters", report=report))
    print(len(report.read), "files read;", *report.findings, sep="\n")

Only tables, Markdown and HTML without a frame, which nothing in them gives away, are known by their suffix. Every
format has a row in :data:`bedside.loaders.kinds.KINDS`.
"""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from bedside.engines import holds_collection
from bedside.errors import BedsideWarning, UnreadableFileError
from bedside.loaders.content import MAX_BYTES, Content, LoadArguments, LoadOptions, documents_of
from bedside.loaders.links import Links, linked
from bedside.loaders.report import Finding, LoadReport, reason_of
from bedside.types import Document

__all__ = ["MAX_BYTES", "Finding", "Links", "LoadArguments", "LoadReport", "files", "load", "read"]

_PARTIAL = (".part", ".partial", ".tmp", ".temp", ".crdownload", ".download", ".swp")


def load(
    path: str | os.PathLike[str],
    *,
    root: str | os.PathLike[str] | None = None,
    report: LoadReport | None = None,
    strict: bool = False,
    encoding: str | None = None,
    text_key: str | None = None,
    id_key: str | None = None,
    resources: bool = False,
    links: Links | None = None,
) -> Iterator[Document]:
    """Yield what a file holds as documents for :meth:`bedside.Collection.add_notes`, or each file of a folder in turn.

    Each has the file's path relative to ``root`` as its id and in its metadata as ``source``, and its kind as ``type``:
    ``text``, ``markdown``, ``html``, ``pdf``, ``docx``, ``csv``, ``fhir``, … A file that holds several, such as the
    rows of a table, adds ``#`` and what tells them apart to the id.

    A document that replaces another (FHIR's ``relatesTo``, CDA's ``relatedDocument``, HL7's parent documents) has the
    other's own id in ``replaces`` and, where that one is among the notes too, the ids of its notes in ``supersedes``;
    it comes after it.

    What cannot be read is never passed over in silence. With a ``report``, all of it stands there, and the rest is
    yielded: a folder's other files, a file's other parts. Without one, a file of which nothing can be read
    raises, and a part that cannot be read, a guess, or a file without text is a :class:`bedside.errors.BedsideWarning`.

    Args:
        path: A file, or a folder as :func:`files` walks it.
        root: What ``source`` is relative to; ``None`` is the folder given, or the one the file lies in.
        report: Filled with what was taken of each file and what was not.
        strict: A file raises where anything in it cannot be read, or is read by a guess, report or not; what was
            yielded of it before should then be thrown away, as one call of ``add_notes`` does.
        encoding: Of files that are plain text, HTML or CSV and have no byte order mark, which is believed before it.
            ``None`` takes UTF-8, and what an HTML page declares; anything else is refused, since a guess corrupts text
            silently.
        text_key: The column of a table that holds the note; ``None`` goes by the columns' names.
        id_key: The column of a table that tells its notes apart; ``None`` is one called ``id``.
        resources: FHIR's observations, conditions, medicines, allergies, procedures and the like are notes too, each a
            short text, and so is the narrative of every other resource that has one.
        links: Of the notes that are there already, which those of the files may replace; what is read is added.

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
    options = LoadOptions(strict, text_key, id_key, resources)
    yield from linked(_loaded(Path(path), root, report, encoding, options), Links() if links is None else links, report)


def _loaded(
    path: Path,
    root: str | os.PathLike[str] | None,
    report: LoadReport | None,
    encoding: str | None,
    options: LoadOptions,
) -> Iterator[Document]:
    """Yield the notes of each file."""
    is_folder = os.path.isdir(path)  # noqa: PTH112 - says no where pathlib raises; reading it then names the error
    base = Path(root) if root is not None else path if is_folder else path.parent
    onerror = None if report is None or options.strict else _noted(report, base)
    for file in files(path, onerror=onerror) if is_folder else [path]:
        try:
            data, source = _bytes(file), _relative(file, base)
            stream = file if len(data) > MAX_BYTES else None
        except UnreadableFileError as error:
            if onerror is None:
                raise
            onerror(error)
            continue
        held = data if stream is None else b""
        yield from _taken(Content(held, source, encoding, options=options, file=stream), report)


def read(
    data: bytes,
    source: str,
    *,
    report: LoadReport | None = None,
    strict: bool = False,
    encoding: str | None = None,
    text_key: str | None = None,
    id_key: str | None = None,
    resources: bool = False,
) -> Iterator[Document]:
    """Yield what the bytes of a file hold, as :func:`load` does; ``source`` is the path that names it."""
    content = Content(data, source, encoding, options=LoadOptions(strict, text_key, id_key, resources))
    return linked(_taken(content, report), Links(), report)


def _taken(content: Content, report: LoadReport | None) -> Iterator[Document]:
    """Yield the notes of one file; what else there is to say goes into the report, or else is raised or warned of."""
    told, source = LoadReport() if report is None else report, content.source
    found, before = 0, len(told.findings)
    try:
        for document in documents_of(replace(content, report=told)):
            found += 1
            yield document
    except UnreadableFileError as error:
        if report is None or content.options.strict:
            raise
        told.add(Finding(source, "", reason_of(error)))
    told.notes[source] = told.notes.get(source, 0) + found
    if not found and len(told.findings) == before:
        told.add(Finding(source, "", "no text in it", "left out"))
    if report is None:
        _say(told)


def _say(told: LoadReport) -> None:
    """Say what was found of one file to who gave no report.

    Raises:
        UnreadableFileError: It gave no note, since something in it could not be read.
    """
    is_refused, is_read = bool(told.refused), bool(told.read)
    for finding in told.findings:
        if is_refused and finding.outcome == "refused":
            raise UnreadableFileError(
                f"{finding.file}: {finding.part}" if finding.part else finding.file, finding.reason
            )
    for finding in told.findings:
        if finding.outcome == "left out" and is_read:
            continue  # it holds no text, as a picture among notes does
        warnings.warn(str(finding), BedsideWarning, stacklevel=4)


def _noted(report: LoadReport, root: Path) -> Callable[[UnreadableFileError], None]:
    """Return what puts a file that cannot be opened, or a folder that cannot be listed, into a report."""

    def note(error: UnreadableFileError) -> None:
        path = Path(error.file)
        name = path.relative_to(root).as_posix() if path.is_relative_to(root) else error.file
        report.notes.setdefault(name, 0)
        report.add(Finding(name, "", reason_of(error)))

    return note


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
    """Return what is in a file; of one that is too large and is read piece by piece, the beginning."""
    from bedside.loaders.fhir_json import is_resources

    try:
        with file.open("rb") as source:
            data = source.read(MAX_BYTES + 1)
    except OSError as error:
        raise UnreadableFileError(file.as_posix(), error.strerror or type(error).__name__) from error
    if len(data) > MAX_BYTES and not is_resources(data[: 1 << 16]):
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
