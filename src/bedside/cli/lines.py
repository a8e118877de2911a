"""Lines for people: one for each error, and texts on one line."""

from __future__ import annotations

import sys
from typing import NoReturn

from bedside.errors import BedsideError
from bedside.remedies import told


def fail(error: BedsideError | OSError) -> NoReturn:
    """Say in one line what went wrong, and exit with 1."""
    reason = str(error)
    if isinstance(error, OSError) and error.strerror:  # without the number, which is for programs
        of = f"{error.filename}: " if error.filename is not None else ""
        reason = f"{of}{error.strerror}{told(error.remedies) if isinstance(error, BedsideError) else ''}"
    sys.stderr.write(f"bedside: {one_line(reason)}\n")
    sys.exit(1)


def one_line(text: str) -> str:
    """Return a text on one line, without control characters: a note must not steer the terminal."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
