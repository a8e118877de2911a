"""A parsed filter: four frozen node classes, plain data for every target to read with one ``match``.

The parser reduces the language to few comparisons, so a target translates each meaning once::

    $eq x, $any [x]     $in (x,)            $all [x, y]      And($in (x,), $in (y,))
    $ne x, $nin [x]     Not($in (x,))       $between [a, b]  And($gte a, $lte b)
    $exists false       Not($exists)        $empty false     Not($empty)
    $eq date            $during date        $in [x, date]    Or($in (x,), $during date)
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal, TypeAlias, get_args

Scalar: TypeAlias = "str | int | float | bool | None"
"""A JSON value that is neither a list nor an object."""
Comparison: TypeAlias = Literal[
    "$in",
    "$gt",
    "$gte",
    "$lt",
    "$lte",
    "$during",
    "$contains",
    "$like",
    "$ilike",
    "$prefix",
    "$text",
    "$exists",
    "$empty",
]
"""The comparisons that are left after parsing; :mod:`bedside.filters.rules` gives their meaning."""
COMPARISONS: tuple[Comparison, ...] = get_args(Comparison)
"""Every :data:`Comparison`, for targets that check that they translate all of them."""


@dataclass(frozen=True)
class And:
    """Every child matches; there is at least one child."""

    children: tuple[Node, ...]


@dataclass(frozen=True)
class Or:
    """At least one child matches; there is at least one child."""

    children: tuple[Node, ...]


@dataclass(frozen=True)
class Not:
    """The child does not match: the exact complement, documents without the field included."""

    child: Node


@dataclass(frozen=True)
class Compare:
    """One comparison of the value at a path.

    Two comparisons that differ only in ``1`` and ``True`` are equal to Python though not to the language: a
    node is not a key for a cache.

    Args:
        path: A field, or a dotted path into objects (see :func:`bedside.filters.rules.fields`).
        op: What is asked of the value.
        operand: ``$in``: a tuple of scalars. ``$gt $gte $lt $lte``: a number, a string, or a ``date`` or
            ``datetime``, with which dates alone are compared (:mod:`bedside.filters.dates`). ``$during``: one of
            these, in whose span a date lies. ``$contains``: a scalar. ``$like $ilike $prefix $text``: a string.
            ``$exists $empty``: ``True``.
    """

    path: str
    op: Comparison
    operand: Scalar | date | tuple[Scalar, ...]


Node: TypeAlias = And | Or | Not | Compare
"""Any node of a parsed filter."""
