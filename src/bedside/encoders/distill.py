"""``bedside.encoders.distill``: where release 0.1 had what is now in :mod:`bedside.tuning.static`."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """Look a name up where it is now; encoders themselves import nothing of tuning."""
    from bedside.tuning import static

    return getattr(static, name)
