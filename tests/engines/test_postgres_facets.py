"""The counts that large scopes keep are those of their records: whatever is written, whoever writes it."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bedside import Collection, Document
from bedside.bulk import bulk_load
from bedside.encoders import load_encoder
from bedside.engines.postgres import facets
from bedside.errors import DatabaseError
from bedside.filters.rules import fields
from engines.test_postgres import sql

KEYS = ["kind", "n", "nested.kind", "nested", "dotted.key", "day", "late", "none of them"]
SCALARS: list[Any] = [
    None, True, False, 0, 1, 1.0, -0.0, 2, 1.5, 1e300, 2**53, 2.0**63, 2**63 - 1, 10**18, 5e-324,
    "1", "true", "null", "", "HPI", "Größe", "ſ", "2024-01-02", "2024-01-02T03:04:05Z", 'say "no"', "back\\slash",
]  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(SCALARS),
    st.lists(st.one_of(st.sampled_from(SCALARS), st.just([1]), st.just({"a": 1})), max_size=4),
)
METADATA = st.fixed_dictionaries(
    {},
    optional={
        "kind": VALUES,
        "n": VALUES,
        "day": st.sampled_from(["2024-01-02", "2024-02-03"]),
        "nested": st.fixed_dictionaries({}, optional={"kind": VALUES}),
        "dotted.key": VALUES,
        "late": VALUES,
        "valid_from": st.sampled_from(["2023-01-01", "2024-06-01"]),
        "valid_to": st.sampled_from(["2024-01-01", "2025-01-01"]),
    },
)
IDS = [f"d{i}" for i in range(8)]
STEPS = st.one_of(
    st.tuples(st.just("add"), st.dictionaries(st.sampled_from(IDS), METADATA, min_size=1, max_size=6)),
    st.tuples(st.just("replace"), st.dictionaries(st.sampled_from(IDS), METADATA, min_size=1, max_size=3)),
    st.tuples(st.just("update"), st.tuples(st.lists(st.sampled_from(IDS), min_size=1, unique=True), METADATA)),
    st.tuples(st.just("delete"), st.lists(st.sampled_from(IDS), min_size=1, unique=True)),
    st.tuples(st.just("delete by filter"), st.sampled_from([{"n": 1}, {"kind": "HPI"}, {"day": "2024-01-02"}])),
    st.tuples(st.just("erase"), st.lists(st.sampled_from(IDS), min_size=1, max_size=2, unique=True)),
    st.tuples(st.just("clear"), st.none()),
    st.tuples(st.just("compact"), st.none()),
)


@pytest.fixture
def url(postgres: Callable[[], str]) -> str:
    return postgres()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every scope is large."""
    monkeypatch.setattr(facets, "LARGE", 1)


def written(notes: Collection, verb: str, given: Any) -> None:
    if verb == "add":
        notes.add([Document("cough", metadata, id, [1, 2]) for id, metadata in given.items()])
    elif verb == "replace":
        there = [id for id in given if notes.get([id])]
        notes.replace([Document("rash", given[id], id, [2, 1]) for id in there], ids=there)
    elif verb == "update":
        ids, metadata = given
        notes.update(ids, lambda found: Document(found.text, {**found.metadata, **metadata}, found.id, found.vector))
    elif verb == "delete":
        notes.delete(given)
    elif verb == "delete by filter":
        notes.delete(filter=given)
    elif verb == "erase":
        notes.erase(given)
    elif verb == "clear":
        notes.delete(filter={})
    else:
        notes.compact()


def exactly(counted: list[tuple[Any, int]]) -> list[tuple[Any, ...]]:
    """With what each value is: True and 1 are equal, and not the same; 1 and 1.0 are one value on every engine."""
    return [(value.__class__.__name__.replace("float", "int"), value, number) for value, number in counted]


def plain(notes: Collection, key: str) -> dict[str, int]:
    """A plain count, by what each value is and its text."""
    counts: dict[str, int] = {}
    for document in notes.get(filter={}):
        values = fields(document.metadata).get(key, [])
        flat = values if isinstance(values, list) else [values]
        held = {_name(each) for each in flat if not isinstance(each, list | dict)}
        for name in held:
            counts[name] = counts.get(name, 0) + 1
    return counts


def _name(value: Any) -> str:
    if type(value) in (int, float):
        return f"number {int(value) if value == int(value) else value!r}"
    return f"{type(value).__name__} {value!r}"


def kept(url: str) -> set[str]:
    """The keys whose counts are kept."""
    return {path for (path,) in sql(url, "select distinct path from facet")}


@pytest.fixture
def both(url: str, at_once: None) -> Iterator[tuple[Collection, Collection, str]]:
    """A collection in memory, one on a server whose scopes are all large, and its URL."""
    with Collection.open(scope_keys=[]) as embedded, Collection.open(url, scope_keys=[]) as stored:
        yield embedded, stored, url


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, min_size=1, max_size=7))
def test_after_random_writes_they_are_those_of_the_embedded_engine_and_of_a_plain_count(both: Any, steps: Any) -> None:
    embedded, stored, url = both
    for notes in (embedded, stored):
        notes.delete(filter={})
    assert sql(url, "select * from facet") == []
    for verb, said in steps:
        for notes in (embedded, stored):
            written(notes, verb, said)
        for key in KEYS:
            found = stored.facets(key)
            assert exactly(found) == exactly(embedded.facets(key)), key
            assert {_name(value): number for value, number in found} == plain(embedded, key), key
            for more in ({"filter": {"day": "2024-01-02"}}, {"as_of": "2024-03-01"}):
                assert exactly(stored.facets(key, **more)) == exactly(embedded.facets(key, **more)), (key, more)
    stored.verify()


def test_keys_of_many_or_long_values_are_counted_when_asked(url: str, at_once: None, monkeypatch: Any) -> None:
    monkeypatch.setattr(facets, "_NOT_KEPT", facets._NOT_KEPT.replace(str(facets._MOST), "3"))
    with Collection.open(url, scope_keys=[]) as notes:
        notes.add([Document("a", {"kind": i % 2, "few": i % 3, "id": i, "long": "x" * 500}, f"d{i}") for i in range(9)])
        assert kept(url) == {"kind", "few"}
        for key, number in (("kind", 2), ("few", 3), ("id", 9), ("long", 1)):
            assert len(notes.facets(key)) == number
        notes.add([Document("a", {"kind": "y" * 500, "few": "a fourth"}, "new")])
        assert kept(url) == set()
        assert notes.facets("few") == [(0, 3), (1, 3), (2, 3), ("a fourth", 1)]
        notes.verify()
        notes.delete(["new"])
        notes.compact()
        assert kept(url) == {"kind", "few"}


def test_a_scope_is_counted_when_it_is_large_and_what_is_taken_away_leaves_no_value(url: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(facets, "LARGE", 5)
    with Collection.open(url, scope_keys=["ward"]) as notes:
        large, small = notes.scoped(ward="A"), notes.scoped(ward="B")
        small.add([Document("a", {"name": "Berg"}, f"d{i}") for i in range(4)])
        large.add([Document("a", {"name": f"Rasmussen {i}"}, f"d{i}") for i in range(4)])
        assert kept(url) == set()
        large.add([Document("a", {"name": "Rasmussen 0"}, "d4")])
        assert kept(url) == {"ward", "name"}
        assert large.facets("name")[0] == ("Rasmussen 0", 2)
        assert small.facets("name") == [("Berg", 4)]
        large.erase(["d1"])
        assert "Rasmussen 1" not in str(sql(url, "select value from facet"))
        large.add([Document("a", {"since": 1}, "d5")])
        assert "since" not in kept(url)
        assert large.facets("since") == [(1, 1)]
        large.erase(filter={})
        assert sql(url, "select * from facet") == []
        assert sql(url, "select counted from scope where n = 0") == []
        notes.verify()


@pytest.mark.parametrize(
    "damage",
    [
        "update facet set n = n + 1 where value = '\"HPI\"'",
        "delete from facet where value = '\"HPI\"'",
        "insert into facet select sid, path, '\"none\"', 1 from facet limit 1",
        "insert into facet values (1, 'kind', '1', 1)",
        "update scope set counted = null",
    ],
)
def test_verify_names_the_scope_whose_counts_are_wrong(url: str, at_once: None, damage: str) -> None:
    with Collection.open(url, scope_keys=[]) as notes:
        notes.add([Document("a", {"kind": kind}, f"d{i}") for i, kind in enumerate(["HPI", "ROS", "HPI"])])
        notes.verify()
        sql(url, damage)
        with pytest.raises(DatabaseError, match=r"the counts of facets kept of scope -?\d+ are not those"):
            notes.verify()
        notes.compact()
        if "values (1," not in damage:
            notes.verify()
            assert notes.facets("kind") == [("HPI", 2), ("ROS", 1)]


def test_the_server_refuses_a_writer_that_changes_records_and_not_the_counts(url: str, at_once: None) -> None:
    with Collection.open(url, scope_keys=[]) as notes:
        notes.add([Document("a", {"kind": "HPI"}, "a")])
        with pytest.raises(psycopg.errors.CheckViolation):  # as a release that knows of no counts writes
            sql(url, "update scope set n = 2, tokens = 2, state = gen_random_uuid()")
        assert notes.facets("kind") == [("HPI", 1)]


def test_writers_of_the_same_and_of_overlapping_scopes_neither_fail_nor_miscount(url: str, at_once: None) -> None:
    def write(seed: int) -> None:
        draw = random.Random(seed)
        with Collection.open(url, scope_keys=["ward"]) as notes:
            for _ in range(25):
                wards = draw.sample("ABC", 2)
                notes.add(
                    [Document("a", {"ward": w, "kind": draw.choice("xyz")}, f"d{draw.randrange(9)}-{w}") for w in wards]
                )
                notes.scoped(ward=draw.choice("ABC")).delete([f"d{draw.randrange(9)}-{draw.choice('ABC')}"])

    Collection.open(url, scope_keys=["ward"]).close()
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(6)))
    with Collection.open(url) as notes:
        notes.verify()
        for ward in "ABC":
            view = notes.scoped(ward=ward)
            assert {_name(value): number for value, number in view.facets("kind")} == plain(view, "kind")


def test_a_load_in_bulk_a_copy_and_new_vectors_leave_right_counts(
    url: str, postgres: Callable[[], str], at_once: None, tmp_path: Path
) -> None:
    file = tmp_path / "notes.jsonl"
    lines = "".join(f'{{"id": "d{i}", "text": "cough", "metadata": {{"kind": "k{i % 3}"}}}}\n' for i in range(30))
    encoder = load_encoder("bedside/static")
    with Collection.open(url, scope_keys=[], encoder=encoder) as notes:
        notes.add([Document("rash", {"kind": "before", "old": 1}, f"d{i}") for i in range(5)])
        file.write_text(lines)
        with ThreadPoolExecutor(2) as executor:
            assert bulk_load([file], url, executor=executor, encoder=encoder, scope_keys=[]).documents == 30
        assert notes.facets("kind") == [("k0", 10), ("k1", 10), ("k2", 10)]
        assert kept(url) == {"kind"}
        notes.add_notes([Document("Chest pain. " * 300, {"kind": "k0"}, "note")])
        found = notes.facets("kind")
        assert found[0][1] == notes.count(filter={"kind": "k0"})
        notes.verify()
        notes.copy_to(other := postgres())
        with Collection.open(other) as copy:
            assert copy.facets("kind") == found
            assert kept(other) >= {"kind", "source_id"}
            copy.verify()


def test_a_writer_that_is_killed_or_fails_leaves_the_counts_as_they_were(url: str, at_once: None) -> None:
    with Collection.open(url, scope_keys=[]) as notes:
        notes.add([Document("a", {"kind": "HPI"}, "a")])
        code = (
            "import os, sys; from bedside import Collection, Document; from bedside.engines.postgres import facets\n"
            "facets.LARGE = 1\n"
            "def source():\n"
            "    yield [Document('b', {'kind': 'ROS'}, 'b')]\n"
            "    os.kill(os.getpid(), 9)\n"
            "with Collection.open(sys.argv[1]) as notes: notes.add_batches(source())\n"
        )
        assert subprocess.run([sys.executable, "-c", code, url], check=False).returncode == -9
        assert notes.facets("kind") == [("HPI", 1)]
        notes.add([Document("c", {"kind": "HPI"}, "c")])
        assert notes.facets("kind") == [("HPI", 2)]
        notes.verify()
