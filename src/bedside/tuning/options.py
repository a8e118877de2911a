"""What the settings of every kind of tuning have in common: how they are made, and how their numbers are checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from bedside.errors import InvalidInputError

S = TypeVar("S")


def settings_from(kind: type[S], values: Mapping[str, Any]) -> S:
    """Make settings of a kind, a dataclass, from the keys of a configuration file.

    Raises:
        InvalidInputError: an unknown key, or a value of the wrong type or out of its range.
    """
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type] # S is a dataclass, which no bound says
    if unknown := sorted(set(values) - set(known)):
        raise InvalidInputError(f"unknown settings {', '.join(unknown)}; there are {', '.join(known)}")
    try:
        return kind(**values)
    except TypeError as error:
        raise InvalidInputError(f"settings: a value has the wrong type ({error})") from error


def check_settings(kind: type[S], settings: object) -> S:
    """Return those given, or the defaults for ``None``.

    Raises:
        InvalidInputError: something else, such as a mapping.
    """
    if settings is None:
        return kind()
    if not isinstance(settings, kind):
        raise InvalidInputError(f"settings: expected {kind.__name__}, got {type(settings).__name__}")
    return settings


def check_whole(settings: object, name: str, least: int) -> None:
    """Refuse a setting that is no whole number from ``least``."""
    value = getattr(settings, name)
    if not is_whole(value) or value < least:
        raise InvalidInputError(f"{name}={value!r}: expected a whole number from {least}")


def check_number(settings: object, name: str, most: float) -> None:
    """Refuse a setting that is no number from 0 to ``most``."""
    value = getattr(settings, name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= most:
        limits = f"from 0 to {most:g}" if most <= 1 else "of at least 0"
        raise InvalidInputError(f"{name}={value!r}: expected a finite number {limits}")


def is_whole(value: object) -> bool:
    """Tell a whole number from all else, bools included."""
    return isinstance(value, int) and not isinstance(value, bool)
