"""The command line: ``bedside verify ward.bedside`` and the rest of the verbs, each one call of a public function.

Exit codes: 0 done, 1 an error that Bedside or the file system reported (one line on stderr), 2 wrong usage, 130
interrupted. Where the reader of a pipe has gone, 1 without a line.
"""

from __future__ import annotations

import sys
from typing import NoReturn

from bedside.errors import BedsideError, MissingExtraError
from bedside.remedies import told

__all__ = ["fail", "main", "one_line"]


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


def main() -> None:
    """Run the command that ``sys.argv`` names, and exit."""
    try:
        try:
            from bedside.cli.app import app
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            if package not in ("typer", "rich"):
                raise
            raise MissingExtraError(package, "cli") from None
        app(prog_name="bedside")
    except (BedsideError, OSError) as error:
        fail(error)
    except KeyboardInterrupt:  # before typer, which does the same, is there
        sys.exit(130)
