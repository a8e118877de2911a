"""Commands on whole notes and their scopes: search-notes, context, get-note, delete-note, scopes, cohort."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain
from typing import Annotated, Any

import typer

from bedside.cli.lines import copies_line, one_line
from bedside.cli.options import (
    CollectionPath,
    Filter,
    Json,
    Model,
    Scope,
    as_json,
    parse_filter,
    print_json,
    print_rows,
    reading,
    say,
    scoped,
    writing,
)
from bedside.cli.search_options import NoteQuery, question, with_search_options
from bedside.errors import InvalidInputError
from bedside.notes import NoteHit, source_header
from bedside.notes import context as rendered
from bedside.search.options import NOTE_OPTIONS, OPTIONS
from bedside.types import Hit

NoteId = Annotated[str, typer.Argument(metavar="ID", help="The note's id.")]
_OTHERS = [name for name in OPTIONS if name not in NOTE_OPTIONS]


@with_search_options(*_OTHERS)
def search_notes(
    path: CollectionPath,
    query: NoteQuery,
    scope: Scope = None,
    encoder: Model = None,
    json: Json = False,
    **options: Any,
) -> None:
    """Print the best notes for a query, best first, each with its best passage; --json prints all passages."""
    with question(path, encoder, scope, options) as (view, asked):
        hits = view.search_notes(query, **asked)
    if json:
        for hit in hits:
            print_json(_hit_as_json(hit))
    else:
        print_rows(("score", "id", "date", "kind", "text"), chain.from_iterable(map(_hit_rows, hits)))


@with_search_options(*_OTHERS, "explain")
def context(
    path: CollectionPath,
    query: NoteQuery,
    scope: Scope = None,
    encoder: Model = None,
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=0, help="Tokens of the text at most.")] = 2_000,
    header: Annotated[
        bool, typer.Option("--header/--no-header", help="A line with id, date, kind and author above each note.")
    ] = True,
    json: Json = False,
    **options: Any,
) -> None:
    """Print the best passages of the best notes as one text for a prompt."""
    with question(path, encoder, scope, options) as (view, asked):
        hits = view.search_notes(query, **asked)
    text = rendered(hits, max_tokens=max_tokens, header=source_header if header else None)
    say(text, {"context": text}, json=json)


def get_note(path: CollectionPath, id: NoteId, scope: Scope = None, json: Json = False) -> None:
    """Print a note as it was added, its text character for character."""
    with reading(path) as collection:
        note = scoped(collection, scope).get_note(id)
    if note is None:
        raise InvalidInputError(f"there is no note {id!r}")
    if json:
        print_json(as_json(note))
    else:
        typer.echo(note.text, nl=False)


def history(path: CollectionPath, id: NoteId, scope: Scope = None, json: Json = False) -> None:
    """Print the versions that a note or document is linked with by `supersedes`, the newest first."""
    with reading(path) as collection:
        versions = scoped(collection, scope).history(id)
    if json:
        for version in versions:
            print_json(asdict(version))
    else:
        rows = ((v.id, " ".join(v.supersedes), " ".join(v.superseded_by)) for v in versions)
        print_rows(("id", "supersedes", "superseded by"), ([*map(one_line, row)] for row in rows))


def delete_note(path: CollectionPath, id: NoteId, scope: Scope = None, json: Json = False) -> None:
    """Delete a note with all of its passages; their bytes stay in the log until `compact`."""
    with writing(path) as collection:
        deleted = int(scoped(collection, scope).delete_note(id))
    say(f"{deleted} notes deleted", {"deleted": deleted}, json=json)


def scopes(path: CollectionPath, json: Json = False) -> None:
    """Print every scope of a divided collection that holds documents, and how many it holds."""
    with reading(path) as collection:
        keys, found = collection.scope_keys, collection.scopes()
    _print_scopes(keys, found, json=json)


def cohort(
    path: CollectionPath,
    query: Annotated[
        str | None, typer.Argument(metavar="QUERY", help="Words that a document must hold and not deny.")
    ] = None,
    filter: Filter = None,
    json: Json = False,
) -> None:
    """Print which scopes hold documents about something, such as which patients have gout, and how many; no text."""
    wanted = parse_filter(filter)
    if query is None and wanted is None:
        raise typer.BadParameter("give a QUERY, or --filter")
    with reading(path) as collection:
        keys, found = collection.scope_keys, collection.cohort(query, filter=wanted)
    _print_scopes(keys, found, json=json)


COMMANDS = {
    "search-notes": search_notes,
    "context": context,
    "get-note": get_note,
    "history": history,
    "delete-note": delete_note,
    "scopes": scopes,
    "cohort": cohort,
}


def _print_scopes(keys: tuple[str, ...], found: list[tuple[dict[str, str | int], int]], *, json: bool) -> None:
    if json:
        for scope, count in found:
            print_json({"scope": scope, "count": count})
    else:
        rows = ([*(one_line(str(scope[key])) for key in keys), str(count)] for scope, count in found)
        print_rows([*map(one_line, keys), "documents"], rows)


def _hit_as_json(hit: NoteHit) -> dict[str, Any]:
    known = {"date": hit.date, "kind": hit.kind, "author": hit.author}
    passages = [_passage_as_json(passage) for passage in hit.passages]
    line = {
        "id": hit.id,
        "score": hit.score,
        **known,
        "metadata": dict(hit.metadata),
        "length": hit.length,
        "passages": passages,
        **hit.sightings,
    }
    return line if hit.explanation is None else {**line, "explanation": asdict(hit.explanation)}


def _passage_as_json(passage: Hit) -> dict[str, Any]:
    about = {key: passage.metadata.get(key) for key in ("section", "section_kind", "start", "end")}
    return {"id": passage.id, "score": passage.score, "text": passage.text, **about}


def _hit_rows(hit: NoteHit) -> Iterator[tuple[str, ...]]:
    known = (one_line(value or "") for value in (hit.date, hit.kind))
    yield f"{hit.score:.4f}", one_line(hit.id), *known, one_line(hit.passages[0].text)
    if hit.copies:
        yield "", "", "", "", copies_line(hit, [str(copy.source) for copy in hit.copies])
    if hit.explanation is not None:
        yield "", "", "", "", hit.explanation.formula
