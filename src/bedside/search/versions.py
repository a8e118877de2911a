"""Chains of versions: which record supersedes which.

A version is a note or, where a record is no passage of one, the record: a ``supersedes`` names notes and records by
their ids, and what it names is superseded with all of its passages. Links that lead back to where they began say
nothing about what is newer, so they supersede nothing, and :meth:`bedside.Collection.verify` tells of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

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
