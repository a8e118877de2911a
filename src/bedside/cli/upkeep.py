"""Commands that look after a collection: verify, repair, compact, reembed, copy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bedside.cli.options import CollectionPath, load, one_line, reading, writing
from bedside.errors import InvalidInputError
from bedside.maintenance import repair as repair_folder


def verify(path: CollectionPath) -> None:
    """Read every line of the log and check it."""
    with reading(path) as collection:
        report = collection.verify()
    typer.echo(f"{report.file} is whole: {report.records} records, {report.lines} lines, {report.bytes} bytes")
    if report.unfinished_bytes:
        typer.echo(f"{report.unfinished_bytes} bytes behind the last commit; the next write removes them")


def repair(path: CollectionPath) -> None:
    """Save what is whole of a collection whose log is damaged; no process may have it open."""
    report = repair_folder(path)
    if report.kept is None:
        typer.echo(f"nothing was damaged; {report.records} records")
        return
    typer.echo(f"{report.records} records saved; {len(report.lost)} lines lost")
    for loss in report.lost:
        typer.echo(f"lost line {loss.line}: {loss.operation} {'unknown id' if loss.id is None else one_line(loss.id)}")
    typer.echo(f"{report.kept} holds the damaged log, notes included: delete it once it is no longer needed")


def compact(path: CollectionPath) -> None:
    """Write a new log that holds only the living records."""
    with writing(path) as collection:
        collection.compact()
        typer.echo(f"{len(collection)} records in the new log")


def reembed(
    path: CollectionPath,
    encoder: Annotated[str, typer.Option("--encoder", metavar="MODEL", help="Hub id or folder of the new encoder.")],
) -> None:
    """Encode every text with another encoder, atomically."""
    with writing(path) as collection:
        if (loaded := load(encoder)) is None:
            raise InvalidInputError("--encoder: give a model")
        collection.reembed(loaded)
        typer.echo(f"{len(collection)} records encoded with {loaded.name}")


def copy(
    path: CollectionPath,
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="A new or empty folder.")],
) -> None:
    """Write all records, of every scope, into a new folder."""
    with reading(path) as collection:
        collection.copy_to(target)
        typer.echo(f"{len(collection)} records copied to {target}")


COMMANDS = {"verify": verify, "repair": repair, "compact": compact, "reembed": reembed, "copy": copy}
