"""Lines for people: one for each error, and texts on one line."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from bedside.errors import BedsideError
from bedside.remedies import told
from bedside.types import Collapsed

_USERINFO = re.compile(r"(postgres(?:ql)?:/[^\s:@]*):\S*@")
_PASSWORD = re.compile(r"([?&]\w*(?:password|secret|key)=)[^\s&]*")


def fail(error: BedsideError | OSError, in_words: Callable[[str], str] = str) -> NoReturn:
    """Say in one line what went wrong, in the words that a command has for it, and exit with 1."""
    reason = str(error)
    if isinstance(error, OSError) and error.strerror:  # without the number, which is for programs
        of = f"{error.filename}: " if error.filename is not None else ""
        reason = f"{of}{error.strerror}{told(error.remedies) if isinstance(error, BedsideError) else ''}"
    sys.stderr.write(f"bedside: {one_line(without_password(in_words(reason)))}\n")
    sys.exit(1)


def without_password(text: str) -> str:
    """Return a text that may quote what was typed, such as a URL in the wrong place, without a URL's password."""
    return _PASSWORD.sub(r"\1…", _USERINFO.sub(r"\1@", text))


def one_line(text: str) -> str:
    """Return a text on one line, without control characters: a note must not steer the terminal."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def copies_line(hit: Collapsed, names: Sequence[str]) -> str:
    """Say what else a hit stands for, by name, and when that was seen."""
    seen = "" if hit.last_seen is None else f"; seen from {hit.first_seen} to {hit.last_seen}"
    return one_line(f"{len(names)} copies: {', '.join(names)}{seen}")
