"""An index that is put together of parts, or read back from a chain of checkpoints, is the one that was applied to."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedside.engines.embedded.index import bm25, postings, rows, segments
from bedside.engines.embedded.index.rows import Entry, Index, Put
from bedside.engines.embedded.log.cache import parts_of
from bedside.engines.embedded.log.log import Span
from bedside.engines.protocol import Selection
from bedside.filters.parse import parse
from bedside.records import Delete, ScopeKey
from bedside.search.settings import SparseSettings
from bedside.text.analyzer import Analyzer

SETTINGS = SparseSettings().to_json()
ANALYZER = Analyzer.of(SETTINGS)
SCOPES: list[ScopeKey] = [("A",), ("B",)]
QUERY = np.array([2, 1], np.float32)
VALUES: list[Any] = [1, True, "x", ["x", 2], {"y": None}, []]

puts = st.tuples(
    st.sampled_from(SCOPES),
    st.sampled_from("abcdef"),
    st.lists(st.sampled_from(["chest", "pain", "fever", "120/80"]), min_size=1, max_size=4).map(" ".join),
    st.dictionaries(st.sampled_from(["k", "m"]), st.sampled_from(VALUES), max_size=2),
    st.tuples(st.integers(-2, 2), st.integers(-2, 2)).filter(any),
)
deletes = st.tuples(st.sampled_from(SCOPES), st.sampled_from("abcdef"))
changes = st.lists(puts | deletes, max_size=30)
cuts = st.lists(st.integers(0, 30), max_size=5).map(sorted)


@pytest.fixture(autouse=True, scope="module")
def small_pieces() -> Any:
    """So that tails are sealed, segments merged and batches begun within a few rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "TAIL", 4)
        patch.setattr(bm25, "_TAIL", 6)
        patch.setattr(postings, "_RUN", 3)
        patch.setattr(rows, "_BATCH", 3)
        yield


def entries_of(changes: Sequence[tuple[Any, ...]]) -> list[Entry]:
    """Entries as a log would give them, each with a place of its own."""
    made: list[Entry] = []
    for i, change in enumerate(changes):
        if len(change) == 2:
            made.append(Delete(change[1], change[0]))
        else:
            scope, id, text, metadata, vector = change
            terms = ANALYZER.terms(text, metadata)
            made.append(Put(id, scope, terms, metadata, np.array(vector, np.float32), Span(100 * i, i + 1)))
    return made


def stretches(entries: list[Entry], cuts: list[int]) -> list[list[Entry]]:
    edges = [0, *(min(cut, len(entries)) for cut in cuts), len(entries)]
    return [entries[start:end] for start, end in pairwise(edges)]


def says(index: Index) -> list[Any]:
    """All that the engine asks of an index."""
    said: list[Any] = [len(index), index.rows, index.alive().tolist(), sorted(index.scopes())]
    said += [sorted((scope, list(index.ids(scope))) for scope in SCOPES), sorted(index.living(), key=str)]
    for scope in SCOPES:
        visible = index.visible(scope)
        found = index.sparse.score(index.tokenizer.tokenize("chest pain pain unknown"), visible)
        said.append([found.rows.tolist(), found.scores.tolist(), found.bound])
        said += [index.columns.facets(key, visible) for key in ("k", "m", "k.y")]
        for filter in ({"k": {"$gte": 1}}, {"m": "x"}, {"k": {"$ne": "x"}}, {"k": {"$exists": True}}):
            said.append(index.chosen(Selection(scope, parse(filter))))
        said.append(index.chosen(Selection(scope, None, ("c", "a", "none"))))
        if index.dense is not None and index.rows:
            top = index.dense.top_many(QUERY[None], 50, visible, 1.0, [None])[0]
            said.append([top.rows.tolist(), top.scores.tolist()])
    numbers = index.columns.groups("k")
    said.append([np.unique(numbers, return_inverse=True)[1].tolist(), (numbers < 0).tolist()])
    return said


def applied(entries: list[Entry]) -> Index:
    index = Index(2, SETTINGS)
    index.apply(entries)
    return index


def take_in(index: Index, entries: list[Entry]) -> None:
    part = index.beside()
    part.apply(entries)
    before = says(index)
    index.join(part)
    assert says(index) == before  # searches meanwhile see nothing of it
    index.absorb(part)


@settings(max_examples=120)
@given(changes=changes, cuts=cuts, settle=st.booleans())
def test_parts_that_are_taken_in_say_what_applying_says(changes, cuts, settle) -> None:
    entries = entries_of(changes)
    index = Index(2, SETTINGS)
    for i, stretch in enumerate(stretches(entries, cuts)):
        if i % 2:
            index.apply(stretch)
        else:
            take_in(index, stretch)
            if settle:
                index.settle()
    assert says(index) == says(applied(entries))


def stored(state: dict[str, Any], arrays: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """As a file gives it back: JSON, and read-only copies."""
    whole = {name: np.concatenate(parts_of(array)) for name, array in arrays.items()}
    copies = {name: np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape) for name, array in whole.items()}
    return orjson.loads(orjson.dumps(state)), copies


@settings(max_examples=120)
@given(changes=changes, cuts=cuts, more=changes)
def test_a_chain_of_checkpoints_reads_back_as_what_was_applied_and_goes_on(changes, cuts, more) -> None:
    index, files, at = Index(2, SETTINGS), [], (0, 0)
    for i, stretch in enumerate(stretches(entries_of(changes), cuts)):
        if i % 2:
            take_in(index, stretch)
            index.settle()
        else:
            index.apply(stretch)
        files.append(stored(*(index.since(*at) if files else index.to_state())))
        at = index.rows, index.sparse.terms
    again = Index(2, SETTINGS)
    for file in files:
        again.load(*file)
    again.drop_dead()
    assert says(again) == says(index)
    for grown in (again, index):
        grown.apply(entries_of(more))
    assert says(again) == says(index)


def test_a_checkpoint_that_does_not_follow_is_refused() -> None:
    index = applied(entries_of([(SCOPES[0], id, "pain", {}, (1, 1)) for id in "abc"]))
    state, arrays = index.since(2, 0)
    with pytest.raises(ValueError, match="rows begin at 2, expected 0"):
        Index(2, SETTINGS).load(state, arrays)


@given(changes=changes, scope=st.sampled_from(SCOPES))
def test_few_rows_are_grouped_and_counted_as_many_are(changes, scope) -> None:
    entries = entries_of(changes)
    put = [entry for entry in entries if isinstance(entry, Put)]
    index = applied(entries)
    visible = index.visible(scope)

    def partitions(few: int) -> Any:
        """Which visible rows are of one group, by either numbering, which are of none, and how many have each value."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rows, "FEW", few)
            patch.setattr(segments, "FEW", few)
            numbers = index.groups("k", lambda row: put[row].metadata, visible)
            groups, owners = numbers[visible], index.owners("k", "m", numbers, visible)[visible]
            counts = [index.columns.facets(key, visible) for key in ("k", "m", "k.y")]
        return [(each[:, None] == each).tolist() for each in (groups, owners)], (owners == -1).tolist(), counts

    assert partitions(4_096) == partitions(-1)
