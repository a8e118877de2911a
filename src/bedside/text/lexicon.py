"""The closed word lists of the tokenizer: stop words, units of measure, and spellings of one thing.

They stand in ``data/lexicon.json``, which the modules for the browser (``bedside/web``) read as well.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

__all__ = ["ALIASES", "FOLDING", "NEGATIONS", "STOP_WORDS", "UNITS", "words"]

_LISTS: dict[str, Any] = json.loads(resources.files("bedside.text").joinpath("data/lexicon.json").read_text("utf-8"))


def words(text: str) -> frozenset[str]:
    """Return the words of a list, as it is written in these modules."""
    return frozenset(text.split())


NEGATIONS = frozenset[str](_LISTS["negations"])
"""Words that turn a finding round; they are never dropped."""

STOP_WORDS = frozenset[str](_LISTS["stop_words"])
"""English function words that carry no finding."""

UNITS = frozenset[str](_LISTS["units"])
"""Units that are often written without a space after their number."""

ALIASES: dict[str, tuple[str, ...]] = {spelling: tuple(terms) for spelling, terms in _LISTS["aliases"].items()}
"""Spellings that mean the same, and what each is indexed as."""

FOLDING: dict[str, Any] = _LISTS["folding"]
"""Characters that :func:`bedside.text.fold.fold` replaces: Greek letters, dashes, apostrophes, signs."""
