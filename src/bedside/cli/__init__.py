"""The command line: ``bedside verify ward.bedside`` and the rest of the verbs, each one call of a public function.

Exit codes: 0 done, 1 an error that Bedside or the file system reported (one line on stderr), 2 wrong usage, 130
interrupted (one line too). Where the reader of a pipe has gone, 1 without a line.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bedside.cli.interrupts import heed_interrupts, interrupted
from bedside.cli.lines import fail
from bedside.errors import BedsideError, MissingExtraError

__all__ = ["main"]


def main() -> None:
    """Run the command that ``sys.argv`` names, and exit."""
    heed_interrupts()
    if sys.stdin is None:  # closed, as a daemon's is: nothing comes from it
        sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 - until the process ends
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
    except KeyboardInterrupt:  # outside of the commands, which say so themselves
        interrupted()
