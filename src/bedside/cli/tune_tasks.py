"""Commands that tune task heads: tune classify, ner, qa, relations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from bedside.cli.configuration import read_config
from bedside.cli.options import Json, print_json
from bedside.cli.settings import with_settings
from bedside.errors import InvalidInputError
from bedside.tuning.heads import TaskPlan, TaskSettings, TuningReport, plan_task
from bedside.tuning.heads.examples import Kind
from bedside.tuning.heads.tune import tune
from bedside.tuning.settings import settings_from

_FILES = ("train", "output", "valid", "test")
_PLACES = (*_FILES, "base")
Config = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="YAML or JSON: train, output, base … and any setting.")
]


def _command(kind: Kind, does: str) -> Callable[..., None]:
    def command(
        train: Annotated[Path | None, typer.Argument(metavar="TRAIN", help="Labelled data to train on.")] = None,
        output: Annotated[Path | None, typer.Argument(metavar="OUTPUT", help="A new folder for the result.")] = None,
        base: Annotated[str | None, typer.Option(metavar="MODEL", help="Hub id or folder of the encoder.")] = None,
        valid: Annotated[Path | None, typer.Option(help="Data that the best weights are chosen by.")] = None,
        test: Annotated[Path | None, typer.Option(help="Data that the result is measured on.")] = None,
        config: Config = None,
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and estimate; train nothing.")] = False,
        json: Json = False,
        **settings: Any,
    ) -> None:
        given = {"train": train, "output": output, "base": base, "valid": valid, "test": test}
        asked = {name: value for name, value in {**given, **settings}.items() if value not in (None, [])}
        _run(kind, {**(read_config(config, _FILES) if config else {}), **asked}, dry_run=dry_run, json=json)

    command.__name__, command.__doc__ = kind, does
    return with_settings(command, TaskSettings)


def _run(kind: Kind, given: dict[str, Any], *, dry_run: bool, json: bool) -> None:
    places = {name: given.pop(name) for name in _PLACES if name in given}
    needed = ("train",) if dry_run else ("train", "output")
    missing = [name.upper() for name in needed if name not in places]
    if missing:
        raise typer.BadParameter(f"give {' and '.join(missing)}, here or in --config")
    settings = settings_from(TaskSettings, given)
    output = places.pop("output", None)
    if dry_run:
        _print_plan(plan_task(kind, **places, settings=settings), json)
    else:
        _print_report(tune(kind, output=output, **places, settings=settings), json)


def _print_plan(plan: TaskPlan, json: bool) -> None:
    if json:
        print_json(asdict(plan))
    else:
        for split, count in plan.examples.items():
            labels = ", ".join(f"{label} {n:,}" for label, n in plan.labels[split].items())
            typer.echo(f"{split}: {count:,} examples ({labels or 'no labels'})")
        for problem in plan.problems:
            typer.echo(f"problem: {problem}")
        if plan.memory is not None:
            typer.echo(f"{plan.windows:,} windows with {plan.tokens:,} tokens, {plan.steps:,} steps")
            typer.echo(f"{plan.trainable:,} of {plan.parameters:,} parameters are trained")
            typer.echo(f"about {plan.seconds:,.0f} s and {plan.memory / 2**20:,.0f} MiB on this machine")
    if plan.refused:
        raise InvalidInputError(f"the data has {len(plan.problems)} problems; a run would stop at them")


def _print_report(report: TuningReport, json: bool) -> None:
    if json:
        print_json({**asdict(report), "folder": str(report.folder)})
        return
    for name, value in report.after.items():
        before, baseline = report.before[name], report.baseline[name]
        typer.echo(f"{name}: {value:.3f} (before {before:.3f}, {report.baseline_name} {baseline:.3f})")
    where = f", measured on the {report.split} data" if report.split else ", not measured"
    typer.echo(f"{report.folder} holds the task{where}; {report.seconds:,.0f} s")


COMMANDS = {
    "classify": _command("classification", "Tune a classifier of texts, one label or several."),
    "ner": _command("ner", "Tune a tagger of named entities."),
    "qa": _command("qa", "Tune an extractive question answerer."),
    "relations": _command("relations", "Tune a classifier of relations between entities."),
}
