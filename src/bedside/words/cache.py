"""Word vectors on disk in a form that opens at once: a float32 matrix that is memory-mapped, and its words.

A source is converted once. The copy lies under the hash of the source's content; a note of size and modification time
saves hashing an unchanged file again.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import orjson

from bedside.errors import InvalidModelError
from bedside.support.files import make_private_folder
from bedside.support.progress import progress
from bedside.types import Matrix, Vector

log = logging.getLogger(__name__)

FORMAT = 1
_BATCH = 2_048  # rows written at once
_CHUNK = 1 << 20  # bytes


@dataclass(frozen=True)
class Stored:
    """Converted word vectors, as they lie on the disk.

    Attributes:
        words: In row order, the most frequent first where the source says so.
        rows: float32 ``[n, d]``, memory-mapped, read-only.
        norms: float32 ``[n]``, memory-mapped.
        average: float32 ``[d]``: the mean of all rows.
        digest: Hash of the source's content, hexadecimal.
    """

    words: list[str]
    rows: Matrix
    norms: Vector
    average: Vector
    digest: str


def default_folder() -> Path:
    """``$BEDSIDE_CACHE``, else ``bedside`` in ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    if given := os.environ.get("BEDSIDE_CACHE"):
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "bedside"


def stored(files: Sequence[Path], kind: str, folder: Path, convert: Callable[[Writer], None]) -> Stored:
    """Open the converted copy of a source; convert it first if there is none.

    Args:
        files: What the source consists of.
        kind: The format they are read as: it is part of the key.
        folder: The cache folder; created where it is missing.
        convert: Reads the source into a :class:`Writer` and finishes it.

    Raises:
        InvalidModelError: The source cannot be read as what it is said to be; nothing is kept of it.
    """
    digest = _digest(files, kind, folder)
    target = folder / "words" / digest
    if not (target / "meta.json").is_file():
        make_private_folder(folder)
        make_private_folder(target.parent)
        with Writer(target) as writer:
            convert(writer)
    return _open(target, digest)


class Writer:
    """Takes words and rows one by one, in any number, and keeps about a megabyte of them in memory.

    A word that comes twice keeps its first row; rows that are zero or not finite are left out, as their words are
    unknown in every respect.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._words: dict[str, int] = {}
        self._order: list[int] = []
        self._batch: list[Any] = []
        self._names: list[str] = []
        self._left_out = 0
        self.dimension: int | None = None
        self._sum = np.zeros(0)

    def __enter__(self) -> Writer:
        self._folder = Path(tempfile.mkdtemp(prefix=".new-", dir=self._target.parent))
        self._rows = (self._folder / "vectors.f32").open("wb")
        self._norms = (self._folder / "norms.f32").open("wb")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._rows.close()
        self._norms.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def add(self, word: str, row: Any, position: int | None = None) -> None:
        """Take one word and its row ``[d]``; ``position`` orders the words where the file does not."""
        if word in self._words:
            self._left_out += 1
            return
        self._words[word] = len(self._words)
        self._order.append(len(self._order) if position is None else position)
        self._names.append(word)
        self._batch.append(row)
        if len(self._batch) == _BATCH:
            self._flush()

    def finish(self) -> None:
        """Write what is left and move the finished copy into place."""
        self._flush()
        if not self._words:
            raise InvalidModelError("no word with a vector in it")
        self._rows.close()
        self._norms.close()
        self._sort()
        count = len(self._words)
        average = (self._sum / count).astype(np.float32).tolist()
        meta = {"format": FORMAT, "count": count, "dimension": self.dimension, "average": average}
        (self._folder / "words.json").write_bytes(orjson.dumps(list(self._words)))
        (self._folder / "meta.json").write_bytes(orjson.dumps(meta))
        if self._left_out:
            log.info("%d words left out: repeated, or with a vector that is zero or not finite", self._left_out)
        try:
            self._folder.rename(self._target)
        except OSError:
            if not (self._target / "meta.json").is_file():  # else another process was first, with the same content
                raise

    def _flush(self) -> None:
        if not self._batch:
            return
        try:
            rows = np.array(self._batch, dtype=np.float32)
        except (ValueError, TypeError) as error:
            raise InvalidModelError("vectors of different lengths, or something that is not a number") from error
        if rows.ndim != 2 or rows.shape[1] != (self.dimension or rows.shape[1]) or rows.shape[1] == 0:
            raise InvalidModelError(f"vectors of different lengths: {rows.shape[-1]} and {self.dimension}")
        self.dimension = rows.shape[1]
        norms = np.linalg.norm(rows.astype(np.float64), axis=1)
        keep = np.isfinite(norms) & (norms > 0)
        if not keep.all():
            self._drop(keep)
            rows, norms = rows[keep], norms[keep]
        self._sum = (self._sum if self._sum.size else np.zeros(self.dimension)) + rows.sum(axis=0, dtype=np.float64)
        self._rows.write(rows.tobytes())
        self._norms.write(norms.astype(np.float32).tobytes())
        self._batch, self._names = [], []

    def _drop(self, keep: Iterable[Any]) -> None:
        kept = list(keep)
        start = len(self._order) - len(kept)
        self._order[start:] = [place for place, good in zip(self._order[start:], kept, strict=True) if good]
        for name, good in zip(self._names, kept, strict=True):
            if not good:
                del self._words[name]
                self._left_out += 1

    def _sort(self) -> None:
        """Put rows in the order of their positions where the file had them in another."""
        order = np.argsort(np.asarray(self._order), kind="stable")
        if (order == np.arange(len(order))).all():
            return
        words = list(self._words)
        self._words = {words[i]: row for row, i in enumerate(order)}
        for name, width in (("vectors.f32", self.dimension), ("norms.f32", 1)):
            path = self._folder / name
            old = np.memmap(path, dtype=np.float32, mode="r").reshape(len(order), width or 1)
            with (self._folder / "sorted").open("wb") as out:
                for start in range(0, len(order), _BATCH):
                    out.write(old[order[start : start + _BATCH]].tobytes())
            del old
            (self._folder / "sorted").replace(path)


def _open(folder: Path, digest: str) -> Stored:
    try:
        meta = orjson.loads((folder / "meta.json").read_bytes())
        words: list[str] = orjson.loads((folder / "words.json").read_bytes())
        shape = (meta["count"], meta["dimension"])
        rows = np.memmap(folder / "vectors.f32", dtype=np.float32, mode="r", shape=shape)
        norms = np.memmap(folder / "norms.f32", dtype=np.float32, mode="r", shape=shape[:1])
        average = np.array(meta["average"], dtype=np.float32)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidModelError(
            f"{folder}: the converted copy is damaged; delete this folder to make it anew"
        ) from error
    # As plain arrays: each operation on a memmap would make a memmap of its result.
    return Stored(words, rows.view(np.ndarray), norms.view(np.ndarray), average, digest)


def _digest(files: Sequence[Path], kind: str, folder: Path) -> str:
    """The hash of kind and contents: from the note about unchanged files, else by reading them."""
    resolved = [file.resolve() for file in files]
    stats = [file.stat() for file in resolved]
    state = [[str(f), s.st_size, s.st_mtime_ns, s.st_ino] for f, s in zip(resolved, stats, strict=True)]
    name = hashlib.sha256(orjson.dumps([kind, [str(f) for f in resolved]])).hexdigest()[:32]
    note = folder / "sources" / f"{name}.json"
    if note.is_file() and (known := _read_note(note)).get("state") == state:
        return str(known["digest"])
    digest = hashlib.sha256(f"{FORMAT} {kind}".encode())
    with progress(sum(s.st_size for s in stats), "hashing word vectors", "B") as advance:
        for chunk in _chunks(resolved):
            digest.update(chunk)
            advance(len(chunk))
    found = digest.hexdigest()[:32]
    make_private_folder(folder)
    make_private_folder(note.parent)
    _write_note(note, orjson.dumps({"digest": found, "state": state}))
    return found


def _write_note(note: Path, content: bytes) -> None:
    """Put a note in place under a name of its own first: several processes may write the same one."""
    fd, beside = tempfile.mkstemp(dir=note.parent)
    with os.fdopen(fd, "wb") as out:
        out.write(content)
    Path(beside).replace(note)


def _read_note(note: Path) -> dict[str, Any]:
    try:
        found = orjson.loads(note.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _chunks(files: Iterable[Path]) -> Iterator[bytes]:
    for file in files:
        with file.open("rb") as content:
            while chunk := content.read(_CHUNK):
                yield chunk
