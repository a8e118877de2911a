"""All commands in one application."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from bedside import __version__
from bedside.cli import (
    auditing,
    bulk,
    encryption,
    evaluate,
    exchange,
    maps,
    migrating,
    models,
    notes,
    records,
    server,
    serving,
    tune,
    upkeep,
    watch,
)
from bedside.cli.interrupts import interrupted
from bedside.cli.keys import KEY_FILE_VARIABLE, unlocking
from bedside.cli.keys import KEY_VARIABLE as MASTER_KEY_VARIABLE
from bedside.cli.lines import without_password
from bedside.cli.recording import KEY_VARIABLE, recording
from bedside.cli.words import spoken


class _Commands(TyperGroup):
    """The commands; wrong usage is told without the password of a URL that was typed."""

    def invoke(self, ctx: Any) -> Any:
        """Find the command, read its arguments and run it."""
        try:
            return super().invoke(ctx)
        except TyperException as error:
            error.message = without_password(error.message)
            raise
        except KeyboardInterrupt:  # here, because typer would exit without a word
            interrupted()


app = typer.Typer(
    name="bedside",
    cls=_Commands,
    help="Work with Bedside collections and models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # their tracebacks show local variables, and those hold notes
)
GROUPS = {
    "Documents": [records],
    "Notes": [notes, watch],
    "Files and other stores": [exchange, bulk, migrating],
    "Upkeep": [upkeep, encryption],
    "Models": [models],
    "Quality": [evaluate, maps],
    "Serving": [serving],
    "Databases": [server],
}
"""The parts of the help, and the modules whose commands stand there."""
COMMANDS = {
    name: command for modules in GROUPS.values() for module in modules for name, command in module.COMMANDS.items()
}
for _title, _modules in GROUPS.items():
    for _module in _modules:
        for _name, _command in _module.COMMANDS.items():
            app.command(_name, rich_help_panel=_title)(spoken(_command, COMMANDS))
app.add_typer(auditing.app, name="audit", rich_help_panel="Upkeep")
app.add_typer(tune.app, name="tune", rich_help_panel="Models")


@app.callback(invoke_without_command=True)
def bedside(
    context: typer.Context,
    key_file: Annotated[
        Path | None,
        typer.Option(
            envvar=KEY_FILE_VARIABLE,
            help=f"The key of collections, encrypted then; else {MASTER_KEY_VARIABLE} holds it.",
        ),
    ] = None,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    audit: Annotated[
        Path | None,
        typer.Option(metavar="TRAIL", envvar="BEDSIDE_AUDIT", help="Leave a line of each verb in this audit trail."),
    ] = None,
    audit_key_file: Annotated[
        Path | None, typer.Option(envvar="BEDSIDE_AUDIT_KEY_FILE", help=f"Its key; else {KEY_VARIABLE} holds it.")
    ] = None,
    actor: Annotated[
        str | None, typer.Option(envvar="BEDSIDE_ACTOR", help="Who acts, for the audit trail; else your login.")
    ] = None,
    purpose: Annotated[
        str | None, typer.Option(envvar="BEDSIDE_PURPOSE", help="What for, for the audit trail.")
    ] = None,
) -> None:
    """Work with Bedside collections and models."""
    context.with_resource(unlocking(key_file))
    warnings.showwarning = _one_line
    if version:
        typer.echo(__version__)
        raise typer.Exit
    context.with_resource(recording(audit, audit_key_file, actor, purpose))


def _one_line(
    message: Warning | str,
    category: type[Warning],
    filename: str,  # noqa: ARG001 - the signature of warnings.showwarning
    lineno: int,  # noqa: ARG001
    file: object = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    typer.echo(f"{category.__name__}: {message}", err=True)
