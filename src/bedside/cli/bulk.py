"""The command that loads files with many workers: bulk-load."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import typer

from bedside.cli.interrupts import die_at_once
from bedside.cli.lines import one_line
from bedside.cli.options import Json, Model, ScopeKeys, model_of, say
from bedside.cli.recording import trail
from bedside.support.processors import processors


def bulk_load(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="JSON Lines, as `bedside export` writes them.")],
    url: Annotated[str, typer.Argument(metavar="URL", help="The collection: postgresql://…?collection=NAME.")],
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Processes; by default one for each processor.")
    ] = None,
    notes: Annotated[bool, typer.Option("--notes", help="Each line is a note; split it into passages.")] = False,
    encoder: Model = None,
    scope_key: ScopeKeys = None,
    json: Json = False,
) -> None:
    """Load documents or notes into a collection on PostgreSQL with many workers; creates it if there is none.

    Every 4 MiB of a file are one transaction. What was loaded is not loaded again: after a failure, run it once more.
    Documents that cannot be stored are told on standard error, by file, line and id, and the rest is loaded; then it
    exits with 1.
    """
    from bedside.bulk import bulk_load as load  # most commands load no encoder

    chosen = workers or processors()
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, processors() // chosen)))  # of each worker's numeric libraries
    with ProcessPoolExecutor(chosen, mp_context=get_context("spawn"), initializer=die_at_once) as executor:
        report = load(
            files,
            url,
            executor=executor,
            encoder=model_of(encoder, url),
            scope_keys=scope_key or (),
            notes=notes,
            audit=trail(),
        )
    for each in (*report.refused, *report.failed):
        typer.echo(one_line(str(each)), err=True)
    sentence = f"{report.documents} documents added in {report.shards} shards"
    if report.skipped:
        sentence += f"; {report.skipped} shards were loaded before"
    if not report.is_complete:
        sentence += f"; {report.left_out} documents refused, {len(report.failed)} shards failed"
    say(sentence, asdict(report), json=json)
    if not report.is_complete:
        raise typer.Exit(1)


COMMANDS = {"bulk-load": bulk_load}
