"""The folder that a run writes, and what may be written there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bedside.errors import InvalidInputError


def new_folder(output: object) -> Path:
    """An absolute path where nothing is, or an empty folder.

    Raises:
        InvalidInputError: no path, or something is there; nothing is ever overwritten.
    """
    if not isinstance(output, (str, os.PathLike)) or not str(output):
        raise InvalidInputError(f"output: expected a folder, got {output!r}")
    target = Path(output).expanduser().absolute()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InvalidInputError(f"output={str(output)!r}: it exists and is not empty; nothing is overwritten")
    return target


@contextmanager
def only_process(target: Path) -> Iterator[None]:
    """Let one process at a time train what is to stand in ``target``: two would write into each other's checkpoints.

    Raises:
        InvalidInputError: another process is at it.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(target.with_name(f"{target.name}.run.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InvalidInputError(f"output={str(target)!r}: another process is training into it") from None
    try:
        yield
    finally:
        with suppress(OSError):  # Windows removes no file that is open
            Path(lock.lock_file).unlink()
        lock.release()


def check_finite(model: Any, run: Path) -> None:
    """Refuse weights that training has ruined, and remove the run: its checkpoints are ruined as well.

    Raises:
        InvalidInputError: a weight is not finite.
    """
    if not all(bool(part.isfinite().all()) for part in model.parameters()):
        shutil.rmtree(run)
        raise InvalidInputError(
            "training diverged: weights are no longer finite, and nothing was saved; a smaller learning_rate may help"
        )
