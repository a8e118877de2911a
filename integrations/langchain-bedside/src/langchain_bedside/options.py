"""The keyword arguments that every search of the vector store takes: the core's options under LangChain's names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bedside.errors import InvalidInputError, UnknownOptionError
from bedside.search.options import NOTE_OPTIONS, OPTIONS
from bedside.search.options import SearchOptions as CoreOptions
from bedside.support.checks import check_known
from langchain_bedside.filters import Filter, as_filter
from langchain_bedside.rerank import as_reranker

__all__ = ["OPTION_NAMES", "SearchOptions", "UnknownSearchArgumentError"]

UnknownSearchArgumentError = UnknownOptionError
"""What :class:`bedside.errors.UnknownOptionError` was called here in release 0.1."""
_RENAMED = {"mode": "retrieval_mode"}
_SAID_OTHERWISE = ("top_k", "diversity", "filter", "explain")  # k, lambda_mult, and a filter of LangChain's kinds
_NAMES = {
    _RENAMED.get(name, name): name for name, option in OPTIONS.items() if option.surface and name not in _SAID_OTHERWISE
}
_NOTE_NAMES = [name for name, core in _NAMES.items() if core in NOTE_OPTIONS]
OPTION_NAMES = sorted([*_NAMES, "filter", "score_key"])
"""What may be said per store and per call; ``k`` is said per call alone."""


@dataclass(frozen=True)
class SearchOptions:
    """What can be said about a search, per store (its constructor) and per call (or in ``search_kwargs``).

    Beside ``filter`` and ``score_key`` these are the core's options (``bedside.search.options``): ``retrieval_mode``,
    ``alpha``, ``fusion``, ``fetch_k``, ``min_score``, ``offset``, ``ids``, ``group_by``, ``assertion`` and
    ``rerank``, which takes LangChain's document compressors too.

    Attributes:
        core: The core's options; a mode of ``None`` is what the question offers: hybrid for a text.
        filter: A dict of Bedside's filter language, a ``StructuredQuery``, or a function of one ``Document``.
        score_key: The key of the returned documents' metadata that shall carry the score; ``None`` adds none.

    Raises:
        InvalidInputError: A value is out of its range; a filter is looked at by the search that uses it.
    """

    core: CoreOptions = field(default_factory=CoreOptions)
    filter: Filter | None = None
    score_key: str | None = None

    def __post_init__(self) -> None:
        if self.score_key is not None and not isinstance(self.score_key, str):
            raise InvalidInputError(f"score_key: expected a metadata key or None, got {self.score_key!r}")

    def updated(self, given: Mapping[str, Any]) -> SearchOptions:
        """Give these options with those of one call in place.

        Raises:
            UnknownSearchArgumentError: A key is not an option.
            InvalidInputError: A value is out of its range.
        """
        check_known("search", given, ["k", *OPTION_NAMES])
        own = {name: value for name, value in given.items() if name not in _NAMES}
        core = {_NAMES[name]: value for name, value in given.items() if name in _NAMES}
        if "rerank" in core:
            core["rerank"] = as_reranker(core["rerank"])
        try:
            return replace(self, core=replace(self.core, **core), **own)
        except InvalidInputError as error:
            raise _renamed(error) from None

    def arguments(self, k: int, diversity: float | None) -> dict[str, Any]:
        """Give the keyword arguments of the core's search, but for what the filter says."""
        core = {name: getattr(self.core, name) for name in _NAMES.values()}
        return {**core, "top_k": k, "diversity": diversity}

    def about_notes(self, given: Mapping[str, Any]) -> SearchOptions:
        """Give these options with those of one search for whole notes in place; raises as :meth:`updated`."""
        check_known("search_notes", given, ["k", "lambda_mult", "explain", "filter", *_NOTE_NAMES])
        return self.updated(given)

    def note_arguments(self) -> dict[str, Any]:
        """Give the keyword arguments of the core's ``search_notes``, but for how many, diversity and explanations."""
        core = {_NAMES[name]: getattr(self.core, _NAMES[name]) for name in _NOTE_NAMES}
        return {**core, "filter": as_filter(self.filter)}


def _renamed(error: InvalidInputError) -> InvalidInputError:
    """Return an error about an option of the core under the name that it has here."""
    name, colon, rest = str(error).partition(":")
    return InvalidInputError(f"{_RENAMED.get(name, name)}{colon}{rest}")
