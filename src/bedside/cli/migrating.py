"""The way in from other stores: migrate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bedside.cli.options import CollectionPath, Model, Scope, load, parse_scope
from bedside.collection import Collection
from bedside.formats.stores.migration import READERS, check, migrate, opened
from bedside.records import check_scope
from bedside.store.manifest import NAME

_PART = {"chroma": "collection", "qdrant": "collection", "lancedb": "table", "llama-index": "namespace"}
"""What each store calls the part that ``--part`` names."""


def migrate_command(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="The other store's folder or file.")],
    path: CollectionPath,
    store: Annotated[
        str | None, typer.Option("--from", help=f"{', '.join(READERS)}; by default told by what is in SOURCE.")
    ] = None,
    part: Annotated[
        str | None,
        typer.Option("--part", help="Chroma's or Qdrant's collection, Lance's table, LlamaIndex' namespace."),
    ] = None,
    text_key: Annotated[str | None, typer.Option("--text-key", help="Where every record has its text.")] = None,
    id_key: Annotated[str | None, typer.Option("--id-key", help="Lance's column of ids.")] = None,
    vector_name: Annotated[
        str | None, typer.Option("--vector-name", help="Qdrant's vector, or Lance's column of vectors, of several.")
    ] = None,
    allow_pickle: Annotated[
        bool, typer.Option("--allow-pickle", help="Read the pickles that FAISS and Qdrant folders hold.")
    ] = False,
    encoder: Model = None,
    scope: Scope = None,
    scope_key: Annotated[
        list[str] | None, typer.Option("--scope-key", help="A scope key of a new collection; may be repeated.")
    ] = None,
) -> None:
    """Fill a collection from another store; creates the collection where there is none.

    The store is read to its end before anything is added, and it is only read. Its vectors come over: name the encoder
    that made them with --encoder, so that the collection is not searched with another.
    """
    from bedside.formats.stores.detect import detect

    name = store or (detect(source) if source.exists() else None) or ""
    given = {
        _PART.get(name, "part"): part,
        "text_key": text_key,
        "id_key": id_key,
        "vector_key" if name == "lancedb" else "vector_name": vector_name,
        "allow_pickle": allow_pickle or None,
    }
    options: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    values = parse_scope(scope)
    if not (path / NAME).is_file():  # a store that is refused must not leave an empty collection
        keys = scope_key or ()
        check(opened(source, store, **options)(), keys, check_scope(values, keys) if values else None)
    with Collection.open(path, encoder=load(encoder), scope_keys=scope_key or ()) as collection:
        records = collection.scoped(**values) if values else collection
        added = migrate(source, records, store=store, **options)
    typer.echo(f"{added} documents added")


COMMANDS = {"migrate": migrate_command}
