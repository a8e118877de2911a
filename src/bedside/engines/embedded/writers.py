"""Who wrote what a log holds."""

from __future__ import annotations

from collections.abc import Iterable

from bedside.engines.embedded.log.codec import Closing
from bedside.engines.reports import Writer


def writers_of(closings: Iterable[Closing]) -> tuple[Writer, ...]:
    """Return one line for each who wrote, in the order of their first transactions.

    Example:
        >>> writers_of([Closing("ada", "2026-03-01T09:00:00Z", 2), Closing("ada", "2026-03-02T09:00:00Z", 1)])
        (Writer(actor='ada', transactions=2, changes=3, first='2026-03-01T09:00:00Z', last='2026-03-02T09:00:00Z'),)
    """
    found: dict[str | None, Writer] = {}
    for actor, at, changes in closings:
        before = found.get(actor, Writer(actor, 0, 0, at, at))
        found[actor] = Writer(actor, before.transactions + 1, before.changes + changes, before.first, at)
    return tuple(found.values())
