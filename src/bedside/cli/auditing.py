"""The commands that read an audit trail: audit verify, audit show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from bedside.cli.lines import one_line
from bedside.cli.options import Json, Scope, parse_scope, print_json, print_rows, say
from bedside.cli.recording import KEY_VARIABLE, opened
from bedside.cli.words import spoken

app = typer.Typer(help="Check and read an audit trail.", no_args_is_help=True, pretty_exceptions_enable=False)
Trail = Annotated[Path, typer.Argument(metavar="TRAIL", help="The trail's folder.")]
KeyFile = Annotated[
    Path | None, typer.Option("--key-file", help=f"The trail's key; else the variable {KEY_VARIABLE} holds it.")
]


def verify(
    folder: Trail,
    key_file: KeyFile = None,
    anchor: Annotated[str | None, typer.Option(help="What an earlier verify printed as the anchor.")] = None,
    json: Json = False,
) -> None:
    """Check that no line was edited, removed or moved, and with --anchor that none is missing at the end."""
    report = opened(folder, key_file).verify(anchor=anchor)
    lines = [f"{folder} is whole: {report.lines} lines in {report.files} files, {report.begun} to {report.ended}"]
    if report.torn_bytes:
        lines.append(f"{report.torn_bytes} bytes of a killed writer; the next line removes them and says so")
    lines.append(f"keep this anchor elsewhere: {report.anchor}")
    say("\n".join(lines), asdict(report), json=json)


def show(
    folder: Trail,
    key_file: KeyFile = None,
    actor: Annotated[str | None, typer.Option(help="Only lines of this actor.")] = None,
    verb: Annotated[str | None, typer.Option(help="Only lines of this verb, such as search.")] = None,
    scope: Scope = None,
    id: Annotated[str | None, typer.Option("--id", help="Only lines that name this record or note.")] = None,
    since: Annotated[str | None, typer.Option(help="Only lines of this time or later: 2026-03-01T09:12, UTC.")] = None,
    until: Annotated[str | None, typer.Option(help="Only lines before this time.")] = None,
    json: Json = False,
) -> None:
    """Print the lines of a trail, the oldest first, each checked."""
    asked: dict[str, Any] = {"actor": actor, "verb": verb, "id": id, "since": since, "until": until}
    entries = opened(folder, key_file).entries(scope=parse_scope(scope) or None, **asked)
    if json:
        for entry in entries:
            print_json(entry)
    else:
        print_rows(_COLUMNS, map(_row, entries))


_COMMANDS: dict[str, Callable[..., None]] = {"verify": verify, "show": show}
for _name, _command in _COMMANDS.items():
    app.command(_name)(spoken(_command, ()))
_COLUMNS = ("at", "actor", "purpose", "verb", "count", "error")


def _row(entry: Mapping[str, Any]) -> list[str]:
    counted = entry.get("count", entry.get("removed", ""))
    return [one_line(str(value)) for value in ({**entry, "count": counted}.get(name, "") for name in _COLUMNS)]
