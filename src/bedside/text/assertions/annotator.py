"""Marks as metadata, for those who want to filter by them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from bedside.errors import InvalidInputError
from bedside.text.assertions.cues import STATUSES, Status
from bedside.text.assertions.marks import Mark, mark

__all__ = ["AssertionAnnotator"]

_KNOWN = tuple(dict.fromkeys(STATUSES.values()))


class AssertionAnnotator:
    """What a text denies, supposes, reports from the past or says about relatives, for ``collection.annotate``.

    Args:
        statuses: Which marks are kept; all by default.

    Raises:
        InvalidInputError: A status is unknown.

    Example:
        >>> from bedside import Collection, Document
        >>> notes = Collection.open()
        >>> _ = notes.add([Document("Denies chest pain. Mother had a stroke.")])
        >>> notes.annotate(AssertionAnnotator(["negated"]), key="assertions")
        1
        >>> notes.get(filter={"assertions.negated": "chest pain"})[0].metadata["assertions"]
        {'negated': ['chest pain']}
    """

    def __init__(self, statuses: Iterable[Status] = _KNOWN) -> None:
        self._statuses = frozenset(statuses)
        if unknown := sorted(self._statuses.difference(_KNOWN)):
            raise InvalidInputError(f"statuses: expected some of {', '.join(_KNOWN)}, got {unknown[0]!r}")

    def predict(self, texts: Sequence[str], **options: Any) -> list[tuple[Mark, ...]]:
        """Mark each text; there are no options."""
        if options:
            raise TypeError(f"predict() has no option {', '.join(options)}")
        return [tuple(found for found in mark(text) if found.status in self._statuses) for text in texts]

    def as_metadata(self, result: Sequence[Mark], key: str) -> dict[str, Any]:
        """The marked texts by status under ``key``, and their places under ``key_spans``.

        ``{"assertions.negated": "chest pain"}`` filters by a stretch as it is written, in small letters.
        """
        by_status: dict[str, list[str]] = {}
        for found in result:
            written = by_status.setdefault(found.status, [])
            if (text := found.text.lower()) not in written:
                written.append(text)
        spans = [{"label": m.status, "start": m.start, "end": m.end, "cue": list(m.cue)} for m in result]
        return {key: by_status, f"{key}_spans": spans}
