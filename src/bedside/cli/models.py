"""Commands on models: fetch-model, export-model, distill."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from bedside.cli.options import Json, one_of, say
from bedside.encoders.export import EXPORTS

Model = Annotated[str, typer.Argument(metavar="MODEL", help="A hub id or a folder.")]
Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder to write.")]
_DTYPES = dict.fromkeys(dtype for dtypes in EXPORTS.values() for dtype in dtypes)


def fetch_model(
    model: Model,
    folder: Folder,
    revision: Annotated[str | None, typer.Option(help="Commit, tag or branch.")] = None,
    json: Json = False,
) -> None:
    """Make a folder that holds all of a model, to load without a network."""
    from bedside.encoders import fetch_model as fetch

    done = fetch(model, folder, revision=revision)
    say(f"{done} holds {model}", {"folder": str(done), "model": model}, json=json)


def export_model(
    model: Model,
    folder: Folder,
    backend: Annotated[str, typer.Option(help="onnx, openvino or tensorflow.", **one_of(EXPORTS))] = "onnx",
    dtype: Annotated[str, typer.Option(help="float32, or int8 with --texts.", **one_of(_DTYPES))] = "float32",
    texts: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="For int8: a text file with a real passage in each line."),
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Commit, tag or branch.")] = None,
    json: Json = False,
) -> None:
    """Write a model's network for another runtime, with all that encoding needs."""
    from bedside.encoders.export import export_model as export

    lines = None if texts is None else [line for line in texts.read_text("utf-8").splitlines() if line.strip()]
    done = export(model, folder, backend=backend, dtype=dtype, texts=lines, revision=revision)
    facts: dict[str, Any] = {"folder": str(done.folder), "backend": done.backend}
    facts |= {"dtype": done.dtype, "bytes": done.size}
    line = f"{done.folder} holds the {done.backend} network in {done.dtype}, {done.size} bytes"
    if (found := done.fidelity) is not None:
        facts["fidelity"] = asdict(found)
        line += (
            f"\nagainst float32, on {found.texts} of the texts: mean cosine {found.mean_cosine:.4f}, lowest "
            f"{found.lowest_cosine:.4f}; {found.neighbours_kept:.1%} of the ten nearest kept; nDCG@10 lower by "
            f"{found.ndcg_loss:.4f}"
        )
    say(line, facts, json=json)


def distill(
    model: Model,
    folder: Folder,
    corpus: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="A text file, one passage in each line.")],
    pairs: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="JSON Lines of [text, text] that belong together.")
    ] = None,
    vocabulary: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A text file of words to add whole.")
    ] = None,
    recipe: Annotated[
        str, typer.Option(metavar="JSON", help='Settings other than the defaults: {"dimension": 128, "epochs": 4}.')
    ] = "{}",
    note: Annotated[str, typer.Option(help="A line for provenance.json: licences, sources.")] = "",
    json: Json = False,
) -> None:
    """Make a static encoder, which needs numpy alone, from a transformer and a corpus."""
    from bedside.tuning.static.distillation import distill_files
    from bedside.tuning.static.token_vectors import Recipe

    known: dict[str, Callable[[Any], Any]] = {name: type(value) for name, value in asdict(Recipe()).items()}
    try:
        settings = orjson.loads(recipe)
        chosen = Recipe(**{name: known[name](value) for name, value in settings.items()})
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError, ValueError):
        allowed = ", ".join(f"{name} ({type(value).__name__})" for name, value in asdict(Recipe()).items())
        raise typer.BadParameter(f"expected a JSON object of {allowed}", param_hint="--recipe") from None
    encoder = distill_files(model, folder, corpus=corpus, pairs=pairs, vocabulary=vocabulary, recipe=chosen, note=note)
    facts = {"folder": str(folder), "name": encoder.name, "dimension": encoder.dimension}
    say(f"{folder} holds {encoder.name}: {encoder.dimension} dimensions", facts, json=json)


COMMANDS = {"fetch-model": fetch_model, "export-model": export_model, "distill": distill}
