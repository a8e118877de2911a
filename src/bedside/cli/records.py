"""Commands on records: add, search, get, count, stats, delete, erase."""

from __future__ import annotations

import os
import re
import stat
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import orjson
import typer

from bedside.analysis.explained import save_explanation
from bedside.cli.lines import copies_line, one_line
from bedside.cli.options import (
    AllScopes,
    AsOf,
    CollectionPath,
    Filter,
    Ids,
    Json,
    Model,
    OnBadDocument,
    Scope,
    ScopeKeys,
    as_json,
    filling,
    parse_filter,
    part,
    print_json,
    print_rows,
    reading,
    say,
    say_added,
    scoped,
    selection,
    tell_if_clear,
    writing,
)
from bedside.cli.search_options import Query, question, with_search_options
from bedside.engines import read_facts, sizes
from bedside.errors import InvalidDocumentError, InvalidInputError, ScopeError
from bedside.formats.fields import why_not_json
from bedside.skipping import Skipped
from bedside.support.progress import progress
from bedside.types import Document, Hit

BATCH = 1_000
"""Lines in one transaction of ``add``."""
_FIELDS = {"text", "metadata", "id", "vector"}
_PLACE = re.compile(r"^documents\[(\d+)\]")


def add(
    path: CollectionPath,
    file: Annotated[typer.FileBinaryRead, typer.Argument(metavar="FILE", help="JSON Lines; - is standard input.")],
    encoder: Model = None,
    scope_key: ScopeKeys = None,
    on_bad_document: OnBadDocument = "raise",
    json: Json = False,
) -> None:
    """Add documents from JSON Lines with text, metadata, id and vector; creates the collection if there is none.

    Each 1,000 lines are one transaction. An error names its line; transactions before it stay.
    """
    added = 0
    skipped: list[Skipped] = []
    lines: list[int] = []
    with (
        filling(path, encoder, scope_key or ()) as collection,
        progress(_size(file), "add", "B") as advance,
    ):
        first = chain([file.readline().removeprefix(BOM_UTF8)], file)  # Windows' editors write the mark
        numbered = ((number, line) for number, line in enumerate(first, 1) if line.strip())
        while batch := list(islice(numbered, BATCH)):
            left_out: list[Skipped] = []
            try:
                done = len(collection.add(_documents(batch), on_bad_document=on_bad_document, skipped=left_out))
            except (InvalidInputError, ScopeError) as error:
                raise type(error)(
                    f"{_at_line(str(error), batch)} ({added} documents of earlier lines were added)"
                ) from None
            added += done
            skipped += left_out
            lines += [batch[each.index][0] for each in left_out]
            advance(sum(len(line) for _, line in batch))
    say_added(added, skipped, "line", lines, json=json)


@with_search_options()
def search(
    path: CollectionPath,
    query: Query = None,
    scope: Scope = None,
    encoder: Model = None,
    explain_html: Annotated[
        Path | None,
        typer.Option("--explain-html", metavar="FILE", help="Also write a page that shows each score on its text."),
    ] = None,
    json: Json = False,
    **options: Any,
) -> None:
    """Print the best documents for a query, best first."""
    options["explain"] |= explain_html is not None
    with question(path, encoder, scope, options) as (view, asked):
        hits = view.search(query, **asked)
        if explain_html is not None:
            save_explanation(explain_html, query, hits, view.facts)
            tell_if_clear(view, explain_html)
    if json:
        for hit in hits:
            print_json(_hit_as_json(hit))
    else:
        print_rows(("score", "id", "text"), chain.from_iterable(map(_hit_rows, hits)))


def get(
    path: CollectionPath,
    ids: Ids = None,
    filter: Filter = None,
    scope: Scope = None,
    as_of: AsOf = None,
    limit: Annotated[int | None, typer.Option(min=0, help="Documents at most.")] = None,
    offset: Annotated[int, typer.Option(min=0, help="Skip so many documents.")] = 0,
    vectors: Annotated[bool, typer.Option("--vectors", help="Print vectors too.")] = False,
    json: Json = False,
) -> None:
    """Print documents by id, by filter, or those that satisfy both."""
    chosen, wanted = selection(ids, filter)
    with reading(path) as collection:
        documents = scoped(collection, scope).get(
            chosen, filter=wanted, as_of=as_of, limit=limit, offset=offset, include_vectors=vectors
        )
    if json or vectors:
        for document in documents:
            print_json(as_json(document))
    else:
        print_rows(("id", "text"), ((one_line(str(document.id)), one_line(document.text)) for document in documents))


def count(
    path: CollectionPath,
    filter: Filter = None,
    scope: Scope = None,
    as_of: AsOf = None,
    all_scopes: AllScopes = False,
    json: Json = False,
) -> None:
    """Print how many documents there are, or how many a filter leaves."""
    wanted = parse_filter(filter)
    with reading(path) as collection:
        records = part(collection, scope, all_scopes=all_scopes)
        number = records.count(wanted, as_of=as_of, all_scopes=all_scopes)
    say(str(number), {"count": number}, json=json)


def stats(
    path: CollectionPath,
    facets: Annotated[
        str | None, typer.Option(metavar="KEY", help="Count documents by this metadata key instead.")
    ] = None,
    scope: Scope = None,
    as_of: AsOf = None,
    all_scopes: AllScopes = False,
    json: Json = False,
) -> None:
    """Print a collection's size, dimension, encoder and scope keys, or the values of a metadata key."""
    if facets == "":
        raise typer.BadParameter("expected a metadata key", param_hint="--facets")
    if as_of is not None and facets is None:
        raise typer.BadParameter("goes with --facets", param_hint="--as-of")
    with reading(path) as collection:
        if facets is not None:
            records = part(collection, scope, all_scopes=all_scopes)
            rows = records.facets(facets, as_of=as_of, all_scopes=all_scopes)
            names, shown = (facets, "count"), [(orjson.dumps(value).decode(), str(number)) for value, number in rows]
            lines = [{"value": value, "count": number} for value, number in rows]
        else:
            facts = _facts(path, len(collection) if not scope else scoped(collection, scope).count())
            names, shown, lines = ("fact", "value"), [(name, _shown(value)) for name, value in facts.items()], [facts]
    if json:
        for line in lines:
            print_json(line)
    else:
        print_rows(list(map(one_line, names)), [(one_line(name), one_line(value)) for name, value in shown])


def delete(
    path: CollectionPath, ids: Ids = None, filter: Filter = None, scope: Scope = None, json: Json = False
) -> None:
    """Delete documents; their bytes stay in the log until `compact`."""
    chosen, wanted = selection(ids, filter)
    with writing(path) as collection:
        deleted = scoped(collection, scope).delete(chosen, filter=wanted)
    say(f"{deleted} documents deleted", {"deleted": deleted}, json=json)


def erase(
    path: CollectionPath,
    ids: Ids = None,
    filter: Filter = None,
    scope: Scope = None,
    yes: Annotated[bool, typer.Option("--yes", help="Really erase: it cannot be undone.")] = False,
    json: Json = False,
) -> None:
    """Erase documents, so that no file of the collection holds a byte of them."""
    chosen, wanted = selection(ids, filter)
    if not yes:
        raise typer.BadParameter("erasing cannot be undone: confirm it with --yes")
    with writing(path) as collection:
        receipt = scoped(collection, scope).erase(chosen, filter=wanted)
    lines = [f"{len(receipt.ids)} documents erased; {receipt.traces} traces looked for, none left"]
    lines += [f"scanned {name} ({size} bytes)" for name, size in receipt.files.items()]
    lines += [f"out of reach: {where}" for where in receipt.beyond]
    say("\n".join(lines), asdict(receipt), json=json)


COMMANDS = {
    "add": add,
    "search": search,
    "get": get,
    "count": count,
    "stats": stats,
    "delete": delete,
    "erase": erase,
}


def _documents(batch: Iterable[tuple[int, bytes]]) -> Iterator[Document]:
    for index, (_, line) in enumerate(batch):
        where = f"documents[{index}]"
        try:
            fields = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise InvalidDocumentError(f"{where}: {why_not_json(line, error)}") from None
        if not isinstance(fields, dict):
            raise InvalidDocumentError(f"{where}: expected a JSON object")
        if unknown := sorted(set(fields) - _FIELDS):
            raise InvalidDocumentError(f"{where}: unknown field {unknown[0]!r}; allowed: text, metadata, id, vector")
        yield Document(**{"text": "", **{name: value for name, value in fields.items() if value is not None}})


def _size(file: BinaryIO) -> int | None:
    """Return the bytes of a file; of a pipe nobody knows them."""
    try:
        about = os.fstat(file.fileno())
    except OSError:
        return None
    return about.st_size if stat.S_ISREG(about.st_mode) else None


def _at_line(message: str, batch: list[tuple[int, bytes]]) -> str:
    """Return an error about ``documents[i]`` as one about the line that the document came from."""
    if match := _PLACE.match(message):
        return f"line {batch[int(match[1])][0]}{message[match.end() :]}"
    return f"lines {batch[0][0]} to {batch[-1][0]}: {message}"


def _hit_as_json(hit: Hit) -> dict[str, Any]:
    line = {"score": hit.score, "dense": hit.dense, "sparse": hit.sparse, **as_json(hit.document), **hit.sightings}
    return line if hit.explanation is None else {**line, "explanation": asdict(hit.explanation)}


def _hit_rows(hit: Hit) -> Iterator[tuple[str, str, str]]:
    yield f"{hit.score:.4f}", one_line(hit.id), one_line(hit.text)
    if hit.copies:
        yield "", "", copies_line(hit, [copy.id for copy in hit.copies])
    if hit.explanation is not None:
        yield "", "", hit.explanation.formula


def _facts(path: str, records: int) -> dict[str, Any]:
    facts = read_facts(path)
    return {
        "records": records,
        "dimension": facts.dimension,
        "encoder": None if facts.encoder is None else facts.encoder.name,
        "alpha": facts.weight,
        "calibrated": [
            f"{verb} {mode} {least:.4f}" for verb, of in facts.min_scores.items() for mode, least in of.items()
        ],
        "scope_keys": list(facts.scope_keys),
        "encrypted": facts.sealed,
        **sizes(path),
    }


def _shown(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else "none" if value is None else str(value)
