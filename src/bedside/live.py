"""The state of a collection that was opened: a log, the index derived from it, and the locks that keep the two in step.

Two locks, always taken in this order: ``_writing`` (with the lock file) orders writers, ``_state`` guards the index for
the moments in which it changes or a search takes its view of it. Encoding, disk writes and the dense scan hold neither
``_state``, so searches go on beside them.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from bedside import lines
from bedside.errors import BedsideError, CollectionClosedError, CorruptLogError, EncoderMismatch, EncoderRequired
from bedside.index.state import Entry, Index
from bedside.remedies import Call, Give
from bedside.store.cache import read_cache, write_cache
from bedside.store.log import Log, Position
from bedside.store.manifest import Manifest
from bedside.store.storage import Storage
from bedside.types import Document, Encoder, Matrix

CACHE_VERSION = 2
# Replaying so many records takes 0.1 s: less is not worth a file.
_CACHE_AFTER = 1_000
_log = logging.getLogger(__name__)


class Live:
    """An index that always holds what the log holds, whoever wrote it; what reads and writes is built on this."""

    def __init__(self, storage: Storage, encoder: Encoder | None, *, read_only: bool = False) -> None:
        self._storage = storage
        self._read_only = read_only
        self.encoder = encoder
        self.closed = False
        self._writing = threading.RLock()
        self._state = threading.RLock()
        self._appending = False
        self._check_encoder()
        self._position = self._cached = Position()
        with self._state:
            self._reset()
            self._load_cache()
            self._refresh()
        if not read_only:
            self._tidy()

    @property
    def path(self) -> Path | None:
        """The folder, or ``None`` in memory."""
        return self._storage.path

    @property
    def manifest(self) -> Manifest:
        """The facts the collection is read by."""
        return self._storage.manifest

    def __len__(self) -> int:
        with self.reading() as index:
            return len(index)

    def __reduce__(self) -> NoReturn:
        """Refuse: a deep copy would close this one's files when it is thrown away."""
        raise TypeError("an open collection cannot be copied or pickled: open its folder once more")

    def undo_creation(self) -> None:
        """Close, and where opening this created the collection and it is still empty, leave nothing of it."""
        self.close()
        self._storage.undo_creation()

    def close(self) -> None:
        """Let go of the files; later calls raise :class:`CollectionClosedError`."""
        with self._writing:
            if self.closed:
                return
            if not self._read_only:
                self._tidy()
            with self._state:
                self.closed = True
                self._storage.close()

    @contextmanager
    def reading(self) -> Iterator[Index]:
        """Yield the index with everything that was committed by anyone; nothing changes meanwhile."""
        self._check_open()
        with self._state:
            self._refresh()
            yield self._index

    def documents(self, rows: Iterable[int], log: Log, index: Index, *, vectors: bool = False) -> Iterator[Document]:
        """Read rows from the log they belong to."""
        for row in rows:
            self._check_open()
            yield lines.document(log.read(index.span(row)), vectors=vectors)

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        """Encode questions."""
        if self.encoder is None:
            written = self.manifest.encoder
            by = "" if written is None else f", and was written with {written.name}"
            raise EncoderRequired(
                f"query: the collection was opened without an encoder{by}",
                remedies=[Give("encoder"), Give("vector"), Give("mode", "sparse", "for BM25 alone")],
            )
        return self._encoded(self.encoder.encode_queries(texts), len(texts))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Take turns with other writers, and see what they wrote."""
        self._check_open()
        with self._writing, self._storage.writing():
            with self._state:
                self._refresh()
            yield

    def _rewrite(self, records: Iterable[dict[str, Any]], manifest: Manifest, encoder: Encoder | None = None) -> None:
        """Put ``records`` in place of everything, and start again from them."""
        try:
            log = self._storage.prepare(records)
            with self._state:
                self._storage.switch(log, manifest)
                self.encoder = encoder or self.encoder
                self._refresh()
        finally:
            self._storage.remove_strays()

    def _encoded(self, vectors: Matrix, count: int) -> Matrix:
        self._check_encoder()  # another process may have re-embedded the collection
        return lines.check_encoded(vectors, count, self.manifest.dimension or None)

    def _check_open(self) -> None:
        if self.closed:
            raise CollectionClosedError("the collection is closed", remedies=[Call("open", "once more")])

    def _check_encoder(self) -> None:
        """Refuse an encoder whose vectors would not belong with those that are there."""
        if self.encoder is None:
            return
        stored, dimension = self.manifest.encoder, self.manifest.dimension
        if stored and self.encoder.fingerprint not in (None, stored.fingerprint):
            raise EncoderMismatch(
                f"the collection holds vectors of {stored.name} ({stored.fingerprint}); it was opened with "
                f"{self.encoder.name} ({self.encoder.fingerprint}). Open it with the same encoder and settings"
            )
        if dimension and self.encoder.dimension not in (None, dimension):
            raise EncoderMismatch(
                f"the collection holds vectors of dimension {dimension}; {self.encoder.name} makes dimension "
                f"{self.encoder.dimension}"
            )

    def _living(self, without: Collection[int] = ()) -> Iterator[dict[str, Any]]:
        """Return the living records as the log holds them, in insertion order."""
        log, index = self._storage.log, self._index
        rows = np.flatnonzero(index.alive()).tolist()
        return (log.read(index.span(row)) for row in rows if row not in without)

    def _verified(self, log: Log, start: Position) -> Position:
        try:
            return log.verify(start)
        except CorruptLogError:
            # A writer may just have cut off a dead one's rest: what is read from now on holds none of it.
            return log.verify(start)

    def _reset(self) -> None:
        self._index = Index(self.manifest.dimension, self.manifest.sparse)
        self._position = self._cached = Position()
        self._indexed = self._storage.log  # set last: a reset that was interrupted is done again

    def _load_cache(self) -> None:
        """Start from the cache where it is one of this log; the rest is replayed."""
        if self._storage.cache is None or (found := read_cache(self._storage.cache, self._cache_key())) is None:
            return
        facts, arrays = found
        position = Position(*facts["position"])
        if self._storage.log.ends_at(position):
            self._index.load(facts["state"], arrays)
            self._position = self._cached = position

    def _refresh(self) -> None:
        """Take over what other processes committed."""
        self._storage.refresh()
        if self._indexed is not self._storage.log:
            self._reset()
        self._check_encoder()
        self._index.set_dimension(self.manifest.dimension)
        if self._appending:
            return  # what is new in the log is this process' own, and about to be applied
        size = self._storage.log.size()
        if size < self._position.offset:
            raise CorruptLogError(self._storage.log.name, self._position.line, "the log is shorter than it was before")
        if size > self._position.offset:
            self._replay()

    def _replay(self) -> None:
        log = self._storage.log
        end = self._verified(log, self._position)
        self._apply(
            lines.stored_entry(record, span, self.manifest.scope_keys)
            for span, record in log.records(self._position, end)
        )
        self._position = end

    def _apply(self, entries: Iterable[Entry]) -> None:
        try:
            self._index.apply(entries)
        except BaseException:
            self._reset()  # the log is the truth: the next call replays it
            raise

    def _tidy(self) -> None:
        """Delete what killed writers left and bring the cache up to date; where another process writes, let it be."""
        if self._storage.cache is None:
            return
        try:
            with self._storage.writing(timeout=0):
                self._storage.remove_strays()
                with self._state:
                    self._refresh()
                if self._position.line - self._cached.line >= _CACHE_AFTER:
                    self._save_cache(self._storage.cache)
        except (BedsideError, OSError) as error:
            _log.info("left to another process or time: %s", type(error).__name__)

    def _save_cache(self, folder: Path) -> None:
        """Write the cache. The lock is held, so that it cannot bring back what an erasure just removed."""
        state, arrays = self._index.to_state()
        facts = {**self._cache_key(), "position": list(astuple(self._position)), "state": state}
        write_cache(folder, facts, arrays)
        self._cached = self._position

    def _cache_key(self) -> dict[str, Any]:
        manifest = self.manifest
        terms = self._index.tokenizer.fingerprint  # another release of the stemmer may make other terms
        return {"collection": manifest.id, "log": manifest.log, "terms": terms, "version": CACHE_VERSION}
