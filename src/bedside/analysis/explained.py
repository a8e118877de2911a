"""An explained search as a page: each passage with its words, its negations and the parts of its score.

Example:
    >>> from bedside import Collection, Document
    >>> notes = Collection.open()
    >>> _ = notes.add([Document("Denies chest pain.", id="n1"), Document("Chest pain since Monday.", id="n2")])
    >>> hits = notes.search("chest pain", explain=True, assertion="any")
    >>> page = explanation_page("chest pain", hits, notes.facts)
    >>> 'class="cue">Denies</span>' in page, "n2" in page
    (True, True)
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection as Some
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from bedside.engines.facts import Facts
from bedside.errors import InvalidInputError
from bedside.pages import render
from bedside.remedies import Give
from bedside.support.files import place_of, replace_file
from bedside.text.analyzer import Analyzer
from bedside.text.assertions import mark
from bedside.text.sentences import Span
from bedside.text.tokenizer import ClinicalTokenizer
from bedside.types import Explanation, Hit

__all__ = ["Piece", "explanation_page", "pieces", "save_explanation"]

_WORD = re.compile(r"[^\s.,;:!?()\[\]\"](?:\S*[^\s.,;:!?()\[\]\"])?")
_ABOUT = ("date", "kind", "author", "section", "source_id")
"""Metadata that say where a passage comes from."""


@dataclass(frozen=True)
class Piece:
    """A stretch of a passage.

    Attributes:
        text: As it stands there; the pieces of a passage are its text.
        terms: The question's terms that it holds, with what each adds to BM25; empty for other words.
        cue: Whether it negates: ``Denies``.
        negated: Whether it is what is negated.
    """

    text: str
    terms: str = ""
    cue: bool = False
    negated: bool = False


def explanation_page(query: str | None, hits: Sequence[Hit], facts: Facts | None = None) -> str:
    """Return a page that shows how each score came about, on the passage itself; it holds the texts of the hits.

    Args:
        query: The question; ``None`` for one that was a vector alone.
        hits: Of ``Collection.search(…, explain=True)``.
        facts: The collection's, ``collection.facts``: it says how texts are cut into words. ``None`` is for a
            collection with the usual settings.

    Returns:
        One HTML file that loads nothing and runs no script, with all texts escaped.

    Raises:
        InvalidInputError: A hit has no explanation.
        MissingExtraError: Jinja2 is not installed (``bedside[pages]``).
    """
    tokenizer = ClinicalTokenizer() if facts is None else Analyzer.of(facts.sparse).tokenizer
    shown = [_shown(hit, tokenizer) for hit in hits]
    first = hits[0].explanation if hits else None
    return render(
        "explanation.html",
        title="Search by a vector" if query is None else query,
        hits=shown,
        scope=_pairs(first.scope) if first else "",
        filter=str(first.filter) if first and first.filter else "",
    )


def save_explanation(
    file: str | os.PathLike[str], query: str | None, hits: Sequence[Hit], facts: Facts | None = None
) -> Path:
    """Write :func:`explanation_page` to a file that only its owner can read, and return its path."""
    target = Path(file)
    replace_file(place_of(target), [explanation_page(query, hits, facts).encode("utf-8", "replace")])
    return target


def pieces(text: str, terms: Mapping[str, float], tokenizer: ClinicalTokenizer) -> list[Piece]:
    """Cut a text where a word of the question, a negation or what it denies begins or ends.

    Args:
        text: The passage.
        terms: The question's terms with their parts of BM25.
        tokenizer: Cuts its words into terms, as it did for the collection.

    Example:
        >>> [(p.text, p.cue, bool(p.terms)) for p in pieces("No pain.", {"pain": 1.5}, ClinicalTokenizer())]
        [('No', True, False), (' ', False, False), ('pain', False, True), ('.', False, False)]
    """
    negations = [found for found in mark(text) if found.status == "negated"]
    cues, denied = {found.cue for found in negations}, {(found.start, found.end) for found in negations}
    words = {word.span(): held for word in _WORD.finditer(text) if (held := _held(word[0], terms, tokenizer))}
    bounds = sorted({0, len(text), *(bound for span in (*cues, *denied, *words) for bound in span)})
    return [
        Piece(
            text[start:end],
            next((held for span, held in words.items() if _covers(span, start, end)), ""),
            any(_covers(span, start, end) for span in cues),
            any(_covers(span, start, end) for span in denied),
        )
        for start, end in pairwise(bounds)
    ]


def _covers(span: Span, start: int, end: int) -> bool:
    return span[0] <= start and end <= span[1]


def _held(word: str, terms: Mapping[str, float], tokenizer: ClinicalTokenizer) -> str:
    found: Some[str] = dict.fromkeys(term for term in tokenizer.tokenize(word) if term in terms)
    return ", ".join(f"{term} {terms[term]:.4f}" for term in found)


def _shown(hit: Hit, tokenizer: ClinicalTokenizer) -> dict[str, Any]:
    if (found := hit.explanation) is None:
        raise InvalidInputError("hits: without explanations", remedies=[Give("explain", True, "to the search")])
    terms = sorted(found.terms.items(), key=lambda entry: -entry[1])
    return {
        "id": hit.id,
        "score": hit.score,
        "about": _pairs({key: hit.metadata[key] for key in _ABOUT if key in hit.metadata}),
        "pieces": pieces(hit.text, found.terms, tokenizer),
        "formula": found.formula,
        "parts": list(_parts(found)),
        "terms": [(term, value, found.negated.get(term, "")) for term, value in terms],
    }


def _parts(found: Explanation) -> Iterator[tuple[str, float]]:
    yield "vectors (dense)", found.dense
    yield "words (BM25)", found.sparse
    yield from found.signals.items()


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items())
