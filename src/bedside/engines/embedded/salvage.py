"""Repair: what is whole of a damaged log, as a new log, and a list of what was lost."""

from __future__ import annotations

import filecmp
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from bedside.engines.embedded.log.cache import remove_cache
from bedside.engines.embedded.log.codec import Change, Codec, Remains, remains_of
from bedside.engines.embedded.log.folder import CACHE_NAME, DiskStorage
from bedside.engines.embedded.log.log import Position, Scan
from bedside.engines.embedded.log.manifest import NAME
from bedside.engines.reports import Loss, RepairReport
from bedside.errors import CorruptLogError, NotACollectionError
from bedside.records import Record
from bedside.support.files import refusals
from bedside.support.keys import KeySource

KEPT = "damaged-*"
"""The names of damaged logs that a repair kept."""


def repair(path: str | os.PathLike[str], *, key: KeySource | None = None) -> RepairReport:
    """Save what is whole of a collection whose log is damaged; no process may have it open.

    Every record whose line has a matching checksum is kept, in order, as one transaction of a new log. The damaged log
    stays in the folder under another name, for a closer look; delete it once it is no longer needed, because it holds
    notes. A collection without damage is left as it is, and so is what no commit ever closed: it is dropped.

    Args:
        path: The collection's folder.
        key: Of an encrypted collection.

    Returns:
        What was saved, and each line that was lost. A lost ``delete`` brings its record back: look at them.

    Raises:
        NotACollectionError: There is no readable manifest: put it back from a backup, it says whose records are whose.
        LockTimeoutError: Another process is writing.
        KeyRequired, WrongKeyError, KeyringError: The key does not fit.
    """
    folder = Path(path)
    if not (folder / NAME).is_file():
        raise NotACollectionError(f"{folder} holds no {NAME}, so there is no collection to repair")
    storage = DiskStorage(folder, read_only=False, lock_timeout=60.0, key=key)
    try:
        with storage.writing():
            storage.refresh()
            try:
                end = storage.log.verify(Scan()).position
            except CorruptLogError:
                return _salvage(storage, folder)
            if (committed := storage.manifest.committed) and end.offset < committed.offset:
                return _salvage(storage, folder, first=end.line + 1, missing=committed.line - end.line)
            whole = (change for _, change in storage.log.changes(Position(), end))
            return RepairReport(len(_replayed(whole)), (), None)
    finally:
        storage.close()


def _salvage(storage: DiskStorage, folder: Path, first: int = 1, missing: int = 0) -> RepairReport:
    damaged = folder / storage.log.name
    lost: list[Loss] = []
    kept = _keep(damaged)
    survivors = _replayed(_whole_changes(storage.log.codec, damaged, lost))
    if missing and not lost:  # cut off: how many lines are missing is known, and nothing of them
        lost = [Loss(first + i, "unknown", None) for i in range(missing)]
    remove_cache(folder / CACHE_NAME)
    log, end = storage.prepare(survivors.values())
    storage.switch(log, replace(storage.manifest, log=log.name, committed=end))
    storage.remove_strays()
    return RepairReport(len(survivors), tuple(lost), kept.name)


def _whole_changes(codec: Codec, path: Path, lost: list[Loss]) -> Iterator[Change]:
    """Yield the changes of whole lines; list the others.

    Whole lines behind the last commit were never acknowledged, unless a damaged line among them may have been theirs.
    """
    pending: list[Change] = []
    before = 0  # lines that were lost before this transaction
    for number, found in _lines(codec, path):
        if found.change is not None:
            pending.append(found.change)
            continue
        if not found.is_whole:
            lost.append(Loss(number, found.operation, found.id))
        if found.operation in ("open", "commit"):
            expected = found.commit.records if found.commit is not None else 0
            missing = expected - len(pending) - (len(lost) - before)
            lost += [Loss(number, "unknown", None)] * missing
            yield from pending
            pending, before = [], len(lost)
    if len(lost) > before:
        yield from pending


def _lines(codec: Codec, path: Path) -> Iterator[tuple[int, Remains]]:
    """Yield each line with its number and what can be told of it. A rest that was cut off at the end is left out."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            for found in remains_of(codec, line):
                yield number, found


def _replayed(changes: Iterable[Change]) -> dict[Any, Record]:
    """Replay changes and return the living records, in insertion order."""
    living: dict[Any, Record] = {}
    for change in changes:
        living.pop((change.scope, change.id), None)
        if isinstance(change, Record):
            living[change.scope, change.id] = change
    return living


def _keep(log: Path) -> Path:
    """Give ``log`` a second name that is not that of another file, and return it."""
    for number in count():
        kept = log.with_name(f"damaged-{log.stem}{f'-{number}' if number else ''}{log.suffix}")
        if not kept.exists():
            break
        if filecmp.cmp(kept, log, shallow=False):  # kept by a repair that was killed
            return kept
    with refusals(kept.name, "nothing was changed"):
        try:
            os.link(log, kept)
        except OSError:  # a file system without hard links
            shutil.copy2(log, kept)
    return kept
