"""The state of a collection that was opened: a log, the index derived from it, and the locks that keep the two in step.

Two locks, always taken in this order: ``_writing`` (with the lock file) orders writers, ``_state`` guards the index for
the moments in which it changes or a search takes its view of it. Encoding, disk writes, the dense scan and the building
of anything large hold neither ``_state``: a part of an index is built beside the index and then taken in, and a whole
one is built beside the old one and put in its place. So no search waits for an import, a compaction, an erasure, or
for what another process has just written.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from bedside.engines.embedded.checkpoints import Checkpoints
from bedside.engines.embedded.index.rows import Entry, Index, Put
from bedside.engines.embedded.log.codec import Change
from bedside.engines.embedded.log.log import Log, Position, Scan, Span
from bedside.engines.embedded.log.manifest import Manifest
from bedside.engines.embedded.log.storage import Storage
from bedside.errors import BedsideError, CollectionClosedError, CorruptLogError
from bedside.records import Delete, Record, ScopeKey
from bedside.remedies import Call
from bedside.support.fork import in_each_process
from bedside.support.progress import counting
from bedside.support.turns import taking_turns
from bedside.text.assertions import RULES_VERSION
from bedside.types import Document

CACHE_VERSION = 4
# Replaying so many records takes 0.1 s: less is not worth a file when a collection is closed.
_CACHE_AFTER = 1_000
# Bytes of log after which what was derived from it is written down. Replaying them takes a second or two.
CHECKPOINT_BYTES = 64 * 2**20
# Entries, or bytes of log, that are applied at once while searches wait: a few hundredths of a second.
BESIDE_ENTRIES = 256
BESIDE_BYTES = 256 * 2**10
# Seconds after which a search that began before an index was replaced is done, as a rule; and rows that are worth it.
_SEARCH = 0.2
_MANY = 20_000
_log = logging.getLogger(__name__)


class State:
    """An index that always holds what the log holds, whoever wrote it; what reads and writes is built on this."""

    def __init__(self, storage: Storage, *, read_only: bool = False) -> None:
        self._storage = storage
        self._read_only = read_only
        self.closed = False
        self._appending = False
        self._catching_up: threading.Thread | None = None
        self._failed: BaseException | None = None
        self._checkpoints = Checkpoints(storage.cache, storage.cache_key)
        in_each_process(self._make_locks)
        with self._state:
            self._start(storage.log)
            self._load_cache()
            self._refresh(beside=False)
        if not read_only:
            self._tidy(save=not self._checkpoints.damaged)  # what is damaged stays for `verify` to be named

    @property
    def path(self) -> Path | None:
        """The folder, or ``None`` in memory."""
        return self._storage.path

    @property
    def exact(self) -> bool:
        """Every search is exact."""
        return True

    @property
    def place(self) -> str | None:
        """The folder as text, or ``None`` in memory."""
        return None if self.path is None else str(self.path)

    @property
    def facts(self) -> Manifest:
        """What the collection is read by, as far as this process knows."""
        return self._storage.manifest

    def __reduce__(self) -> NoReturn:
        """Refuse: a deep copy would close this one's files when it is thrown away."""
        raise TypeError("an open collection cannot be copied or pickled: open its folder once more")

    def undo_creation(self) -> None:
        """Close, and where opening this created the collection and it is still empty, leave nothing of it."""
        self.close()
        self._storage.undo_creation()

    def drop(self) -> None:
        """Close, and remove the collection with all that it holds."""
        with self._transaction():
            pass  # it may be written, and nobody else does
        self.close()
        self._storage.drop()

    def close(self) -> None:
        """Let go of the files; later calls raise :class:`CollectionClosedError`."""
        with self._writing:
            if self.closed:
                return
            if not self._read_only and not self._is_far_behind():
                self._tidy(save=True)
            with self._state:
                self.closed = True
                self._storage.close()

    def _is_far_behind(self) -> bool:
        """Tell whether closing would first read much, as after an interrupt: who opens next does that anyway."""
        return self._storage.log.size() - self._position.offset > BESIDE_BYTES

    @contextmanager
    def reading(self, scope: ScopeKey | None = None, *, fresh: bool = True) -> Iterator[Index]:
        """Yield the index; nothing changes meanwhile.

        Args:
            scope: Whose records will be read; refused where a shredded key left some that nobody can read.
            fresh: Wait until it holds everything that was committed by anyone. Otherwise what another process wrote in
                bulk a moment ago may still be on its way, so that no search waits for it.
        """
        beside = True
        while True:
            self._check_open()
            if fresh:
                self._wait_for_the_rest()
            with self._state:
                self._check_open()
                self._refresh(beside=beside)
                if self._catching_up is None or not fresh:
                    if scope is not None:
                        self._log.codec.check_readable(scope)
                    yield self._index
                    return
            beside = False  # what was written meanwhile is little, unless it never ends

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Take turns with other writers, and see what they wrote."""
        self._check_open()
        with self._writing, self._storage.writing():
            with self.reading():
                pass
            yield

    def _check_open(self) -> None:
        if self.closed:
            raise CollectionClosedError("the collection is closed", remedies=[Call("open", "once more")])

    def _make_locks(self) -> None:
        """Make the locks; in a forked child, throw away what a thread of the parent may have left half done."""
        state: threading.RLock | None = getattr(self, "_state", None)
        half_done = state is not None and (
            # What joins beside searches changes rows without the lock, so catching up counts as half done too.
            not state.acquire(blocking=False) or self._appending or self._catching_up is not None
        )
        self._writing, self._state = threading.RLock(), threading.RLock()
        self._appending, self._catching_up = False, None
        if half_done:
            self._start(self._storage.log)

    # Writing

    def _append(self, changes: Iterable[Change]) -> int:
        """Write changes as one transaction and let the index take them over; returns how many there were."""
        log, start = self._storage.log, self._position
        with self._state:
            self._appending = True
        try:
            offsets, end = log.append(start, changes)
            count = len(offsets) - 1
            # What is here as a list is taken as it is; what came in batches is read again from the log.
            entries = _entries(self._index, log, start, end)
            if isinstance(changes, list):
                spans = (Span(first, after - first) for first, after in pairwise(offsets))
                entries = map(partial(_entry, self._index), taking_turns(changes), spans)
            if count <= BESIDE_ENTRIES:
                made = list(entries)  # texts are cut into terms before searches have to wait
                with self._state:
                    self._apply(made)
                    self._moved_to(end)
            else:
                self._take_over(self._index, entries, Scan.after(end))
        finally:
            self._appending = False
        if end.offset - self._checkpoints.end.offset >= CHECKPOINT_BYTES:
            self._save_cache()
        return count

    def _rewrite(self, changes: Iterable[Change], manifest: Manifest | None = None, then: Any = None) -> None:
        """Put ``changes`` in place of everything: a new log, its index and its cache are made beside the old ones."""
        try:
            log, end = self._storage.prepare(changes)
            new = replace(manifest or self.facts, log=log.name, committed=end)
            index = Index(new.dimension, new.sparse)
            index.apply(_entries(index, log, Position(), end))
            checkpoints = self._checkpoints.of_another_log()
            checkpoints.write(index, self._cache_key(new, index), end)
            replaced = self._index, self._log
            with self._state:
                self._storage.switch(log, new)
                self._checkpoints = checkpoints
                self._swap(log, index, end)
                if then is not None:
                    then()
        finally:
            self._storage.remove_strays()
        if replaced[0].rows > _MANY:
            # The last who looks at the old index and its log lets go of them, and to free the memory and the blocks of
            # a file that was deleted takes a search 0.1 s each: here nobody waits.
            time.sleep(_SEARCH)

    def _living(self, without: Collection[int] = ()) -> Iterator[Record]:
        """Return the living records as the log holds them, in insertion order."""
        log = self._log
        return (log.read(span) for span in self._spans(without))

    def _lines(self, without: Collection[int] = ()) -> Iterator[bytes]:
        """Return the lines of the living records, in insertion order."""
        log = self._log
        return (log.line(span) for span in self._spans(without))

    def _spans(self, without: Collection[int]) -> Iterator[Span]:
        index = self._index
        rows = np.flatnonzero(index.alive()).tolist()
        spans = (index.span(row) for row in rows if row not in without)
        return counting(spans, len(rows) - len(without), "rewriting", "record")

    # Following the log

    def _start(self, log: Log) -> None:
        """Begin with an empty index of a log."""
        self._swap(log, Index(self.facts.dimension, self.facts.sparse), Position())

    def _swap(self, log: Log, index: Index, position: Position) -> None:
        self._index, self._log = index, log
        self._moved_to(position)

    def _moved_to(self, position: Position) -> None:
        self._position, self._scan = position, Scan.after(position)

    def _refresh(self, *, beside: bool) -> None:
        """Take over what other processes committed; what takes long, ``beside`` searches and not before them."""
        if self._failed is not None:
            error, self._failed = self._failed, None
            raise error
        self._storage.refresh()
        log = self._storage.log
        self._check_whole(log)
        if self._log is not log:
            # Not beside: until this log is read, what another process erased would still be found.
            self._start(log)
            self._load_cache()
            if not self._position.offset:
                self._replay(log)
        if self._appending or self._catching_up is not None:
            return  # what is new in the log is this process' own, or on its way
        self._index.set_dimension(self.facts.dimension)
        size = log.size()
        if size < self._position.offset:
            raise CorruptLogError(log.name, self._position.line, "the log is shorter than it was before")
        if self._scan.pending and (size < self._scan.offset or log.commits_at(self._scan.offset)):
            # A writer cut off a dead one's rest, and what it wrote there is no longer than what this scan had seen.
            self._scan = Scan.after(self._position)
        if beside and size - self._scan.offset > BESIDE_BYTES:
            self._catch_up(log)
        elif size > self._scan.offset:
            self._replay(log, beside=beside)

    def _check_whole(self, log: Log) -> None:
        committed = self.facts.committed
        if committed is not None and log.name == self.facts.log and log.size() < committed.offset:
            raise CorruptLogError(
                log.name,
                committed.line,
                f"the log ends after {log.size()} bytes and {committed.offset} were committed when the collection was "
                "last closed: it was cut off, as by a copy or a restore that was interrupted",
            )

    def _replay(self, log: Log, *, beside: bool = False) -> None:
        """Verify what is new, and apply what was committed; what takes long, ``beside`` searches."""
        scan = self._verified(log, self._scan)
        end = scan.position
        if beside and end.offset - self._position.offset > BESIDE_BYTES:
            self._catch_up(log)  # the end of a long transaction, whose lines were verified as they came
            return
        self._scan = scan
        if end != self._position:
            self._apply(_entries(self._index, log, self._position, end))
            self._position = end

    def _verified(self, log: Log, scan: Scan) -> Scan:
        try:
            return log.verify(scan)
        except CorruptLogError:
            # A writer may have cut off a dead one's rest, which this scan saw a part of; what is read now holds none.
            return log.verify(Scan.after(scan.position))

    def _apply(self, entries: Iterable[Entry]) -> None:
        try:
            self._index.apply(entries)
        except BaseException:
            self._start(self._log)  # the log is the truth: the next call replays it
            raise

    def _catch_up(self, log: Log) -> None:
        """Have another thread take over what is new, so that searches go on with what is there."""
        # What it starts from is said here, under the lock: another process may put another log in place meanwhile.
        start = (log, self._index, self._position, self._scan)
        self._catching_up = threading.Thread(target=self._follow, args=start, name="bedside-follow", daemon=True)
        self._catching_up.start()

    def _follow(self, log: Log, base: Index, position: Position, scan: Scan) -> None:
        try:
            scan = self._verified(log, scan)
            self._take_over(base, _entries(base, log, position, scan.position), scan)
        except BaseException as error:  # noqa: BLE001 - raised by the next call, in the caller's own thread
            self._failed = error
        finally:
            self._catching_up = None

    def _wait_for_the_rest(self) -> None:
        """Wait until another thread has taken over what it began with."""
        thread = self._catching_up
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _take_over(self, base: Index, entries: Iterable[Entry], scan: Scan) -> None:
        """Build the index of a stretch of the log beside the index, then take it in; ``scan`` is where it ends."""
        part = base.beside()
        part.apply(entries)
        try:
            base.join(part)
            with self._state:
                if base is self._index:  # another process may have put another log in its place
                    base.absorb(part)
                    self._position, self._scan = scan.position, scan
            base.settle()
        except BaseException:
            with self._state:
                if base is self._index:
                    self._start(self._log)
            raise

    # Checkpoints

    def _load_cache(self) -> None:
        """Start from the cache where it is one of this log; the rest is replayed."""
        index = Index(self.facts.dimension, self.facts.sparse)
        position = self._checkpoints.load(index, self._cache_key(self.facts, index), self._log)
        if position.offset:  # otherwise the index may be half filled
            self._swap(self._log, index, position)

    def _tidy(self, *, save: bool) -> None:
        """Delete what killed writers left and note how far the log is committed, in the manifest and in the cache.

        Args:
            save: Whether to write the cache, where what came since is worth a file or what is there is damaged.

        Where another process writes, it is left to that one.
        """
        if self._storage.cache is None:
            return
        try:
            with self._storage.writing(timeout=0):
                self._storage.remove_strays()
                with self.reading():
                    pass
                unsaved = self._position.line - self._checkpoints.end.line
                if save and self._index.rows and (unsaved >= _CACHE_AFTER or self._checkpoints.damaged):
                    self._save_cache()
                if self._position.line and self.facts.committed != self._position:
                    self._storage.save(replace(self.facts, committed=self._position))
        except (BedsideError, OSError) as error:
            _log.info("left to another process or time: %s", type(error).__name__)

    def _save_cache(self) -> None:
        """Write what was derived since the last checkpoint.

        The writers' lock is held, so that it cannot bring back what an erasure just removed; searches go on. Where a
        shredded key left lines that nobody can read, nothing is: the next to open the log must meet them too.
        """
        if self._log.codec.lacks_keys:
            return
        self._checkpoints.write(self._index, self._cache_key(self.facts, self._index), self._position)

    @staticmethod
    def _cache_key(manifest: Manifest, index: Index) -> dict[str, Any]:
        terms = index.tokenizer.fingerprint  # another release of the stemmer may make other terms
        derived = {"terms": terms, "assertions": RULES_VERSION, "version": CACHE_VERSION}
        return {"collection": manifest.id, "log": manifest.log, **derived}


def _entry(index: Index, change: Change, span: Span) -> Entry:
    """Return what an index takes over of a change that lies at ``span``."""
    if isinstance(change, Delete):
        return change
    terms = index.analyzer.terms(change.text, change.metadata)
    return Put(change.id, change.scope, terms, change.metadata, change.vector, span)


def _entries(index: Index, log: Log, start: Position, end: Position) -> Iterator[Entry]:
    """Yield what an index takes over of a stretch of the log."""
    return (_entry(index, change, span) for span, change in log.changes(start, end))


def document(log: Log, span: Span, *, vectors: bool = False) -> Document:
    """Read a record as the document it was."""
    record = log.read(span, vectors=vectors)
    return Document(record.text, record.metadata, record.id, record.vector)
