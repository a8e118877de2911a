"""Commands on notes: add-notes and watch."""

from __future__ import annotations

import signal
from pathlib import Path
from threading import Event
from typing import Annotated

import typer

from bedside.cli.lines import one_line
from bedside.cli.options import CollectionPath, Json, Model, Scope, load, parse_scope, print_json
from bedside.collection import Collection
from bedside.errors import DuplicateIdError, InvalidDocumentError, ScopeMismatch, UnreadableFileError
from bedside.notes.sync import SyncReport, sync
from bedside.notes.sync import watch as keep

Encoding = Annotated[
    str | None,
    typer.Option("--encoding", help="Of text, HTML and CSV that are not UTF-8 and do not say what they are."),
]


def add_notes(
    path: CollectionPath,
    sources: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Files, or folders with all files in them.")],
    encoder: Model = None,
    scope: Scope = None,
    encoding: Encoding = None,
    json: Json = False,
) -> None:
    """Add files as notes: text, Markdown, HTML, PDF, DOCX, CSV rows, FHIR; creates the collection where there is none.

    Each file is one transaction. A file that cannot be read or stored is told on standard error, and the rest is added.
    """
    from bedside.loaders import files
    from bedside.loaders import load as read

    failed: list[str] = []

    def refused(reason: object) -> None:
        failed.append(str(reason))
        typer.echo(one_line(f"failed {reason}"), err=True)

    with _opened(path, encoder, scope) as collection:
        view = _view(collection, scope)
        for source in sources:
            for file in files(source, onerror=refused) if source.is_dir() else [source]:
                try:
                    root = source if source.is_dir() else source.parent
                    changes = view.add_notes(read(file, root=root, encoding=encoding))
                except UnreadableFileError as error:
                    refused(error)
                    continue
                except (InvalidDocumentError, DuplicateIdError, ScopeMismatch) as error:
                    refused(f"{file}: {error}")
                    continue
                for id, change in changes.items():
                    _print(change, id, json)
    if failed:
        raise typer.Exit(1)


def watch(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of notes.")],
    path: CollectionPath,
    encoder: Model = None,
    scope: Scope = None,
    name: Annotated[str | None, typer.Option("--name", help="Marks this folder's notes; by default its own.")] = None,
    encoding: Encoding = None,
    once: Annotated[bool, typer.Option("--once", help="Make it equal, and end.")] = False,
    json: Json = False,
) -> None:
    """Keep a collection equal to a folder: files added, changed and deleted, now and while it runs.

    Creates the collection where there is none. Ends on SIGINT or SIGTERM, after the files at hand. With --once it exits
    with 1 if a file could not be read.
    """
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())

    def show(report: SyncReport) -> None:
        for file, change in report.files.items():
            if change != "unchanged":
                _print(change, file, json)
        for reason in report.failed.values():
            typer.echo(one_line(f"failed {reason}"), err=True)

    with _opened(path, encoder, scope) as collection:
        view = _view(collection, scope)
        if once:
            report = sync(folder, view, name=name, encoding=encoding, stop=stop)
            show(report)
            if report.failed:
                raise typer.Exit(1)
        else:
            keep(folder, view, stop=stop, report=show, name=name, encoding=encoding)


COMMANDS = {"add-notes": add_notes, "watch": watch}


def _opened(path: Path, encoder: str | None, scope: list[str] | None) -> Collection:
    return Collection.open(path, encoder=load(encoder, path), scope_keys=list(parse_scope(scope)))


def _view(collection: Collection, scope: list[str] | None) -> Collection:
    return collection.scoped(**parse_scope(scope)) if scope else collection


def _print(change: str, name: str, json: bool) -> None:
    if json:
        print_json({"change": change, "name": name})
    else:
        typer.echo(f"{change} {one_line(name)}")
