"""``bedside.maintenance``: where release 0.1 had what is now in :mod:`bedside.engines`."""

from bedside.engines import repair

__all__ = ["repair"]
