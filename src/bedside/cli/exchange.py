"""Commands that make collections, write them to files and fill them from files: init, export, import."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bedside.cli.options import (
    CollectionPath,
    Filter,
    Json,
    Model,
    Scope,
    load,
    parse_filter,
    parse_scope,
    reading,
    say,
    scoped,
)
from bedside.collection import Collection
from bedside.engines import holds_collection
from bedside.errors import NotACollectionError

_FORMAT_OUT = "json, jsonl, csv, parquet, arrow, numpy, vectra or langchain; by default the suffix tells."


def init(
    path: CollectionPath,
    scope_key: Annotated[
        list[str] | None, typer.Option("--scope-key", help="A key that divides the collection; may be repeated.")
    ] = None,
    encoder: Model = None,
    json: Json = False,
) -> None:
    """Create an empty collection; an error where there is one already."""
    if holds_collection(path):
        raise NotACollectionError(f"{path} already holds a collection")
    with Collection.open(path, encoder=load(encoder), scope_keys=scope_key or ()):
        say(f"created {path}", {"created": str(path)}, json=json)


def export(
    path: CollectionPath,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What is there is replaced.")],
    format: Annotated[str | None, typer.Option("--format", help=_FORMAT_OUT)] = None,
    filter: Filter = None,
    scope: Scope = None,
    include_vectors: Annotated[
        bool, typer.Option("--include-vectors", help="Write vectors too; texts can be guessed from them.")
    ] = False,
    json: Json = False,
) -> None:
    """Write documents to a file that only you can read; it appears whole or not at all."""
    wanted = parse_filter(filter)
    with reading(path) as collection:
        written = scoped(collection, scope).export(file, format=format, filter=wanted, include_vectors=include_vectors)
    say(f"{written} documents exported", {"exported": written}, json=json)


def import_(
    path: CollectionPath,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file, or another program's store.")],
    format: Annotated[str | None, typer.Option("--format", help="By default the content tells.")] = None,
    text_key: Annotated[str | None, typer.Option("--text-key", help="Where another store has its texts.")] = None,
    scope: Scope = None,
    scope_key: Annotated[
        list[str] | None, typer.Option("--scope-key", help="A scope key of a new collection; may be repeated.")
    ] = None,
    encoder: Model = None,
    json: Json = False,
) -> None:
    """Add the documents of a file as one transaction, all or none; creates the collection where there is none."""
    options: dict[str, Any] = {} if text_key is None else {"text_key": text_key}
    file.stat()
    values = parse_scope(scope)
    with Collection.filling(path, encoder=load(encoder, path), scope_keys=scope_key or ()) as collection:
        records = collection.scoped(**values) if values else collection
        added = records.import_from(file, format=format, **options)
    say(f"{added} documents added", {"added": added}, json=json)


COMMANDS = {"init": init, "export": export, "import": import_}
