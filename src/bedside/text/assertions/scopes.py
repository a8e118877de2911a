"""Scopes of cues in one sentence: which of its words are negated, hypothetical, historical or about a relative.

The rules follow NegEx and ConText (Chapman et al. 2001, Harkema et al. 2009): a cue reaches over the words after or
before it until a word or mark that ends it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from bedside.text.assertions.cues import (
    STATUSES,
    Cue,
    Role,
    Status,
    Word,
    cues_at,
    hints,
    read_words,
    rule_words,
)

__all__ = ["NEGATED", "Scope", "cue_words", "find_hints", "find_scopes"]

_LIMITS: Mapping[Role, int] = {"denial": 40, "forward": 15, "hypothetical": 15, "historical": 40, "family": 15}
_BACKWARD_LIMIT = 6
_CLOSED_WITHIN = 4

_ALL: frozenset[Status] = frozenset(STATUSES.values())
NEGATED: frozenset[Status] = frozenset({"negated"})
_HINTS = {statuses: hints(statuses) for statuses in (_ALL, NEGATED)}
_RESUME = rule_words("resume")
_KEPT = frozenset({"has", "had"})  # "mother had a stroke and had a fall" goes on about her
_CLOSED = rule_words("closed")
_TESTS = rule_words("tests")
_PREPOSITIONS = rule_words("prepositions")


class Scope(NamedTuple):
    """Words ``start`` to ``stop`` of a sentence that a cue, words ``cue_start`` to ``cue_stop``, speaks of."""

    status: Status
    start: int
    stop: int
    cue_start: int
    cue_stop: int


class _Found(NamedTuple):
    """A cue and where it stands."""

    cue: Cue
    start: int
    stop: int


def find_scopes(words: Sequence[str], statuses: frozenset[Status] = _ALL) -> list[Scope]:
    """Find the scopes of a sentence's cues.

    Args:
        words: The sentence as :func:`bedside.text.tokenizer.split_words` cuts it.
        statuses: All, or only :data:`NEGATED`.

    Returns:
        Scopes in the order of their cues; they may overlap. None where :func:`find_hints` finds nothing, which is
        cheaper to ask.
    """
    read = list(read_words(words))
    found = list(_find_cues(read))
    terminators = [cue for cue in found if "terminators" in cue.cue.roles]
    stops, ends = {cue.start for cue in terminators}, {cue.stop for cue in terminators}
    return [
        Scope(status, *reach, cue.start, cue.stop)
        for cue in found
        for role, status in cue.cue.says
        if status in statuses and (reach := _reach(read, cue, role, stops, ends))
    ]


def cue_words(words: Iterable[str]) -> set[int]:
    """Which words of a sentence belong to a cue; what shields its words from being one is text like any other."""
    found = _find_cues(list(read_words(words)))
    return {at for cue in found if "pseudo" not in cue.cue.roles for at in range(cue.start, cue.stop)}


def find_hints(words: Iterable[str], statuses: frozenset[Status] = _ALL) -> bytes:
    """1 for each word that is one of those of which every cue of these statuses has one, else 0; one look-up a word."""
    return bytes(map(_HINTS[statuses].__getitem__, words))


def _find_cues(read: Sequence[Word]) -> Iterator[_Found]:
    free = 0  # a word belongs to one cue at most
    for at in [at for at, word in enumerate(read) if word.begins]:
        if at < free:
            continue
        following = read[at + 1].bare if at + 1 < len(read) else ""
        for cue in cues_at(read[at].bare, following):
            if _stands(cue, read, at):
                free = at + len(cue.words)
                yield _Found(cue, at, free)
                break


def _stands(cue: Cue, read: Sequence[Word], at: int) -> bool:
    for place, word in enumerate(cue.words[1:], at + 1):
        if place == len(read) or read[place].bare != word or read[place - 1].mark:
            return False
    return True


def _reach(read: Sequence[Word], cue: _Found, role: Role, stops: set[int], ends: set[int]) -> tuple[int, int] | None:
    if role in ("colon", "backward"):
        start = _over_colon(read, cue) if role == "colon" else _before(read, cue.start, ends)
        return (start, cue.start) if start < cue.start and not _is_test(read, cue) else None
    stop = _after(read, cue.stop, role, stops)
    return (cue.stop, stop) if stop > cue.stop else None


def _is_test(read: Sequence[Word], cue: _Found) -> bool:
    """Whether it is a test that is negative: it was done, so a search for it should find it."""
    return cue.cue.words[-1] == "negative" and read[cue.start - 1].bare in _TESTS


def _over_colon(read: Sequence[Word], cue: _Found) -> int:
    """Where the scope of "Fever: none." begins: the cue itself where it does not answer what precedes a colon."""
    answers = cue.stop == len(read) or read[cue.stop - 1].mark in {",", ";", "."}
    after_colon = cue.start > 0 and read[cue.start - 1].mark == ":"
    return _before(read, cue.start - 1, set()) if answers and after_colon else cue.start


def _before(read: Sequence[Word], stop: int, ends: set[int]) -> int:
    """Where the scope of a cue that begins at ``stop`` begins."""
    start = stop
    while start > max(0, stop - _BACKWARD_LIMIT) and not read[start - 1].mark and start not in ends:
        start -= 1
    return start


def _after(read: Sequence[Word], start: int, role: Role, stops: set[int]) -> int:
    """Where the scope of a cue that ends at ``start`` ends."""
    depth = min(0, read[start - 1].depth)
    if depth < 0 or read[start - 1].mark in {",", ";", "."}:
        return start
    end = min(len(read), start + _LIMITS[role])
    for at, word in enumerate(read[start:end], start):
        if word.plain and at not in stops:
            continue
        depth += word.depth
        if at in stops or word.mark == "-" or (at > start and _resumes(read, at, role)):
            return at
        if depth < 0 or word.mark in {";", "."} or (STATUSES[role] == "negated" and _closes(read, at, start)):
            return at + 1
    return end


def _resumes(read: Sequence[Word], at: int, role: Role) -> bool:
    """Whether a new statement begins at a word: after a comma, "and" or "or"."""
    before, bare = read[at - 1], read[at].bare
    kept = role in ("family", "historical") and bare in _KEPT
    return bare in _RESUME and not kept and (before.mark == "," or before.bare in {"and", "or"})


def _closes(read: Sequence[Word], at: int, start: int) -> bool:
    """Whether a negation ends with a word: at a colon, or at the cure in "no cure for X"."""
    if read[at].mark == ":":
        return True
    closed = at - start < _CLOSED_WITHIN and read[at].bare in _CLOSED and not read[at].mark
    return closed and at + 1 < len(read) and read[at + 1].bare in _PREPOSITIONS
