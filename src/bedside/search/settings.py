"""How the sparse half of a collection works."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any, TypeGuard

from bedside.errors import InvalidInputError
from bedside.text.tokenizer import ClinicalTokenizer


@dataclass(frozen=True)
class SparseSettings:
    """How the sparse half of a new collection works; kept in its facts.

    Args:
        stem: Reduce English words to their stems ("infarctions" finds "infarction").
        k1: BM25's saturation of repeated terms; 1.2 as in Lucene.
        b: BM25's weight of document length, 0 to 1; 0.75 as in Lucene.
    """

    stem: bool = True
    k1: float = 1.2
    b: float = 0.75

    def to_json(self) -> dict[str, Any]:
        """Return what the collection keeps; raises :class:`InvalidInputError` where no index could be made of it."""
        check_bm25(self.k1, self.b)
        return {"tokenizer": ClinicalTokenizer(stem=self.stem).settings, "k1": float(self.k1), "b": float(self.b)}


def check_bm25(k1: object, b: object) -> None:
    """Refuse constants that BM25 has no meaning for."""
    if not (_is_finite(k1) and k1 >= 0):
        raise InvalidInputError(f"k1: expected a finite number of at least 0, got {k1!r}")
    if not (_is_finite(b) and 0 <= b <= 1):
        raise InvalidInputError(f"b: expected a number from 0 to 1, got {b!r}")


def _is_finite(value: Any) -> TypeGuard[float]:
    return isinstance(value, Real) and math.isfinite(value)
