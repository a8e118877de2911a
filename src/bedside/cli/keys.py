"""The master key of a command: from a file or the environment, never typed, where a shell's history would keep it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from bedside.errors import KeyRequired
from bedside.support.keys import KeySource

KEY_VARIABLE = "BEDSIDE_KEY"
KEY_FILE_VARIABLE = "BEDSIDE_KEY_FILE"
_given: ContextVar[KeySource | None] = ContextVar("bedside_key", default=None)


@contextmanager
def unlocking(file: Path | None) -> Iterator[None]:
    """Open the collections of a command with the key in a file, or else in the environment, if there is one."""
    before = _given.set(file or (KEY_VARIABLE if os.environ.get(KEY_VARIABLE) else None))
    try:
        yield
    finally:
        _given.reset(before)


def given_key() -> KeySource | None:
    """Return the key that collections are opened with; ``None``: they are not encrypted."""
    return _given.get()


def needed_key(command: str) -> KeySource:
    """Return the key that was given.

    Raises:
        KeyRequired: There is none.
    """
    if (key := given_key()) is None:
        raise KeyRequired(
            f"{command}: give the key as bedside --key-file FILE before the command, or in {KEY_VARIABLE}; `bedside "
            "new-key FILE` makes one"
        )
    return key
