"""The command that draws a collection: map."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bedside.cli.options import AllScopes, CollectionPath, Filter, Json, Scope, parse_filter, part, reading, say


def draw(
    path: CollectionPath,
    target: Annotated[Path, typer.Argument(metavar="FILE", help="A name that ends in .html, .png or .svg.")],
    method: Annotated[str, typer.Option(help="pca, tsne or umap.")] = "pca",
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
    from bedside.analysis.maps import map_documents

    wanted = parse_filter(filter)
    chosen: Any = method  # the map says which methods there are
    with reading(path) as collection:
        view = part(collection, scope, all_scopes=all_scopes)
        drawn = map_documents(
            view, method=chosen, color_by=color_by, filter=wanted, all_scopes=all_scopes, snippets=snippets
        )
    file, documents = str(drawn.save(target)), len(drawn.ids)
    say(f"{file} shows {documents} documents", {"file": file, "documents": documents}, json=json)


COMMANDS = {"map": draw}
