"""The check that every encoder makes first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set

from bedside.errors import InvalidInputError


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


def has_surrogate(text: str) -> bool:
    """Whether a text holds half of a surrogate pair, which no UTF-8 can carry."""
    return any("\ud800" <= c <= "\udfff" for c in text)
