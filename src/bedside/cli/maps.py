"""The command that draws a collection: map."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bedside.analysis.maps import Projection, map_documents
from bedside.cli.options import (
    AllScopes,
    CollectionPath,
    Filter,
    Json,
    Scope,
    parse_filter,
    part,
    reading,
    say,
    tell_if_clear,
)


def draw(
    path: CollectionPath,
    target: Annotated[Path, typer.Argument(metavar="FILE", help="A name that ends in .html, .png or .svg.")],
    method: Annotated[
        Projection, typer.Option(help="auto takes umap or tsne where they are installed, and pca where they are not.")
    ] = "auto",
    color_by: Annotated[
        str | None, typer.Option("--color-by", metavar="KEY", help="Colour by this metadata key.")
    ] = None,
    snippets: Annotated[bool, typer.Option("--snippets/--no-snippets", help="Keep the beginning of each text.")] = True,
    filter: Filter = None,
    scope: Scope = None,
    all_scopes: AllScopes = False,
    json: Json = False,
) -> None:
    """Draw the documents as points, near where their vectors are near; the file is made of notes."""
    wanted = parse_filter(filter)
    with reading(path) as collection:
        view = part(collection, scope, all_scopes=all_scopes)
        drawn = map_documents(
            view, method=method, color_by=color_by, filter=wanted, all_scopes=all_scopes, snippets=snippets
        )
        file, documents = str(drawn.save(target)), len(drawn.ids)
        tell_if_clear(collection, target)
    say(f"{file} shows {documents} documents", {"file": file, "documents": documents}, json=json)


COMMANDS = {"map": draw}
