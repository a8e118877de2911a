"""The collection: documents in, ranked documents out.

The path of the data: ``add`` checks, encodes and hands over; ``search`` checks, encodes, has the engine rank, and reads
the winners. Where records live is the engine's business (:mod:`bedside.engines`).
"""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args, overload

from bedside.arguments import Asked, check_as_created, check_encoder, check_scope_keys, check_selection, check_texts
from bedside.audit.log import AuditLog
from bedside.audit.verbs import MOST, Line, begin_trail, recorded
from bedside.encoding import Encoding, batches_of, check_keeps_nothing, reencoded
from bedside.engines import open_engine, write_new
from bedside.engines.facts import Facts
from bedside.engines.protocol import Answer, Engine, Selection, Upkeep
from bedside.engines.reports import EraseReceipt, VerifyReport, Written
from bedside.errors import (
    AuditError,
    InvalidDocumentError,
    InvalidInputError,
    ScopeMismatch,
    ScopeRequired,
    UnknownScope,
)
from bedside.filters.parse import parse
from bedside.filters.rules import merged_counts
from bedside.filters.validity import moment
from bedside.records import Checker, Record, Rule, ScopeKey, check_scope, with_id
from bedside.remedies import Give
from bedside.search.calibrated import calibrated
from bedside.search.explain import explanation, relevance
from bedside.search.newest import unranked
from bedside.search.options import SearchOptions
from bedside.search.pool import ALONE
from bedside.search.settings import SparseSettings
from bedside.skipping import OnBadDocument, Skipped, skipping
from bedside.support.checks import check_choice, check_flag, check_int, check_key, check_number
from bedside.support.closing import Closing
from bedside.support.keys import KeySource
from bedside.types import Document, Encoder, FilterDict, Hit, Matrix, Metadata, Mode, Vector, VectorLike

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from bedside.analysis.annotate import Annotator
    from bedside.analysis.duplicates import DuplicateGroup
    from bedside.notes.history import Version
    from bedside.notes.notes import NoteChange, NoteHit
    from bedside.search.options import SearchArguments
    from bedside.text.split import NoteSplitter

__all__ = ["Collection", "ScopedCollection", "SparseSettings"]


class Collection(Closing):
    """A searchable set of documents, in memory, in a folder or on a server; or one scope of it, with the same verbs.

    Open one with :meth:`open`. Several threads may share it, and several processes may open the same folder.

    Any verb may raise these errors, and its own description lists only others:

    * :class:`ScopeRequired`: a verb about records, where the collection has scope keys and this is not a scoped view;
    * :class:`ScopeMismatch`: a verb of the whole collection, and this is a scoped view;
    * :class:`FilterError`: the filter does not parse;
    * :class:`ReadOnlyError`, :class:`LockTimeoutError`: nothing may be written, or another process has been writing for
      too long;
    * :class:`WriteFailedError`: the disk refused. Where a verb does not say otherwise, the collection is as before;
    * :class:`CollectionClosedError`: :meth:`close` was called.

    Example:
        >>> with Collection.open(scope_keys=["patient_id"]) as notes:
        ...     _ = notes.add([Document("Chest pain.", {"patient_id": "A"}, id="1", vector=[1, 0])])
        ...     [hit.id for hit in notes.scoped(patient_id="A").search(vector=[1, 0])]
        ['1']
    """

    def __init__(
        self, engine: Engine, encoding: Encoding, scope: ScopeKey | None = None, audit: AuditLog | None = None
    ) -> None:
        self._engine = engine
        self._encoding = encoding
        self._bound = scope
        self._audit = audit  # what records the calls from outside
        self._line: Line | None = None  # of the call that this is a step of

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        encoder: Encoder | None = None,
        scope_keys: Sequence[str] = (),
        sparse: SparseSettings | None = None,
        alpha: float | None = None,
        read_only: bool = False,
        lock_timeout: float = 60.0,
        audit: AuditLog | None = None,
        key: KeySource | None = None,
        row_security: bool = False,
    ) -> Collection:
        """Open the collection in a folder or on a server, creating it if there is none.

        Args:
            path: The folder, or a URL, ``postgresql://user@host/database?collection=ward``; ``None`` keeps everything
                in memory.
            encoder: Makes vectors of texts. It must be the one the collection was written with. Without it, vectors
                are given by hand, and searches by text alone are sparse.
            scope_keys: Metadata keys that every record must carry and every search must name, such as
                ``["patient_id"]``. Decided when the collection is created; empty later means "as it was created".
            sparse: Tokenizer, BM25 and title settings of a new collection; ``None`` later means "as it was created".
            alpha: Weight of the dense half, 0 to 1, in hybrid searches of a new collection that name none. ``None`` is
                the encoder's own, where it has one (0.3 of ``bedside/static``), else 0.6; later it means "as it is",
                and :meth:`set_alpha` changes it.
            read_only: Never write, not even a lock file.
            lock_timeout: Seconds to wait for another process that is writing.
            row_security: In a new collection on a server, let roles other than the owner read only the scopes that
                :meth:`grant` lets them. Decided when the collection is created.
            audit: Records who did what for whose records, in a trail that nobody can edit unseen; see
                :class:`bedside.audit.AuditLog`. What cannot be recorded is not done: without
                :func:`bedside.audit.acting_as`, every verb raises :class:`ActorRequired`.
            key: The master key of an encrypted collection; a collection that is created with one is encrypted. It is 32
                bytes, the *name* of an environment variable (``str``), a key file (``Path``), or a function that asks a
                key service and returns 32 bytes.

        Raises:
            KeyRequired, WrongKeyError, NotEncryptedError: The collection is encrypted and there is no key or another
                one, or it is not encrypted and there is one.
            KeyringError: ``keys.json`` is missing or damaged.
            NotACollectionError: The path holds something else.
            FormatVersionError: It was written in a newer format.
            CorruptLogError: The log is damaged.
            EncoderMismatch: It was written with another encoder.
            ScopeMismatch: It was created with other scope keys.
            InvalidInputError: It has other ``sparse`` settings or another ``alpha``, or an argument is none of these.
        """
        keys = check_scope_keys(scope_keys)
        check_encoder(encoder)
        check_number("lock_timeout", lock_timeout, 0)
        check_number("alpha", alpha, 0, 1, optional=True)
        if sparse is not None and not isinstance(sparse, SparseSettings):
            raise InvalidInputError(f"sparse: expected SparseSettings, got {type(sparse).__name__}")
        settings = (sparse or SparseSettings()).to_json()
        if row_security and not keys:
            raise InvalidInputError("row_security: roles are bound to scopes", remedies=[Give("scope_keys")])
        if audit is not None:
            begin_trail(audit)
        new = partial(Facts.for_new, encoder, sparse=settings, scope_keys=keys, alpha=alpha)
        engine = open_engine(
            path, facts=new, read_only=read_only, lock_timeout=lock_timeout, key=key, row_security=row_security
        )
        try:
            facts = engine.facts
            check_as_created(facts, keys, sparse, alpha)
            if facts.sealed:
                check_keeps_nothing(encoder)
            return cls(engine, Encoding(encoder, lambda: engine.facts), audit=audit)
        except BaseException:
            engine.close()
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
            collection._upkeep("undo_creation").undo_creation()
            raise
        finally:
            collection.close()

    def scoped(self, *, must_exist: bool | str | int = False, **scope: str | int) -> Collection:
        """Return the part of the collection that belongs to one scope, with the same verbs.

        Nothing done through it can see, count, rank by, replace or delete a record of another scope.

        Args:
            must_exist: Refuse a scope that holds no document, such as a patient's number that was mistyped; without
                it, such a scope finds nothing, and the first document may be added to it.
            **scope: A value for every scope key.

        Raises:
            ScopeRequired: A scope key is not named.
            ScopeMismatch: A name is not a scope key, or a value is not a non-empty str or an int.
            UnknownScope: It holds no document, and ``must_exist`` is true.
        """
        check_flag("must_exist", must_exist)  # its type is wider, so that ``**scope`` of a dict passes type checkers
        view = copy.copy(self)
        view._bound = check_scope(scope, self.scope_keys)
        if must_exist and not view.count():
            raise UnknownScope(f"scope: no document has this {' and '.join(self.scope_keys)}")
        return view

    def views(self) -> list[Collection]:
        """Return every scope that holds documents as a scoped view; of a collection without scope keys, itself."""
        return [self.scoped(**scope) for scope, _ in self.scopes()] if self.scope_keys else [self]

    @property
    def scope(self) -> Mapping[str, str | int]:
        """The scope keys and values that every verb is bound to; empty in a whole collection."""
        return {} if self._bound is None else dict(zip(self.scope_keys, self._bound, strict=True))

    @property
    def scope_keys(self) -> tuple[str, ...]:
        """The metadata keys that divide the collection."""
        return self._engine.facts.scope_keys

    @property
    def facts(self) -> Facts:
        """What decides how the collection is read: tokenizer, scope keys, dimension, encoder."""
        return self._engine.facts

    @property
    def path(self) -> Path | None:
        """The folder, or ``None`` in memory and on a server."""
        return self._engine.path

    @property
    def place(self) -> str | None:
        """What opens it again: the folder, or the URL without its password; ``None`` in memory."""
        return self._engine.place

    @property
    def exact(self) -> bool:
        """Whether every search finds the best documents; ``False`` where approximate search was asked for."""
        return self._engine.exact

    @property
    def encoder(self) -> Encoder | None:
        """The text encoder that was given."""
        return self._encoding.encoder

    @property
    def dimension(self) -> int | None:
        """Dimension of the vectors; ``None`` before it is known, 0 where texts are stored without vectors."""
        known = self._engine.facts.dimension
        return known if known is not None or self.encoder is None else self.encoder.dimension

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._engine.closed

    # Writing

    @recorded()
    def add(
        self,
        documents: Iterable[Document | str],
        *,
        on_bad_document: OnBadDocument = "raise",
        skipped: list[Skipped] | None = None,
    ) -> list[str]:
        """Add documents, replacing those whose id is already there, as one transaction.

        Everything is checked, then encoded, then written; on any error nothing has changed. When the call returns,
        the records are on the disk.

        Args:
            documents: Documents or bare texts; any iterable, read once. A text without a vector is encoded. Where one
                is given twice with one id, it is stored once.
            on_bad_document: ``"raise"`` refuses the call because of one document that cannot be stored by itself: no
                text, a lone surrogate, metadata that is not JSON, an id that is not a str, a vector that is not finite.
                ``"skip"`` leaves such ones out. What is wrong with the call (an id for two documents, another scope,
                no encoder, another dimension) is an error either way.
            skipped: A list, to which each document that was left out is added with the reason. Without it, a warning
                counts them.

        Returns:
            The ids of what was not skipped, in the order given; a document without one gets a random one.

        Raises:
            InvalidDocumentError: Id, text or metadata cannot be stored.
            InvalidVectorError: Wrong dimension, not finite, or zero.
            DuplicateIdError: The same id twice in this call, for documents that are not equal.
            ScopeRequired, ScopeMismatch: A record lacks a scope key, or names another scope than this view.
            EncoderRequired: A text without a vector, and no encoder.

        Example:
            >>> notes = Collection.open()
            >>> notes.add([Document("Denies chest pain.", {"section": "ROS"}, id="n1", vector=[0.6, 0.8])])
            ['n1']
            >>> left_out = []
            >>> notes.add([Document(" ", id="n2")], on_bad_document="skip", skipped=left_out)
            []
            >>> left_out[0].index, left_out[0].id, left_out[0].reason.partition(";")[0]
            (0, 'n2', 'text: empty')
        """
        with skipping(on_bad_document, skipped) as left_out:
            checked = self._checker(left_out)(documents)
            if checked.records:
                self._write(checked.records)
            return checked.ids

    @recorded()
    def add_batches(
        self,
        batches: Iterable[Sequence[Document | str]],
        *,
        on_bad_document: OnBadDocument = "raise",
        skipped: list[Skipped] | None = None,
    ) -> int:
        """Add batch after batch of documents as one transaction; returns how many records were stored.

        Memory holds one batch, the ids, and what the index takes. The batches become visible together. Other writers
        wait from the first batch to the last, searches do not. On any error the collection is as before.

        Args:
            batches: Lists of documents; any iterable, read once.
            on_bad_document: As for :meth:`add`.
            skipped: As for :meth:`add`; ``index`` counts through all batches.

        Raises:
            BedsideError: As :meth:`add`; ``documents[i]`` is counted within the batch.
        """
        with skipping(on_bad_document, skipped) as left_out:
            check = self._checker(left_out)
            checked = (check(batch).records for batch in batches)
            return self._engine.write(batches_of(self._announced(checked), self._encoding)).added

    @recorded()
    def replace(
        self,
        documents: Iterable[Document | str],
        *,
        ids: Sequence[str] | None = None,
        filter: FilterDict | None = None,
    ) -> list[str]:
        """Add documents in place of those that ``ids`` and ``filter`` select, in one transaction.

        The new ones are checked and encoded before anything is removed; what is removed is chosen under the lock.

        Returns:
            The ids of what was added, in the order given.

        Raises:
            InvalidInputError: Neither ``ids`` nor ``filter``.
            BedsideError: As :meth:`add`; nothing was removed.
        """
        chosen = self._selection(filter, check_selection("replace", ids, filter))
        checked = self._checker()(documents)
        self._write(checked.records, chosen)
        return checked.ids

    @recorded()
    def update(self, ids: Sequence[str], change: Callable[[Document], Document | None]) -> int:
        """Replace documents by what ``change`` makes of them, in one transaction; returns how many.

        ``change`` sees each as it is under the lock, with its vector, and returns ``None`` to leave it as it is.
        Nothing is encoded: a document whose text changes keeps the vector that it returns.

        Raises:
            BedsideError: As :meth:`add`; nothing was changed.
        """
        selection = self._selection(None, check_selection("update", ids, None))
        self._announce(change=selection)

        def changed(document: Document) -> Record | None:
            new = change(document)
            if new is None:
                return None
            if new.id != document.id:
                raise with_id(
                    InvalidDocumentError("update: the document that change returns must keep its id"), document.id
                )
            return self._checker()([new]).records[0]

        return self._engine.update(selection, changed)

    @recorded()
    def delete(self, ids: Sequence[str] | None = None, *, filter: FilterDict | None = None) -> int:
        """Delete by id, by filter, or what satisfies both; as one transaction.

        The records can no longer be found, but their bytes stay in the log until :meth:`Collection.compact`;
        :meth:`erase` removes them at once.

        Returns:
            How many records were there to delete.

        Raises:
            InvalidInputError: Neither ``ids`` nor ``filter``. ``filter={}`` is everything, omission never is.
        """
        selection = self._selection(filter, check_selection("delete", ids, filter))
        self._announce(remove=selection)
        return self._engine.write([], selection).removed

    @recorded()
    def erase(self, ids: Sequence[str] | None = None, *, filter: FilterDict | None = None) -> EraseReceipt:
        """Delete records and leave no byte of their text, vectors or metadata in any file of the collection.

        The log is rewritten without them, cache and old log are deleted, and then every file in the folder is read in
        search of traces. An encoder that keeps vectors of texts (``cache=``) forgets theirs. What lies outside of the
        folder is outside of this promise: backups and snapshots, copies and exports, other processes' memory, and
        blocks that a file system or a solid-state disk has not yet overwritten.

        Returns:
            A receipt: what was erased, which files were scanned, and for how many traces.

        Raises:
            InvalidInputError: Neither ``ids`` nor ``filter``.
            TracesRemainError: A file still holds traces, such as a damaged log that a repair kept.
        """
        selection = self._selection(filter, check_selection("erase", ids, filter))
        self._announce(remove=selection)
        return self._engine.erase(selection, self._encoding.forget)

    @recorded()
    def shred(self) -> EraseReceipt:
        """Destroy the key of this scope, then erase its records; a verb of a scoped view of an encrypted collection.

        What a backup holds of the scope can be read by nobody from then on, wherever it is, unless an earlier
        ``keys.json`` was kept with it. Put back, its records raise :class:`ShreddedError` until :meth:`compact`.

        Returns:
            As :meth:`erase`.

        Raises:
            ScopeRequired: This is the whole of a divided collection.
            InvalidInputError: The collection has no scope keys: it has one key, which goes with its folder.
            NotEncryptedError: There is no key to destroy; :meth:`erase` removes the records.
            WriteFailedError: The disk refused; where the key was destroyed before, :meth:`compact` does the rest.
        """
        chosen = self._selection(None)
        if not self.scope_keys:
            raise InvalidInputError("shred: destroys the key of one scope, and this collection has no scope keys")
        self._announce(remove=chosen)
        return self._upkept("shred").shred(chosen.scope, self._encoding.forget)

    def check(
        self,
        documents: Iterable[Document | str],
        *,
        on_bad_document: OnBadDocument = "raise",
        skipped: list[Skipped] | None = None,
        rule: Rule | None = None,
    ) -> list[Record]:
        """Check documents as :meth:`add` does, and write nothing; raises what :meth:`add` would.

        Args:
            documents: As for :meth:`add`.
            on_bad_document: As for :meth:`add`.
            skipped: As for :meth:`add`.
            rule: What else must hold of a document; it is given the document and its place, and raises
                :class:`InvalidDocumentError`.
        """
        with skipping(on_bad_document, skipped) as left_out:
            return self._checker(left_out, rule)(documents).records

    # Reading

    @recorded()
    def get(
        self,
        ids: Sequence[str] | None = None,
        *,
        filter: FilterDict | None = None,
        as_of: date | str | None = None,
        limit: int | None = None,
        offset: int = 0,
        include_vectors: bool = False,
    ) -> list[Document]:
        """Return documents.

        Args:
            ids: In the order asked; those that are not there are left out.
            filter: In insertion order; ``{}`` is everything. With ``ids``, both must hold.
            as_of: Only what was valid then, as for :meth:`search`.
            limit: At most so many.
            offset: Skip so many first.
            include_vectors: Fill in ``Document.vector``, float32 ``[d]``, bit for bit as it was given.

        Raises:
            InvalidInputError: Neither ``ids`` nor ``filter``.
        """
        chosen = check_selection("get", ids, filter)
        check_int("limit", limit, optional=True)
        check_int("offset", offset)
        selection = self._selection(filter, chosen, as_of)
        return list(self._engine.read(selection, offset, limit, vectors=include_vectors))

    @recorded(ahead=True)
    def stream(self, *, filter: FilterDict | None = None, include_vectors: bool = False) -> Iterator[Document]:
        """Yield documents one by one in insertion order, as they were when the iteration began.

        Args:
            filter: Only documents that satisfy it.
            include_vectors: Fill in ``Document.vector``.
        """
        return self._engine.read(self._selection(filter), 0, None, vectors=include_vectors)

    @recorded()
    def count(
        self, filter: FilterDict | None = None, *, as_of: date | str | None = None, all_scopes: bool = False
    ) -> int:
        """Count the documents that ``filter`` leaves; all of them without one.

        Args:
            filter: Only documents that satisfy it are counted.
            as_of: Only what was valid then is counted, as for :meth:`search`.
            all_scopes: Count in every scope of a divided collection, which is never done unasked; not in a scoped view.
        """
        if all_scopes:
            self._check_whole("count with all_scopes")
        return self._how_many(filter, as_of, all_scopes=all_scopes)

    @recorded()
    def facets(
        self,
        key: str,
        *,
        filter: FilterDict | None = None,
        as_of: date | str | None = None,
        all_scopes: bool = False,
    ) -> list[tuple[Any, int]]:
        """Count the documents by the values of a metadata key, the most frequent value first.

        Args:
            key: A key, or a dotted path. A list counts once for each of its elements.
            filter: Only documents that satisfy it are counted.
            as_of: As for :meth:`count`.
            all_scopes: As for :meth:`count`.

        Returns:
            Pairs of value and count: ``True`` and ``1`` are two values here and would be one key of a dict.

        Example:
            >>> notes = Collection.open()
            >>> _ = notes.add([Document("a", {"s": "HPI"}), Document("b", {"s": "HPI"}), Document("c", {"s": "ROS"})])
            >>> notes.facets("s")
            [('HPI', 2), ('ROS', 1)]
        """
        check_key("key", key)
        if not all_scopes:
            return self._engine.facets(self._selection(filter, as_of=as_of), key)
        self._check_whole("facets with all_scopes")
        return merged_counts(view.facets(key, filter=filter, as_of=as_of) for view in self.views())

    @recorded(all_scopes=True)
    def scopes(self) -> list[tuple[dict[str, str | int], int]]:
        """Return every scope that holds documents, and how many it holds, in the order of the scopes' values.

        It is a verb of the whole collection: whoever holds it may see whose records there are.

        Example:
            >>> notes = Collection.open(scope_keys=["patient_id"])
            >>> _ = notes.add([Document("BP 120/80.", {"patient_id": "A"})])
            >>> notes.scopes()
            [({'patient_id': 'A'}, 1)]
        """
        self._check_whole("scopes")
        found = sorted(self._engine.scopes(), key=lambda each: [(isinstance(v, str), v) for v in each[0]])
        return [(dict(zip(self.scope_keys, key, strict=True)), count) for key, count in found]

    @recorded(all_scopes=True)
    def cohort(self, query: str | None = None, *, filter: FilterDict | None = None) -> list[tuple[dict[str, Any], int]]:
        """Say which scopes hold documents about something, such as which patients have gout, and how many each holds.

        It is a verb of the whole collection and the only one that asks a question of every scope. It returns scopes and
        counts, no text. A document counts where it holds every word of the query, as BM25 compares words, and does not
        deny it (see ``assertion`` of :meth:`search`): "no gout" is not a document about gout.

        Args:
            query: What must be said; ``None`` where the filter alone decides.
            filter: Only documents that satisfy it count.

        Returns:
            Scopes with their counts, the highest count first, ties in the order of the scopes' values; those without
            any are left out.

        Raises:
            InvalidInputError: Neither ``query`` nor ``filter``, or the collection has no scope keys.

        Example:
            >>> notes = Collection.open(scope_keys=["patient_id"])
            >>> for patient, text in {"A": "Gout of the left toe.", "B": "No gout.", "C": "Asthma."}.items():
            ...     _ = notes.add([Document(text, {"patient_id": patient})])
            >>> notes.cohort("gout")
            [({'patient_id': 'A'}, 1)]
        """
        from bedside.analysis.cohort import cohort

        self._check_whole("cohort")
        return cohort(self, query, filter=filter)

    # Searching

    @overload
    def search(
        self,
        query: str | None = None,
        *,
        vector: Vector | Sequence[float] | None = None,
        **options: Unpack[SearchArguments],
    ) -> list[Hit]: ...

    @overload
    def search(
        self,
        query: list[str] | tuple[str, ...],
        *,
        vectors: Matrix | Sequence[VectorLike] | None = None,
        **options: Unpack[SearchArguments],
    ) -> list[list[Hit]]: ...

    @overload
    def search(
        self, *, vectors: Matrix | Sequence[VectorLike], **options: Unpack[SearchArguments]
    ) -> list[list[Hit]]: ...

    @recorded()
    def search(
        self,
        query: str | list[str] | tuple[str, ...] | None = None,
        *,
        vector: VectorLike | None = None,
        vectors: Matrix | Sequence[VectorLike] | None = None,
        **options: Any,
    ) -> list[Hit] | list[list[Hit]]:
        """Return the best documents for a query, best first, at most ``top_k``.

        Args:
            query: A text, or several for one answer each.
            vector: The query's vector, float32 ``[d]``, instead of encoding the text, or alone.
            vectors: The vectors of several queries, float32 ``[n, d]``, beside their texts or alone; one answer each.
            **options: The fields of :class:`bedside.search.options.SearchOptions`, such as ``top_k=5``,
                ``filter={"section": "HPI"}``, ``mode="sparse"`` or ``explain=True``. ``mode=None`` uses what the
                question offers: hybrid for a text, dense for a vector alone, sparse in a collection without vectors.

        Returns:
            Hits, or a list of hits for each of several texts or vectors. Ties go to the earlier document.

        Raises:
            InvalidInputError: An argument is out of its range, or the mode needs what was not given or is not stored.
            InvalidVectorError: A query's vector has the wrong dimension or shape, is not finite, or zero.
            EncoderRequired: A text must be encoded and there is no encoder.
            NotCalibratedError: ``min_score="calibrated"``, and no threshold is kept for searches in this mode.

        Example:
            >>> notes = Collection.open()
            >>> _ = notes.add([Document("BP 120/80", vector=[1, 0]), Document("BP 160/95", vector=[0, 1])])
            >>> [hit.text for hit in notes.search("160/95", mode="sparse")]
            ['BP 160/95']
        """
        asked = Asked.of(query, vector, vectors, self.dimension)
        if options.get("mode") is None:
            options = {**options, "mode": self.natural_mode(asked.texts, asked.vectors)}
        facts = self.facts
        how = calibrated(SearchOptions.of(options, default_alpha=facts.weight), "search", facts.min_scores)
        selection = self._selection(how.filter, how.ids, how.as_of)
        if asked.is_empty:
            return []
        asked.check_enough_for(how.halves)
        answers = self._encoding.with_current(lambda: self._ask(selection, how, asked.texts, asked.vectors))
        hits = [self._hits(how, answer) for answer in answers]
        return hits[0] if asked.one else hits

    @recorded()
    def filtered(self, **options: Unpack[SearchArguments]) -> list[Document]:
        """Return what a search with these options may find, unranked: what is asked where there is no question.

        It is how self-query retrievers ask for "everything from 2022". Nothing is returned where no filter and no ids
        restrict, as no question asks for everything; that is :meth:`get` with ``filter={}``.

        Args:
            **options: Those of :meth:`search`. ``filter``, ``ids``, ``as_of``, ``latest_by``, ``newest_first``,
                ``group_by``, ``top_k`` and ``offset`` count; the others are about ranking, and are only checked.

        Returns:
            Documents in insertion order, or in that which the options ask for.

        Raises:
            InvalidInputError: An option is out of its range.

        Example:
            >>> notes = Collection.open()
            >>> _ = notes.add([Document("BP 120/80.", {"year": 2021}), Document("BP 160/95.", {"year": 2022})])
            >>> [document.text for document in notes.filtered(filter={"year": 2022})]
            ['BP 160/95.']
        """
        asked = SearchOptions.of(options)
        selection = self._selection(asked.filter, asked.ids, asked.as_of)
        if selection.node is None and selection.ids is None:
            return []
        if not (asked.latest_by or asked.newest_first or asked.group_by):
            return list(self._engine.read(selection, asked.offset, asked.top_k, vectors=False))
        return unranked(asked, list(self._engine.read(selection, 0, None, vectors=False)))[asked.offset : asked.depth]

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        """Encode questions with the collection's encoder: float32 ``[n, d]``.

        Raises:
            EncoderRequired: The collection was opened without an encoder.
        """
        return self._encoding.queries(check_texts(texts))

    def natural_mode(self, texts: Sequence[str], vectors: Matrix | None = None) -> Mode:
        """Return the mode of a search that names none: what the question and the collection offer.

        Raises:
            EncoderMismatch: The collection holds texts without vectors, and was opened with an encoder.
        """
        self._check_scoped()  # whose records are meant comes before how they are ranked
        if not texts:
            return "dense"
        if self.dimension == 0:
            self._encoding.check_used()
            return "sparse"
        is_sparse = self.dimension is None and vectors is None and self.encoder is None
        return "sparse" if is_sparse else "hybrid"

    # What is built on these verbs: it stands above this module, so each verb imports it when it is called

    @recorded()
    def duplicates(self, threshold: float = 0.8, *, filter: FilterDict | None = None) -> list[DuplicateGroup]:
        """Return groups of documents whose texts are nearly the same, such as notes that were copied forward.

        Args:
            threshold: Least Jaccard similarity of the texts' five-word shingles, 0 to 1.
            filter: Only documents that satisfy it are compared.

        Raises:
            MissingExtraError: ``bedside[cluster]`` is not installed.
        """
        from bedside.analysis.duplicates import duplicates

        return duplicates(self, threshold=threshold, filter=filter)

    @recorded()
    def annotate(
        self,
        task: Annotator | Callable[..., Any],
        *,
        key: str,
        filter: FilterDict | None = None,
        **options: Any,
    ) -> int:
        """Predict labels, entities, answers or relations and write them into the metadata, as one transaction.

        Texts, ids and vectors stay as they are, bit for bit, and nothing is encoded. In the order of insertion the
        records count as added now. One that another writer changed or deleted while the task predicted is left out.

        Args:
            task: What :func:`bedside.tuning.load_task` opened, any object with ``predict(texts, **options)`` and
                ``as_metadata(result, key)``, or a function of one text, whose result stands under ``key``.
            key: The metadata key to write: a label, or an object of texts by entity type (or relation), so that
                ``{"findings.Problem": "chest pain"}`` filters. ``key_score`` or ``key_spans`` hold the rest. What
                stands there is replaced.
            filter: Only documents that satisfy it are annotated; those without text never are.
            **options: Handed to ``predict``, such as ``question=`` or ``entities=``.

        Returns:
            How many documents were annotated.

        Raises:
            InvalidInputError: The key is empty, or one that divides the collection by scope.
        """
        from bedside.analysis.annotate import annotate

        return annotate(self, task, key=key, filter=filter, **options)

    @recorded()
    def add_note(
        self,
        text: str,
        *,
        id: str,
        metadata: Metadata | None = None,
        splitter: NoteSplitter | None = None,
        supersedes: str | Sequence[str] | None = None,
    ) -> NoteChange:
        """Add one note, or replace the one with its id; see :meth:`add_notes`.

        ``supersedes`` is the id, or the ids, of the notes that it replaces in searches with ``as_of``.

        Example:
            >>> notes = Collection.open()
            >>> notes.add_note("HPI: Cough for 3 days. PLAN: Rest.", id="visit-1")
            'added'
            >>> [(hit.id, hit.passages[0].metadata["section"]) for hit in notes.search_notes("cough")]
            [('visit-1', 'HPI')]
        """
        links = None if supersedes is None else {id: supersedes}
        return self.add_notes([Document(text, metadata or {}, id)], splitter=splitter, supersedes=links)[id]

    @recorded()
    def add_notes(
        self,
        notes: Iterable[Document],
        *,
        splitter: NoteSplitter | None = None,
        on_bad_document: OnBadDocument = "raise",
        skipped: list[Skipped] | None = None,
        supersedes: Mapping[str, str | Sequence[str]] | None = None,
    ) -> dict[str, NoteChange]:
        """Split notes into passages and add these, replacing notes whose ids are already there, as one transaction.

        A note with the text, metadata and splitter that it had is left as it is, and nothing of it is encoded. What
        is new is encoded before anything is replaced. Each passage carries the note's metadata and ``source_id``,
        ``start``, ``end``, ``section``, ``section_kind`` and ``source_hash``; see :mod:`bedside.notes.notes`.

        Args:
            notes: Documents with an id and without a vector; any iterable, read once.
            splitter: How they are cut; ``None`` makes passages of up to 256 of the encoder's own tokens that go by
                section and sentence and overlap by 32.
            on_bad_document: ``"raise"`` refuses all notes because of one that cannot be stored, ``"skip"`` leaves it
                out; see :meth:`add`.
            skipped: A list, to which each note that was left out is added with the reason.
            supersedes: By the ids of some of the notes, the id or ids of those that they replace in searches with
                ``as_of``. It becomes their metadata ``supersedes``, which may be given there as well.

        Returns:
            ``"added"``, ``"replaced"`` or ``"unchanged"`` for each id that was not skipped.

        Raises:
            InvalidDocumentError: A note has no id, no text but white space, a vector, or a passage's metadata key; or
                a record that is not a passage has an id that a passage needs.
            DuplicateIdError: The same id twice in this call, for notes that are not equal.
        """
        from bedside.notes.notes import add_notes

        return add_notes(self, notes, splitter, on_bad_document=on_bad_document, skipped=skipped, supersedes=supersedes)

    @recorded()
    def get_note(self, id: str) -> Document | None:
        """Return a note as it was added, its text character for character, or None if there is none.

        Raises:
            BrokenNoteError: Passages of it were deleted or replaced one by one.
        """
        from bedside.notes.notes import get_note

        return get_note(self, id)

    @recorded()
    def history(self, id: str) -> list[Version]:
        """Return the versions that a note, or a record, is linked with by ``supersedes``, itself among them.

        The newest is the first: none comes before one that supersedes it, and the later ``valid_from`` is before the
        earlier. An id that is not there has no versions, and of a circle each member is listed once.

        Example:
            >>> notes = Collection.open()
            >>> _ = notes.add([Document("Fluids 30 ml/kg.", id="v1"), Document("Fluids.", {"supersedes": "v1"}, "v2")])
            >>> [(version.id, version.superseded_by) for version in notes.history("v1")]
            [('v2', ()), ('v1', ('v2',))]
        """
        from bedside.notes.history import history

        return history(self, id)

    @recorded()
    def delete_note(self, id: str) -> bool:
        """Delete a note with all of its passages, as :meth:`delete` does; says whether there was one."""
        from bedside.notes.notes import delete_note

        return delete_note(self, id)

    @recorded()
    def search_notes(
        self,
        query: str,
        *,
        vector: Vector | Sequence[float] | None = None,
        **options: Unpack[SearchArguments],
    ) -> list[NoteHit]:
        """Return the best notes for a query, best first, each with its passages.

        A note's score is ``alpha`` times the cosine of its best passage plus ``1 - alpha`` times the BM25 score of all
        its passages together, as a share of the highest that any note could have. Other records are never found.

        Args:
            query: The question.
            vector: The query's vector, float32 ``[d]``, instead of encoding the question.
            **options: Those of :meth:`search` but ``group_by`` and ``as_one``. Here they are about whole notes:
                ``top_k`` and ``offset`` count notes, ``ids`` are ids of notes, ``min_score`` is a note's,
                ``diversity`` compares their best passages, and of ``assertion`` a note contradicts the question
                where all its passages together do. ``filter`` sees the note's metadata and the passage's, such as
                ``section``: only passages that satisfy it count and come back. ``explain=True`` explains each note.

        Raises:
            InvalidInputError: An argument is out of its range, or none of these.
            EncoderRequired: The question must be encoded and there is no encoder.
            NotCalibratedError: ``min_score="calibrated"``, and no threshold is kept for notes in this mode.
        """
        from bedside.notes.notes import search_notes

        return search_notes(self, query, vector=vector, **options)

    @recorded(ahead=True)
    def export(
        self,
        path: str | os.PathLike[str],
        *,
        format: str | None = None,
        filter: FilterDict | None = None,
        include_vectors: bool = False,
        all_scopes: bool = False,
        **options: Any,
    ) -> int:
        """Write records to a file, one by one, in insertion order; returns how many.

        The file holds text in the clear, is readable by its owner only, and appears whole or not at all: it is written
        in a hidden folder beside it, which only a killed process leaves there.

        Args:
            path: The file; what is there is replaced.
            format: ``"json"``, ``"jsonl"``, ``"csv"``, ``"parquet"``, ``"arrow"``, ``"numpy"``, ``"vectra"``,
                ``"langchain"``, or ``"web"``, a page that searches in a browser; ``None`` goes by the suffix.
            filter: Only records that satisfy it.
            include_vectors: Write vectors too, bit for bit. Not by default: much of a text can be guessed from its
                vector.
            all_scopes: Write every scope of a collection that has scope keys, which is never done unasked.
            **options: Those of the format: ``title=``, ``encoder=`` and ``passphrase=`` of ``"web"``.

        Raises:
            InvalidInputError: The format is unknown, only read, has no such option, or holds vectors and they were not
                asked for.
            MissingExtraError: Parquet or Arrow without ``bedside[arrow]``, a passphrase without ``bedside[crypto]``.
            WriteFailedError: The disk refused; what was there before is there still.

        Example:
            >>> import tempfile, pathlib
            >>> notes, copy = Collection.open(), Collection.open()
            >>> _ = notes.add([Document("BP 120/80", {"age": 71}, id="n1")])
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     file = pathlib.Path(folder, "notes.csv")
            ...     notes.export(file), copy.import_from(file)
            (1, 1)
        """
        from bedside.formats.exchange import export_records

        return export_records(
            self,
            path,
            format=format,
            filter=filter,
            include_vectors=include_vectors,
            all_scopes=all_scopes,
            **options,
        )

    @recorded()
    def import_from(
        self,
        path: str | os.PathLike[str],
        *,
        format: str | None = None,
        on_bad_document: OnBadDocument = "raise",
        skipped: list[Skipped] | None = None,
        **options: Any,
    ) -> int:
        """Add the records of a file or of another program's store, as one transaction; returns how many.

        Records are read, checked, encoded and written 1,000 at a time, and become visible together: whatever goes wrong
        on the way, a damaged record at the end, a full disk or a killed process, the collection is as before. So no
        second reading is needed to check first. Other writers wait until it is done; searches do not.

        Args:
            path: The file or folder.
            format: A name of :data:`bedside.formats.FORMATS`; ``None`` goes by the content.
            on_bad_document: As for :meth:`add`. A file that is damaged is an error either way.
            skipped: As for :meth:`add`; ``index`` is the record's number in the file, from 0.
            **options: Those of the store's reader, such as ``text_key=`` or ``allow_pickle=``.

        Raises:
            UnreadableFileError: Damaged, cut off or of no known format; names file and line or record.
            InvalidDocumentError, InvalidVectorError, DuplicateIdError: A record cannot be stored; names the record.
            ScopeRequired, ScopeMismatch: A record lacks a scope key, or names another scope than this view.
            EncoderRequired: Records without vectors, a collection with vectors, and no encoder.
            MissingExtraError: The format's library is not installed.
        """
        from bedside.formats.exchange import import_records

        return import_records(self, path, format=format, on_bad_document=on_bad_document, skipped=skipped, **options)

    # Looking after the whole collection

    @recorded()
    def compact(self) -> None:
        """Write a new log that holds only the living records; readers in other processes go on beside it."""
        self._upkeep("compact").compact()

    @recorded()
    def index(self) -> None:
        """Make the index of approximate search, on a server: for collections opened with ``?approximate=400``.

        It takes minutes for a million vectors, in which other writers wait. It is dropped where the dimension of the
        vectors changes, and by :meth:`reembed`.

        Raises:
            InvalidInputError: The collection is in a folder or in memory, or holds no vectors.
        """
        self._upkeep("index").index()

    @recorded()
    def grant(self, role: str) -> None:
        """Let a login role of the database read this scope's records, and no others, whatever SQL it sends.

        Only on a server, in a collection that was created with ``row_security=True``, by the owner of its tables. It
        may be called for several scopes, such as the patients of a ward, and for a role that others are members of.

        Args:
            role: Its name; the role must be there. It can read, not write.

        Raises:
            ScopeRequired: This is the whole collection: to read all of it, a role must be a member of the owner.
            InvalidInputError: The collection has no row-level security, or nothing binds the role.
        """
        scope = self._scope_for("grant", role)
        self._upkept("grant").grant(scope, role)

    @recorded()
    def revoke(self, role: str) -> None:
        """Take back :meth:`grant`; nothing happens where there was none."""
        scope = self._scope_for("revoke", role)
        self._upkept("revoke").revoke(scope, role)

    def _scope_for(self, verb: str, role: str) -> ScopeKey:
        """Return the scope that a verb binds a role to."""
        check_key("role", role)
        self._check_scoped()
        if self._bound is None:
            raise InvalidInputError(f"{verb}: a role is bound to scopes, and this collection has no scope keys")
        return self._bound

    @recorded()
    def verify(self) -> VerifyReport:
        """Read every line of the log, hold the index against it, and read the cache.

        The report also tells of ``supersedes`` that name nothing or lead in a circle, and of bounds that are no dates.

        Raises:
            CorruptLogError: A line is damaged, missing, doubled or moved; ``bedside repair`` salvages the rest.
            CorruptCacheError: A file of the cache is damaged, and the log is whole: nothing is lost, and no search went
                by it; ``compact`` writes it anew.
        """
        return self._upkeep("verify").verify()

    @recorded()
    def reembed(self, encoder: Encoder, *, batch_size: int = 1_024) -> None:
        """Encode every text with another encoder and make it the collection's, atomically.

        Readers go on with the old vectors until it is done; writers wait. On any error nothing has changed. The weight
        of the dense half becomes the new encoder's own: what :meth:`set_alpha` set was chosen for the old vectors, and
        so was what :meth:`set_min_score` set for dense and hybrid searches, which is forgotten.

        Args:
            encoder: The new encoder.
            batch_size: Texts encoded at once; an encoder batches further by itself.

        Raises:
            InvalidDocumentError: A record has a vector but no text.
            InvalidInputError: ``encoder`` is None.
        """
        if encoder is None:
            raise InvalidInputError("encoder: expected what load_encoder returns, got None")
        check_encoder(encoder)
        check_int("batch_size", batch_size, 1)
        if self._engine.facts.sealed:
            check_keeps_nothing(encoder)
        self._upkeep("reembed").reembed(
            lambda records: reencoded(records, encoder, batch_size, self.facts.title),
            encoder,
            lambda: self._encoding.use(encoder),
        )

    @recorded()
    def set_alpha(self, alpha: float | None) -> None:
        """Note the weight of the dense half that hybrid searches have which name none.

        :func:`bedside.evaluation.tune_search` finds one for your texts and questions. Vectors and texts stay as they
        are; scores change, and with them what a ``min_score`` means: one that was calibrated for hybrid searches is
        forgotten. Other processes that have the collection open go by it from their second search on.

        Args:
            alpha: 0 (BM25 alone) to 1 (vectors alone); ``None`` is 0.6.

        Example:
            >>> notes = Collection.open()
            >>> notes.set_alpha(0.4)
            >>> notes.facts.weight
            0.4
        """
        check_number("alpha", alpha, 0, 1, optional=True)
        self._upkeep("set_alpha").set_alpha(None if alpha is None else float(alpha))

    @recorded()
    def set_min_score(self, min_score: float | None, *, mode: Mode, notes: bool = False) -> None:
        """Note the score below which a hit is no answer: what ``min_score="calibrated"`` stands for.

        :func:`bedside.evaluation.choose_threshold` measures one from your questions, and notes it by this verb. It is
        forgotten when the scores change: by :meth:`reembed` in dense and hybrid searches, by :meth:`set_alpha` in
        hybrid ones. :meth:`copy_to` takes it along.

        Args:
            min_score: The score; ``None`` forgets it.
            mode: Of the searches that it is for: their scores are on different scales.
            notes: Whether it is for :meth:`search_notes`, whose scores are those of whole notes, or for :meth:`search`.

        Raises:
            InvalidInputError: The score is no finite number, or there is no such mode.

        Example:
            >>> notes = Collection.open()
            >>> _ = notes.add([Document("Cough.", vector=[1, 0]), Document("Gout.", vector=[0.6, 0.8])])
            >>> notes.set_min_score(0.7, mode="dense")
            >>> [hit.text for hit in notes.search(vector=[1, 0], min_score="calibrated")]
            ['Cough.']
        """
        check_number("min_score", min_score, optional=True)
        if min_score is not None and not math.isfinite(min_score):
            raise InvalidInputError(f"min_score: expected a finite number, got {min_score}")
        check_choice("mode", mode, get_args(Mode))
        check_flag("notes", notes)
        verb = "search_notes" if notes else "search"
        self._upkeep("set_min_score").set_min_score(verb, mode, None if min_score is None else float(min_score))

    @recorded(all_scopes=True)
    def copy_to(self, path: str | os.PathLike[str]) -> None:
        """Write all records, of every scope, into a new collection elsewhere: a backup, or a way to disk or a server.

        The copy has the records in their order, vectors bit for bit, scope keys, settings and encoder. It is there
        wholly or not at all. That of an encrypted collection is encrypted with the same key, and has data keys of its
        own: shred a scope in both.

        Args:
            path: A new or empty folder, or the URL of a collection that is not there yet (``postgresql://…``).

        Raises:
            NotACollectionError: The folder is not empty, or the URL has a collection already.
            InvalidDocumentError: PostgreSQL cannot hold a record.
            InvalidInputError: The collection is encrypted, and a URL was given: there the copy would be in the clear.
            InvalidInputError: ``path`` is not a path that a folder can have.

        Example:
            >>> import pathlib, tempfile
            >>> notes = Collection.open()
            >>> _ = notes.add([Document("BP 120/80.", vector=[0.6, 0.8])])
            >>> folder = pathlib.Path(tempfile.mkdtemp()) / "copy"
            >>> notes.copy_to(folder)
            >>> len(Collection.open(folder, read_only=True))
            1
        """
        self._upkeep("copy_to").copy_to(partial(write_new, path))

    @recorded()
    def encrypt(self, key: KeySource) -> None:
        """Encrypt a collection: every record is sealed into a new log, atomically, and so is what comes.

        Readers go on until it is done; other processes that have it open are then asked for the key. The old log is
        deleted, and its blocks stay on the disk until something else is written there.

        Args:
            key: As in :meth:`open`.

        Raises:
            InvalidInputError: The key is none, the collection is encrypted, or it lives in memory or on a server.
            MissingExtraError: ``bedside[crypto]`` is not installed.
        """
        check_keeps_nothing(self.encoder)
        self._upkeep("encrypt").encrypt(key)

    @recorded()
    def rekey(self, key: KeySource) -> None:
        """Wrap the data keys by another master key; the log stays as it is.

        Other processes need the new key from their next write on. Whoever has the old key and an old ``keys.json``
        can still read what they could read before.

        Raises:
            NotEncryptedError: There is no key to change.
            InvalidInputError: The key is none.
        """
        self._upkeep("rekey").rekey(key)

    @recorded(ahead=True, all_scopes=True)
    def drop(self) -> None:
        """Remove the whole collection, every scope of it, and close; in its folder what is not its own stays.

        Bytes are deleted and not overwritten, and backups keep theirs: see :meth:`erase`. Another process that has it
        open is told with its next call.

        Raises:
            WriteFailedError: The disk refused; some files may be there still.

        Example:
            >>> import pathlib, tempfile
            >>> folder = pathlib.Path(tempfile.mkdtemp()) / "ward"
            >>> Collection.open(folder).drop()
            >>> folder.exists()
            False
        """
        self._upkeep("drop").drop()

    def close(self) -> None:
        """Let go of files and memory; later calls raise :class:`CollectionClosedError`. May be called twice."""
        self._check_whole("close")
        self._engine.close()

    @recorded("count")
    def __len__(self) -> int:
        """Documents in all scopes together; in a scoped view those of its scope."""
        return self._how_many(None, all_scopes=self._bound is None and bool(self.scope_keys))

    def __bool__(self) -> bool:
        """True: an empty collection is still a collection."""
        return True

    @recorded("contains")
    def __contains__(self, id: object) -> bool:
        return isinstance(id, str) and self._engine.count(self._selection(None, (id,))) > 0

    def __iter__(self) -> Iterator[Document]:
        """Yield the documents in insertion order, as they were when the iteration began."""
        return self.stream()

    def __repr__(self) -> str:
        if self._bound is not None:  # without the scope's value, which may be a patient's
            return f"Collection(scope_keys={list(self.scope_keys)}, scoped)"
        return f"Collection(path={self.place!r}, scope_keys={list(self.scope_keys)})"

    # The few steps that the verbs share

    def _selection(
        self, filter: FilterDict | None, ids: Sequence[str] | None = None, as_of: date | str | None = None
    ) -> Selection:
        """Return which records are meant; raise :class:`ScopeRequired` where the scope is not said."""
        if self._audit is not None:
            raise AuditError("records are read by a verb that is not recorded")
        self._check_scoped()
        return Selection(self._bound or (), parse(filter), None if ids is None else tuple(ids), _until(as_of))

    def _check_scoped(self) -> None:
        if self._bound is None and self.scope_keys:
            keys = dict.fromkeys(self.scope_keys, "…")
            raise ScopeRequired("this collection is divided by scope", remedies=[Give("scope", keys)])

    def _how_many(self, filter: FilterDict | None, as_of: date | str | None = None, *, all_scopes: bool) -> int:
        """Count what a filter and a day leave, in every scope where all are meant."""
        if all_scopes and filter is None and as_of is None:
            return sum(count for _, count in self._engine.scopes())
        if not all_scopes:
            self._check_scoped()
        until = _until(as_of)
        scopes = [scope for scope, _ in self._engine.scopes()] if all_scopes else [self._bound or ()]
        return sum(self._engine.count(Selection(scope, parse(filter), as_of=until)) for scope in scopes)

    def _within(self, line: Line) -> Collection:
        """Return this collection as a verb that is recorded works on it: what it calls is not a line of its own."""
        step = copy.copy(self)
        step._audit, step._line = None, line
        return step

    def _announce(
        self, records: Sequence[Record] = (), remove: Selection | None = None, change: Selection | None = None
    ) -> None:
        """Record what is about to be put, removed and changed; what cannot be recorded is not done."""
        if self._line is None:
            return
        self._note(records)
        if change is not None:
            self._line.tells("count", self._engine.count(change), change.ids or ())
        if remove is not None:
            gone = self._engine.read(remove, 0, MOST, vectors=False) if remove.ids is None else ()
            self._line.tells("removed", self._engine.count(remove), (str(document.id) for document in gone))
        self._line.write(durable=True)

    def _announced(self, batches: Iterable[list[Record]]) -> Iterator[list[Record]]:
        """Yield lists of records; when there are no more they are recorded, and none is committed before."""
        for records in batches:
            self._note(records)
            yield records
        self._announce()

    def _note(self, records: Sequence[Record]) -> None:
        """Have the line tell of records that will be put."""
        if self._line is not None and records:
            found = {record.scope for record in records} if self._bound is None and self.scope_keys else ()
            scopes = (dict(zip(self.scope_keys, scope, strict=True)) for scope in found)
            self._line.tells("count", len(records), (record.id for record in records), scopes)

    def _checker(self, skipped: list[Skipped] | None = None, rule: Rule | None = None) -> Checker:
        """Return what turns the documents of one call into records, in the view's scope where there is one."""
        return Checker(self.scope_keys, self._bound, skipped, rule)

    def _write(self, records: list[Record], remove: Selection | None = None) -> None:
        """Encode and write, in place of what ``remove`` selects."""

        def write() -> Written:
            batch = self._encoding.batch(records)
            self._announce(records, remove)
            return self._engine.write([batch], remove)

        self._encoding.with_current(write)

    def _ask(
        self, selection: Selection, options: SearchOptions, texts: Sequence[str], vectors: Matrix | None
    ) -> list[Answer]:
        """Encode the questions where the mode has a dense half, and have the engine rank."""
        if vectors is None and options.halves != "sparse":
            vectors = self._encoding.queries(texts)
        return self._engine.search(selection, options, self._encoding.questions(texts, vectors))

    def _hits(self, options: SearchOptions, answer: Answer) -> list[Hit]:
        """Read the documents of an answer's rows."""
        pool, question = answer.pool, answer.question
        cosines, matches = (None if each is None else each.tolist() for each in (answer.cosines(), answer.matches()))
        scores, relevances = pool.scores.tolist(), relevance(options, question, pool).tolist()
        hits = []
        for i, (row, document) in enumerate(zip(pool.rows.tolist(), answer.documents(), strict=True)):
            cosine, bm25 = None if cosines is None else cosines[i], None if matches is None else matches[i]
            why = explanation(options, question, pool, i, cosine, bm25, self.scope) if options.explain else None
            hits.append(Hit(document, scores[i], cosine, bm25, relevances[i], why, *pool.copies.get(row, ALONE)))
        return hits

    def _check_whole(self, verb: str) -> None:
        if self._bound is not None:
            raise ScopeMismatch(f"{verb}: is a verb of the whole collection, and this is one scope of it")

    def _upkeep(self, verb: str) -> Upkeep:
        """Return the engine for a verb that looks after all of it."""
        self._check_whole(verb)
        return self._upkept(verb)

    def _upkept(self, verb: str) -> Upkeep:
        """Return the engine for a verb that not every engine has; the call is recorded before it is made."""
        if not hasattr(self._engine, verb):
            raise InvalidInputError(f"{verb}: the engine of this collection has no such verb")
        if self._line is not None:
            self._line.tells("count", self._how_many(None, all_scopes=bool(self.scope_keys)))
            self._line.write(durable=True)
        return cast(Upkeep, self._engine)


ScopedCollection = Collection
"""The name that release 0.1 had for a collection bound to a scope."""


def _until(as_of: date | str | None) -> datetime | None:
    return None if as_of is None else moment(as_of)
