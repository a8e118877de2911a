"""Other processes for the store's tests, and the records that all of them know.

A child runs one function of a module of this folder, ``python -m store.crashes NAME JSON``, and reports JSON lines. A
report is written with one system call, so that what was reported before a SIGKILL has arrived.
"""

from __future__ import annotations

import json
import os
import queue
import select
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bedside import Collection, Document
from bedside.engines.embedded.log.manifest import Manifest

DIMENSION = 8
Model = dict[str, int]  # id -> version, in insertion order
# These tests, and whatever package the parent was told to run.
_PATH = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]))
# A mount that only the child sees, and that ends with it.
PRIVATE = ["unshare", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"]), "--mount", "sh", "-c"]


# -- the parent's side ---------------------------------------------------------------------------------------------


class Child:
    """A process that runs ``function``, which ends its module with a call of :func:`main`."""

    def __init__(self, function: Callable[..., None], *, mount: str = "", **arguments: Any) -> None:
        arguments_ = json.dumps(arguments, default=str)
        command = [sys.executable, "-m", function.__module__, function.__name__, arguments_]
        self.process = subprocess.Popen(
            [*PRIVATE, f'{mount} && exec "$@"', "sh", *command] if mount else command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": _PATH},
        )
        self._reports: queue.Queue[Any] = queue.Queue()
        threading.Thread(target=self._collect, daemon=True).start()

    def _collect(self) -> None:
        for line in self.process.stdout:
            self._reports.put(json.loads(line))
        self._reports.put(None)

    def report(self, timeout: float = 120) -> Any:
        """The next report; None when there will be none."""
        return self._reports.get(timeout=timeout)

    def tell(self) -> None:
        """Let a child go on that waits in :func:`told`."""
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def end(self, timeout: float = 120) -> list[Any]:
        """Wait until it ends by itself, without error, and return the reports that were not read."""
        self.process.stdin.close()
        assert self.process.wait(timeout) == 0, f"a child failed with {self.process.returncode}: see its stderr"
        return list(iter(lambda: self.report(10), None))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)
        self.process.stdin.close()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def run(function: Callable[..., None], timeout: float = 120, **arguments: Any) -> list[Any]:
    """Run a child to its end and return its reports."""
    with Child(function, **arguments) as child:
        return child.end(timeout)


# -- what both sides know ------------------------------------------------------------------------------------------


def document(id: str, version: int) -> Document:
    """The one document that an id and a version stand for."""
    rng = np.random.default_rng([zlib.crc32(id.encode()), version])
    text = f"Note {id} in version {version}. HbA1c {rng.integers(40, 120) / 10} %, troponin {rng.integers(1, 99)} ng/L."
    return Document(text, {"version": version, "tags": [id, "µ"]}, id, rng.normal(size=DIMENSION).astype(np.float32))


def model_of(collection: Collection) -> Model:
    """Ids and versions in order; every record must be, bit for bit, the one that was added."""
    model = {}
    for found in collection.get(filter={}, include_vectors=True):
        expected = document(found.id, found.metadata["version"])
        assert found == expected, f"{found.id}: not the record that was added"
        assert found.vector.tobytes() == expected.vector.tobytes(), f"{found.id}: not the vector that was added"
        model[found.id] = found.metadata["version"]
    return model


def answers(collection: Collection) -> list[Any]:
    """What searches say, with everything that the index may have wrong."""
    query = np.linspace(-1, 1, DIMENSION)
    found = [
        collection.search("HbA1c version 3", vector=query, mode=m, top_k=100) for m in ("dense", "sparse", "hybrid")
    ]
    return [*found, collection.facets("version"), collection.count({"tags": "µ"})]


# -- the child's side ----------------------------------------------------------------------------------------------


def report(value: Any) -> None:
    os.write(1, json.dumps(value).encode() + b"\n")


def told() -> None:
    """Wait for the parent."""
    sys.stdin.readline()


def changed(model: Model, puts: list[tuple[str, int]], deleted: list[str]) -> Model:
    after = {id: version for id, version in model.items() if id not in deleted and id not in dict(puts)}
    return {**after, **dict(puts)}


def forked(work: Callable[[Callable[[Any], None]], None]) -> tuple[int, int]:
    """Run ``work`` in a fork, which says things over a pipe; returns its pid and the end to read from."""
    source, sink = os.pipe()
    if pid := os.fork():
        os.close(sink)
        return pid, source
    try:
        os.close(source)
        work(lambda value: os.write(sink, json.dumps(value).encode() + b"\n") and None)
        os._exit(0)
    except BaseException:  # noqa: BLE001 # reported by the exit status, and never to run the parent's code
        sys.excepthook(*sys.exc_info())
        os._exit(1)


def has_begun(source: int) -> None:
    """Wait until a fork has said something: on a busy machine most kills would hit its start, and not its work."""
    select.select([source], [], [], 60)


def said(source: int) -> list[Any]:
    """Everything that a fork said before it ended; a last line that was cut off was not said."""
    with open(source, "rb") as lines:
        return [json.loads(line) for line in lines if line.endswith(b"\n")]


def main(functions: dict[str, Callable[..., None]]) -> None:
    """Be the child that the command line asks for."""
    functions[sys.argv[1]](**json.loads(sys.argv[2]))


def as_if_killed(folder: Path) -> None:
    """Put back the manifest as it is before the first clean close: without how far the log was committed."""
    path = folder / "manifest.json"
    manifest = Manifest.from_bytes(path.read_bytes(), str(path))
    path.write_bytes(replace(manifest, committed=None).to_bytes())
