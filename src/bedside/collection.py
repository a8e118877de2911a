"""The collection: documents in, ranked documents out, over one log that is the truth.

``add`` checks, encodes, writes one transaction and lets the index take it over. ``search`` takes over what others
wrote, chooses candidates, ranks them and reads the winners from the log.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from bedside.arguments import check_encoder, check_folder, check_scope_keys, check_seconds
from bedside.engine import Engine
from bedside.errors import InvalidInputError, ScopeMismatch, ScopeRequired
from bedside.index.sparse import SparseIndex
from bedside.maintenance import VerifyReport
from bedside.records import ScopeKey, check_scope
from bedside.remedies import Give
from bedside.store.manifest import EncoderRecord, Manifest, log_name
from bedside.store.storage import DiskStorage, MemoryStorage, Storage
from bedside.text.tokenizer import ClinicalTokenizer
from bedside.types import Encoder
from bedside.verbs import Records

__all__ = ["Collection", "ScopedCollection", "SparseSettings"]


@dataclass(frozen=True)
class SparseSettings:
    """How the sparse half of a new collection works; kept in its manifest.

    Args:
        stem: Reduce English words to their stems ("infarctions" finds "infarction").
        k1: BM25's saturation of repeated terms; 1.2 as in Lucene.
        b: BM25's weight of document length, 0 to 1; 0.75 as in Lucene.
    """

    stem: bool = True
    k1: float = 1.2
    b: float = 0.75

    def to_json(self) -> dict[str, Any]:
        """Return what the manifest keeps; raises :class:`InvalidInputError` where no index could be made of it."""
        index = SparseIndex(self.k1, self.b)
        return {"tokenizer": ClinicalTokenizer(stem=self.stem).settings, "k1": index.k1, "b": index.b}


class Collection(Records):
    """A searchable set of documents, in memory or in a folder.

    Open one with :meth:`open`. Several threads may share it, and several processes may open the same folder.

    Example:
        >>> with Collection.open(scope_keys=["patient_id"]) as notes:
        ...     _ = notes.add([Document("Chest pain.", {"patient_id": "A"}, id="1", vector=[1, 0])])
        ...     [hit.id for hit in notes.scoped(patient_id="A").search(vector=[1, 0])]
        ['1']
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        encoder: Encoder | None = None,
        scope_keys: Sequence[str] = (),
        sparse: SparseSettings | None = None,
        read_only: bool = False,
        lock_timeout: float = 60.0,
    ) -> Collection:
        """Open the collection in a folder, creating it where there is none.

        Args:
            path: The folder; ``None`` keeps everything in memory.
            encoder: Makes vectors of texts. It must be the one the collection was written with. Without it, vectors
                are given by hand, and searches by text alone are sparse.
            scope_keys: Metadata keys that every record must carry and every search must name, such as
                ``["patient_id"]``. Decided when the collection is created; empty later means "as it was created".
            sparse: Tokenizer and BM25 settings of a new collection; ``None`` later means "as it was created".
            read_only: Never write, not even a lock file.
            lock_timeout: Seconds to wait for another process that is writing.

        Raises:
            NotACollectionError: The path holds something else.
            FormatVersionError: It was written in a newer format.
            CorruptLogError: The log is damaged.
            EncoderMismatch: It was written with another encoder.
            ScopeMismatch: It was created with other scope keys.
            InvalidInputError: It was created with other ``sparse`` settings, or an argument is none of the above.
        """
        folder = None if path is None else check_folder(path)
        keys = check_scope_keys(scope_keys)
        check_encoder(encoder)
        check_seconds("lock_timeout", lock_timeout)
        if sparse is not None and not isinstance(sparse, SparseSettings):
            raise InvalidInputError(f"sparse: expected SparseSettings, got {type(sparse).__name__}")
        settings = (sparse or SparseSettings()).to_json()

        def new() -> Manifest:
            known = encoder.dimension if encoder is not None else None
            named = EncoderRecord.of(encoder)
            return Manifest(log_name(1), settings, keys, known if named else None, named if known else None)

        storage: Storage = (
            MemoryStorage(new())
            if folder is None
            else DiskStorage.open(folder, new, read_only=read_only, lock_timeout=lock_timeout)
        )
        try:
            if keys and keys != storage.manifest.scope_keys:
                raise ScopeMismatch(
                    f"scope_keys: the collection was created with {list(storage.manifest.scope_keys)}, got {list(keys)}"
                )
            if sparse is not None and settings != storage.manifest.sparse:
                raise InvalidInputError(
                    f"sparse: the collection was created with {storage.manifest.sparse}, got {settings}"
                )
            return cls(Engine(storage, encoder, read_only=read_only))
        except BaseException:
            storage.close()
            raise

    @classmethod
    @contextmanager
    def filling(cls, path: str | os.PathLike[str], **options: Any) -> Iterator[Collection]:
        """Open a collection for a block that fills it; if the block fails and nothing is in it, it was never there.

        A collection that :meth:`open` created stays, empty, when what was to fill it is refused. Here the folder is
        removed again, unless the collection was there before or another process is writing to it.

        Args:
            path: The folder.
            **options: Those of :meth:`open`.

        Raises:
            BedsideError: Those of :meth:`open`.

        Example:
            >>> import pathlib, tempfile
            >>> folder = pathlib.Path(tempfile.mkdtemp())
            >>> _ = (folder / "notes.jsonl").write_text('{"text": "BP 120/80.", "vector": [0.6, 0.8]}')
            >>> with Collection.filling(folder / "ward") as notes:
            ...     notes.import_from(folder / "notes.jsonl")
            1
        """
        collection = cls.open(path, **options)
        try:
            yield collection
        except BaseException:
            collection._engine.undo_creation()
            raise
        finally:
            collection.close()

    def scoped(self, **scope: str | int) -> ScopedCollection:
        """Return the part of the collection that belongs to one scope, with the same verbs.

        Nothing done through it can see, count, rank by, replace or delete a record of another scope.

        Args:
            **scope: A value for every scope key.

        Raises:
            ScopeRequired: A scope key is not named.
            ScopeMismatch: A name is no scope key, or a value is not a non-empty str or an int.
        """
        return ScopedCollection(self._engine, check_scope(scope, self.scope_keys))

    @property
    def path(self) -> Path | None:
        """The folder, or ``None`` in memory."""
        return self._engine.path

    @property
    def scope(self) -> Mapping[str, str | int]:
        """Empty: a whole collection is bound to no scope."""
        return {}

    def compact(self) -> None:
        """Write a new log that holds only the living records; readers in other processes go on beside it.

        Raises:
            WriteFailedError: The disk refused; the collection is as before.
        """
        self._engine.compact()

    def verify(self) -> VerifyReport:
        """Read every line of the log and hold the index against it.

        Raises:
            CorruptLogError: A line is damaged, missing, doubled or moved; ``bedside repair`` salvages the rest.
        """
        return self._engine.verify()

    def reembed(self, encoder: Encoder, *, batch_size: int = 1_024) -> None:
        """Encode every text with another encoder and make it the collection's, atomically.

        Readers go on with the old vectors until it is done; writers wait. On any error nothing has changed.

        Args:
            encoder: The new encoder.
            batch_size: Texts encoded at once; an encoder batches further by itself.

        Raises:
            InvalidDocumentError: A record has a vector but no text.
            InvalidInputError: ``encoder`` is none.
        """
        if encoder is None:
            raise InvalidInputError("encoder: expected what load_encoder returns, got None")
        check_encoder(encoder)
        self._engine.reembed(encoder, batch_size)

    def copy_to(self, path: str | os.PathLike[str]) -> None:
        """Write all records, of every scope, into a new collection in another folder: a backup, or a way to disk.

        Raises:
            NotACollectionError: The folder is not empty.
            InvalidInputError: ``path`` is no path that a folder can have.
        """
        self._engine.copy_to(check_folder(path))

    def close(self) -> None:
        """Let go of files and memory; later calls raise :class:`CollectionClosedError`. May be called twice."""
        self._engine.close()

    def __len__(self) -> int:
        """Documents in all scopes together."""
        return len(self._engine)

    def __bool__(self) -> bool:
        """True: an empty collection is still a collection."""
        return True

    def __enter__(self) -> Collection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Collection(path={str(self.path) if self.path else None!r}, scope_keys={list(self.scope_keys)})"

    def _scope_key(self) -> ScopeKey:
        if self.scope_keys:
            keys = dict.fromkeys(self.scope_keys, "…")
            raise ScopeRequired("this collection is divided by scope", remedies=[Give("scope", keys)])
        return ()

    def _scope_to_fill(self) -> None:
        return None


class ScopedCollection(Records):
    """One scope of a collection; made by :meth:`Collection.scoped`."""

    def __init__(self, engine: Engine, key: ScopeKey) -> None:
        self._engine = engine
        self._key = key

    @property
    def scope(self) -> Mapping[str, str | int]:
        """The scope keys and their values."""
        return dict(zip(self.scope_keys, self._key, strict=True))

    def __len__(self) -> int:
        return self.count()

    def __bool__(self) -> bool:
        """True: an empty scope is still a scope."""
        return True

    def __repr__(self) -> str:
        return f"ScopedCollection(scope_keys={list(self.scope_keys)})"

    def _scope_key(self) -> ScopeKey:
        return self._key

    def _scope_to_fill(self) -> ScopeKey:
        return self._key
