"""Who acts is known wherever a verb runs, and every verb asks."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path

import pytest

from bedside import Collection, Document
from bedside.audit import AuditLog, acting, acting_as
from bedside.errors import ActorRequired, InvalidInputError, UnknownScope

UNRECORDED = {"check", "close", "encode_queries", "natural_mode", "scoped", "views"}
"""They read no record themselves; ``views`` calls ``scopes``, and ``scoped`` may call ``count``."""


@pytest.fixture
def audit(tmp_path: Path) -> AuditLog:
    return AuditLog(tmp_path / "audit", key=bytes(range(32)))


@pytest.fixture
def notes(audit: AuditLog) -> Collection:
    notes = Collection.open(audit=audit)
    with acting_as("setup"):
        notes.add([Document("Chest pain.", {}, "a")])
    return notes


def actors(audit: AuditLog, verb: str = "search") -> list[str]:
    return [line["actor"] for line in audit.entries(verb=verb)]


def test_every_public_verb_of_a_collection_is_recorded_or_shows_no_record() -> None:
    own = {name: value for name, value in vars(Collection).items() if inspect.isfunction(value)}
    verbs = {name for name in own if not name.startswith("_")}
    assert {name for name in verbs if not hasattr(own[name], "__wrapped__")} == UNRECORDED
    assert len(verbs) > 20


def test_blocks_nest_and_end() -> None:
    assert acting() is None
    with acting_as("a", purpose="treatment"):
        with acting_as("b"):
            assert (acting().actor, acting().purpose) == ("b", None)
        assert (acting().actor, acting().purpose) == ("a", "treatment")
    assert acting() is None


@pytest.mark.parametrize("wrong", ["", "  ", "a\nb", "x" * 201, None, 7])
def test_a_name_that_could_not_be_read_in_a_trail_is_refused(wrong: object) -> None:
    with pytest.raises(InvalidInputError, match="actor: expected 1 to 200 printable characters"), acting_as(wrong):
        pass
    if wrong is not None:
        with pytest.raises(InvalidInputError, match="purpose: "), acting_as("dr.x", purpose=wrong):
            pass


def test_tasks_and_threads_that_run_side_by_side_each_have_their_own_actor(notes: Collection, audit: AuditLog) -> None:
    async def ask(name: str) -> None:
        with acting_as(name):
            await asyncio.sleep(0)
            await asyncio.to_thread(notes.search, "pain")
            notes.search("pain")

    async def everybody() -> None:
        await asyncio.gather(*(ask(f"dr.{number}") for number in range(8)))

    asyncio.run(everybody())
    assert sorted(actors(audit)) == sorted(f"dr.{number}" for number in range(8) for _ in range(2))


def test_a_bare_thread_has_nobody_until_it_is_given_the_context(notes: Collection, audit: AuditLog) -> None:
    with acting_as("dr.x"), ThreadPoolExecutor(1) as pool:
        with pytest.raises(ActorRequired):
            pool.submit(notes.search, "pain").result()
        pool.submit(copy_context().run, notes.search, "pain").result()
    assert actors(audit) == ["dr.x"]


def test_a_trail_may_name_who_acts_where_nobody_is_named(tmp_path: Path) -> None:
    audit = AuditLog(tmp_path / "audit", key=bytes(32), actor="nightly import", purpose="migration")
    notes = Collection.open(audit=audit)
    notes.add(["Chest pain."])
    with acting_as("dr.x"):
        notes.search("pain")
    assert [(line["actor"], line.get("purpose")) for line in audit.entries()] == [
        ("nightly import", "migration"),
        ("dr.x", None),
    ]


def test_what_a_callers_own_function_or_iterator_does_meanwhile_is_recorded_by_itself(
    notes: Collection, audit: AuditLog
) -> None:
    def lazily() -> Iterator[list[str]]:
        yield [found.text for found in notes.get(["a"])]

    def change(old: Document) -> None:
        notes.count()

    with acting_as("dr.x"):
        notes.add_batches(lazily())
        notes.update(["a"], change)
    assert [line["verb"] for line in audit.entries()] == ["add", "get", "add_batches", "update", "count"]


def test_an_iteration_is_recorded_when_it_begins_and_goes_on_without_an_actor(
    notes: Collection, audit: AuditLog
) -> None:
    with acting_as("dr.x"):
        found = notes.stream()
    assert [document.id for document in found] == ["a"]
    assert actors(audit, "stream") == ["dr.x"]


def test_views_and_threads_of_one_collection_share_its_trail(audit: AuditLog) -> None:
    notes = Collection.open(scope_keys=["patient_id"], audit=audit)
    with acting_as("setup"):
        notes.add([Document("Chest pain.", {"patient_id": str(n)}) for n in range(4)])

    def ask(number: int) -> None:
        with acting_as(f"dr.{number}"):
            notes.scoped(patient_id=str(number)).search("pain")

    threads = [threading.Thread(target=ask, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(4):
        found = [line["actor"] for line in audit.entries(scope={"patient_id": str(number)}, verb="search")]
        assert found == [f"dr.{number}"]


def test_whether_a_scope_is_there_is_not_told_without_a_line(audit: AuditLog) -> None:
    notes = Collection.open(scope_keys=["patient_id"], audit=audit)
    with pytest.raises(ActorRequired):
        notes.scoped(patient_id="A", must_exist=True)
    with acting_as("dr.x"), pytest.raises(UnknownScope):
        notes.scoped(patient_id="A", must_exist=True)
    assert [(line["verb"], line["count"]) for line in audit.entries(scope={"patient_id": "A"})] == [("count", 0)]


def test_what_is_no_trail_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="audit: expected an AuditLog, got str"):
        Collection.open(audit="audit.jsonl")
    with pytest.raises(InvalidInputError, match="purpose: is said along with an actor"):
        AuditLog(tmp_path, key=bytes(32), purpose="treatment")
    with pytest.raises(InvalidInputError, match="key: expected 32 bytes"):
        AuditLog(tmp_path, key=b"short")
