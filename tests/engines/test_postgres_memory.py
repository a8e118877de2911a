"""What an open collection on PostgreSQL remembers of a scope holds for the state that it was read in, and no longer."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from bedside import Collection, Document
from bedside.engines.postgres import bm25, memory, searching
from bedside.engines.postgres.memory import Memory, Remembered

WORDS = ["chest", "pain", "fever", "cough", "nausea", "rash"]


def drawn(draw: random.Random, id: str) -> Document:
    said = " ".join(draw.choices(WORDS, k=draw.randrange(1, 6)))
    kept = {"n": draw.choice([1, True, "1", 2, [1, "x"]]), "day": f"2024-01-{draw.randrange(1, 28):02}"}
    return Document(said, kept, id, [draw.gauss(0, 1) for _ in range(4)])


def answers(notes: Collection, draw: random.Random) -> list[Any]:
    """Everything that is remembered has a part in one of these."""
    vector = [draw.gauss(0, 1) for _ in range(4)]
    found: list[Any] = []
    few = [{"n": 1}, {"n": True}, {"n": "1"}, {"day": {"$gt": "2024-01-25"}}]
    for filter in (None, *few, {"n": {"$ne": 2}}, {"day": {"$gt": "2024-01-03"}}, {"n": {"$exists": True}}):
        found.append(notes.facets("n", filter=filter))
        for more in ({}, {"group_by": "n"}, {"latest_by": "n", "date_key": "day"}, {"as_of": "2024-01-14"}):
            hits = notes.search(" ".join(WORDS[:3]), vector=vector, filter=filter, mode="hybrid", **more)
            found.append([(hit.id, pytest.approx(hit.score, abs=1e-9)) for hit in hits])
    return found


@pytest.fixture
def three(postgres: Callable[[], str]) -> Iterator[tuple[Collection, Collection, Collection]]:
    """A collection in memory, and two handles of one on a server."""
    place = postgres()
    with (
        Collection.open(scope_keys=[]) as embedded,
        Collection.open(place, scope_keys=[]) as writer,
        Collection.open(place, scope_keys=[]) as reader,
    ):
        yield embedded, writer, reader


@pytest.mark.parametrize("rare", [0, 1_000])
def test_what_another_handle_writes_counts_in_the_next_answer_and_twice_the_same(
    three: Any, monkeypatch: pytest.MonkeyPatch, rare: int
) -> None:
    monkeypatch.setattr(searching, "_LARGE", 10)  # of filters that leave nearly all, what they leave out is sent
    monkeypatch.setattr(bm25, "_RARE", rare)  # of terms in more records, those that a filter leaves are looked up
    embedded, writer, reader = three
    draw = random.Random(5)
    for step in range(8):
        new = [drawn(draw, f"d{i}") for i in range(60) if draw.random() < 0.4]
        for notes in (embedded, writer):
            if step % 3 < 2:
                notes.add(new)
            else:
                notes.delete([document.id for document in new])
        seed = draw.random()
        expected = answers(embedded, random.Random(seed))
        assert [answers(reader, random.Random(seed)) for _ in range(2)] == [expected, expected]


def test_what_another_process_writes_counts_in_the_next_answer(postgres: Callable[[], str]) -> None:
    with Collection.open(place := postgres(), scope_keys=[]) as reader:
        reader.add([Document("chest pain", {"kind": "HPI"}, "a"), Document("chest rash", {"kind": "HPI"}, "b")])
        before = reader.search("pain", filter={"kind": "HPI"}, mode="sparse"), reader.facets("kind")
        assert ([hit.id for hit in before[0]], before[1]) == (["a"], [("HPI", 2)])
        code = (
            "import sys; from bedside import Collection, Document\n"
            "with Collection.open(sys.argv[1]) as notes:\n"
            "    notes.add([Document('pain again', {'kind': 'HPI'}, 'c'), Document('pain', {'kind': 'ROS'}, 'd')])\n"
            "    notes.delete(['a'])"
        )
        subprocess.run([sys.executable, "-c", code, place], check=True)
        found = reader.search("pain", filter={"kind": "HPI"}, mode="sparse")
        assert [hit.id for hit in found] == ["c"]
        assert reader.facets("kind") == [("HPI", 2), ("ROS", 1)]
        with Collection.open(scope_keys=[]) as alone:
            alone.add(reader.get(filter={}))
            assert found[0].score == pytest.approx(alone.search("pain", filter={"kind": "HPI"})[0].score, abs=1e-9)


def test_threads_that_ask_while_another_handle_writes_never_go_back_to_an_older_state(
    postgres: Callable[[], str],
) -> None:
    place, rounds = postgres(), 40
    with Collection.open(place, scope_keys=[]) as writer, Collection.open(place, scope_keys=[]) as reader:
        writer.add([Document("pain", {"kind": "HPI"}, "0")])

        def asked(_: int) -> list[tuple[int, int]]:
            found = []
            while not found or found[-1][0] <= rounds:
                ((_, counted),) = reader.facets("kind")
                hits = reader.search("pain", filter={"kind": "HPI"}, mode="sparse", top_k=rounds + 1)
                found.append((counted, len(hits)))
            return found

        with ThreadPoolExecutor(4) as executor:
            seen = [executor.submit(asked, number) for number in range(4)]
            for number in range(1, rounds + 1):
                writer.add([Document("pain again", {"kind": "HPI"}, str(number))])
            for each in seen:
                flat = [count for pair in each.result(60) for count in pair]
                assert flat == sorted(flat)
                assert flat[-1] == rounds + 1


@pytest.mark.parametrize("end", [lambda notes: notes.erase(["a"]), lambda notes: notes.close()])
def test_nothing_is_remembered_after_an_erasure_and_after_closing(postgres: Callable[[], str], end: Any) -> None:
    with Collection.open(postgres(), scope_keys=[]) as notes:
        notes.add([Document("chest pain", {"name": "Rasmussen"}, "a"), Document("rash", {"name": "Berg"}, "b")])
        assert len(notes.facets("name")) == 2
        kept = notes._engine._memory
        assert "Rasmussen" in str([each._values for each in kept._kept])
        end(notes)
        assert kept._kept == ()


def test_a_list_that_was_given_out_may_be_changed(postgres: Callable[[], str]) -> None:
    with Collection.open(postgres(), scope_keys=[]) as notes:
        notes.add([Document("rash", {"kind": "HPI"}, "a")])
        notes.facets("kind").clear()
        assert notes.facets("kind") == [("HPI", 1)]


def test_memory_is_bounded_and_forgets_what_was_asked_for_longest_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_MOST", 100_000)
    kept, state = Memory(), object()
    for sid in range(50):
        for what in range(20):
            kept.of(sid, state).of(what, lambda: np.zeros(100, np.int64))
    assert sum(each.bytes for each in kept._kept) <= 100_000
    assert kept._kept[0].sid == 49
    one = Remembered()
    for what in range(200):
        assert one.of(what, lambda: [("x", 1)] * 10) == [("x", 1)] * 10
        assert one.bytes <= 100_000
    for _ in range(2):
        size = one.bytes
        one.keep(199, [("x", 1)] * 10)
        assert one.bytes == size
    assert one.of("large", lambda: np.ones(20_000)).sum() == 20_000
    assert one.known("large") is None
    assert one.known(199) is not None


def test_another_state_of_a_scope_begins_with_nothing() -> None:
    kept = Memory()
    old, new = object(), object()
    kept.of(1, old).keep("n", 1)
    assert kept.of(1, old).known("n") == 1
    assert kept.of(1, new).known("n") is None
    assert kept.of(2, old).known("n") is None
    assert kept.of(1, old).known("n") is None
