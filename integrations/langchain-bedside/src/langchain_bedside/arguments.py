"""Arguments that several verbs take, checked and in the core's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bedside.errors import InvalidInputError
from bedside.support.checks import check_int

__all__ = ["diversity_of", "is_zero", "one_text"]


def one_text(query: object) -> str:
    """Give a question; the core would take a list for several.

    Raises:
        InvalidInputError: It is not one text, such as the dict that a chain passes on.
    """
    if isinstance(query, str):
        return query
    found, what = type(query).__name__, ""
    if isinstance(query, Mapping):
        what = f" with the keys {sorted(map(str, query))}; pick the question out of it, as with operator.itemgetter"
    raise InvalidInputError(f"query: expected one text, got {found}{what}")


def is_zero(k: int) -> bool:
    """Say whether nothing is asked for, as a computed budget may well come to.

    Raises:
        InvalidInputError: It is no count; the core would say so of ``top_k``.
    """
    check_int("k", k)
    return k == 0


def diversity_of(lambda_mult: Any) -> float:
    """Give the core's word for LangChain's share of relevance."""
    is_number = isinstance(lambda_mult, int | float | np.floating) and not isinstance(lambda_mult, bool)
    if not is_number or not 0 <= lambda_mult <= 1:
        raise InvalidInputError(f"lambda_mult: expected a number from 0 to 1, got {lambda_mult!r}")
    return 1 - float(lambda_mult)
