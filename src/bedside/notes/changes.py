"""What changes in a folder: by the events that the system tells of, and by the files' times where it does not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event

from bedside.errors import MissingExtraError
from bedside.loaders import files

_QUIET = 200  # ms without an event after which files that came together are taken together
_TURN = 500  # ms between turns where nothing happens
_LOOK = 30.0  # s before all files' times are looked at again, for what the system did not tell


def events(root: Path, stop: Event) -> Iterator[set[str]]:
    """Yield the paths that changed since the last turn; each turn ends after a while, whether any did or not.

    Nothing is lost between two turns, nor before the first one is looked at: the system collects from the start.
    """
    try:
        from watchfiles import watch
    except ModuleNotFoundError as error:
        raise MissingExtraError("watchfiles", "watch") from error
    for changes in watch(
        root,
        watch_filter=None,  # what is wanted is decided by bedside.loaders.files
        step=_QUIET,
        rust_timeout=_TURN,
        yield_on_timeout=True,
        stop_event=stop,
        ignore_permission_denied=True,
    ):
        yield {Path(path).relative_to(root).as_posix() for _, path in changes}


class Untold:
    """Notices files that changed by their times and sizes, whether the system told of it or not."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._stamps: set[tuple[str, int, int, int]] = set()
        self._due = 0.0

    def now(self) -> set[str]:
        """Return what changed since the last look; nothing where that was a moment ago."""
        began = time.monotonic()
        if began < self._due:
            return set()
        stamps = set(self._look())
        changed = {stamp[0] for stamp in stamps ^ self._stamps}
        self._stamps = stamps
        ended = time.monotonic()
        self._due = ended + max(_LOOK, 20 * (ended - began))  # a twentieth of the time at most, however slow the disk
        return changed

    def _look(self) -> Iterator[tuple[str, int, int, int]]:
        for file in files(self._root, onerror=lambda _: None):
            with suppress(OSError):  # gone a moment later
                found = file.lstat()
                yield file.relative_to(self._root).as_posix(), found.st_mtime_ns, found.st_size, found.st_ino
