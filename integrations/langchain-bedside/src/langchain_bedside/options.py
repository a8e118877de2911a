"""The keyword arguments that every search of the vector store takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from bedside.errors import InvalidInputError
from bedside.types import Fusion, Mode
from langchain_bedside.filters import Filter

__all__ = ["SearchOptions", "UnknownSearchArgumentError"]


class UnknownSearchArgumentError(InvalidInputError, TypeError):
    """A search was given a keyword argument that it does not know; the message lists those it knows."""


@dataclass(frozen=True)
class SearchOptions:
    """What can be said about a search, per store (its constructor) and per call (or in ``search_kwargs``).

    Attributes:
        retrieval_mode: ``"dense"`` ranks by cosine, ``"sparse"`` by BM25, ``"hybrid"`` by their weighted sum.
        alpha: Weight of the dense half in hybrid search; ``None`` is the collection's default.
        fusion: How hybrid search joins its halves.
        filter: A dict of Bedside's filter language, a ``StructuredQuery``, or a function of one ``Document``.
        fetch_k: Size of the candidate pool of MMR and of RRF.
        score_key: The key of the returned documents' metadata that shall carry the score; ``None`` adds none.
    """

    retrieval_mode: Mode = "dense"
    alpha: float | None = None
    fusion: Fusion = "weighted"
    filter: Filter | None = None
    fetch_k: int | None = None
    score_key: str | None = None

    def updated(self, given: Mapping[str, Any]) -> SearchOptions:
        """Give these options with those of one call in place.

        Raises:
            UnknownSearchArgumentError: A key is not an option.
        """
        allowed = {field.name for field in fields(self)}
        if unknown := sorted(set(given) - allowed):
            raise UnknownSearchArgumentError(f"unknown search arguments {unknown}; allowed are {sorted(allowed)} and k")
        return replace(self, **given)
