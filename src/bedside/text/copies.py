"""When two texts are copies of each other: the one definition of sameness, for searches and for ``duplicates``.

A text is the set of its runs of five words ("shingles", Broder 1997), whatever their case, punctuation and spacing. Two
texts are copies where these sets are nearly the same: Jaccard similarity of at least :data:`SAME`.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import TypeAlias

from bedside.text.fold import fold
from bedside.text.sentences import sentences

__all__ = ["SAME", "Shingles", "copied", "jaccard", "shingles"]

Shingles: TypeAlias = "frozenset[str]"
SAME = 0.8
"""A note of 200 words with some ten of them changed, one by one."""
SIZE = 5
_WORD = re.compile(r"[^\W_]+")
_SAID = re.compile(r"[^\W_]+|[<>=+~±]|-(?=\d)|(?<=\d)[.,:/](?=\d)")  # of a sentence: its words, and signs that matter
_PIECE = re.compile(r"[\n;]|\.\s")


def shingles(text: str, size: int = SIZE) -> Shingles:
    """The runs of ``size`` words of a text, folded; a shorter text is one run, an empty one has none."""
    words = _words(text)
    if len(words) <= size:
        return frozenset({" ".join(words)} - {""})
    return frozenset(map(" ".join, zip(*(words[i:] for i in range(size)), strict=False)))


def jaccard(a: Shingles, b: Shingles) -> float:
    """Shared shingles by all shingles of both, of which there are some."""
    return len(a & b) / len(a | b)


def copied(texts: Sequence[str], query: str | None, wholes: Sequence[str] | None = None) -> list[int]:
    """Say of which earlier text each is a copy: its position, or the text's own where it is none.

    A copy that has a sentence which the earlier text lacks, and which holds as much of the question as the best
    sentence there, is none: it may be the only one that answers. So a question in the words of a sentence finds it,
    however much else was copied. Without a question nobody knows what is asked, and every sentence counts.

    Args:
        texts: The best first.
        query: The question.
        wholes: What the sentences are those of, where ``texts`` are pieces; ``None`` is the texts themselves.

    Example:
        >>> day = "Slept well. Eats a normal diet and walks to the end of the hall twice a day without any help at all."
        >>> texts = [day, day.upper(), f"{day} HbA1c 7.4 %."]
        >>> copied(texts, "how far does she walk"), copied(texts, "HbA1c")
        ([0, 0, 0], [0, 0, 2])
    """
    whole = texts if wholes is None else wholes
    judged = _Judged(whole, query)
    sizes: dict[int, int] = {}
    holders: dict[str, list[int]] = {}
    known: dict[tuple[str, str], int] = {}
    found = []
    for i, text in enumerate(texts):
        better = known.get((text, whole[i]))
        if better is None:
            mine = shingles(text)
            shared = Counter(chain.from_iterable(map(holders.__getitem__, mine & holders.keys())))
            near = [j for j in sorted(shared) if shared[j] >= SAME * (len(mine) + sizes[j] - shared[j])]
            better = next((j for j in near if not judged.stands_apart(i, j)), i)
            known[text, whole[i]] = better
            if better == i:
                sizes[i] = len(mine)
                for shingle in mine:
                    holders.setdefault(shingle, []).append(i)
        found.append(better)
    return found


class _Judged:
    """How much of a question the sentences of texts hold."""

    def __init__(self, texts: Sequence[str], query: str | None) -> None:
        self._texts = texts
        self._asked: set[str] | None = None if query is None else set(_words(query))
        self._cut: dict[int, list[tuple[int, int]]] = {}
        self._most: dict[int, float] = {}

    def stands_apart(self, i: int, j: int) -> bool:
        """Say whether the i-th text may answer what the j-th does not."""
        there = _said(self._texts[j], self._spans(j))
        own = _said(*self._changed(i, j)) - there
        if self._asked is None or not own:
            return bool(own)
        if j not in self._most:
            self._most[j] = self._coverage(there)
        best = self._coverage(own)
        return best > 0 and best >= self._most[j]

    def _changed(self, i: int, j: int) -> tuple[str, list[tuple[int, int]]]:
        """Return the stretch of the i-th text that the j-th has not, two sentences around it, and its sentences.

        Where both begin alike and end alike their sentences are alike, and cutting text into sentences is what costs.
        """
        mine, other = self._texts[i], self._texts[j]
        spans = self._spans(j)
        head = _alike(mine, other)
        tail = _alike(mine[head:][::-1], other[head:][::-1])
        starts = [a for a, _ in spans if a <= head][-3:-2]
        ends = [b for a, b in spans if a >= len(other) - tail][1:2]
        start, end = (starts or [0])[0], (ends[0] + len(mine) - len(other)) if ends else len(mine)
        return mine[start:end], list(sentences(mine[start:end]))

    def _coverage(self, found: Collection[str]) -> float:
        return max((sum(self._weights.get(word, 0.0) for word in set(_words(each))) for each in found), default=0.0)

    def _spans(self, i: int) -> list[tuple[int, int]]:
        if i not in self._cut:
            self._cut[i] = list(sentences(self._texts[i]))
        return self._cut[i]

    @cached_property
    def _weights(self) -> Mapping[str, float]:
        """What each word of the question weighs: the fewer lines and clauses here hold it, the more (BM25's idf)."""
        asked = self._asked or set()
        pieces = {piece for text in set(self._texts) for piece in _PIECE.split(text)}
        held = Counter(word for piece in pieces for word in asked.intersection(_words(piece)))
        return {word: math.log1p((len(pieces) - held[word] + 0.5) / (held[word] + 0.5)) for word in asked}


def _words(text: str) -> list[str]:
    return _WORD.findall(fold(text))


def _said(text: str, spans: Sequence[tuple[int, int]]) -> frozenset[str]:
    """Return what sentences say: their words, and the signs between them that matter."""
    return frozenset(filter(None, (" ".join(_SAID.findall(fold(text[a:b]))) for a, b in spans)))


def _alike(one: str, other: str) -> int:
    """Return how many characters two texts begin with alike."""
    return bisect_left(range(min(len(one), len(other))), True, key=lambda n: one[: n + 1] != other[: n + 1])
