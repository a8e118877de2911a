"""A collection kept equal to a folder of notes: once, or for as long as the process runs.

Each file's notes carry, beside what :mod:`bedside.loaders` gives them, ``folder``: the name of the folder they came
from. Notes of another folder and notes that were added by hand are never touched.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePath
from threading import Event
from typing import TYPE_CHECKING, Literal, TypeAlias

from bedside.errors import (
    InvalidInputError,
    LockTimeoutError,
    ProviderError,
    ScopeError,
    UnreadableFileError,
    WriteFailedError,
)
from bedside.loaders import Finding, Links, LoadArguments, LoadReport, files, load
from bedside.notes.changes import Untold, events
from bedside.notes.notes import add_notes, of_note
from bedside.support.checks import check_known
from bedside.types import Document, FilterDict

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from bedside.collection import Collection
    from bedside.text.split import NoteSplitter

__all__ = ["FileChange", "SyncReport", "sync", "watch"]

FileChange: TypeAlias = Literal["added", "replaced", "deleted", "unchanged"]
"""What became of a file's notes."""
BATCH = 16
"""Files in one transaction: their passages fill an encoder's batches, and little is done anew after a failure."""
_PASSING = (LockTimeoutError, ProviderError, WriteFailedError, OSError)
_RETRY = 10  # turns before what could not be read is tried again
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SyncReport:
    """What one pass found.

    Attributes:
        files: What became of each file, by its path relative to the folder.
        failed: Why a file, or a folder with all in it, could not be taken up; what was stored of it before is still
            there.
        findings: What could not be taken of files that were, which of them hold no note, and what was guessed.
    """

    files: Mapping[str, FileChange] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    findings: Sequence[Finding] = ()

    @property
    def is_complete(self) -> bool:
        """Whether every file could be read, and nothing in any of them was refused."""
        return not self.failed and all(finding.outcome != "refused" for finding in self.findings)

    def of(self, change: FileChange) -> list[str]:
        """Return the files that something became of."""
        return [file for file, found in self.files.items() if found == change]


def sync(
    folder: str | os.PathLike[str],
    collection: Collection,
    *,
    name: str | None = None,
    paths: Iterable[str | os.PathLike[str]] | None = None,
    splitter: NoteSplitter | None = None,
    stop: Event | None = None,
    **reading: Unpack[LoadArguments],
) -> SyncReport:
    """Make a collection's notes those of a folder, in one pass.

    Files are compared by what is in them: new ones are added, changed ones replaced, and the notes of files that are no
    longer there are deleted; an unchanged file is read and nothing of it is encoded. A file that cannot be read is
    reported and stops nothing. An empty folder empties the collection of its notes; a missing one is an error.

    Args:
        folder: Its files and those of its subfolders; see :func:`bedside.loaders.files`.
        collection: A collection, or one scope of it.
        name: Tells this folder's notes from others in the collection; ``None`` is the last part of its path.
        paths: Look only at these files and folders, relative to the folder; ``None`` is all of it.
        splitter: As for :meth:`bedside.Collection.add_notes`.
        stop: Set from another thread or a signal handler, it ends the pass after the files at hand.
        **reading: How files are read, as for :func:`bedside.loaders.load`: ``encoding``, ``strict``, ``text_key``,
            ``id_key`` and ``resources``. With ``strict=True``, a file of which a part cannot be read fails.

    Raises:
        InvalidInputError: The folder is not one, or ``paths`` is a single path.
        UnknownOptionError: ``reading`` has another name.
        MissingExtraError: ``bedside[loaders]`` is not installed, and a file needs it.
    """
    check_known("sync", reading, LoadArguments.__annotations__)
    root = _folder(folder).absolute()
    chosen = _chosen(paths)
    mark = name or root.resolve().name
    stored = stored_notes(collection, {"folder": mark})
    known = _ids_by_file(stored)
    failed: dict[str, str] = {}
    every = [file.relative_to(root).as_posix() for file in files(root, onerror=_noted(root, failed))]
    there = [file for file in every if _is_within(file, chosen)]
    elsewhere = set(every).difference(there)
    others = [note for note in stored if note.metadata["source"] in elsewhere]
    links = Links(others)  # what is read now may replace these
    run = _Pass(root, collection, mark, known, splitter, partial(load, root=root, links=links, **reading), links, [])
    report = _each_taken_up(run, there, stop, SyncReport({}, failed))
    # Then the files, also of those not looked at, whose notes replace what came only now.
    late = [*run.late, *(str(note.metadata["source"]) for note in others if links.linked(note) != note)]
    report = _each_taken_up(replace(run, is_last=True), list(dict.fromkeys(late)), stop, report)
    if stop is not None and stop.is_set():
        return report
    gone = sorted(
        file for file in known.keys() - there if _is_within(file, chosen) and not _is_within(file, list(failed))
    )
    if gone:
        add_notes(collection, [], instead_of=[id for file in gone for id in known[file]])
    return _joined(report, SyncReport(dict.fromkeys(gone, "deleted")))


def watch(
    folder: str | os.PathLike[str],
    collection: Collection,
    *,
    stop: Event | None = None,
    report: Callable[[SyncReport], None] | None = None,
    name: str | None = None,
    splitter: NoteSplitter | None = None,
    **reading: Unpack[LoadArguments],
) -> None:
    """Keep a collection equal to a folder until ``stop`` is set.

    It is made equal at the start, which catches up with what happened while nobody watched; from then on whatever
    changes is taken up a moment later. Changes that the system does not tell of, as on a network drive, or thousands at
    once, are noticed by the files' times and sizes within half a minute. What cannot be read, and what another writer
    or a full disk held up, is tried again every few seconds and at its next change.

    Args:
        folder: As for :func:`sync`.
        collection: As for :func:`sync`.
        stop: Ends it; ``None`` is never.
        report: Called after each pass that changed something or found something new to tell, in this thread.
        name: As for :func:`sync`.
        splitter: As for :func:`sync`.
        **reading: As for :func:`sync`.

    Raises:
        InvalidInputError: The folder is not one, or no longer exists.
        UnknownOptionError: ``reading`` has another name.
        MissingExtraError: ``bedside[watch]`` is not installed.
    """
    check_known("watch", reading, LoadArguments.__annotations__)
    root, stopped = _folder(folder).resolve(), stop or Event()
    waiting: set[str] | None = None  # None is everything
    told, unsure = SyncReport(), set[str]()
    one_pass = partial(sync, root, collection, name=name, splitter=splitter, stop=stopped, **reading)
    untold = Untold(root)
    for turn, touched in enumerate(events(root, stopped), 1):
        if stopped.is_set():
            return
        touched |= untold.now()
        if waiting is not None:
            waiting |= touched | (told.failed.keys() | unsure if turn % _RETRY == 0 else set())
            if not waiting:
                continue
        try:
            found = one_pass(paths=waiting)
        except _PASSING as error:
            _log.warning("the folder is tried again: %s", type(error).__name__)
            continue
        new = _just_made(root, found, told, unsure)
        unsure = new | {file for file in unsure if not _is_within(file, None if waiting is None else list(waiting))}
        found = replace(found, findings=[finding for finding in found.findings if finding.file not in new])
        news = _news(found, told)
        told = _kept(told, waiting, found)
        waiting = set()
        if report is not None and (news.files or news.failed or news.findings):
            report(news)


def _news(found: SyncReport, told: SyncReport) -> SyncReport:
    """Leave out what is unchanged, and what was told before."""
    known = set(told.findings)
    return SyncReport(
        {file: change for file, change in found.files.items() if change != "unchanged"},
        {file: reason for file, reason in found.failed.items() if told.failed.get(file) != reason},
        [finding for finding in found.findings if finding not in known],
    )


def _just_made(root: Path, found: SyncReport, told: SyncReport, before: set[str]) -> set[str]:
    """Return the new files without bytes: somebody may be writing them, and what is to say waits for another look."""
    untold = {finding.file for finding in set(found.findings).difference(told.findings)}
    return {file for file in untold - before if _is_empty(root / file)}


def _is_empty(file: Path) -> bool:
    try:
        return file.stat().st_size == 0
    except OSError:
        return True


def _kept(told: SyncReport, looked_at: set[str] | None, found: SyncReport) -> SyncReport:
    """Return what is known of failures and findings after a pass over some paths, or over all."""
    paths = None if looked_at is None else list(looked_at)
    elsewhere = SyncReport(
        {},
        {file: reason for file, reason in told.failed.items() if not _is_within(file, paths)},
        [finding for finding in told.findings if not _is_within(finding.file, paths)],
    )
    return _joined(elsewhere, SyncReport({}, found.failed, found.findings))


@dataclass(frozen=True)
class _Pass:
    """What one pass works with.

    Attributes:
        links: The notes of the folder, by what their sources call them.
        late: Filled with the files that replace what has not been read yet.
        is_last: Whether such files are taken up all the same.
    """

    root: Path
    collection: Collection
    mark: str
    known: Mapping[str, set[str]]
    splitter: NoteSplitter | None
    load: Callable[..., Iterator[Document]]
    links: Links
    late: list[str]
    is_last: bool = False


def _each_taken_up(run: _Pass, files: Sequence[str], stop: Event | None, report: SyncReport) -> SyncReport:
    """Take up files batch by batch until told to stop; return the report with what became of them."""
    for batch in _batches(files):
        if stop is not None and stop.is_set():
            break
        report = _joined(report, _taken_up(run, batch))
    return report


def _taken_up(run: _Pass, batch: Sequence[str]) -> SyncReport:
    """Take up some files in one transaction; where that is refused, each in its own."""
    notes: dict[str, list[Document]] = {}
    report = SyncReport()
    for file in batch:
        held, heard = _loaded(run, file)
        if not run.is_last and any(map(run.links.missing, held or ())):
            run.late.append(file)  # what it replaces may come with another file
            continue
        if held is not None:
            notes[file] = held
        report = _joined(report, heard)
    try:
        return _joined(report, SyncReport(_stored(run, notes)))
    except (InvalidInputError, ScopeError) as error:
        if len(notes) == 1:
            return _joined(report, SyncReport({}, {file: f"{file}: {error}" for file in notes}))
    report = SyncReport({}, report.failed, [finding for finding in report.findings if finding.file not in notes])
    for file in notes:
        report = _joined(report, _taken_up(run, [file]))
    return report


def _loaded(run: _Pass, file: str) -> tuple[list[Document] | None, SyncReport]:
    """Return a file's notes, marked as this folder's, and what there is to say; ``None`` where it cannot be read."""
    heard = LoadReport()
    try:
        held = [
            replace(note, metadata={**note.metadata, "folder": run.mark})
            for note in run.load(run.root / file, report=heard)
        ]
    except InvalidInputError as error:
        return None, SyncReport({}, {file: str(error)})
    if not heard.refused:
        return held, SyncReport({}, {}, heard.findings)
    first = next(finding for finding in heard.findings if finding.outcome == "refused")
    return None, SyncReport({}, {file: str(first)}, [finding for finding in heard.findings if finding is not first])


def _stored(run: _Pass, notes: Mapping[str, Sequence[Document]]) -> dict[str, FileChange]:
    """Store what some files hold in place of what is known of them; say what became of each."""
    old = {id for file in notes for id in run.known.get(file, ())}
    every = [note for file in notes for note in notes[file]]
    changes = add_notes(run.collection, every, run.splitter, instead_of=old)
    found: dict[str, FileChange] = {}
    for file, held in notes.items():
        before = run.known.get(file, set())
        same = before == {note.id for note in held} and all(changes[str(note.id)] == "unchanged" for note in held)
        if held or before:
            found[file] = "unchanged" if same else "deleted" if not held else "replaced" if before else "added"
    return found


def stored_notes(collection: Collection, filter: FilterDict) -> list[Document]:
    """Return the notes that satisfy a filter, each with the text of its first passage alone."""
    first: FilterDict = {"$and": [{"source_hash": {"$exists": True}}, {"start": 0}, filter]}
    passages = collection.get(filter=first)
    return [Document(passage.text, of_note(passage), str(passage.metadata["source_id"])) for passage in passages]


def _folder(folder: str | os.PathLike[str]) -> Path:
    if not Path(folder).is_dir():
        raise InvalidInputError(f"{folder}: expected a folder")
    return Path(folder)


def _chosen(paths: Iterable[str | os.PathLike[str]] | None) -> list[str] | None:
    if isinstance(paths, str | os.PathLike):
        raise InvalidInputError(f"paths: expected several paths, got one {type(paths).__name__}; wrap it in [ ]")
    return None if paths is None else [PurePath(path).as_posix().strip("/") for path in paths]


def _ids_by_file(notes: Iterable[Document]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for note in notes:
        found.setdefault(str(note.metadata["source"]), set()).add(str(note.id))
    return found


def _noted(root: Path, failed: dict[str, str]) -> Callable[[UnreadableFileError], None]:
    """Return what notes under ``failed`` the folders that cannot be listed: what is in them is not gone."""
    return lambda error: failed.update({Path(error.file).relative_to(root).as_posix(): str(error)})


def _is_within(file: str, paths: Sequence[str] | None) -> bool:
    return paths is None or any(file == path or file.startswith(f"{path}/") or path in ("", ".") for path in paths)


def _batches(items: Sequence[str]) -> Iterator[Sequence[str]]:
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))


def _joined(one: SyncReport, other: SyncReport) -> SyncReport:
    return SyncReport({**one.files, **other.files}, {**one.failed, **other.failed}, [*one.findings, *other.findings])
