"""The keyword arguments that every search of the vector store takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, get_args

from bedside.errors import InvalidInputError
from bedside.search.stages import make_plan
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

    Raises:
        InvalidInputError: A value is none of these; a filter is looked at by the search that uses it.
    """

    retrieval_mode: Mode = "dense"
    alpha: float | None = None
    fusion: Fusion = "weighted"
    filter: Filter | None = None
    fetch_k: int | None = None
    score_key: str | None = None

    def __post_init__(self) -> None:
        if self.retrieval_mode not in get_args(Mode):
            allowed = ", ".join(get_args(Mode))
            raise InvalidInputError(f"retrieval_mode: expected one of {allowed}; got {self.retrieval_mode!r}")
        if self.score_key is not None and not isinstance(self.score_key, str):
            raise InvalidInputError(f"score_key: expected a metadata key or None, got {self.score_key!r}")
        make_plan(
            self.retrieval_mode,
            top_k=1,
            offset=0,
            alpha=self.alpha,
            fusion=self.fusion,
            fetch_k=self.fetch_k,
            min_score=None,
            diversity=None,
        )

    def updated(self, given: Mapping[str, Any]) -> SearchOptions:
        """Give these options with those of one call in place.

        Raises:
            UnknownSearchArgumentError: A key is not an option.
            InvalidInputError: A value is out of its range.
        """
        allowed = {field.name for field in fields(self)}
        if unknown := sorted(set(given) - allowed):
            raise UnknownSearchArgumentError(f"unknown search arguments {unknown}; allowed are {sorted(allowed)} and k")
        return replace(self, **given)
