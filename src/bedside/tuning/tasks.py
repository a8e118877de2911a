"""``bedside.tuning.tasks``: where release 0.1 had what is now in :mod:`bedside.tuning.heads`."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """Look a name up where it is now."""
    from bedside.tuning import heads

    return getattr(heads, name)
