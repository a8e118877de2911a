"""The commands that tune models: ``bedside tune retrieval|classify|ner|qa|relations``."""

from __future__ import annotations

import typer

from bedside.cli import tune_retrieval, tune_tasks
from bedside.cli.words import spoken

app = typer.Typer(help="Tune encoders and task heads.", no_args_is_help=True, pretty_exceptions_enable=False)
for _group in (tune_retrieval, tune_tasks):
    for _name, _command in _group.COMMANDS.items():
        app.command(_name)(spoken(_command, ()))
