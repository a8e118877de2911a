"""The audit trail that commands leave, and in whose name."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from bedside.audit import AuditLog, acting_as
from bedside.errors import InvalidInputError

KEY_VARIABLE = "BEDSIDE_AUDIT_KEY"
_trail: ContextVar[AuditLog | None] = ContextVar("bedside_cli_trail", default=None)


@contextmanager
def recording(folder: Path | None, key_file: Path | None, actor: str | None, purpose: str | None) -> Iterator[None]:
    """Have the commands inside leave lines in a trail, in the name of ``actor`` or else of the login."""
    audit = None if folder is None else opened(folder, key_file, "bedside --audit-key-file")
    before = _trail.set(audit)
    try:
        with acting_as(actor or getpass.getuser(), purpose=purpose):
            yield
    finally:
        _trail.reset(before)
        if audit is not None:
            audit.close()


def trail() -> AuditLog | None:
    """Return the trail that the command was told to leave, if any."""
    return _trail.get()


def opened(folder: Path, key_file: Path | None, option: str = "--key-file") -> AuditLog:
    """Return a trail, its key read from a file, or else from the variable.

    Raises:
        InvalidInputError: There is neither; the message names the option.
    """
    if key_file is None and KEY_VARIABLE not in os.environ:
        raise InvalidInputError(
            f"give the trail's key as {option} FILE, or in the environment variable {KEY_VARIABLE}; `bedside new-key "
            "FILE` makes one"
        )
    return AuditLog(folder, key=KEY_VARIABLE if key_file is None else key_file)
