"""Chains of versions: which record supersedes which.

A version is a note or, where a record is not a passage of one, the record: a ``supersedes`` names notes and records by
their ids, and what it names is superseded with all of its passages. Links that lead back to where they began say
nothing about what is newer, so they supersede nothing, and :meth:`bedside.Collection.verify` tells of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bedside.filters.dates import UTC, stored_span
from bedside.filters.validity import SUPERSEDES, VALID_FROM, VALID_TO, named
from bedside.records import ScopeKey
from bedside.types import Metadata

Link: TypeAlias = tuple[str, str]
"""The id of a version and the id of one that it supersedes."""


def circular(links: Iterable[Link]) -> set[Link]:
    """Return the links that lie on a circle, those from a version to itself among them (Tarjan 1972).

    Example:
        >>> sorted(circular([("c", "b"), ("b", "a"), ("a", "b")]))
        [('a', 'b'), ('b', 'a')]
    """
    given = list(links)
    naming, named = {newer for newer, _ in given}, {older for _, older in given}
    follows: dict[str, list[str]] = {}
    for newer, older in given:
        if newer in named and older in naming:  # most chains are short: it leaves little to look at
            follows.setdefault(newer, []).append(older)
    component = _components(follows)
    return {(newer, older) for newer in follows for older in follows[newer] if component[newer] == component.get(older)}


def _components(follows: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Number the strongly connected components; by a loop and not a recursion, since a chain may be long."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    component: dict[str, int] = {}
    path: list[str] = []
    todo: list[tuple[str, Iterator[str]]] = []

    def enter(node: str) -> None:
        order[node] = lowest[node] = len(order)
        path.append(node)
        todo.append((node, iter(follows.get(node, ()))))

    for start in follows:
        if start not in order:
            enter(start)
        while todo:
            node, rest = todo[-1]
            other = next(rest, None)
            if other is None:
                todo.pop()
                if todo:
                    lowest[todo[-1][0]] = min(lowest[todo[-1][0]], lowest[node])
                while lowest[node] == order[node] and node not in component:
                    component[path.pop()] = order[node]
            elif other not in order:
                enter(other)
            elif other not in component:
                lowest[node] = min(lowest[node], order[other])
    return component


@dataclass(frozen=True)
class Chains:
    """Which of some records supersede which, by their places among them.

    Attributes:
        naming: Places and the numbers of the names that stand in ``supersedes`` there, int64 ``[2, m]``; no circles.
        named: Places and the numbers of the names that a record there goes by, int64 ``[2, k]``.
    """

    naming: NDArray[np.int64]
    named: NDArray[np.int64]

    @classmethod
    def of(cls, said: Sequence[tuple[int, str, str]], known: Iterable[tuple[int, str]]) -> Chains:
        """Number the names.

        Args:
            said: Places, the id of the version that stands there, and one that it supersedes.
            known: Places, and the id of the version that stands there; more of them than are superseded do no harm.
        """
        loops = circular((version, name) for _, version, name in said)
        numbers = {name: i for i, name in enumerate(dict.fromkeys(name for *_, name in said))}
        naming = ((place, numbers[name]) for place, version, name in said if (version, name) not in loops)
        return cls(_pairs(naming), _pairs((place, numbers[name]) for place, name in known if name in numbers))

    def superseded(self, valid: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the places that a valid one names, where ``valid`` is bool ``[n]`` by place."""
        places, numbers = self.naming
        said = np.zeros(int(max(numbers.max(initial=-1), self.named[1].max(initial=-1))) + 1, np.bool_)
        said[numbers[valid[places]]] = True
        places, numbers = self.named
        return np.asarray(places[said[numbers]])


def _pairs(found: Iterable[tuple[int, int]]) -> NDArray[np.int64]:
    return np.asarray(np.array(list(found), np.int64).reshape(-1, 2).T)


@dataclass(frozen=True)
class VersionProblem:
    """What is wrong with what a version says of itself; searches go on beside it.

    Attributes:
        scope: Its scope; ``()`` in a collection without scope keys.
        id: The note's, or the record's.
        wrong: What, in words.
    """

    scope: ScopeKey
    id: str
    wrong: str


def version_of(id: str, metadata: Metadata) -> str:
    """Return the id of the version that a record belongs to: of the note whose passage it is, or its own."""
    note = metadata.get("source_id")
    return note if isinstance(note, str) and "source_hash" in metadata else id


class Versions:
    """What records say of their versions, gathered while a whole collection is read."""

    def __init__(self) -> None:
        self._known: dict[tuple[ScopeKey, str], str] = {}
        self._said: dict[tuple[ScopeKey, str], Metadata] = {}

    def put(self, scope: ScopeKey, id: str, metadata: Metadata) -> None:
        """Take a record in, in place of the one with its id."""
        self._known[scope, id] = version_of(id, metadata)
        self._said.pop((scope, id), None)
        if said := {key: metadata[key] for key in (VALID_FROM, VALID_TO, SUPERSEDES) if key in metadata}:
            self._said[scope, id] = said

    def drop(self, scope: ScopeKey, id: str) -> None:
        """Leave a record out."""
        self._known.pop((scope, id), None)
        self._said.pop((scope, id), None)

    def problems(self) -> tuple[VersionProblem, ...]:
        """Return names that no version has, circles, and bounds that cannot be read or leave no time between them."""
        there = self._known.keys() | {(scope, version) for (scope, _), version in self._known.items()}
        links: dict[ScopeKey, list[Link]] = {}
        found: dict[VersionProblem, None] = {}
        for key, said in self._said.items():
            scope, version = key[0], self._known[key]
            for name in named(said.get(SUPERSEDES)):
                links.setdefault(scope, []).append((version, name))
                if (scope, name) not in there:
                    found[VersionProblem(scope, version, f"supersedes {name!r}, which is not there")] = None
            found |= dict.fromkeys(VersionProblem(scope, version, problem) for problem in _of_bounds(said))
        for scope, some in links.items():
            for newer, older in sorted(circular(some)):
                problem = "supersedes itself" if newer == older else f"supersedes {older!r}, which leads back to it"
                found[VersionProblem(scope, newer, problem)] = None
        return tuple(found)


def _of_bounds(said: Metadata) -> Iterator[str]:
    given = {key: said[key] for key in (VALID_FROM, VALID_TO) if said.get(key) not in (None, "")}
    spans = {key: stored_span(value, UTC) if isinstance(value, str) else None for key, value in given.items()}
    yield from (f"{key} is not a date, and taken for open" for key, span in spans.items() if span is None)
    start, end = spans.get(VALID_FROM), spans.get(VALID_TO)
    if start is not None and end is not None and end[0] <= start[0]:
        yield "valid_to is not after valid_from, so it is never valid"
