"""Commands on notes: add-notes and watch."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from bedside.cli.keys import given_key
from bedside.cli.lines import one_line
from bedside.cli.options import CollectionPath, Json, Model, Scope, load, parse_scope, print_json
from bedside.cli.recording import trail
from bedside.collection import Collection
from bedside.errors import DuplicateIdError, InvalidDocumentError, InvalidInputError, ScopeMismatch, UnreadableFileError
from bedside.notes.sync import SyncReport, stored_notes, sync
from bedside.notes.sync import watch as keep
from bedside.remedies import Give
from bedside.support.progress import counting
from bedside.types import Document

if TYPE_CHECKING:
    from bedside.loaders import Finding, LoadReport

_Reader: TypeAlias = "Callable[..., Iterator[Document]]"
_SHOWN = 10
"""Parts of one file that are named in a line; with ``--json`` all of them are."""
Encoding = Annotated[
    str | None,
    typer.Option("--encoding", help="Of text, HTML and CSV that are not UTF-8 and do not say what they are."),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Refuse a file whole where a part of it cannot be read, or is only guessed.")
]
TextKey = Annotated[
    str | None, typer.Option("--text-key", metavar="COLUMN", help="The column of tables that holds the note.")
]
Resources = Annotated[
    bool, typer.Option("--resources", help="FHIR's observations, conditions, medicines … as notes too.")
]
IdKey = Annotated[
    str | None, typer.Option("--id-key", metavar="COLUMN", help="The column of tables that tells their notes apart.")
]


def add_notes(
    path: CollectionPath,
    sources: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Files, or folders with all files in them.")],
    encoder: Model = None,
    scope: Scope = None,
    encoding: Encoding = None,
    text_key: TextKey = None,
    id_key: IdKey = None,
    resources: Resources = False,
    strict: Strict = False,
    supersedes: Annotated[
        list[str] | None,
        typer.Option("--supersedes", metavar="ID", help="A note that the only one added replaces; may be repeated."),
    ] = None,
    json: Json = False,
) -> None:
    """Add files as notes: text, PDF, DOCX, tables, FHIR, CDA, HL7 v2, …; creates the collection if there is none.

    Each file is one transaction. What cannot be read or stored is told on standard error, and the rest is added. At the
    end it says how many files were read, empty and refused; it exits with 1 where a file gave no note, or a part of one
    was refused.
    """
    from bedside.loaders import Links, files
    from bedside.loaders import load as read

    if supersedes and (len(sources) > 1 or sources[0].is_dir()):
        raise typer.BadParameter("--supersedes: give one file, with one note in it")
    loader = partial(read, **_loading(encoding, text_key, id_key, resources=resources, strict=strict))
    tally = _Tally()

    def told(changes: Mapping[str, str], report: LoadReport) -> None:
        for id, change in changes.items():
            _print(change, id, json)
        _tell(report.findings, json)
        tally.add(report)

    with _opened(path, encoder, scope) as collection:
        view = _view(collection, scope)
        links = Links(_named(view))
        late: list[tuple[Path, _Reader]] = []
        unlisted: list[UnreadableFileError] = []
        found = [
            (file, source if source.is_dir() else source.parent)
            for source in sources
            for file in (files(source, onerror=unlisted.append) if source.is_dir() else [source])
        ]
        for file, root in counting(found, len(found), "add-notes", "file"):
            reader: _Reader = partial(loader, file, root=root, links=links)
            notes, report = _read(reader)
            if any(finding.outcome == "unlinked" for finding in report.findings):
                late.append((file, reader))  # what it replaces may come with another file
            else:
                told(*_added(view, file, notes, report, supersedes))
        for error in unlisted:
            told({}, _refusal(error.file, error.reason))
        for file, again in late:
            told(*_added(view, file, *_read(again), supersedes))
    if json:
        print_json(tally.counts)
    typer.echo("{read} files read, {empty} empty, {refused} refused".format(**tally.counts), err=True)
    if not tally.is_complete:
        raise typer.Exit(1)


def watch(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of notes.")],
    path: CollectionPath,
    encoder: Model = None,
    scope: Scope = None,
    name: Annotated[str | None, typer.Option("--name", help="Marks this folder's notes; by default its own.")] = None,
    encoding: Encoding = None,
    text_key: TextKey = None,
    id_key: IdKey = None,
    resources: Resources = False,
    strict: Strict = False,
    once: Annotated[bool, typer.Option("--once", help="Make it equal, and end.")] = False,
    json: Json = False,
) -> None:
    """Keep a collection equal to a folder: files added, changed and deleted, now and while it runs.

    Creates the collection if there is none. Ends on SIGINT or SIGTERM, after the files at hand. What cannot be read
    is told on standard error. With --once it exits with 1 if a file or a part of one could not be read.
    """
    options = _loading(encoding, text_key, id_key, resources=resources, strict=strict)
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())

    def show(report: SyncReport) -> None:
        for file, change in report.files.items():
            if change != "unchanged":
                _print(change, file, json)
        for file, reason in report.failed.items():
            _say("refused", file, [], reason.removeprefix(f"{file}: "), json)
        _tell(report.findings, json)

    with _opened(path, encoder, scope) as collection:
        view = _view(collection, scope)
        if once:
            report = sync(folder, view, name=name, stop=stop, **options)
            show(report)
            if not report.is_complete:
                raise typer.Exit(1)
        else:
            keep(folder, view, stop=stop, report=show, name=name, **options)


COMMANDS = {"add-notes": add_notes, "watch": watch}


def _opened(path: str, encoder: str | None, scope: list[str] | None) -> Collection:
    return Collection.open(
        path, encoder=load(encoder, path), scope_keys=list(parse_scope(scope)), key=given_key(), audit=trail()
    )


def _view(collection: Collection, scope: list[str] | None) -> Collection:
    return collection.scoped(**parse_scope(scope)) if scope else collection


class _Tally:
    """What add-notes counts: files by what became of them, and whether nothing is missing."""

    def __init__(self) -> None:
        self.counts = {"read": 0, "empty": 0, "refused": 0}
        self.is_complete = True

    def add(self, report: LoadReport) -> None:
        """Count a report in."""
        for outcome, files in (("read", report.read), ("empty", report.empty), ("refused", report.refused)):
            self.counts[outcome] += len(files)
        self.is_complete &= report.is_complete


def _loading(
    encoding: str | None, text_key: str | None, id_key: str | None, *, resources: bool, strict: bool
) -> dict[str, Any]:
    """Return the options of both commands as the loaders' arguments."""
    return {"encoding": encoding, "text_key": text_key, "id_key": id_key, "resources": resources, "strict": strict}


def _named(view: Collection) -> list[Document]:
    """Return the notes there that their sources have names for, and others may replace."""
    names = {"$or": [{"document_id": {"$exists": True}}, {"resource": {"$exists": True}}]}
    return stored_notes(view, names) if view.scope or not view.scope_keys else []


def _read(reader: _Reader) -> tuple[list[Document], LoadReport]:
    """Return a file's notes, and what there is to say."""
    from bedside.loaders import LoadReport

    report = LoadReport()
    try:
        return list(reader(report=report)), report
    except UnreadableFileError as error:
        return [], _refusal(error.file, error.reason)


def _added(
    view: Collection, file: Path, notes: Sequence[Document], report: LoadReport, supersedes: Sequence[str] | None
) -> tuple[Mapping[str, str], LoadReport]:
    """Add a file's notes in one transaction; return what became of each, and the report."""
    if supersedes and len(notes) > 1:
        raise InvalidInputError(f"{file.name} holds {len(notes)} notes", about=Give("supersedes"))
    links = {str(note.id): supersedes for note in notes} if supersedes else None
    try:
        return view.add_notes(notes, supersedes=links), report
    except (InvalidDocumentError, DuplicateIdError, ScopeMismatch) as error:
        return {}, _refusal(file.as_posix(), str(error))


def _refusal(file: str, reason: str) -> LoadReport:
    from bedside.loaders import Finding, LoadReport

    return LoadReport({file: 0}, [Finding(file, "", reason)])


def _tell(findings: Iterable[Finding], json: bool) -> None:
    """Print findings on standard error, those of one file and reason in one line; and each as JSON where wanted."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for finding in findings:
        groups.setdefault((finding.outcome, finding.file, finding.reason), []).append(finding.part)
    for (outcome, file, reason), parts in groups.items():
        named = list(filter(None, parts))
        _say("empty" if outcome == "left out" and not named else outcome, file, named, reason, json)


def _say(outcome: str, file: str, parts: Sequence[str], reason: str, json: bool) -> None:
    if json:
        for part in parts or [""]:
            print_json({"change": outcome, "name": file, "part": part, "reason": reason})
    more = f" and {len(parts) - _SHOWN} more" if len(parts) > _SHOWN else ""
    where = f"{file}: {', '.join(parts[:_SHOWN])}{more}" if parts else file
    typer.echo(one_line(f"{outcome} {where}: {reason}"), err=True)


def _print(change: str, name: str, json: bool) -> None:
    if json:
        print_json({"change": change, "name": name})
    else:
        typer.echo(f"{change} {one_line(name)}")
