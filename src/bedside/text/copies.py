"""When two texts are copies of each other: the one definition of sameness, for searches and for ``duplicates``.

A text is the set of its runs of five words ("shingles", Broder 1997), whatever their case, punctuation and spacing. Two
texts are copies where these sets are nearly the same: Jaccard similarity of at least :data:`SAME`.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from itertools import chain, count
from operator import itemgetter
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from bedside.text.fold import fold
from bedside.text.sentences import Span, sentences

__all__ = ["SAME", "Shingles", "copied", "jaccard", "shingles"]

Numbers: TypeAlias = "npt.NDArray[np.int64]"
Shingles: TypeAlias = "frozenset[str]"
SAME = 0.8
"""A note of 200 words with some ten of them changed, one by one."""
SIZE = 5
_INT64 = 2**63 - 1
_WORD = re.compile(r"[^\W_]+")
_APART = bytes(i if chr(i).isalnum() and i < 128 else ord(" ") for i in range(256))
_SIGNS_TOO = re.compile(r"[^\W_]+|[<>=+~±]|-(?=\d)|(?<=\d)[.,:/](?=\d)")


def shingles(text: str, size: int = SIZE) -> Shingles:
    """The runs of ``size`` words of a text, folded; a shorter text is one run, an empty one has none."""
    words = _words(text)
    if len(words) <= size:
        return frozenset({" ".join(words)} - {""})
    return frozenset(map(" ".join, zip(*(words[i:] for i in range(size)), strict=False)))


def jaccard(a: frozenset[Any], b: frozenset[Any]) -> float:
    """Shared shingles by all shingles of both, of which there are some."""
    shared = len(a) - len(a - b)  # of copies it is little that differs, and quick to put together
    return shared / (len(a) + len(b) - shared)


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
    judged, alike = _Judged(whole, query), _Alike(texts)
    known: dict[tuple[str, str], int] = {}
    found = []
    for i, text in enumerate(texts):
        better = known.get((text, whole[i]))
        if better is None:
            # What is quick to see comes first: a pool may hold a hundred that differ in their best sentence alone.
            near = (j for j in alike.near(i) if not judged.stands_apart(i, j))
            better = next((j for j in near if alike.same(i, j)), i)
            known[text, whole[i]] = better
            if better == i:
                alike.keep(i)
        found.append(better)
    return found


class _Alike:
    """The texts of a pool that are no copies, and which of them another one is nearly the same as.

    A copy has at least four fifths of the shingles, so two copies meet in the rarest fifth (and one) of each, where few
    other texts do: only what meets there is compared (prefix filtering, Bayardo et al. 2007).
    """

    def __init__(self, texts: Sequence[str]) -> None:
        distinct = list(dict.fromkeys(texts))
        numbers = dict(zip(distinct, numbered_shingles(distinct), strict=True))
        self._numbers = [numbers[text] for text in texts]
        self._sets: dict[int, frozenset[int]] = {}
        self._holders = defaultdict[int, list[int]](list)

    def keep(self, i: int) -> None:
        """Let later texts be copies of the i-th."""
        for number in self._rarest(i):
            self._holders[number].append(i)

    def near(self, i: int) -> list[int]:
        """Return the kept texts, in order, that the i-th may be nearly the same as: no other is."""
        met = map(self._holders.__getitem__, self._holders.keys() & self._rarest(i))
        return sorted(set(chain.from_iterable(met)))

    def same(self, i: int, j: int) -> bool:
        """Say whether two texts that are near to each other are nearly the same."""
        few, many = sorted((len(self._numbers[i]), len(self._numbers[j])))
        return few / many >= SAME and jaccard(self._set(i), self._set(j)) >= SAME

    def _set(self, i: int) -> frozenset[int]:
        if i not in self._sets:
            self._sets[i] = frozenset(self._numbers[i])
        return self._sets[i]

    def _rarest(self, i: int) -> list[int]:
        numbers = self._numbers[i]
        return numbers[: len(numbers) - math.floor(SAME * len(numbers)) + 1]


def numbered_shingles(texts: Sequence[str]) -> list[list[int]]:
    """Return for each text its :func:`shingles`, as numbers in place of runs; the rarest of all these texts first."""
    known = defaultdict[str, int](count().__next__)
    words = [_words(text) for text in texts]
    padded = [found + [""] * (SIZE - len(found)) for found in words]  # a text of fewer words is one run
    flat = np.fromiter(map(known.__getitem__, chain.from_iterable(padded)), np.int64)
    text = np.repeat(np.arange(len(texts)), [len(found) for found in padded])
    starts = np.flatnonzero(text[: 1 - SIZE] == text[SIZE - 1 :])
    runs = _runs(flat, starts, len(known))
    _, runs, held = np.unique(runs, return_inverse=True, return_counts=True)
    place = np.empty_like(held)
    place[np.argsort(held, kind="stable")] = np.arange(len(held))
    each = np.sort(text[starts] * len(held) + place[runs])
    each = each[np.diff(each, prepend=-1) > 0]
    parts = np.split(each % len(held), np.searchsorted(each, np.arange(1, len(texts)) * len(held)))
    return [part.tolist() if found else [] for part, found in zip(parts, words, strict=True)]


def _runs(flat: Numbers, starts: Numbers, base: int) -> Numbers:
    """Return a number for each run that starts there, the same for the same words; these are numbers below ``base``."""
    runs, bound = flat[starts], base
    for step in range(1, SIZE):
        if bound * base > _INT64:
            _, runs = np.unique(runs, return_inverse=True)
            bound = len(runs)
        runs, bound = runs * base + flat[starts + step], bound * base
    return runs


class _Judged:
    """Which sentences of texts hold the most of a question, and how much; without one, all hold as much."""

    def __init__(self, texts: Sequence[str], query: str | None) -> None:
        self._texts = texts
        self._asked: set[str] | None = None if query is None else set(_words(query))
        self._best: dict[int, tuple[float, frozenset[str]]] = {}
        self._words: dict[int, frozenset[str]] = {}
        self._cut: dict[int, list[Span]] = {}
        self._held: dict[str, float] = {}
        self._found: dict[str, Collection[str]] = {}

    def stands_apart(self, i: int, j: int) -> bool:
        """Say whether the i-th text may answer what the j-th does not."""
        if self._asked is None and not self._words_of(i) <= self._words_of(j):
            return True  # for a sentence with a word that is not there, wherever that is
        most, there = self._best_of(j)
        own, says = self._best_of(i, like=j)
        return own > most or (own == most > 0 and not says <= there)

    def _best_of(self, i: int, like: int | None = None) -> tuple[float, frozenset[str]]:
        """Return how much of the question the best sentences of a text hold, and what these say."""
        if i not in self._best:
            self._best[i] = self._read(i, like) if self._may_answer(i) else (0.0, frozenset())
        return self._best[i]

    def _may_answer(self, i: int) -> bool:
        """Say whether a text holds a word of the question: most of what vectors alone found may hold none."""
        return self._asked is None or any(map(self._asked_in, self._pieces[self._texts[i]]))

    def _read(self, i: int, like: int | None) -> tuple[float, frozenset[str]]:
        """Cut a text into its sentences, where it can be as another one, and judge each."""
        text = self._texts[i]
        self._cut[i] = self._cut_like(i, like) if like in self._cut else list(sentences(text))
        said = [text[a:b] for a, b in self._cut[i]]
        held = list(map(self._coverage, said))
        most = max(held, default=0.0)
        best = (each for each, much in zip(said, held, strict=True) if much == most > 0)
        return most, frozenset(filter(None, map(_said, best)))

    def _words_of(self, i: int) -> frozenset[str]:
        if i not in self._words:
            self._words[i] = frozenset(_words(self._texts[i]))
        return self._words[i]

    def _cut_like(self, i: int, j: int) -> list[Span]:
        """Cut the i-th text where it is not as the j-th, and two sentences around that: cutting is what costs."""
        mine, other, spans = self._texts[i], self._texts[j], self._cut[j]
        head = _alike(mine, other)
        tail = _alike(mine[head:][::-1], other[head:][::-1])
        first = max(bisect_right(spans, head, key=itemgetter(0)) - 3, 0)
        last = min(bisect_left(spans, len(other) - tail, key=itemgetter(0)) + 2, len(spans))
        longer = len(mine) - len(other)
        after = [(a + longer, b + longer) for a, b in spans[last:]]
        start = spans[first][0] if first < len(spans) else 0
        return [*spans[:first], *sentences(mine, start, after[0][0] if after else None), *after]

    def _coverage(self, sentence: str) -> float:
        """Return how much of the question a sentence holds; copies share most of theirs, so each is worked out once."""
        if self._asked is None:
            return 1.0
        if sentence not in self._held:
            # fsum: whatever the order of a set of words, so that no tie depends on the run.
            self._held[sentence] = math.fsum(map(self._weights.__getitem__, self._asked_in(sentence)))
        return self._held[sentence]

    def _asked_in(self, piece: str) -> Collection[str]:
        """Return which words of the question a sentence or clause holds: a clause is often a whole sentence."""
        bare = piece.rstrip(". \n")
        if bare not in self._found:
            self._found[bare] = (self._asked or set()).intersection(_words(bare))
        return self._found[bare]

    @cached_property
    def _pieces(self) -> Mapping[str, Sequence[str]]:
        """Cut each text into its lines and clauses, roughly; no word goes from one into the next."""
        return {
            text: text.replace(".\n", "\n").replace(". ", "\n").replace(";", "\n").split("\n")
            for text in set(self._texts)
        }

    @cached_property
    def _weights(self) -> Mapping[str, float]:
        """What each word of the question weighs: the fewer lines and clauses here hold it, the more (BM25's idf)."""
        asked, pieces = self._asked or set(), set(chain.from_iterable(self._pieces.values()))
        held = Counter(chain.from_iterable(map(self._asked_in, pieces)))
        return {word: math.log1p((len(pieces) - held[word] + 0.5) / (held[word] + 0.5)) for word in asked}


def _words(text: str) -> list[str]:
    folded = fold(text)
    if folded.isascii():  # the same, many times as fast
        return folded.encode().translate(_APART).decode().split()
    return _WORD.findall(folded)


def _said(sentence: str) -> str:
    """Return what a sentence says: its words, and the signs between them that matter."""
    return " ".join(_SIGNS_TOO.findall(fold(sentence)))


def _alike(one: str, other: str) -> int:
    """Return how many characters two texts begin with alike."""
    return bisect_left(range(min(len(one), len(other))), True, key=lambda n: one[: n + 1] != other[: n + 1])
