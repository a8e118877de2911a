"""What a collection asks of the place it lives in: the protocols that every engine answers, and their words.

An engine stores checked records and finds them again. Everything that does not depend on where they lie stands above
it, once: checking, encoding, and what is built on the verbs. The ranking stands above it too; an engine hands
:func:`bedside.search.stages.answer` the candidates of a search. ``tests/engines`` says what an engine must do.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from bedside.errors import EncoderMismatch, EncoderRequired, InvalidVectorError
from bedside.filters.tree import Node
from bedside.records import Record, ScopeKey, with_id
from bedside.remedies import Give, GiveEach
from bedside.search.options import DEFAULT_ALPHA, SearchOptions
from bedside.search.pool import Pool, Question, Signal
from bedside.search.rank import Scores
from bedside.search.versions import VersionProblem
from bedside.support.checks import check_number
from bedside.support.keys import KeySource
from bedside.types import Document, Encoder

F = TypeVar("F", bound="Facts")


@dataclass(frozen=True)
class Selection:
    """Which records a verb is about: those of a scope that were valid at a time and that a filter and ids both leave.

    Attributes:
        scope: The scope; ``()`` in a collection without scope keys.
        node: The filter; ``None`` leaves all.
        ids: The ids; ``None`` leaves all.
        as_of: The first moment after the one asked about (:mod:`bedside.filters.validity`); ``None`` leaves all.
            Statistics are those of what scope and time leave, as if there were nothing else.
    """

    scope: ScopeKey
    node: Node | None = None
    ids: tuple[str, ...] | None = None
    as_of: datetime | None = None


@dataclass(frozen=True)
class EncoderRecord:
    """The encoder whose vectors a collection holds."""

    name: str
    fingerprint: str

    @classmethod
    def of(cls, encoder: Encoder | None) -> EncoderRecord | None:
        """Return the record of an encoder, or None for one that cannot name itself."""
        if encoder is None or encoder.fingerprint is None:
            return None
        return cls(encoder.name, encoder.fingerprint)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What decides how a collection is read.

    Attributes:
        sparse: Tokenizer and BM25 settings.
        scope_keys: Metadata keys that divide the collection, in order.
        dimension: Of its vectors; ``None`` before the first record, 0 for a collection of texts without vectors.
        encoder: ``None`` where vectors were given by hand or by an encoder that cannot name itself.
        alpha: Weight of the dense half of a hybrid search that names none; ``None`` is 0.6.
        id: Of this collection, for caches and receipts; it says nothing about its content.
        sealed: Whether everything that is written is encrypted.
        min_scores: Below which score a hit is no answer, by verb and mode, where that was measured; see
            :func:`bedside.evaluation.choose_threshold`. Each goes when the scores that it was measured by change.
    """

    sparse: Mapping[str, Any]
    scope_keys: tuple[str, ...] = ()
    dimension: int | None = None
    encoder: EncoderRecord | None = None
    alpha: float | None = None
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    sealed: bool = False
    min_scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def title(self) -> str | None:
        """The metadata key that holds titles; ``None`` where titles are not read."""
        title: str | None = self.sparse.get("title")
        return title

    @property
    def weight(self) -> float:
        """The weight of the dense half where a search names none."""
        return DEFAULT_ALPHA if self.alpha is None else self.alpha

    def with_alpha(self: F, alpha: float | None) -> F:
        """Return the facts with another weight of the dense half."""
        return replace(self, alpha=alpha, min_scores=self._min_scores_but("hybrid"))

    def with_encoder(self: F, encoder: EncoderRecord | None, dimension: int | None, alpha: float | None) -> F:
        """Return the facts with other vectors."""
        kept = self._min_scores_but("dense", "hybrid")
        return replace(self, encoder=encoder, dimension=dimension, alpha=alpha, min_scores=kept)

    def with_min_score(self: F, verb: str, mode: str, min_score: float | None) -> F:
        """Return the facts with the least score of an answer of this verb in this mode, or without one."""
        own = {**self.min_scores.get(verb, {}), mode: min_score}
        known = {**self.min_scores, verb: {name: score for name, score in own.items() if score is not None}}
        return replace(self, min_scores=known)

    def _min_scores_but(self, *modes: str) -> dict[str, dict[str, float]]:
        return {
            verb: {mode: score for mode, score in known.items() if mode not in modes}
            for verb, known in self.min_scores.items()
        }

    def of_a_copy(self) -> Facts:
        """Return the facts of another collection with the same records."""
        return Facts(**{each.name: getattr(self, each.name) for each in fields(Facts) if each.name != "id"})

    def check_encoder(self, encoder: Encoder | None) -> None:
        """Refuse an encoder whose vectors would not belong with those that are there.

        Raises:
            EncoderMismatch: It is another encoder, or makes vectors of another dimension.
        """
        if encoder is None:
            return
        if self.encoder and encoder.fingerprint not in (None, self.encoder.fingerprint):
            raise EncoderMismatch(
                f"the collection holds vectors of {self.encoder.name} ({self.encoder.fingerprint}); it was opened "
                f"with {encoder.name} ({encoder.fingerprint}). Open it with the same encoder and settings"
            )
        if self.dimension and encoder.dimension not in (None, self.dimension):
            raise EncoderMismatch(
                f"the collection holds vectors of dimension {self.dimension}; {encoder.name} makes dimension "
                f"{encoder.dimension}"
            )

    def with_vectors(self, batch: Batch, *, decided: bool) -> Facts:
        """Hold records against the facts, or let the first ones decide them; return the facts that hold then.

        Args:
            batch: What is to be written.
            decided: Whether the dimension that the facts say binds these records: something was stored with it.

        Raises:
            EncoderMismatch: Another encoder made the vectors.
            EncoderRequired: Some lack a vector where the others, or the collection, have one.
            InvalidVectorError: They have another dimension.
        """
        encoder = EncoderRecord.of(batch.encoder)
        if decided:
            self.check_encoder(batch.encoder)
        found = [0 if record.vector is None else len(record.vector) for record in batch.records]
        dimension = self.dimension if decided or self.encoder is not None else None
        expected = max(found[:1] if all(found) else found, default=0) if dimension is None else dimension
        for i, (record, given) in enumerate(zip(batch.records, found, strict=True)):
            if given != expected:
                raise with_id(
                    _misfit(f"documents[{i}].vector", expected, given, stored=dimension is not None), record.id
                )
        if dimension is not None and (encoder is None or self.encoder is not None):
            return self
        if self.encoder is not None or not expected:
            return replace(self, dimension=expected)
        alpha = own_alpha(batch.encoder) if self.alpha is None else self.alpha
        return self.with_encoder(encoder, expected, alpha)


def own_alpha(encoder: Encoder | None) -> float | None:
    """Return the weight that an encoder was measured to need (its ``alpha``), or None where it does not say."""
    alpha = getattr(encoder, "alpha", None)
    check_number("encoder.alpha", alpha, 0, 1, optional=True)
    return None if alpha is None else float(alpha)


def known_facts(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of :class:`Facts` from the JSON of an engine; 0.1 wrote no ``alpha`` and ``min_scores``."""
    encoder = data["encoder"]
    return {
        "sparse": data["sparse"],
        "scope_keys": tuple(data["scope_keys"]),
        "dimension": data["dimension"],
        "encoder": None if encoder is None else EncoderRecord(**encoder),
        "alpha": data.get("alpha"),
        "id": data["id"],
        "min_scores": data.get("min_scores", {}),
    }


def _misfit(where: str, expected: int, given: int, *, stored: bool) -> InvalidVectorError | EncoderRequired:
    """Return what is said of a vector that does not belong with those that are there, or with the others given."""
    if not given:
        others = "the collection holds" if stored else "other documents of this call have"
        return EncoderRequired(
            f"{where}: missing: {others} vectors, and no encoder was given",
            remedies=[Give("encoder"), GiveEach("vector")],
        )
    if not expected:
        return InvalidVectorError(f"{where}: the collection takes texts without vectors, got dimension {given}")
    others = "the collection takes vectors of" if stored else "all documents of this call need one dimension, expected"
    return InvalidVectorError(f"{where}: {others} dimension {expected}, got dimension {given}")


@dataclass(frozen=True)
class Check:
    """What :func:`bedside.engines.examine` found about one thing.

    Attributes:
        what: What was looked at.
        state: ``"ok"``, ``"note"`` where somebody should know, ``"wrong"`` where notes can be lost, seen or not found.
        found: How it is.
        advice: What to do; empty where all is well.
    """

    what: str
    state: Literal["ok", "note", "wrong"]
    found: str
    advice: str = ""


@dataclass(frozen=True)
class Written:
    """What a write did.

    Attributes:
        added: How many records were put.
        removed: How many were removed, those that were replaced by id left out.
    """

    added: int
    removed: int


@dataclass(frozen=True)
class EraseReceipt:
    """What :meth:`bedside.Collection.erase` removed, and where it looked for traces afterwards.

    Attributes:
        ids: Of the erased records, those included that were asked for by id and had been deleted before.
        files: Every file of the collection, all of which were scanned, with its size in bytes. Empty in memory.
        traces: How many byte strings of ids, texts, vectors and metadata were looked for, of earlier versions in the
            log too; none was found. What is shorter than 8 bytes is not looked for: it occurs by chance.
        shared: How many more were not looked for, because a surviving record, or the format itself, holds the same.
        beyond: Where a copy may be that this erasure cannot reach, in words; an engine on a server has such places.
    """

    ids: tuple[str, ...]
    files: Mapping[str, int]
    traces: int
    shared: int
    beyond: tuple[str, ...] = ()


@dataclass(frozen=True)
class VerifyReport:
    """What :meth:`bedside.Collection.verify` read.

    Attributes:
        file: The log's name.
        bytes: Its size, an unfinished transaction left out.
        lines: Lines in it, each with its checksum.
        records: Living records; ``None`` where they are encrypted and no key was given.
        unfinished_bytes: What a killed writer left behind the last commit; the next write removes it.
        versions: What is wrong with ``supersedes``, ``valid_from`` and ``valid_to``: no damage, but searches with
            ``as_of`` cannot go by it.
        missing_indexes: Those of a server that are not there: no damage, but searches are slow until ``compact`` makes
            them.
    """

    file: str
    bytes: int
    lines: int
    records: int | None
    unfinished_bytes: int
    versions: tuple[VersionProblem, ...] = ()
    missing_indexes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Loss:
    """A line that could not be saved.

    Attributes:
        line: Its number, from 1.
        operation: ``"put"``, ``"delete"``, or ``"unknown"`` where that could not be read: a lost delete brings the
            record back. ``"open"`` and ``"commit"`` are lines that hold no record.
        id: Of its record, where it could still be read.
    """

    line: int
    operation: str
    id: str | None


@dataclass(frozen=True)
class RepairReport:
    """What :func:`bedside.engines.repair` saved and lost.

    Attributes:
        records: Living records in the new log.
        lost: The damaged lines, and those that are missing, at the commit line that counted them.
        kept: Name of the file that holds the damaged log; ``None`` where nothing was damaged.
    """

    records: int
    lost: tuple[Loss, ...]
    kept: str | None


class Engine(Protocol):
    """Where records are stored, with the scope and everything else as an argument; threads may share one."""

    @property
    def facts(self) -> Facts:
        """What holds now, whoever decided it."""
        ...

    @property
    def path(self) -> Path | None:
        """The folder, or ``None`` where it lives elsewhere."""
        ...

    @property
    def place(self) -> str | None:
        """What opens it again: the folder, or the URL without its password; ``None`` in memory."""
        ...

    @property
    def exact(self) -> bool:
        """Whether every search finds the best rows, and misses none."""
        ...

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        ...

    def write(self, batches: Iterable[Batch], remove: Selection | None = None) -> Written:
        """Remove what ``remove`` selects and put the records of all batches, as one transaction.

        What is removed is chosen under the writers' lock. Batches are taken one by one, so that memory holds one; an
        error that one raises comes out as it is and leaves everything as it was.

        Raises:
            EncoderMismatch, EncoderRequired, InvalidVectorError: A batch does not fit the facts.
            WriteFailedError: The disk refused.
        """
        ...

    def update(self, selection: Selection, change: Callable[[Document], Record | None]) -> int:
        """Replace the selected records by what ``change`` makes of them, as one transaction; returns how many.

        ``change`` sees each as it is under the lock, with its vector, and returns ``None`` to leave it as it is.
        """
        ...

    def read(self, selection: Selection, offset: int, limit: int | None, *, vectors: bool) -> Iterator[Document]:
        """Yield documents as they were at the call: by id in the order asked, else in insertion order."""
        ...

    def count(self, selection: Selection) -> int:
        """Count the selected records."""
        ...

    def facets(self, selection: Selection, key: str) -> list[tuple[Any, int]]:
        """Count the selected records by the values of a metadata key, the most frequent first, ties by value."""
        ...

    def scopes(self) -> Iterator[tuple[ScopeKey, int]]:
        """Yield every scope that holds records, and how many it holds."""
        ...

    def search(self, selection: Selection, options: SearchOptions, questions: Sequence[Question]) -> list[Answer]:
        """Rank the selected records for each question, all in one consistent state."""
        ...

    def erase(self, selection: Selection, forget: Callable[[list[str]], None]) -> EraseReceipt:
        """Remove the selected records and every trace of them, then look for what is left.

        ``forget`` is given every text that was removed, for whoever else keeps something of it.
        """
        ...

    def close(self) -> None:
        """Let go of files; later calls raise :class:`CollectionClosedError`. May be called twice."""
        ...


class Upkeep(Protocol):
    """What an engine may also do; one without a verb refuses it by name."""

    def compact(self) -> None:
        """Give up the room of what was deleted and replaced."""
        ...

    def verify(self) -> VerifyReport:
        """Read everything and compare checksums and index."""
        ...

    def reembed(
        self, batches: Callable[[Iterator[Record]], Iterator[Batch]], encoder: Encoder, then: Callable[[], None]
    ) -> None:
        """Put what ``batches`` makes of all records in place of them, atomically, and note the encoder.

        ``then`` runs at the moment of the switch, before anyone sees the new vectors.
        """
        ...

    def set_alpha(self, alpha: float | None) -> None:
        """Note the weight of the dense half where a search names none."""
        ...

    def set_min_score(self, verb: str, mode: str, min_score: float | None) -> None:
        """Note the least score of an answer of a verb in a mode."""
        ...

    def copy_to(self, write: Callable[[Facts, Iterable[Record], KeySource | None], None]) -> None:
        """Hand the facts, all records of every scope in insertion order, and the key to ``write``, as they are now."""
        ...

    def encrypt(self, key: KeySource) -> None:
        """Encrypt everything that is there, atomically, and what comes."""
        ...

    def rekey(self, key: KeySource) -> None:
        """Wrap the data keys of an encrypted collection by another master key."""
        ...

    def shred(self, scope: ScopeKey, forget: Callable[[list[str]], None]) -> EraseReceipt:
        """Destroy the key of a scope, then erase its records."""
        ...

    def drop(self) -> None:
        """Close, and remove the collection with all that it holds."""
        ...

    def index(self) -> None:
        """Make the index of approximate search."""
        ...

    def grant(self, scope: ScopeKey, role: str) -> None:
        """Let a role of the database read a scope."""
        ...

    def revoke(self, scope: ScopeKey, role: str) -> None:
        """Let a role of the database no longer read a scope."""
        ...

    def undo_creation(self) -> None:
        """Close, and where opening this created the collection and it is still empty, leave nothing of it."""
        ...


@dataclass(frozen=True)
class Batch:
    """Records that were encoded together.

    Attributes:
        records: Checked; each has a vector, or none has.
        encoder: What encoded them; ``None`` where their vectors were given by hand.
    """

    records: Sequence[Record]
    encoder: Encoder | None = None


@dataclass(frozen=True)
class Answer:
    """What a question found: the question as it was scored, and its pool.

    Attributes:
        question: With its BM25.
        pool: The page of rows, best first.
    """

    question: Question
    pool: Pool

    def documents(self) -> list[Document]:
        """Read the documents of the pool's rows, in order."""
        return self.pool.candidates.documents(self.pool.rows.tolist())

    def cosines(self) -> Scores | None:
        """Return the exact cosine of each row; ``None`` where there is no vector to compare."""
        if self.question.vector is None or not self.pool.candidates.has_vectors:
            return None
        return self.pool.candidates.cosines(self.question.vector, self.pool.rows)

    def matches(self) -> Scores | None:
        """Return the BM25 score of each row, 0 for one without a query term; ``None`` where no text was asked."""
        sparse = self.question.sparse
        return None if sparse is None else Signal(sparse.rows, sparse.scores).at(self.pool.rows)
