"""What becomes of bad documents: a call refuses them all, or leaves them out and says which, and why."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from bedside.errors import BedsideWarning
from bedside.support.checks import check_choice

__all__ = ["OnBadDocument", "Skipped", "skipping"]

OnBadDocument: TypeAlias = Literal["raise", "skip"]
"""Whether a document that cannot be stored refuses its call, or is left out."""
_TOLD = 3
"""Skipped documents that a warning names."""


@dataclass(frozen=True)
class Skipped:
    """A document that was left out because it cannot be stored.

    Attributes:
        index: Its place among all documents of the call, from 0.
        id: Its id, where it has a usable one.
        reason: What is wrong with it, such as ``"text: empty; …"``; never what it says.

    Example:
        >>> str(Skipped(3, "p4", "text: holds a lone surrogate, which UTF-8 cannot carry"))
        "documents[3] (id 'p4'): text: holds a lone surrogate, which UTF-8 cannot carry"
    """

    index: int
    id: str | None
    reason: str

    def __str__(self) -> str:
        return f"documents[{self.index}]{'' if self.id is None else f' (id {self.id!r})'}: {self.reason}"


@contextmanager
def skipping(on_bad_document: OnBadDocument, skipped: list[Skipped] | None) -> Iterator[list[Skipped] | None]:
    """Yield the list that takes what a call skips, or ``None`` where a bad document is an error.

    Args:
        on_bad_document: ``"raise"`` or ``"skip"``.
        skipped: The caller's list.

    Raises:
        InvalidInputError: ``on_bad_document`` is neither.

    Warns:
        BedsideWarning: Documents were skipped, and the caller gave no list to find them in.
    """
    check_choice("on_bad_document", on_bad_document, get_args(OnBadDocument))
    if on_bad_document == "raise":
        yield None
        return
    found: list[Skipped] = [] if skipped is None else skipped
    yield found
    if skipped is None and found:
        more = f"; and {len(found) - _TOLD} more" if len(found) > _TOLD else ""
        warnings.warn(
            f"{len(found)} documents were skipped: {'; '.join(map(str, found[:_TOLD]))}{more}. "
            "Give a list as skipped= to get them all",
            BedsideWarning,
            stacklevel=4,
        )
