"""The benchmarks' own parts: fair rounds, honest recall, tables that land where they belong."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch):
    """Import a module of the benchmarks folder as the scripts do, and forget it afterwards."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "").parent == BENCHMARKS:
            del sys.modules[name]


def test_every_candidate_is_asked_once_a_round_and_each_round_begins_with_another(load):
    asked = []
    times = load("timing").interleaved({name: lambda _, n=name: asked.append(n) for name in "abc"}, rounds=3, warm_up=0)
    assert asked == list("abcbcacab")
    assert {name: len(found.seconds) for name, found in times.items()} == {"a": 3, "b": 3, "c": 3}


def test_seconds_that_a_candidate_measured_itself_are_taken_and_a_spent_budget_ends_its_turns(load):
    times = load("timing").interleaved({"slow": lambda _: 10.0, "fast": lambda _: 0.001}, rounds=20, budget=30, least=5)
    assert times["slow"].seconds == (10.0,) * 5
    assert times["fast"].p50 == 0.001
    assert len(times["fast"].seconds) == 20


def test_recall_counts_any_of_equal_rows_and_nothing_twice(load):
    corpora, peer = load("corpora"), load("peer")
    vectors = np.eye(4, dtype=np.float32)[[0, 0, 1, 2]]
    rows = corpora.Rows("toy", ["t"] * 4, vectors, vectors[:1])

    class Answers:
        def __init__(self, *ids: str) -> None:
            self.ids = ids

        def search(self, query: object, k: int) -> tuple[str, ...]:
            return self.ids[:k]

    assert peer.recall(Answers("d1"), rows, rows.queries, 1) == 1.0
    assert peer.recall(Answers("d1", "d1"), rows, rows.queries, 2) == 0.5
    assert peer.recall(Answers("d0", "d3"), rows, rows.queries, 2) == 0.5


def test_texts_are_cut_at_spaces_into_pieces_of_at_most_five_hundred_characters(load):
    text = "word " * 300 + "x" * 1200
    pieces = list(load("corpora")._pieces(text))
    assert max(map(len, pieces)) == 500
    assert "".join(pieces).replace(" ", "") == text.replace(" ", "")
    assert all(set(piece.split()) == {"word"} for piece in pieces[:2])


def test_a_table_is_written_between_its_comments_and_nowhere_else(load, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- retrieval:begin -->old<!-- retrieval:end -->\nafter\n")
    load("report").write_section("retrieval", "new", page)
    assert page.read_text() == "before\n<!-- retrieval:begin -->\n\nnew\n\n<!-- retrieval:end -->\nafter\n"


def test_a_page_without_the_comments_is_left_as_it_was(load, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("nothing here\n")
    with pytest.raises(SystemExit, match="retrieval:begin"):
        load("report").write_section("retrieval", "new", page)
    assert page.read_text() == "nothing here\n"
