"""Commands on models: fetch-model, export-model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[str, typer.Argument(metavar="MODEL", help="A hub id or a folder.")]
Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder to write.")]


def fetch_model(
    model: Model,
    folder: Folder,
    revision: Annotated[str | None, typer.Option(help="Commit, tag or branch.")] = None,
) -> None:
    """Make a folder that holds all of a model, to load without a network."""
    from bedside.encoders import fetch_model as fetch

    typer.echo(f"{fetch(model, folder, revision=revision)} holds {model}")


def export_model(
    model: Model,
    folder: Folder,
    backend: Annotated[str, typer.Option(help="onnx or openvino.")] = "onnx",
) -> None:
    """Write a model's network for another runtime, with all that encoding needs."""
    from bedside.encoders.export import export_model as export

    done = export(model, folder, backend=backend)
    typer.echo(f"{done.folder} holds the {done.backend} network in {done.dtype}, {done.size} bytes")


COMMANDS = {"fetch-model": fetch_model, "export-model": export_model}
