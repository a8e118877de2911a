"""What one worker does with one shard: read, check, split, encode, and hand over to the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import orjson

from bedside.bulk.report import Failed, Refusals, Refused
from bedside.bulk.shards import Shard, numbered_lines
from bedside.encoders import load_encoder
from bedside.encoding import Encoding
from bedside.engines import open_engine
from bedside.engines.bulk import BulkLoading, Wholes
from bedside.engines.facts import Batch, Facts
from bedside.engines.protocol import Engine
from bedside.errors import (
    BedsideError,
    DuplicateIdError,
    EncoderRequired,
    InvalidDocumentError,
    InvalidVectorError,
    NotACollectionError,
    ScopeError,
    TextTooLongError,
    UnreadableFileError,
)
from bedside.formats.fields import from_line
from bedside.notes.notes import check_note, passages_filter, passages_of, splitter_for
from bedside.records import Checker, Record
from bedside.text.split import NoteSplitter
from bedside.types import Document, Encoder

BATCH = 1_000
"""Lines that are checked and encoded at once."""
LOCK_TIMEOUT = 600.0
"""Seconds to wait for another writer: a shard that loads the same scopes may take minutes."""
_REFUSED = (
    DuplicateIdError,
    EncoderRequired,
    InvalidDocumentError,
    InvalidVectorError,
    ScopeError,
    TextTooLongError,
    UnreadableFileError,
)
"""What is wrong with one document, and no reason to leave the others out."""
_A = TypeVar("_A")
_B = TypeVar("_B")


@dataclass(frozen=True)
class Job:
    """A shard, and how it is loaded; sent to a worker.

    Attributes:
        place: The collection.
        shard: What is loaded.
        encoder: The encoder, or the name by which each worker loads it.
        notes: Whether its lines are notes, which are split, or documents as they are.
        splitter: How notes are cut; ``None`` as the encoder reads them.
    """

    place: str
    shard: Shard
    encoder: Encoder | str | None
    notes: bool
    splitter: NoteSplitter | None

    def chosen_splitter(self) -> NoteSplitter | None:
        """Return what cuts notes; made by each worker, as the encoder's own counter of tokens is as large as it is."""
        return (self.splitter or splitter_for(loaded(self.encoder))) if self.notes else None


class Outcome(NamedTuple):
    """What became of a shard: how many documents it gave, how many were left out and which, or why it failed."""

    shard: Shard
    documents: int = 0
    left_out: int = 0
    refused: Sequence[Refused] = ()
    failed: Failed | None = None


def run(job: Job) -> Outcome:
    """Load a shard. It may be tried any number of times, by several workers too: it is loaded once."""
    refusals = Refusals(job.shard)
    try:
        with opened(job.place, job.encoder) as (engine, loading, encoding):
            batches = Reading(job, engine.facts, encoding, loading, refusals).batches()
            wholes = Wholes("source_id", passages_filter) if job.notes else None
            entry = loading.load(job.shard.name, batches, refusals, wholes)
    except (BedsideError, OSError) as error:
        return failure(job.shard, str(error))
    return Outcome(job.shard, entry.documents or 0, entry.refused, refusals.named)


def failure(shard: Shard, reason: str) -> Outcome:
    """Return the outcome of a shard of which nothing was loaded."""
    return Outcome(shard, failed=Failed(shard.file, shard.line, shard.line + shard.lines - 1, reason))


def how_loaded(splitter: NoteSplitter | None) -> str:
    """Return what decides, beside its content, what is made of a shard."""
    return "documents" if splitter is None else orjson.dumps(splitter.settings, option=orjson.OPT_SORT_KEYS).decode()


def loaded(encoder: Encoder | str | None) -> Encoder | None:
    """Return the encoder that a name or an encoder stands for."""
    return _by_name(encoder) if isinstance(encoder, str) else encoder


@lru_cache(maxsize=1)
def _by_name(name: str) -> Encoder:
    """Kept for the next shard: a transformer takes seconds to load."""
    return load_encoder(name)


@contextmanager
def opened(place: str, encoder: Encoder | str | None) -> Iterator[tuple[Engine, BulkLoading, Encoding]]:
    """Open a collection that is there for loading."""

    def refuse() -> Facts:
        raise NotACollectionError("the collection that is to be loaded is not there any more")

    engine: Any = open_engine(place, facts=refuse, read_only=False, lock_timeout=LOCK_TIMEOUT, key=None)
    try:
        yield engine, engine.bulk_loading(), Encoding(loaded(encoder), lambda: engine.facts)
    finally:
        engine.close()


class Reading:
    """Makes batches of a shard's lines, and notes those that it refuses.

    Args:
        job: The shard.
        facts: Those of the collection.
        encoding: Its encoder.
        loading: Says what the engine cannot hold.
        refusals: Filled while batches are taken.
    """

    def __init__(self, job: Job, facts: Facts, encoding: Encoding, loading: BulkLoading, refusals: Refusals) -> None:
        self._shard = job.shard
        self._splitter = job.chosen_splitter()
        self._facts = facts
        self._encoding = encoding
        self._loading = loading
        self._refusals = refusals

    def batches(self) -> Iterator[Batch]:
        """Yield records, checked and encoded."""
        for records in self.checked(BATCH):
            encoded = self._encoded(records)
            # A note of which one passage was refused is refused.
            yield Batch([record for line, record in encoded if line not in self._refusals], self._encoding.encoder)

    def checked(self, size: int) -> Iterator[list[tuple[int, Record]]]:
        """Yield the records of ``size`` lines at a time, each with its line."""
        scope_keys = self._facts.scope_keys
        check = Checker(scope_keys, None, rule=None if self._splitter is None else check_note)
        lines = numbered_lines(self._shard, how_loaded(self._splitter))
        for start in range(0, len(lines), size):
            documents = self._each(lines[start : start + size], self._parsed)
            records = self._each(documents, lambda document: self._storable(check, document))
            if self._splitter is not None:
                records = self._passages(records, self._splitter, Checker(scope_keys, None))
            yield records

    def _each(self, numbered: Iterable[tuple[int, _A]], work: Callable[[_A], Iterable[_B]]) -> list[tuple[int, _B]]:
        """Return what ``work`` makes of each, leaving out what it refuses."""
        made = []
        for line, each in numbered:
            try:
                made += [(line, one) for one in work(each)]
            except _REFUSED as error:
                self._refusals.add(line, getattr(each, "id", None), error)
        return made

    def _parsed(self, line: bytes) -> list[Document]:
        return [from_line(line, self._shard.file, "documents[0]")]

    def _storable(self, check: Checker, document: Document) -> list[Record]:
        records = check([document]).records
        self._loading.check(records)
        return records

    def _passages(
        self, notes: Iterable[tuple[int, Record]], splitter: NoteSplitter, check: Checker
    ) -> list[tuple[int, Record]]:
        cut = self._each(notes, lambda note: passages_of(note, splitter))
        return self._each(cut, lambda passage: self._storable(check, passage))

    def _encoded(self, numbered: Sequence[tuple[int, Record]]) -> list[tuple[int, Record]]:
        """Encode all at once; where an encoder's vector or one that was given is wrong, each by itself."""
        try:
            made = self._fitting([record for _, record in numbered])
            return [(line, record) for (line, _), record in zip(numbered, made, strict=True)]
        except _REFUSED:
            return self._each(numbered, lambda record: self._fitting([record]))

    def _fitting(self, records: list[Record]) -> Sequence[Record]:
        batch = self._encoding.batch(records)
        if records:
            self._facts.with_vectors(batch, decided=True)
        return batch.records
