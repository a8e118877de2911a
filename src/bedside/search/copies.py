"""Hits that say the same again, shown as one: the better one, with the others as its copies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bedside.filters.dates import begins
from bedside.search.options import SearchOptions
from bedside.search.pool import Pool, Question, Seen
from bedside.search.versions import version_of
from bedside.text.copies import copied
from bedside.types import Copy, Document


def collapsed(options: SearchOptions, question: Question, pool: Pool) -> Pool:
    """Leave out copies of better hits, and note them with these."""
    if options.collapse is None or not len(pool.rows):
        return pool
    documents = pool.candidates.documents(pool.rows.tolist())
    better = copied([document.text for document in documents], question.text)
    groups = grouped(better)
    found = {int(pool.rows[i]): seen([documents[j] for j in group], options.date_key) for i, group in groups.items()}
    return replace(pool.take(list(groups)), copies=found)


def grouped(better: Sequence[int]) -> dict[int, list[int]]:
    """Return by the position of each text that is not a copy its own and those of its copies."""
    groups: dict[int, list[int]] = {}
    for i, j in enumerate(better):
        groups.setdefault(j, []).append(i)
    return groups


def seen(documents: Sequence[Document], date_key: str) -> Seen:
    """Return the copies of the first of some documents, and when these were seen first and last."""
    dated = [(document, document.metadata.get(date_key)) for document in documents]
    dates = sorted((date for _, date in dated if begins(date) is not None), key=lambda date: begins(date) or 0)
    copies = tuple(Copy(str(each.id), _source(each), date if date in dates else None) for each, date in dated[1:])
    return Seen(copies, *((dates[0], dates[-1]) if dates else (None, None)))


def _source(document: Document) -> str | None:
    note, source = version_of("", document.metadata), document.metadata.get("source")
    return note or (source if isinstance(source, str) else None)
