"""A parsed filter over the metadata columns."""

from __future__ import annotations

from datetime import tzinfo
from functools import reduce
from operator import and_, or_

import numpy as np
from numpy.typing import NDArray

from bedside.engines.embedded.index.columns import Columns
from bedside.filters.dates import UTC
from bedside.filters.rules import rule
from bedside.filters.tree import And, Compare, Node, Not, Or


def mask(node: Node, columns: Columns, zone: tzinfo = UTC) -> NDArray[np.bool_]:
    """Say which rows match: bool ``[columns.n]``, new. Deleted rows are the caller's to leave out.

    ``zone`` is that of dates and times without one, in the filter and in what is stored.

    Example:
        >>> columns = Columns()
        >>> columns.extend([{"age": 70}, {"age": "70"}, {}])
        >>> mask(Not(Compare("age", "$gt", 65)), columns).tolist()
        [False, True, True]
    """
    match node:
        case And(children):
            return reduce(and_, (mask(child, columns, zone) for child in children))
        case Or(children):
            return reduce(or_, (mask(child, columns, zone) for child in children))
        case Not(child):
            return ~mask(child, columns, zone)
        case Compare(path, "$exists"):
            return columns.present(path)
        case Compare(path, "$empty"):
            return ~columns.present(path) | columns.where(path, rule(node, zone))
        case Compare(path):
            return columns.where(path, rule(node, zone))
