"""Paths that a user gave."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from bedside.errors import InvalidInputError

_LONGEST_FILE = "log-000000000.jsonl"
"""A path must have room for the files in the folder."""


def check_folder(path: object) -> Path:
    """Return the absolute path of a folder that the file system can have; it need not be there."""
    if not isinstance(path, str | os.PathLike) or not isinstance(name := os.fspath(path), str) or not name:
        found = "an empty str" if path == "" else type(path).__name__
        raise InvalidInputError(f"path: expected a folder, or None for memory, got {found}")
    if "://" in name:
        raise InvalidInputError("path: expected a folder, got a URL")
    folder = Path(name).absolute()
    try:
        # Each name on its own: under a folder that is missing, a name that is too long would be reported as missing.
        for place in (folder / _LONGEST_FILE, *(Path(folder.anchor, part) for part in folder.parts[1:])):
            with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                os.stat(place)  # noqa: PTH116 # Path.exists would hide some of what is wrong
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidInputError(f"path: no folder can have this name of {len(name)} characters: {reason}") from None
    return folder
