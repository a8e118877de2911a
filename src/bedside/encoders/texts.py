"""The check that every encoder makes first."""

from __future__ import annotations

from collections.abc import Iterable

from bedside.errors import InvalidInputError


def checked_texts(texts: Iterable[object]) -> list[str]:
    """The texts as a list; an iterator is read once.

    Raises:
        InvalidInputError: one string instead of a list, or something that is not a string; the message says where.
    """
    if isinstance(texts, str):
        raise InvalidInputError("texts: expected a list of strings, got one str; put it in a list")
    checked: list[str] = []
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise InvalidInputError(f"texts[{i}]: expected str, got {type(text).__name__}")
        checked.append(text)
    return checked
