"""``bedside.watching``: where release 0.1 had what is now in :mod:`bedside.notes.sync`."""

from bedside.notes.sync import FileChange, SyncReport, sync, watch

__all__ = ["FileChange", "SyncReport", "sync", "watch"]
