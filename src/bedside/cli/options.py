"""What the commands share: their arguments and options, how a collection is opened, and how results are printed."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table

from bedside.cli.keys import given_key
from bedside.cli.lines import one_line
from bedside.cli.recording import trail
from bedside.collection import Collection
from bedside.encoders.presets import STATIC
from bedside.engines import holds_collection, read_facts, shown
from bedside.errors import NotACollectionError
from bedside.formats.fields import exact_numbers
from bedside.search.options import OPTIONS
from bedside.skipping import Skipped
from bedside.support.keys import KeySource
from bedside.types import Document, Encoder

CollectionPath = Annotated[
    str, typer.Argument(metavar="PATH", help="The collection's folder, or its URL: postgresql://…?collection=NAME.")
]
Ids = Annotated[list[str] | None, typer.Option("--id", help="A document's id; may be repeated.")]
Filter = Annotated[str | None, typer.Option("--filter", help='A filter as JSON: {"section": "HPI"}.')]
Scope = Annotated[
    list[str] | None,
    typer.Option("--scope", help="KEY=VALUE, or KEY:=NUMBER for a whole number; once for each scope key."),
]
ScopeKeys = Annotated[
    list[str] | None,
    typer.Option("--scope-key", help="A key that divides a new collection into scopes; may be repeated."),
]
AsOf = Annotated[str | None, typer.Option("--as-of", help=OPTIONS["as_of"].help)]
AllScopes = Annotated[bool, typer.Option("--all-scopes", help="Every scope of a collection that is divided by scope.")]
Model = Annotated[
    str | None,
    typer.Option("--encoder", metavar="MODEL", help=f"Hub id or folder of the text encoder, or {STATIC}."),
]
OnBadDocument = Annotated[
    Literal["raise", "skip"],
    typer.Option(help="raise: one document that cannot be stored refuses them all. skip: the others are stored."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON Lines.")]


def one_of(names: Iterable[str]) -> dict[str, Any]:
    """Return what makes a typer option take some names alone and complete them, where a table has them at run time.

    Example:
        >>> typer.Option("--format", **one_of(["csv", "json"])).autocompletion()
        ['csv', 'json']
    """
    allowed = list(names)

    def checked(given: Any) -> Any:
        for name in given if isinstance(given, list) else [given]:
            if name is not None and name not in allowed:
                raise typer.BadParameter(f"expected one of {', '.join(allowed)}; got {name!r}")
        return given

    return {"callback": checked, "autocompletion": lambda: allowed}


SHOWN = 300
"""Characters of a text in a table: a screen holds a few hits."""


def parse_filter(text: str | None) -> dict[str, Any] | None:
    """Return the filter that the option holds; wrong usage where it is not a JSON object."""
    if text is None:
        return None
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise typer.BadParameter(f"not JSON: {error}", param_hint="--filter") from None
    if not isinstance(value, dict):
        raise typer.BadParameter("expected a JSON object", param_hint="--filter")
    return value


def parse_scope(pairs: Sequence[str] | None) -> dict[str, str | int]:
    """Return the scope that ``key=value`` and ``key:=number`` name; wrong usage where one is neither."""
    scope: dict[str, str | int] = {}
    for pair in pairs or ():
        key, equals, value = pair.partition("=")
        number = key.endswith(":")
        key = key.removesuffix(":")
        if not key or not equals or key in scope:
            raise typer.BadParameter("expected KEY=VALUE, each key once", param_hint="--scope")
        try:
            scope[key] = int(value) if number else value
        except ValueError:
            raise typer.BadParameter(f"{key}:= expects a whole number", param_hint="--scope") from None
    return scope


def selection(ids: list[str] | None, filter: str | None) -> tuple[list[str] | None, dict[str, Any] | None]:
    """Return ids and filter; wrong usage where neither is given."""
    if not ids and filter is None:
        raise typer.BadParameter("give --id or --filter; --filter '{}' means every document")
    return ids or None, parse_filter(filter)


def model_of(model: str | None, path: str | None = None) -> str | None:
    """Return the encoder that was asked for, if any; else the static one where the collection at ``path`` has it.

    No other is loaded by the name that a collection has for it: the name of somebody else's collection must neither
    fetch a model nor send a question to a server.
    """
    if model is None and path is not None and holds_collection(path):
        written = read_facts(path).encoder
        return STATIC if written is not None and written.name == STATIC else None
    return model


def load(model: str | None, path: str | None = None) -> Encoder | None:
    """Load the encoder that :func:`model_of` names, if any."""
    chosen = model_of(model, path)
    if chosen is None:
        return None
    from bedside.encoders import load_encoder  # most commands need none

    return load_encoder(chosen)


def reading(path: str) -> Collection:
    """Open a collection that is there, without writing to it."""
    _check_there(path)
    return Collection.open(path, read_only=True, key=given_key(), audit=trail())


def asking(path: str, model: str | None, *, read_only: bool = True) -> Collection:
    """Open a collection that is there for questions in words; only where it is said, to write to it too."""
    _check_there(path)
    return Collection.open(path, encoder=load(model, path), read_only=read_only, key=given_key(), audit=trail())


def writing(path: str) -> Collection:
    """Open a collection that is there: a mistyped path must not become a new one."""
    return opened(path, key=given_key())


def opened(path: str, *, key: KeySource | None) -> Collection:
    """Open a collection that is there with a key other than the command's own."""
    _check_there(path)
    return Collection.open(path, key=key, audit=trail())


def filling(path: str, model: str | None, scope_keys: Sequence[str]) -> AbstractContextManager[Collection]:
    """Open a collection to fill it, creating it if there is none; see :meth:`bedside.Collection.filling`."""
    return Collection.filling(path, encoder=load(model, path), scope_keys=scope_keys, key=given_key(), audit=trail())


def _check_there(path: str) -> None:
    if not holds_collection(path):
        raise NotACollectionError(f"{shown(path)} holds no Bedside collection")


def scoped(collection: Collection, pairs: Sequence[str] | None, *, must_exist: bool = False) -> Collection:
    """Return the part of the collection that ``--scope`` names; all of it where it has no scope keys."""
    scope = parse_scope(pairs)
    return collection.scoped(must_exist=must_exist, **scope) if scope else collection


def part(collection: Collection, pairs: Sequence[str] | None, *, all_scopes: bool) -> Collection:
    """Return what a command is about that may be about every scope; wrong usage where it is both."""
    if all_scopes and pairs:
        raise typer.BadParameter("give --scope or --all-scopes", param_hint="--all-scopes")
    return scoped(collection, pairs)


def tell_if_clear(collection: Collection, file: Path) -> None:
    """Say on standard error that a file with notes of an encrypted collection is not encrypted."""
    if collection.facts.sealed:
        typer.echo(f"the collection is encrypted, and {file} is in the clear", err=True)


def print_json(value: Mapping[str, Any]) -> None:
    """Print one line of JSON."""
    typer.echo(orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY).decode())


def say(sentence: str, facts: Mapping[str, Any], *, json: bool) -> None:
    """Print what was done: a sentence for people, its facts for programs."""
    if json:
        print_json(facts)
    else:
        typer.echo(sentence)


def say_added(added: int, skipped: Sequence[Skipped], place: str, numbers: Sequence[int], *, json: bool) -> None:
    """Print how many documents were added, and on standard error which were not, and why.

    Args:
        added: How many.
        skipped: What was left out.
        place: What the numbers count: lines, records.
        numbers: Where each of ``skipped`` stands in the file.
        json: Whether programs read it.
    """
    facts = [{place: n, "id": each.id, "reason": each.reason} for n, each in zip(numbers, skipped, strict=True)]
    for fact in facts:
        id = "" if fact["id"] is None else f" (id {fact['id']!r})"
        typer.echo(one_line(f"skipped {place} {fact[place]}{id}: {fact['reason']}"), err=True)
    more = f", {len(facts)} skipped" if facts else ""
    say(f"{added} documents added{more}", {"added": added, **({"skipped": facts} if facts else {})}, json=json)


def print_rows(names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table on a terminal, and lines of tab-separated values, without the names, elsewhere."""
    if not sys.stdout.isatty():
        for row in rows:
            typer.echo("\t".join(row))
        return
    rows = list(rows)
    if not rows:
        typer.echo("nothing found", err=True)
        return
    table = Table(*(Column(name, overflow="fold") for name in names), box=SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*(cell if len(cell) <= SHOWN else f"{cell[:SHOWN]} …" for cell in row))
    terminal().print(table)


def terminal() -> Console:
    """Return what prints tables: text stays as it is, ``[brackets]`` and ``:colons:`` included."""
    return Console(markup=False, highlight=False, emoji=False, soft_wrap=not sys.stdout.isatty())


def as_json(document: Document) -> dict[str, Any]:
    """Return a document as ``bedside add`` reads it, each number of its vector with all its digits."""
    known = {"id": document.id, "text": document.text, "metadata": dict(document.metadata)}
    return known if document.vector is None else {**known, "vector": exact_numbers(document.vector)}
