"""What a collection asks of the place it lives in: the protocols that every engine answers, and their words.

An engine stores checked records and finds them again. Everything that does not depend on where they lie stands above
it, once: checking, encoding, and what is built on the verbs. The ranking stands above it too; an engine hands
:func:`bedside.search.stages.answer` the candidates of a search. ``tests/engines`` says what an engine must do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from bedside.engines.facts import Batch, Facts
from bedside.engines.reports import EraseReceipt, VerifyReport, Written
from bedside.filters.tree import Node
from bedside.records import Record, ScopeKey
from bedside.search.options import SearchOptions
from bedside.search.pool import Pool, Question, Signal
from bedside.search.rank import Scores
from bedside.support.keys import KeySource
from bedside.types import Document, Encoder


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
        if self.pool.cosines is not None:
            return self.pool.cosines
        if self.question.vector is None or not self.pool.candidates.has_vectors:
            return None
        return self.pool.candidates.cosines(self.question.vector, self.pool.rows)

    def matches(self) -> Scores | None:
        """Return the BM25 score of each row, 0 for one without a query term; ``None`` where no text was asked."""
        sparse = self.question.sparse
        return None if sparse is None else Signal(sparse.rows, sparse.scores).at(self.pool.rows)


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
