"""What age takes from a score: how much newer records gain, and how fast that fades."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from bedside.errors import InvalidInputError
from bedside.support.checks import check_key, check_number

_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1), "y": timedelta(days=365.25)}
_TIME = re.compile(r"(\d+(?:\.\d+)?)([hdwy])")
_TEXT = re.compile(r"(?:(.+):)?([^:]+):([^:]+)", re.DOTALL)


@dataclass(frozen=True)
class Recency:
    """A part of the score that is ``weight`` for a record of now and half of it for one as old as the half-life.

    As a text, for surfaces that have no classes, it is ``"30d:0.2"``, or ``"issued:30d:0.2"`` with a key of its own.

    Args:
        half_life: A number and its unit: ``h``, ``d``, ``w`` or ``y`` (365.25 days).
        weight: At most 1, which is the length of the scale: the highest score that a hybrid or dense search can give,
            or that a sparse search can give for its question.
        key: The metadata key of a record's date; ``None`` is the search's ``date_key``.

    Raises:
        InvalidInputError: An argument is none of these.

    Example:
        >>> Recency.of("30d:0.2"), Recency.of("issued:2y:0.5").key
        (Recency(half_life='30d', weight=0.2, key=None), 'issued')
    """

    half_life: str
    weight: float = 0.2
    key: str | None = None

    def __post_init__(self) -> None:
        check_number("recency: weight", self.weight, 0, 1)
        check_key("recency: key", self.key, optional=True)
        found = _TIME.fullmatch(str(self.half_life))
        if found is None or not float(found[1]):
            raise InvalidInputError(
                f"recency: expected a half-life such as 36h, 30d, 8w or 1.5y, got {self.half_life!r}"
            )

    @classmethod
    def of(cls, given: Recency | str) -> Recency:
        """Return what is given as a class, or as its text.

        Raises:
            InvalidInputError: The text cannot be read.
        """
        if isinstance(given, Recency):
            return given
        found = _TEXT.fullmatch(str(given))
        if found is None:
            raise InvalidInputError(
                f"recency: expected half-life and weight such as 30d:0.2, or with a key date:30d:0.2, got {given!r}"
            )
        try:
            return cls(found[2], float(found[3]), found[1])
        except ValueError as error:
            if isinstance(error, InvalidInputError):
                raise
            raise InvalidInputError(f"recency: expected a weight such as 0.2, got {found[3]!r}") from None

    @property
    def life(self) -> timedelta:
        """The half-life."""
        found = _TIME.fullmatch(self.half_life)
        return float(found[1]) * _UNITS[found[2]] if found else timedelta(0)
