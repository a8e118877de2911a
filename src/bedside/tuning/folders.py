"""The folders of a run: the one that it writes, the one beside it that an interrupted run leaves, and their cards."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bedside.errors import InvalidInputError
from bedside.support.files import replace_file

RUN_FILE = "run.json"


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


def open_run(target: Path, facts: Mapping[str, Any], *, resume: bool) -> Path:
    """The folder of a run, ``OUTPUT.run``: a new one, or that of an interrupted run with the same facts.

    Args:
        target: The folder that the run is to write.
        facts: What the two runs must have in common, as JSON holds it.
        resume: ``False`` removes an interrupted run, whatever it was.

    Raises:
        InvalidInputError: it is that of a run with other facts, or it holds no run.
    """
    run = target.with_name(f"{target.name}.run")
    file = run / RUN_FILE
    known = json.loads(json.dumps(facts))
    if run.exists() and not resume:
        shutil.rmtree(run)
    if file.is_file():
        other = json.loads(file.read_text("utf-8"))
        changed = sorted(name for name in known if other.get(name) != known[name])
        if changed:
            raise InvalidInputError(
                f"{run}: an interrupted run with other {', '.join(changed)}; start it as it was, or remove it with "
                "resume=False"
            )
        return run
    if run.exists() and any(run.iterdir()):
        raise InvalidInputError(f"{run}: it exists and holds no run")
    run.mkdir(mode=0o700, exist_ok=True)
    replace_file(file, [json.dumps(known, indent=2).encode()])
    return run


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
