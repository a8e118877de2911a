"""The way in from other stores: migrate."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from bedside.cli.options import (
    CollectionPath,
    Json,
    Model,
    OnBadDocument,
    Scope,
    ScopeKeys,
    filling,
    one_of,
    parse_scope,
    say_added,
)
from bedside.collection import Collection
from bedside.formats.stores.migration import NOTE_READERS, READERS, store_of
from bedside.notes.notes import check_note
from bedside.records import ScopeKey
from bedside.skipping import Skipped
from bedside.types import Document

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
    notes: Annotated[
        bool, typer.Option("--notes", help="vectra: its whole documents, as notes, split and encoded anew.")
    ] = False,
    encoder: Model = None,
    scope: Scope = None,
    scope_key: ScopeKeys = None,
    on_bad_document: OnBadDocument = "raise",
    json: Json = False,
) -> None:
    """Fill a collection from another store; creates the collection if there is none.

    The store comes over as one transaction, whole or not at all, and it is only read. Its vectors come over: name the
    encoder that made them with --encoder, so that the collection is not searched with another.
    """
    chosen: dict[str, Any] = {"text_key": text_key, "id_key": id_key, "allow_pickle": allow_pickle or None}
    name = store_of(source, store)
    if notes and name not in NOTE_READERS:
        raise typer.BadParameter(f"{name} keeps no whole documents; those that do: {', '.join(NOTE_READERS)}")
    chosen[_PART.get(name, "part")] = part
    chosen["vector_key" if name == "lancedb" else "vector_name"] = vector_name
    options: dict[str, Any] = {key: value for key, value in chosen.items() if value is not None}
    store_of(source, name, options)
    values = parse_scope(scope)
    skipped: list[Skipped] = []
    with filling(path, encoder, scope_key or ()) as collection:
        records = collection.scoped(**values) if values else collection
        if notes:
            whole = NOTE_READERS[name](source)
            added = _add_notes(records, whole, on_bad_document, skipped)
        else:
            added = records.import_from(
                source, format=name, on_bad_document=on_bad_document, skipped=skipped, **options
            )
    say_added(added, skipped, "record", [each.index + 1 for each in skipped], json=json)


def _add_notes(
    records: Collection, notes: Iterable[Document], on_bad_document: OnBadDocument, skipped: list[Skipped]
) -> int:
    """Add notes, each to the scope that its metadata names; one transaction for each scope. Returns how many."""
    by_scope: dict[ScopeKey, list[Document]] = {}
    for note in records.check(notes, on_bad_document=on_bad_document, skipped=skipped, rule=check_note):
        by_scope.setdefault(note.scope, []).append(Document(note.text, note.metadata, note.id))
    for scope, held in by_scope.items():
        divided = records.scope_keys and not records.scope
        part = records.scoped(**dict(zip(records.scope_keys, scope, strict=True))) if divided else records
        part.add_notes(held)
    return sum(map(len, by_scope.values()))


COMMANDS = {"migrate": migrate_command}
