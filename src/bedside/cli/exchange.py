"""Commands that make collections, write them to files and fill them from files: init, export, import."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from bedside.cli.keys import given_key, needed_key
from bedside.cli.options import (
    AllScopes,
    CollectionPath,
    Filter,
    Json,
    Model,
    OnBadDocument,
    Scope,
    ScopeKeys,
    filling,
    load,
    one_of,
    parse_filter,
    parse_scope,
    reading,
    say,
    say_added,
    scoped,
    tell_if_clear,
)
from bedside.cli.recording import trail
from bedside.collection import Collection
from bedside.encoders.presets import STATIC
from bedside.engines import holds_collection, read_facts, shown
from bedside.errors import NotACollectionError, ScopeRequired
from bedside.formats.exchange import estimate_characters
from bedside.formats.registry import FORMATS
from bedside.formats.web.write import estimate_size
from bedside.skipping import Skipped

_WRITTEN = [name for name, format in FORMATS.items() if format.write]
_FORMAT_OUT = f"{', '.join(_WRITTEN[:-1])} or {_WRITTEN[-1]}; by default the suffix tells."


def init(
    path: CollectionPath,
    scope_key: ScopeKeys = None,
    encoder: Model = None,
    encrypt: Annotated[
        bool, typer.Option("--encrypt", help="An error without a key; with one, it is encrypted anyway.")
    ] = False,
    row_security: Annotated[
        bool, typer.Option("--row-security", help="On a server: roles read the scopes they are granted, no others.")
    ] = False,
    json: Json = False,
) -> None:
    """Create an empty collection, encrypted where a key is given; an error where there is one already."""
    key = needed_key("init --encrypt") if encrypt else given_key()
    if holds_collection(path):
        raise NotACollectionError(f"{shown(path)} already holds a collection")
    keys = scope_key or ()
    with Collection.open(
        path, encoder=load(encoder), scope_keys=keys, key=key, audit=trail(), row_security=row_security
    ):
        say(f"created {shown(path)}", {"created": shown(path)}, json=json)


def export(
    path: CollectionPath,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What is there is replaced.")],
    format: Annotated[str | None, typer.Option("--format", help=_FORMAT_OUT, **one_of(_WRITTEN))] = None,
    filter: Filter = None,
    scope: Scope = None,
    all_scopes: AllScopes = False,
    include_vectors: Annotated[
        bool, typer.Option("--include-vectors", help="Write vectors too; texts can be guessed from them.")
    ] = False,
    title: Annotated[str | None, typer.Option("--title", help="web: the page's title; it is never sealed.")] = None,
    no_encoder: Annotated[
        bool, typer.Option("--no-encoder", help="web: leave the encoder out, 11 MB; the page ranks by words alone.")
    ] = False,
    encrypt: Annotated[
        bool,
        typer.Option("--encrypt", help="web: seal the documents with a passphrase, typed in or read from a pipe."),
    ] = False,
    json: Json = False,
) -> None:
    """Write documents to a file that only you can read; it appears whole or not at all."""
    wanted = parse_filter(filter)
    options: dict[str, Any] = {"title": title} if title is not None else {}
    options |= {"encoder": False} if no_encoder else {}
    options |= {"passphrase": _passphrase()} if encrypt else {}
    with reading(path) as collection:
        records = collection if all_scopes else _one_scope(collection, scope)
        if format == "web" or (format is None and file.suffix == ".html"):
            _tell_size(records, wanted, all_scopes=all_scopes, encoder=not no_encoder and _is_static(path))
        written = records.export(
            file, format=format, filter=wanted, include_vectors=include_vectors, all_scopes=all_scopes, **options
        )
        if not encrypt:
            tell_if_clear(collection, file)
    say(f"{written} documents exported", {"exported": written}, json=json)


def _tell_size(records: Collection, filter: dict[str, Any] | None, *, all_scopes: bool, encoder: bool) -> None:
    """Say before a page is written how large it will be: it may be meant for a mail."""
    count, characters = estimate_characters(records, filter, all_scopes=all_scopes)
    size = estimate_size(characters, encoder=encoder) / 1e6
    typer.echo(f"{count} documents, about {size:.1f} MB", err=True)


def _one_scope(collection: Collection, scope: list[str] | None) -> Collection:
    if collection.scope_keys and not scope:
        keys = " ".join(f"--scope {key}=…" for key in collection.scope_keys)
        raise ScopeRequired(f"this collection is divided by scope: give {keys}, or --all-scopes for everything in it")
    return scoped(collection, scope)


def _is_static(path: str) -> bool:
    encoder = read_facts(path).encoder
    return encoder is not None and encoder.name == STATIC


def _passphrase() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("Passphrase", hide_input=True, confirmation_prompt=True, err=True))
    return sys.stdin.readline().rstrip("\r\n")


def import_(
    path: CollectionPath,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file, or another program's store.")],
    format: Annotated[
        str | None, typer.Option("--format", help="By default the content tells.", **one_of(FORMATS))
    ] = None,
    text_key: Annotated[str | None, typer.Option("--text-key", help="Where another store has its texts.")] = None,
    scope: Scope = None,
    scope_key: ScopeKeys = None,
    encoder: Model = None,
    on_bad_document: OnBadDocument = "raise",
    json: Json = False,
) -> None:
    """Add the documents of a file as one transaction, all or none; creates the collection if there is none."""
    options: dict[str, Any] = {} if text_key is None else {"text_key": text_key}
    file.stat()
    values = parse_scope(scope)
    skipped: list[Skipped] = []
    with filling(path, encoder, scope_key or ()) as collection:
        records = collection.scoped(**values) if values else collection
        added = records.import_from(file, format=format, on_bad_document=on_bad_document, skipped=skipped, **options)
    say_added(added, skipped, "record", [each.index + 1 for each in skipped], json=json)


COMMANDS = {"init": init, "export": export, "import": import_}
