"""Which rows of a scope supersede which, found in the columns."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bedside.engines.embedded.index.columns import Columns
from bedside.filters.rules import OneOf, Rule
from bedside.filters.validity import SUPERSEDES
from bedside.search.versions import Chains

Mask = NDArray[np.bool_]


def chains(columns: Columns, ids: Mapping[str, int], visible: Mask) -> Chains:
    """Read the chains of versions of a scope's rows.

    Args:
        columns: Of all rows.
        ids: Of the scope, with their rows.
        visible: The rows of the scope, bool ``[n]``.
    """
    found = [(row, name) for name, row in columns.strings(SUPERSEDES, visible)]
    if not found:
        return Chains.of((), ())
    passages = visible & columns.present("source_hash")
    rows = {row for row, _ in found}
    owners = {row: id for id, row in ids.items() if row in rows}
    naming = np.zeros_like(visible)
    naming[list(rows)] = True
    owners |= {row: note for note, row in columns.strings("source_id", passages & naming)}
    names = {name for _, name in found}
    of_notes = passages & columns.where("source_id", Rule(OneOf(frozenset(names))))
    named = [(ids[name], name) for name in names if name in ids]
    named += [(row, note) for note, row in columns.strings("source_id", of_notes)]
    return Chains.of([(row, owners[row], name) for row, name in found], named)
