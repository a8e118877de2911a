"""The commands that tune models: ``bedside tune retrieval|classify|ner|qa|relations``."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from bedside.cli.words import spoken


class _Commands(TyperGroup):
    """The commands, imported when one of them is asked for: no other command waits for their settings."""

    def list_commands(self, ctx: Any) -> list[str]:
        return self._made().list_commands(ctx)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return self._made().get_command(ctx, cmd_name)

    def _made(self) -> TyperGroup:
        from bedside.cli import tune_retrieval, tune_tasks

        made = typer.Typer()
        for name, command in (tune_retrieval.COMMANDS | tune_tasks.COMMANDS).items():
            made.command(name)(spoken(command, ()))
        return get_group(made)


app = typer.Typer(
    cls=_Commands, help="Tune encoders and task heads.", no_args_is_help=True, pretty_exceptions_enable=False
)
