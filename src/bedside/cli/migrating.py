"""The way in from other stores: migrate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bedside.cli.options import CollectionPath, Json, Model, Scope, ScopeKeys, filling, one_of, parse_scope, say
from bedside.formats.stores.migration import READERS, store_of

_PART = {"chroma": "collection", "qdrant": "collection", "lancedb": "table", "llama-index": "namespace"}
"""What each store calls the part that ``--part`` names."""


def migrate_command(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="The other store's folder or file.")],
    path: CollectionPath,
    store: Annotated[
        str | None,
        typer.Option("--from", help=f"{', '.join(READERS)}; by default told by what is in SOURCE.", **one_of(READERS)),
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
    scope_key: ScopeKeys = None,
    json: Json = False,
) -> None:
    """Fill a collection from another store; creates the collection if there is none.

    The store comes over as one transaction, whole or not at all, and it is only read. Its vectors come over: name the
    encoder that made them with --encoder, so that the collection is not searched with another.
    """
    chosen: dict[str, Any] = {"text_key": text_key, "id_key": id_key, "allow_pickle": allow_pickle or None}
    name = store_of(source, store)
    chosen[_PART.get(name, "part")] = part
    chosen["vector_key" if name == "lancedb" else "vector_name"] = vector_name
    options: dict[str, Any] = {key: value for key, value in chosen.items() if value is not None}
    store_of(source, name, options)
    values = parse_scope(scope)
    with filling(path, encoder, scope_key or ()) as collection:
        records = collection.scoped(**values) if values else collection
        added = records.import_from(source, format=name, **options)
    say(f"{added} documents added", {"added": added}, json=json)


COMMANDS = {"migrate": migrate_command}
