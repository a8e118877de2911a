"""The embedded engine: transactions on the log, reading from it, and answers from the index derived from it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np

from bedside.engines.embedded.candidates import IndexCandidates
from bedside.engines.embedded.erase import found_in, scan, traces_of, without_shared
from bedside.engines.embedded.index.rows import Index
from bedside.engines.embedded.log.codec import Change
from bedside.engines.embedded.log.log import Position, Scan
from bedside.engines.embedded.salvage import KEPT
from bedside.engines.embedded.state import State, document
from bedside.engines.embedded.writers import writers_of
from bedside.engines.facts import Batch, EncoderRecord, Facts, own_alpha
from bedside.engines.protocol import Answer, Selection
from bedside.engines.reports import EraseReceipt, VerifyReport, Written
from bedside.errors import (
    CorruptLogError,
    DuplicateIdError,
    InvalidInputError,
    NotEncryptedError,
    TracesRemainError,
)
from bedside.records import Delete, Record, ScopeKey, with_id
from bedside.remedies import Call
from bedside.search.newest import latest_of_each
from bedside.search.options import SearchOptions
from bedside.search.pool import Question
from bedside.search.stages import answer
from bedside.search.versions import Versions
from bedside.support.keys import KeySource
from bedside.support.turns import going_first
from bedside.text.analyzer import encoded_texts
from bedside.text.assertions import asked_polarity
from bedside.types import Document, Encoder, Metadata


class EmbeddedEngine(State):
    """JSON Lines in a folder, or in memory; see :class:`bedside.engines.protocol.Engine`."""

    def write(self, batches: Iterable[Batch], remove: Selection | None = None) -> Written:
        """Remove what is selected and put all batches, as one transaction."""
        with self._transaction():
            given = (batch for batch in batches if batch.records)
            first = next(given, Batch(()))
            added = {(record.scope, record.id) for record in first.records}
            doomed = [] if remove is None else self._doomed(remove, added)
            before = self.facts
            try:
                self._settle(first, decided=len(self._index) > 0)
                if isinstance(batches, Sequence):  # all of it is here, and most are one record
                    changes: Iterable[Change] = [*doomed, *first.records, *self._following(given, added)]
                else:
                    changes = chain(doomed, first.records, self._following(given, added))
                count = self._append(changes) if doomed or first.records else 0
            except BaseException:
                if self.facts != before and not self.closed:
                    self._storage.save(before)
                    with self._state:
                        self._index.set_dimension(before.dimension)
                raise
        return Written(count - len(doomed), len(doomed))

    def update(self, selection: Selection, change: Callable[[Document], Record | None]) -> int:
        """Replace the selected records by what ``change`` makes of them, as one transaction."""
        with self._transaction():
            found = list(self.read(selection, 0, None, vectors=True))
            changed = [new for old in found if (new := change(old)) is not None]
            if changed:
                self._settle(Batch(changed), decided=True)
                self._append(list[Change](changed))
        return len(changed)

    def read(self, selection: Selection, offset: int, limit: int | None, *, vectors: bool) -> Iterator[Document]:
        """Yield documents as they were at the call: by id in the order asked, else in insertion order."""
        with self.reading(selection.scope) as index:
            rows, log = index.chosen(selection), self._log
        stop = None if limit is None else offset + limit

        def documents() -> Iterator[Document]:
            for row in rows[offset:stop]:
                self._check_open()
                yield document(log, index.span(row), vectors=vectors)

        return documents()

    def count(self, selection: Selection) -> int:
        """Count the selected records."""
        with self.reading(selection.scope) as index:
            return int(np.count_nonzero(index.allowed(selection)))

    def facets(self, selection: Selection, key: str) -> list[tuple[Any, int]]:
        """Count the selected records by the values of a metadata key."""
        with self.reading(selection.scope) as index:
            return list(index.columns.facets(key, index.allowed(selection)))

    def scopes(self) -> Iterator[tuple[ScopeKey, int]]:
        """Yield every scope that holds records, and how many it holds."""
        with self.reading() as index:
            self._log.codec.check_readable(None)
            found = index.scopes()
        return iter(found)

    def search(self, selection: Selection, options: SearchOptions, questions: Sequence[Question]) -> list[Answer]:
        """Rank the selected records: candidates and BM25 from one state of the index, the rest beside later writes."""
        with self.reading(selection.scope, fresh=False) as index, going_first():
            candidates, asked = self._asked(index, selection, options, questions)
        with going_first():
            return [Answer(question, pool) for question, pool in answer(options, asked, candidates)]

    def _asked(
        self, index: Index, selection: Selection, options: SearchOptions, questions: Sequence[Question]
    ) -> tuple[IndexCandidates, list[Question]]:
        """Return what the ranking works on: masks, and each question's BM25."""
        visible = index.visible(selection.scope, selection.as_of)
        allowed = index.allowed(selection, visible)
        numbers = groups = newest = None
        times = {key: index.columns.dates(key) for key in options.date_keys}

        def metadata(row: int) -> Metadata:
            return self._log.read(index.span(row), vectors=False).metadata

        if options.latest_by is not None:
            held = allowed & index.members(options.latest_by)
            newest = np.zeros_like(allowed)
            newest[held] = latest_of_each(
                index.groups(options.latest_by, metadata, held)[held], times[options.date_key][held]
            )
        if options.group_by is not None:
            numbers = index.groups(options.group_by, metadata, visible)
            if options.as_one is not None:
                groups = index.owners(options.group_by, options.as_one, numbers, visible)
        candidates = IndexCandidates(allowed, index.dense, index, self._log, numbers, times, newest)
        corpus = None if groups is None and visible.all() else visible
        for question in questions:
            self.facts.check_encoder(question.encoder)
            self.facts.check_question(question.vector)
        asked = [_scored(question, index, options, corpus, groups) for question in questions]
        return candidates, asked

    def erase(self, selection: Selection, forget: Callable[[list[str]], None]) -> EraseReceipt:
        """Rewrite the log without the selected records, then look for what is left of them in every file."""
        with self._transaction():
            self._log.codec.check_readable(None)
            return self._erased(selection, forget, lambda: None)

    def _erased(
        self, selection: Selection, forget: Callable[[list[str]], None], before: Callable[[], None]
    ) -> EraseReceipt:
        """Erase; ``before`` runs once all is read that is needed, and nothing was written."""
        living = self._index.names(selection)
        rows = {row for id in living if (row := self._index.row(selection.scope, id)) is not None}
        asked = selection.ids or () if selection.node is None else ()
        versions = list(self._versions(selection.scope, {*living, *asked}))
        records = [version for version, _ in versions]
        doomed = dict.fromkeys([*living, *(record.id for record in records)])
        codec = self._log.codec
        traces = traces_of(records).union(*(codec.traces(line) for _, line in versions))
        unique = without_shared(codec, traces, self._lines(rows), self.facts.to_bytes())
        before()
        self._rewrite(self._living(rows))
        title = self.facts.title
        forget([text for each in records for text in encoded_texts(each.text, each.metadata, title)])
        unique -= found_in(unique, self._index.derived())  # made of the survivors alone: such as folded words
        files, found = scan(self.path, unique) if self.path else ({}, {})
        if found:
            raise TracesRemainError(
                f"the records were erased from the collection; traces remain in {', '.join(found)}: delete these files"
            )
        return EraseReceipt(tuple(doomed), files, len(unique), len(traces) - len(unique))

    def shred(self, scope: ScopeKey, forget: Callable[[list[str]], None]) -> EraseReceipt:
        """Destroy the key of a scope, then erase its records."""
        with self._transaction():
            if (keyring := self._storage.keyring) is None:
                raise _not_encrypted("shred: destroys the key of a scope")
            return self._erased(Selection(scope), forget, lambda: keyring.shred(scope))

    def encrypt(self, key: KeySource) -> None:
        """Write the living records into a new, encrypted log and make it the current one."""
        with self._transaction():
            if self.facts.sealed:
                raise InvalidInputError("encrypt: the collection is encrypted", remedies=[Call("rekey")])
            if kept := [] if self.path is None else [file.name for file in self.path.glob(KEPT)]:
                raise InvalidInputError(
                    f"encrypt: {kept[0]}, which a repair kept, holds notes in the clear: move or delete it first"
                )
            with self._storage.sealing(key):
                self._rewrite(self._living(), replace(self.facts, sealed=True))

    def rekey(self, key: KeySource) -> None:
        """Wrap the data keys by another master key; the log stays as it is."""
        with self._transaction():
            if not self.facts.sealed:
                raise _not_encrypted("rekey: there is no key to change")
            self._storage.rekey(key)

    def compact(self) -> None:
        """Write the living records into a new log and make it the current one."""
        with self._transaction():
            self._rewrite(self._living())

    def reembed(
        self, batches: Callable[[Iterator[Record]], Iterator[Batch]], encoder: Encoder, then: Callable[[], None]
    ) -> None:
        """Put what ``batches`` makes of all records in place of them, in one step."""
        with self._transaction():
            self._log.codec.check_readable(None)
            made = batches(self._living())
            first = next(made, Batch(()))
            vector = first.records[0].vector if first.records else None
            dimension = encoder.dimension if vector is None else len(vector)
            changes = chain(first.records, (record for batch in made for record in batch.records))
            facts = self.facts.with_encoder(EncoderRecord.of(encoder), dimension, own_alpha(encoder))
            self._rewrite(changes, facts, then)

    def set_alpha(self, alpha: float | None) -> None:
        """Note the weight of the dense half where a search names none."""
        with self._transaction():
            self._storage.save(self.facts.with_alpha(alpha))

    def set_min_score(self, verb: str, mode: str, min_score: float | None) -> None:
        """Note the least score of an answer of a verb in a mode."""
        with self._transaction():
            self._storage.save(self.facts.with_min_score(verb, mode, min_score))

    def copy_to(self, write: Callable[[Facts, Iterable[Record], KeySource | None], None]) -> None:
        """Hand the living records of every scope to ``write``."""
        with self.reading():
            self._log.codec.check_readable(None)
            facts, records = self.facts, self._living()
        write(facts, records, self._storage.key)

    def verify(self) -> VerifyReport:
        """Read the whole log, line by line, hold the index against one made from it, and read the cache."""
        with self.reading() as index:
            log, at, living = self._log, self._position, dict(index.living())
            size = log.size()
        end = self._verified(log, Scan()).position
        keys = ((change, span) for span, change in log.changes(Position(), at))
        fresh: dict[Any, Any] = {}
        versions = Versions()
        for change, span in keys:
            fresh.pop((change.scope, change.id), None)
            versions.drop(change.scope, change.id)
            if isinstance(change, Record):
                fresh[change.scope, change.id] = span
                versions.put(change.scope, change.id, change.metadata)
        if fresh != living:
            raise CorruptLogError(log.name, at.line, "the index in memory does not hold the records of the log")
        log.codec.check_readable(None)
        self._checkpoints.check(self._cache_key(self.facts, index))
        unfinished = max(0, size - end.offset)
        writers = writers_of(log.closings(end))
        return VerifyReport(
            log.name, end.offset, end.line, len(fresh), unfinished, versions.problems(), writers=writers
        )

    def _settle(self, batch: Batch, *, decided: bool) -> None:
        """Hold a batch against the facts, or let it decide them."""
        if not batch.records:
            return
        facts = self.facts.with_vectors(batch, decided=decided)
        if facts == self.facts:
            return
        if self._index.rows and facts.dimension != self.facts.dimension:  # rows of the old dimension, all of them dead
            self._rewrite([])
        self._storage.save(self.facts.with_facts(facts))
        with self._state:
            self._index.set_dimension(facts.dimension)

    def _following(self, batches: Iterator[Batch], seen: set[tuple[ScopeKey, str]]) -> Iterator[Record]:
        """Yield the records of the batches after the first, each held against those before it."""
        for batch in batches:
            for i, record in enumerate(batch.records):
                if (record.scope, record.id) in seen:
                    sentence = f"documents[{i}].id: given twice; ids must differ within a scope"
                    raise with_id(DuplicateIdError(sentence), record.id)
            self._settle(batch, decided=True)
            seen.update((record.scope, record.id) for record in batch.records)
            yield from batch.records

    def _doomed(self, selection: Selection, added: Collection[tuple[ScopeKey, str]]) -> list[Delete]:
        """Return what removes the selected records, but for those that are put anew."""
        self._log.codec.check_readable(selection.scope)
        names = self._index.names(selection)
        return [Delete(id, selection.scope) for id in names if (selection.scope, id) not in added]

    def _versions(self, scope: ScopeKey, ids: Collection[str]) -> Iterator[tuple[Record, bytes]]:
        """Yield all that the log holds of some records, and its line: as they are and were, and what was deleted."""
        log, index = self._log, self._index
        living = [row for id in ids if (row := index.row(scope, id)) is not None]
        for row in living + (np.flatnonzero(~index.alive()).tolist() if ids else []):
            record = log.read(index.span(row))
            if record.id in ids and record.scope == scope:
                yield record, log.line(index.span(row))


def _not_encrypted(sentence: str) -> NotEncryptedError:
    return NotEncryptedError(f"{sentence}, and the collection is not encrypted", remedies=[Call("encrypt", "first")])


def _scored(question: Question, index: Index, options: SearchOptions, corpus: Any, groups: Any) -> Question:
    """Return the question with its BM25, where the search has a sparse half or goes by what texts assert."""
    is_dense = options.halves == "dense"
    if question.text is None or (is_dense and options.assertion == "any"):
        return question
    asked = {} if options.assertion == "any" else asked_polarity(question.text, index.tokenizer)
    if is_dense and not asked:
        return question
    found = index.sparse.score(index.tokenizer.tokenize(question.text), corpus, groups, asked)
    asserted, tokenize = found if asked else None, index.tokenizer.tokenize
    return replace(question, sparse=None if is_dense else found, asserted=asserted, tokenize=tokenize)
