"""``bedside.duplicates``: where release 0.1 had what is now in :mod:`bedside.analysis.duplicates`."""

from bedside.analysis.duplicates import DuplicateGroup, DuplicatePair, duplicates

__all__ = ["DuplicateGroup", "DuplicatePair", "duplicates"]
