"""Numbers and booleans spelled as text, as the frameworks' prompts teach models to write them in filters."""

from __future__ import annotations

import math
import re
from typing import TypeAlias

Reading: TypeAlias = str | float | bool

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
"""A number as JSON writes it: "007" is an identifier."""


def readings(text: str) -> list[Reading]:
    """What a text in a filter may stand for: itself, and the number or boolean that it spells.

    Example:
        >>> readings("1813"), readings("True"), readings("007")
        (['1813', 1813], ['True', True], ['007'])
    """
    if text.lower() in ("true", "false"):
        return [text, text.lower() == "true"]
    return [text, *numbers(text)]


def numbers(text: str) -> list[float]:
    """The number that a text spells, or none."""
    if not _NUMBER.fullmatch(text):
        return []
    number = float(text) if "." in text else int(text)
    return [number] if math.isfinite(number) else []
