"""Vectors kept on disk by what they were made from, so that unchanged text is encoded once.

One SQLite file, shared by threads and processes. SQLite, because it is maintained, in the standard library, safe for
several writers, and stores bytes as they are; diskcache unpickles what it reads. Only a hash of each text is stored.
Vectors of patients' text are derived from it: the folder is for the user alone (0700), the file 0600, and what is
deleted is overwritten.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from bedside.encoders.awaitable import AsyncMethods
from bedside.encoders.texts import checked_texts
from bedside.errors import InvalidInputError, InvalidModelError, LockTimeoutError, TextTooLongError, TracesRemainError
from bedside.remedies import Give
from bedside.support.fork import fork_barrier
from bedside.support.progress import progress
from bedside.types import Encoder, Matrix

DEFAULT_BYTES = 2 << 30
"""2 GiB: about 650,000 vectors of 768 dimensions."""
_PORTION = 4096  # texts encoded before they are kept: minutes of a BERT, and enough to be sorted into full batches
_LAST = b"\xff" * 32  # no hash is higher
_CHUNK = 500  # SQLite allowed 999 parameters in a statement before 3.32
_LAYOUT = 1  # 0: keys of which nobody could tell the text, so that its vectors could not be forgotten
# The size is kept up by the database itself: summing it took 44 ms at 150,000 vectors, at every text that was new.
_TABLES = (
    "CREATE TABLE vectors (key BLOB PRIMARY KEY, vector BLOB, used REAL) WITHOUT ROWID",
    "CREATE TABLE held (bytes INTEGER)",
    "INSERT INTO held VALUES (0)",
    "CREATE TRIGGER added AFTER INSERT ON vectors BEGIN UPDATE held SET bytes = bytes + length(new.vector); END",
    "CREATE TRIGGER removed AFTER DELETE ON vectors BEGIN UPDATE held SET bytes = bytes - length(old.vector); END",
    f"PRAGMA user_version = {_LAYOUT}",
)
# SQLite keeps locks and counts of them in the process: one that is forked in the middle of a transaction inherits both.
_one_at_a_time = fork_barrier()


class VectorCache:
    """A bounded cache of vectors in a folder; the least recently used go first.

    Args:
        folder: Made where it is missing.
        max_bytes: Most bytes of vectors kept.
        timeout: Seconds to wait for another process that writes.

    Raises:
        InvalidInputError: ``max_bytes`` or ``timeout`` is not positive.
        InvalidModelError: the folder cannot be written, or holds something else.
        LockTimeoutError: another process wrote for too long; so from every method.
    """

    def __init__(
        self, folder: str | os.PathLike[str], *, max_bytes: int = DEFAULT_BYTES, timeout: float = 60.0
    ) -> None:
        if max_bytes < 1:
            raise InvalidInputError("expected at least 1", about=Give("max_bytes", max_bytes))
        if not timeout > 0:
            raise InvalidInputError("expected more than 0 seconds", about=Give("timeout", timeout))
        self.folder = Path(folder).expanduser()
        self.max_bytes = max_bytes
        self.timeout = timeout
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(self._file, os.O_CREAT | os.O_RDWR, 0o600))
        except OSError as error:
            raise InvalidModelError(f"the cache {self.folder} cannot be written ({error.strerror})") from error
        if self._layout() != _LAYOUT:
            self._lay_out()

    @property
    def _file(self) -> Path:
        return self.folder / "vectors.sqlite"

    def __len__(self) -> int:
        with self._open() as database:
            return int(database.execute("SELECT count(*) FROM vectors").fetchone()[0])

    def clear(self) -> None:
        """Forget every vector and return the space to the file system."""
        with self._open() as database:
            database.execute("DELETE FROM vectors")
        self._shrink()

    def forget(self, texts: Sequence[str]) -> int:
        """Delete the vectors of some texts, whichever encoder and prompt made them, from every file of the cache.

        Returns:
            How many vectors there were.

        Raises:
            TracesRemainError: another process is reading, so that its copy of the old pages could not be overwritten
                yet; the vectors are deleted.
        """
        ranges = [(start, start + _LAST) for start in {_hash(text) for text in checked_texts(texts)}]
        with self._open() as database:
            cursor = database.executemany("DELETE FROM vectors WHERE key BETWEEN ? AND ?", ranges)
            count = max(0, cursor.rowcount)  # -1 without texts
        self._checkpoint()
        return count

    def through(self, made_from: str, texts: Sequence[str], encode: Callable[[Sequence[str]], Matrix]) -> Matrix:
        """Encode what is not cached, each different text once, and return all of it.

        What is encoded is kept in portions, so that a run that is interrupted or refused goes on where it stopped.

        Args:
            made_from: Everything besides the text that decides a vector.
            texts: What to encode.
            encode: Encodes a list of texts to float32 ``[n, d]``.

        Returns:
            float32 ``[n, d]`` in the order of ``texts``, bit for bit as it was encoded.
        """
        keys = [_key(made_from, text) for text in texts]
        known = self._read(list(dict.fromkeys(keys)))
        if not texts:
            return encode(texts)
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        with progress(len(missing), "filling the cache", "text") as advance:
            for start in range(0, len(missing), _PORTION):
                some = dict(islice(missing.items(), start, start + _PORTION))
                fresh = _encoded(list(some.values()), texts, encode)
                rows = {key: np.ascontiguousarray(row).tobytes() for key, row in zip(some, fresh, strict=True)}
                self._write(rows)
                known |= rows
                advance(len(some))
        return np.stack([np.frombuffer(known[key], dtype="<f4") for key in keys]).astype(np.float32, copy=False)

    def _read(self, keys: list[bytes]) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        now = time.time()
        with self._open() as database:
            for start in range(0, len(keys), _CHUNK):
                some = keys[start : start + _CHUNK]
                marks = ",".join("?" * len(some))
                # Only question marks are put into the statement.
                found.update(database.execute(f"SELECT key, vector FROM vectors WHERE key IN ({marks})", some))  # noqa: S608
            database.executemany("UPDATE vectors SET used = ? WHERE key = ?", [(now, key) for key in found])
        return found

    def _write(self, rows: dict[bytes, bytes]) -> None:
        now = time.time()
        with self._open() as database:
            values = [(key, vector, now) for key, vector in rows.items()]
            # What another process has kept meanwhile is the same vector.
            database.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?, ?)", values)
            held = database.execute("SELECT bytes FROM held").fetchone()[0]
            if held > self.max_bytes:
                _evict(database, held - self.max_bytes * 9 // 10)

    def _layout(self) -> int:
        with self._open() as database:
            return int(database.execute("PRAGMA user_version").fetchone()[0])

    def _lay_out(self) -> None:
        """Make the tables, in place of those of an earlier layout."""
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            if database.execute("PRAGMA user_version").fetchone()[0] == _LAYOUT:
                return  # another process was faster
            database.execute("DROP TABLE IF EXISTS vectors")
            for statement in _TABLES:
                database.execute(statement)
        self._shrink()

    def _shrink(self) -> None:
        """Return free pages to the file system."""
        with self._open() as database:
            database.execute("VACUUM")
        self._checkpoint()

    def _checkpoint(self) -> None:
        """Empty the file of recent changes, which holds pages as they were before the latest."""
        with self._open() as database:
            busy = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if busy:
            raise TracesRemainError(
                f"the vectors are deleted, and {self._file}-wal still holds traces of them while another process uses "
                "the cache: forget the same texts again"
            )

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection for one transaction: nothing is kept open, so threads, forks and pickles are safe."""
        with _one_at_a_time, self._explained():
            database = sqlite3.connect(self._file, timeout=self.timeout)
            try:
                database.execute("PRAGMA journal_mode=WAL")
                database.execute("PRAGMA synchronous=NORMAL")
                database.execute("PRAGMA secure_delete=ON")  # also what makes room: it may be a text to forget later
                with database:
                    yield database
            finally:
                database.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say what is wrong with the database, and what to do about it."""
        try:
            yield
        except sqlite3.OperationalError as error:
            if "locked" in str(error):  # the code of the error is known since Python 3.11
                raise LockTimeoutError(
                    f"the cache {self._file} has been in use by another process for {self.timeout:g} s; try again"
                ) from error
            raise InvalidModelError(f"the cache {self._file} cannot be used ({error})") from error
        except sqlite3.DatabaseError as error:
            raise InvalidModelError(f"the cache {self._file} is damaged or no cache ({error}); delete it") from error


def _encoded(missing: list[str], texts: Sequence[str], encode: Callable[[Sequence[str]], Matrix]) -> Matrix:
    """Encode ``missing``; where one of them is refused, let the encoder name its position among all ``texts``."""
    try:
        return encode(missing)
    except (InvalidInputError, TextTooLongError):
        encode(texts)
        raise


def _evict(database: sqlite3.Connection, surplus: int) -> None:
    """Delete the least recently used vectors until ``surplus`` bytes are gone."""
    gone: list[tuple[bytes]] = []
    for key, size in database.execute("SELECT key, length(vector) FROM vectors ORDER BY used, key"):
        if surplus <= 0:
            break
        gone.append((key,))
        surplus -= size
    database.executemany("DELETE FROM vectors WHERE key = ?", gone)


def _key(made_from: str, text: str) -> bytes:
    """The text comes first, so that all of its vectors lie together."""
    return _hash(text) + _hash(made_from)


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


class CachedEncoder(AsyncMethods):
    """Any encoder with a cache before it; every other attribute is the inner encoder's.

    Args:
        encoder: It must know its fingerprint, without which vectors of two encoders could be mixed up.
        cache: Where vectors are kept; encoders may share one.

    Raises:
        InvalidInputError: the encoder has no fingerprint.

    Example:
        >>> cached = CachedEncoder(load_encoder("bedside/static"), VectorCache("~/vectors"))  # doctest: +SKIP
    """

    def __init__(self, encoder: Encoder, cache: VectorCache) -> None:
        if encoder.fingerprint is None:
            raise InvalidInputError(f"{encoder.name}: an encoder without a fingerprint cannot be cached")
        self.encoder = encoder
        self.cache = cache

    @property
    def name(self) -> str:
        """The inner encoder's name."""
        return self.encoder.name

    @property
    def dimension(self) -> int | None:
        """Length of a vector."""
        return self.encoder.dimension

    @property
    def fingerprint(self) -> str | None:
        """The inner encoder's: a cache changes no vector."""
        return self.encoder.fingerprint

    def encode_documents(self, texts: Sequence[str]) -> Matrix:
        """As the inner encoder's; only what is not cached is encoded."""
        return self.cache.through(f"{self.fingerprint}/d", checked_texts(texts), self.encoder.encode_documents)

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        """As the inner encoder's; only what is not cached is encoded."""
        return self.cache.through(f"{self.fingerprint}/q", checked_texts(texts), self.encoder.encode_queries)

    def forget(self, texts: Sequence[str]) -> int:
        """Delete the vectors of these texts from the cache; see :meth:`VectorCache.forget`."""
        return self.cache.forget(texts)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in ("encoder", "cache"):  # not set yet: copying and unpickling ask for these
            raise AttributeError(name)
        return getattr(self.encoder, name)
