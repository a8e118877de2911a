"""Which rows of a scope supersede which, found in the columns and kept as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bedside.engines.embedded.index.columns import Columns
from bedside.filters.rules import OneOf, Rule
from bedside.filters.validity import SUPERSEDES
from bedside.search.versions import circular

Mask = NDArray[np.bool_]
Pairs = NDArray[np.int64]


@dataclass(frozen=True)
class Versions:
    """The names that rows give in ``supersedes``, numbered, and the rows that have these names.

    Attributes:
        naming: Rows and the numbers of the names that they give, int64 ``[2, m]``.
        named: Rows and the numbers of their names, int64 ``[2, k]``.
    """

    naming: Pairs
    named: Pairs

    @classmethod
    def of(cls, columns: Columns, ids: Mapping[str, int], visible: Mask) -> Versions:
        """Read them from the columns.

        Args:
            columns: Of all rows.
            ids: Of the scope, with their rows.
            visible: The rows of the scope, bool ``[n]``.
        """
        found = [(row, name) for name, row in columns.strings(SUPERSEDES, visible)]
        if not found:
            return cls(_pairs(()), _pairs(()))
        passages = visible & columns.present("source_hash")
        rows = {row for row, _ in found}
        owners = {row: id for id, row in ids.items() if row in rows}
        naming = np.zeros_like(visible)
        naming[list(rows)] = True
        owners |= {row: note for note, row in columns.strings("source_id", passages & naming)}
        links = [(owners[row], name) for row, name in found]
        loops = circular(links)
        numbers = {name: i for i, name in enumerate(dict.fromkeys(name for _, name in found))}
        named = [(ids[name], i) for name, i in numbers.items() if name in ids]
        of_notes = passages & columns.where("source_id", Rule(OneOf(frozenset(numbers))))
        named += [(row, numbers[note]) for note, row in columns.strings("source_id", of_notes)]
        kept = ((row, numbers[name]) for (row, name), link in zip(found, links, strict=True) if link not in loops)
        return cls(_pairs(kept), _pairs(named))

    def superseded(self, valid: Mask) -> NDArray[np.int64]:
        """Return the rows that a valid one names, where ``valid`` is bool ``[n]``."""
        rows, numbers = self.naming
        said = np.zeros(int(max(numbers.max(initial=-1), self.named[1].max(initial=-1))) + 1, np.bool_)
        said[numbers[valid[rows]]] = True
        rows, numbers = self.named
        return np.asarray(rows[said[numbers]])


def _pairs(found: Iterable[tuple[int, int]]) -> Pairs:
    return np.asarray(np.array(list(found), np.int64).reshape(-1, 2).T)
