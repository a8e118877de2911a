"""Processes that use one collection at the same time."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bedside import Collection
from bedside.errors import ReadOnlyError
from store.children import DIMENSION, answers, document, main, model_of, report, told

BATCH = 2


def batch(name: str, number: int) -> list[str]:
    """The ids that one call adds."""
    return [f"{name}-{number}-{part}" for part in range(BATCH)]


def write(folder: str, name: str, calls: int) -> None:
    """Open, or create, when the parent says so; add; report each call that returned."""
    report("ready")
    told()
    with Collection.open(folder) as notes:
        for number in range(calls):
            notes.add(document(id, 1) for id in batch(name, number))
            report(number)


def read(folder: str, records: int, read_only: bool) -> None:
    """Look until all records are there, without opening anew; nothing may vanish, and no call may be there in part."""
    while not (Path(folder) / "manifest.json").exists():
        time.sleep(0.01)
    sizes = [0]
    with Collection.open(folder, read_only=read_only) as notes:
        while sizes[-1] < records:
            seen = model_of(notes)
            for id in seen:
                name, number, _ = id.split("-")
                assert all(other in seen for other in batch(name, int(number))), f"only a part of {name}-{number}"
            assert len(seen) >= sizes[-1], f"{len(seen)} records where {sizes[-1]} were"
            found = notes.search(vector=np.ones(DIMENSION), top_k=5)
            assert len(found) >= min(5, len(seen)), f"{len(found)} hits among {len(seen)} records; then {len(notes)}"
            sizes.append(len(seen))
    report({"looks": len(sizes), "sizes": len(set(sizes))})


def compact(folder: str, records: int) -> None:
    """Compact again and again, from when the parent says so, until all records are there; report the first time."""
    report("ready")
    told()
    with Collection.open(folder) as notes:
        notes.compact()
        report("compacted")
        while len(notes) < records:
            notes.compact()
            time.sleep(0.02)


class Slow:
    """An encoder that reports when it is at work, which is while the write lock is held, and waits for the parent."""

    name, fingerprint, dimension = "slow", "slow-1", DIMENSION

    def encode_documents(self, texts: Sequence[str]) -> np.ndarray:
        report("encoding")
        told()
        return np.ones((len(texts), DIMENSION), dtype=np.float32)

    encode_queries = encode_documents


def hold(folder: str) -> None:
    """Hold the write lock until the parent says so."""
    with Collection.open(folder) as notes:
        notes.reembed(Slow())


def fork(folder: str, calls: int) -> None:
    """Use one open collection in two processes, one forked from the other."""
    with Collection.open(folder) as notes:
        notes.add([document("before", 1)])
        pid = os.fork()
        for number in range(calls):
            notes.add(document(id, 1) for id in batch("parent" if pid else "child", number))
        if not pid:
            notes.search(vector=np.ones(DIMENSION))
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        assert status == 0
        report(model_of(notes))


def look(folder: str, uid: int | None) -> None:
    """Read as another user; then try to open for writing."""
    if uid is not None:
        with Collection.open(folder, read_only=True) as notes:  # whatever is imported late is imported now
            model_of(notes)
            answers(notes)
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    with Collection.open(folder, read_only=True) as notes:
        model_of(notes)
        answers(notes)
        notes.verify()
        report(len(notes))
    try:
        Collection.open(folder).close()
    except ReadOnlyError as error:
        report(str(error))


if __name__ == "__main__":
    main(globals())
