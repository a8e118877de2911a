"""The command that tunes an encoder: tune retrieval."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from bedside.cli.configuration import read_config
from bedside.cli.options import Json, print_json
from bedside.cli.settings import with_settings
from bedside.errors import InvalidInputError
from bedside.tuning import Tuned, TunePlan, TuneSettings, plan_tuning, tune_encoder
from bedside.tuning.settings import settings_from

_GIVEN = ("base", "output", "pairs", "triples", "corpus", "held_out", "method", "revision")
_FILES = ("output", "pairs", "triples", "corpus", "held_out")


def retrieval(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG", help="YAML or JSON: base, output, pairs or corpus, any setting.")
    ],
    output: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Instead of the configuration's.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and estimate; train nothing.")] = False,
    json: Json = False,
    **settings: Any,
) -> None:
    """Tune an encoder for retrieval, and save it as a folder that --encoder opens.

    Files that the configuration names are looked for beside it. The same command goes on with an interrupted run.
    """
    values = {**read_config(config, _FILES), **{name: value for name, value in settings.items() if value is not None}}
    given: dict[str, Any] = {name: values.pop(name) for name in _GIVEN if name in values}
    given |= {} if output is None else {"output": output}
    if given.get("method") == "gpl":
        raise InvalidInputError("method: gpl needs a question writer and a cross-encoder; call tune_encoder in Python")
    if missing := [name for name in ("base", "output") if name not in given and not (dry_run and name == "output")]:
        raise InvalidInputError(f"{config}: {missing[0]} is missing")
    base, chosen = given.pop("base"), settings_from(TuneSettings, values)
    if dry_run:
        given.pop("output", None)
        _print_plan(plan_tuning(base, **given, settings=chosen), json=json)
    else:
        _print_tuned(tune_encoder(base, **given, settings=chosen), json=json)


def _print_plan(plan: TunePlan, *, json: bool) -> None:
    if json:
        print_json(asdict(plan))
        return
    counts = ", ".join(f"{count:,} {name.replace('_', '-')}" for name, count in plan.counts.items() if count)
    typer.echo(f"{plan.method}: {counts}")
    typer.echo(f"{plan.rows:,} rows, {plan.tokens:.0f} tokens in a text on average, {plan.steps:,} steps at most")
    typer.echo(f"{plan.trainable:,} of {plan.parameters:,} parameters are trained")
    typer.echo(f"about {plan.seconds:,.0f} s and {plan.memory / 2**20:,.0f} MiB on this machine")


def _print_tuned(tuned: Tuned, *, json: bool) -> None:
    if json:
        print_json({**tuned.facts, "folder": str(tuned.folder)})
        return
    for name, value in tuned.after.items():
        typer.echo(f"held-out {name}: {tuned.before[name]:.3f} before, {value:.3f} after")
    typer.echo(f"{tuned.folder} holds the encoder")


COMMANDS = {"retrieval": with_settings(retrieval, TuneSettings)}
