"""What every encoder makes sure of: texts that are texts, and a word about those that say nothing to it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Set

from bedside.errors import BedsideWarning, InvalidInputError


def checked_texts(texts: object) -> list[str]:
    """The texts as a list; an iterator is read once.

    Raises:
        InvalidInputError: one string instead of a list, something without an order (a set, a dictionary) or without
            items, or an item that is not a string; the message says where.
    """
    if isinstance(texts, (str, bytes)):
        raise InvalidInputError(f"texts: expected a list of strings, got one {type(texts).__name__}; put it in a list")
    if not isinstance(texts, Iterable) or isinstance(texts, (Set, Mapping)):
        raise InvalidInputError(f"texts: expected a list of strings, got {type(texts).__name__}")
    checked: list[str] = []
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise InvalidInputError(f"texts[{i}]: expected str, got {type(text).__name__}")
        checked.append(text)
    return checked


def warn_of_unreadable(count: int, total: int, given: str) -> None:
    """Say once how many texts of a call say nothing to an encoder, and which vector each of them has got.

    Warns:
        BedsideWarning: ``count`` is not 0.
    """
    if count:
        warnings.warn(
            f"{count} of {total} texts have nothing that the encoder knows: they are blank, or of signs outside of its "
            f"vocabulary. Each has got {given}, and is found by chance",
            BedsideWarning,
            stacklevel=4,
        )


def has_surrogate(text: str) -> bool:
    """Whether a text holds half of a surrogate pair, which no UTF-8 can carry."""
    return any("\ud800" <= c <= "\udfff" for c in text)
