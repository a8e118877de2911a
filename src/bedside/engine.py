"""Everything a collection does, with the scope as an argument: transactions, reading, and answers to queries."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import orjson

from bedside import lines
from bedside.errors import (
    CorruptLogError,
    DuplicateIdError,
    EncoderRequired,
    InvalidInputError,
    InvalidVectorError,
    TracesRemainError,
)
from bedside.filters.rules import fields, key_of
from bedside.filters.tree import Node
from bedside.index.state import Delete, Index
from bedside.live import Live
from bedside.maintenance import EraseReceipt, VerifyReport, scan, traces_of, without_shared
from bedside.records import Record, ScopeKey, check_documents
from bedside.remedies import Call, Give, GiveEach
from bedside.search import Plan, Question, Ranked, firsts, rank
from bedside.store.cache import remove_cache
from bedside.store.log import Position
from bedside.store.manifest import EncoderRecord, log_name, new_id
from bedside.store.seal import text_to_vector
from bedside.store.storage import DiskStorage
from bedside.types import Document, Encoder, Matrix

Found: TypeAlias = tuple[Ranked, Document]
"""One row of an answer and the document it stands for."""


class Engine(Live):
    """Everything a collection does, with the scope as an argument."""

    def add(self, documents: Iterable[Document | str], scope: ScopeKey | None) -> list[str]:
        """Check, encode, commit; returns the ids in the order given."""
        self._check_open()
        checked = check_documents(documents, self.manifest.scope_keys, scope)
        if checked:
            self._change(checked)
        return [record.id for record in checked]

    def add_batches(self, batches: Iterable[Sequence[Document | str]], scope: ScopeKey | None) -> int:
        """Check, encode and write batch after batch, all as one transaction; returns how many records there were.

        Memory holds one batch, the ids, and what the index takes. Other writers wait from the first batch to the last,
        searches do not. On any error the log and the manifest are as before.
        """
        with self._transaction():
            before, log, start = self.manifest, self._storage.log, self._position
            records = self._checked(batches, scope)
            try:
                first = next(records, None)
                if first is None:
                    return 0
                with self._state:
                    self._appending = True
                spans, position = log.append(start, map(lines.payload, chain([first], records)))
            except BaseException:
                self._appending = False
                if self.manifest != before:
                    self._storage.save(before)
                    with self._state:
                        self._index.set_dimension(before.dimension)
                raise
            try:
                with self._state:
                    keys = self.manifest.scope_keys
                    found = log.records(start, position)
                    self._apply(lines.stored_entry(record, span, keys) for span, record in found)
                    self._position = position
            finally:
                self._appending = False
        return len(spans)

    def delete(self, scope: ScopeKey, node: Node | None, ids: Sequence[str] | None) -> int:
        """Remove the records of ``scope`` that ``ids`` and ``node`` both leave; returns how many there were."""
        return self._change([], lambda: [Delete(id, scope) for id in self._names(scope, node, ids)])

    def replace(
        self, scope: ScopeKey, node: Node | None, ids: Sequence[str] | None, documents: Iterable[Document | str]
    ) -> list[str]:
        """Add documents to ``scope`` in place of those that ``ids`` and ``node`` both leave of it, in one transaction.

        The new ones are checked and encoded before anything is removed; what is removed is chosen under the lock.
        """
        self._check_open()
        checked = check_documents(documents, self.manifest.scope_keys, scope)
        added = {record.id for record in checked}
        self._change(checked, lambda: [Delete(id, scope) for id in self._names(scope, node, ids) if id not in added])
        return [record.id for record in checked]

    def update(self, scope: ScopeKey, ids: Sequence[str], change: Callable[[Document], Document | None]) -> int:
        """Replace records of ``scope`` by what ``change`` makes of them, in one transaction; returns how many.

        ``change`` sees each as it is under the lock, its vector filled in, and returns ``None`` to leave it as it is.
        Nothing is encoded.
        """
        with self._transaction():
            changed = [new for old in self.get(scope, None, ids, 0, None, vectors=True) if (new := change(old))]
            records = check_documents(changed, self.manifest.scope_keys, scope)
            if records:
                self._commit(records)
        return len(records)

    def compact(self) -> None:
        """Write the living records into a new log and make it the current one."""
        with self._transaction():
            self._rewrite(self._living(), self.manifest)

    def erase(self, scope: ScopeKey, node: Node | None, ids: Sequence[str] | None) -> EraseReceipt:
        """Rewrite the log without the chosen records, then look for what is left of them in every file."""
        with self._transaction():
            living = self._names(scope, node, ids)
            rows = {row for id in living if (row := self._index.row(scope, id)) is not None}
            versions = list(self._versions(scope, {*living, *(ids or () if node is None else ())}))
            doomed = dict.fromkeys([*living, *(version["id"] for version in versions)])
            traces = traces_of(versions)
            unique = without_shared(traces, self._living(rows), self.manifest)
            if self._storage.cache is not None:
                remove_cache(self._storage.cache)
            self._rewrite(self._living(rows), self.manifest)
            files, found = scan(self._storage.path, unique) if self._storage.path else ({}, {})
        if found:
            raise TracesRemainError(
                f"the records were erased from the collection; traces remain in {', '.join(found)}: delete these files"
            )
        return EraseReceipt(tuple(doomed), files, len(unique), len(traces) - len(unique))

    def reembed(self, encoder: Encoder, batch_size: int) -> None:
        """Encode every text anew and make ``encoder`` the collection's, in one step."""
        with self._transaction():
            records = lines.reencoded(self._living(), encoder, batch_size)
            first = next(records, None)
            dimension = len(text_to_vector(first["vector"])) if first else encoder.dimension
            manifest = replace(self.manifest, dimension=dimension, encoder=EncoderRecord.of(encoder))
            self._rewrite(chain([first] if first else [], records), manifest, encoder)

    def copy_to(self, path: Path) -> None:
        """Write the living records of every scope into a new folder."""
        with self.reading():
            manifest = replace(self.manifest, log=log_name(1), id=new_id())
            records = self._living()
        DiskStorage.write_new(path, manifest, records)

    def verify(self) -> VerifyReport:
        """Read the whole log, line by line, and hold the index against one made from it."""
        with self.reading() as index:
            log, at, living = self._storage.log, self._position, dict(index.living())
            size = log.size()
        end = self._verified(log, Position())
        fresh = Index(self.manifest.dimension, self.manifest.sparse)
        keys = self.manifest.scope_keys
        fresh.apply(lines.stored_entry(record, span, keys) for span, record in log.records(Position(), at))
        if dict(fresh.living()) != living:
            raise CorruptLogError(log.name, at.line, "the index in memory does not hold the records of the log")
        return VerifyReport(log.name, end.offset, end.line, len(fresh), max(0, size - end.offset))

    def get(
        self,
        scope: ScopeKey,
        node: Node | None,
        ids: Sequence[str] | None,
        offset: int,
        limit: int | None,
        *,
        vectors: bool,
    ) -> Iterator[Document]:
        """Yield documents: by id in the order asked, else in insertion order."""
        with self.reading() as index:
            allowed = index.candidates(scope, node, ids).allowed
            if ids is None:
                rows = np.flatnonzero(allowed).tolist()
            else:
                found = [index.row(scope, id) for id in ids]
                rows = [row for row in found if row is not None and allowed[row]]
            log = self._storage.log
        stop = None if limit is None else offset + limit
        return self.documents(rows[offset:stop], log, index, vectors=vectors)

    def search(
        self,
        scope: ScopeKey,
        node: Node | None,
        ids: Sequence[str] | None,
        plan: Plan,
        texts: Sequence[str] | None,
        vectors: Matrix | None,
    ) -> list[list[Found]]:
        """Answer each query: candidates and BM25 from one state of the index, then ranking beside later writes."""
        encoder, given = self.encoder, vectors is not None
        if not given and plan.mode != "sparse":
            vectors = self.encode_queries(texts or [])
        with self.reading() as index:
            if vectors is not None and not given and self.encoder is not encoder:  # another thread re-embedded it
                vectors = self.encode_queries(texts or [])
            if vectors is not None and self.manifest.dimension == 0:
                raise InvalidInputError(
                    "search: the collection holds texts without vectors, which only BM25 finds",
                    remedies=[Give("mode", "sparse"), Call("reembed", "to make the vectors")],
                )
            if vectors is not None and index.dense is not None and vectors.shape[1] != index.dense.dimension:
                raise InvalidVectorError(  # it was checked before another process re-embedded the collection
                    f"vector: expected dimension {index.dense.dimension}, got {vectors.shape[1]}"
                )
            candidates = index.candidates(scope, node, ids)
            groups = index.groups(plan.group_by, plan.as_one) if plan.group_by and plan.as_one else None
            corpus = None if groups is None and candidates.visible.all() else candidates.visible
            sparse = [
                index.sparse.score(index.tokenizer.tokenize(text), corpus, groups)
                for text in (texts or [] if plan.mode != "dense" else [])
            ]
            log = self._storage.log
        questions = [
            Question(None if vectors is None else vectors[i], sparse[i] if sparse else None)
            for i in range(len(vectors if vectors is not None else texts or []))
        ]

        def read(ranked: list[Ranked]) -> list[Found]:
            return list(zip(ranked, self.documents((r.row for r in ranked), log, index), strict=True))

        def answers(plan: Plan, questions: Sequence[Question]) -> list[list[Found]]:
            return [read(ranked) for ranked in rank(plan, candidates, questions, index.dense)]

        if plan.group_by is None:
            return answers(plan, questions)
        if groups is not None:
            return [read(firsts(plan, candidates, question, index.dense, groups)) for question in questions]
        return [_one_of_each_group(plan, partial(answers, questions=[question])) for question in questions]

    def _change(self, added: list[Record], removed: Callable[[], list[Delete]] = list) -> int:
        """Encode what is new, then commit what is removed and what is added as one; returns how many were removed."""
        encoder, records = self.encoder, self._with_vectors(added)
        with self._transaction():
            if self.encoder is not encoder:  # another thread re-embedded the collection meanwhile
                records = self._with_vectors(added)
            doomed = removed()
            if records:
                self._settle(records)
            if doomed or records:
                self._commit([*doomed, *records])
        return len(doomed)

    def _commit(self, changes: Sequence[Record | Delete]) -> None:
        with self._state:
            self._appending = True
        try:
            spans, position = self._storage.log.append(self._position, map(lines.payload, changes))
            with self._state:
                self._apply(map(lines.entry, changes, spans))
                self._position = position
        finally:
            self._appending = False

    def _with_vectors(self, records: list[Record]) -> list[Record]:
        """Encode the texts that came without a vector; every vector then has the collection's dimension."""
        texts = [record.text for record in records if record.vector is None]
        if texts and self.encoder is not None and self.manifest.dimension != 0:
            made = iter(self._encoded(self.encoder.encode_documents(texts), len(texts)))
            return [r if r.vector is not None else r._replace(vector=next(made)) for r in records]
        return records

    def _checked(self, batches: Iterable[Sequence[Document | str]], scope: ScopeKey | None) -> Iterator[Record]:
        """Yield the records of all batches, checked, encoded, and held against the batches before."""
        seen: set[tuple[ScopeKey, str]] = set()
        for batch in batches:
            checked = check_documents(batch, self.manifest.scope_keys, scope)
            for i, record in enumerate(checked):
                if (record.scope, record.id) in seen:
                    raise DuplicateIdError(f"documents[{i}].id: given twice; ids must differ within a scope")
            records = self._with_vectors(checked)
            self._settle(records, is_first=not seen)
            seen.update((record.scope, record.id) for record in records)
            yield from records

    def _settle(self, records: Sequence[Record], *, is_first: bool = True) -> None:
        """Hold the records against the collection's dimension, or let the first ones decide it."""
        found = {0 if r.vector is None else len(r.vector) for r in records}
        # What a first add decided that then failed binds nobody.
        bound = not is_first or self._position.line > 1 or self.manifest.encoder is not None
        dimension = self.manifest.dimension if bound else None
        if 0 in found and (dimension or (dimension is None and len(found) > 1)):
            raise EncoderRequired(
                f"documents: {'the collection holds' if dimension else 'others of them have'} vectors, and no encoder "
                "was given",
                remedies=[Give("encoder"), GiveEach("vector")],
            )
        wrong = found - {dimension} if dimension is not None else (found if len(found) > 1 else set())
        if wrong:
            allowed = (
                "texts without vectors" if dimension == 0 else f"vectors of dimension {dimension or 'one and the same'}"
            )
            raise InvalidVectorError(f"documents: the collection takes {allowed}, got dimension {max(wrong)}")
        named = EncoderRecord.of(self.encoder)
        if dimension is None or (named and self.manifest.encoder is None):
            self._storage.save(self.manifest.with_vectors(max(found), named if max(found) else None))
            with self._state:
                self._index.set_dimension(self.manifest.dimension)

    def _names(self, scope: ScopeKey, node: Node | None, ids: Sequence[str] | None) -> list[str]:
        """Return the ids of the records of ``scope`` that ``ids`` and ``node`` both leave, each once."""
        with self.reading() as index:
            allowed = index.candidates(scope, node, ids).allowed
            named = index.ids(scope) if ids is None else dict.fromkeys(ids)
            return [id for id in named if (row := index.row(scope, id)) is not None and allowed[row]]

    def _versions(self, scope: ScopeKey, ids: Collection[str]) -> Iterator[dict[str, Any]]:
        """Yield all that the log holds of some records: as they are, as they were before, and what was deleted."""
        log, index, keys = self._storage.log, self._index, self.manifest.scope_keys
        living = [row for id in ids if (row := index.row(scope, id)) is not None]
        for row in living + (np.flatnonzero(~index.alive()).tolist() if ids else []):
            record = log.read(index.span(row))
            if record["id"] in ids and tuple(record["metadata"][key] for key in keys) == scope:
                yield record


def _one_of_each_group(plan: Plan, ask: Callable[[Plan], list[list[Found]]]) -> list[Found]:
    """Rank deeper until the best of enough groups are found, or nothing is left to rank."""
    path, depth = str(plan.group_by), 4 * plan.depth
    while True:
        (found,) = ask(replace(plan, top_k=depth, offset=0, group_by=None))
        firsts: dict[object, Found] = {}
        for ranked, document in found:
            firsts.setdefault(_group_of(document, path, ranked.row), (ranked, document))
        if len(firsts) >= plan.depth or len(found) < depth:
            return list(firsts.values())[plan.offset : plan.depth]
        depth *= 4


def _group_of(document: Document, path: str, row: int) -> object:
    """Return what is equal for documents whose values at ``path`` are; one without it is a group of its own."""
    found = fields(document.metadata)
    if path not in found:
        return (row,)
    value = found[path]
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS) if isinstance(value, list | dict) else key_of(value)
