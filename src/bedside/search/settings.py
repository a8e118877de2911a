"""How the sparse half of a collection works."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, TypeGuard

from bedside.errors import InvalidInputError
from bedside.support.checks import check_key
from bedside.text.tokenizer import ClinicalTokenizer


@dataclass(frozen=True)
class SparseSettings:
    """How texts of a new collection are read, above all by its sparse half; kept in its facts.

    Args:
        stem: Reduce English words to their stems ("infarctions" finds "infarction").
        k1: BM25's saturation of repeated terms; 1.2 as in Lucene.
        b: BM25's weight of document length, 0 to 1; 0.75 as in Lucene.
        title: The metadata key that holds a document's title, where it has one: its words count three times in BM25,
            and an encoder's vector is made of text and title (see :mod:`bedside.text.analyzer` and
            :mod:`bedside.encoding`). ``None`` reads titles by filters alone, as collections of release 0.1 do.
    """

    stem: bool = True
    k1: float = 1.2
    b: float = 0.75
    title: str | None = "title"

    def to_json(self) -> dict[str, Any]:
        """Return what the collection keeps; raises :class:`InvalidInputError` where no index could be made of it."""
        check_bm25(self.k1, self.b)
        check_key("title", self.title, optional=True)
        tokenizer = ClinicalTokenizer(stem=self.stem).settings
        return {"tokenizer": tokenizer, "k1": float(self.k1), "b": float(self.b), "title": self.title}

    def fits(self, known: Mapping[str, Any]) -> bool:
        """Say whether a collection has these settings; one of release 0.1, which read no titles, fits the default."""
        title = self.title if self.title == SparseSettings.title else None
        return self.to_json() == {"title": title, **known}


def check_bm25(k1: object, b: object) -> None:
    """Refuse constants that BM25 has no meaning for."""
    if not (_is_finite(k1) and k1 >= 0):
        raise InvalidInputError(f"k1: expected a finite number of at least 0, got {k1!r}")
    if not (_is_finite(b) and 0 <= b <= 1):
        raise InvalidInputError(f"b: expected a number from 0 to 1, got {b!r}")


def _is_finite(value: Any) -> TypeGuard[float]:
    return isinstance(value, Real) and math.isfinite(value)
