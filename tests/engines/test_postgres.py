"""PostgreSQL: the embedded engine's answers, and what only a server has: many writers, restarts, rights, erasure."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from psycopg.conninfo import conninfo_to_dict

from bedside import Collection, Document, engines
from bedside.engines.postgres import connection as connections
from bedside.engines.postgres import facets
from bedside.engines.postgres.url import parse
from bedside.errors import (
    BedsideError,
    DatabaseError,
    FormatVersionError,
    InvalidDocumentError,
    InvalidInputError,
    LockTimeoutError,
    NotACollectionError,
    ReadOnlyError,
    TracesRemainError,
)
from engines import postgres_server
from engines.postgres_server import Server
from filters.predicate import filters, matches, random_record

WORDS = ["chest", "pain", "denies", "fever", "cough", "120/80", "metoprolol", "5mg", "HbA1c", "nausea", "Übelkeit"]
NO_DATE = "2023-02-29"
SCALARS: list[Any] = [
    None, True, False, 0, -0.0, 1, 1.0, 1.5, -3, 2**53, 2**53 + 1, float(2**53), 2**63 - 1, -(2**63),
    9.223372036854775e18, 1e300, 5e-324, 0.1, "", "1", "a", "A", "ab", "b%", "a_b", "a\\b", "Straße", "STRASSE",
    "İstanbul", "ıI", "chest pain", "Pain, chest pain", "é\n", "\U0001f9e0x", "\uffff", "\x01",
    "2024-02-29", "2024-02-29T12:00:00,5z", "2024-02-28T19:00:00-07:00", "2024-02", "2023", NO_DATE, "9999-12-31",
]  # fmt: skip
DATES: list[Any] = [
    date.min, date(2024, 2, 29), date.max, datetime(2024, 2, 29, 2, tzinfo=timezone.utc), datetime(2024, 3, 1),
    "2024-02-29", "2024-01-01", "2024-02-29T02:00:00Z", "2024-02-29T12:00:00.5+00:00",
]  # fmt: skip
KEYS = ["a", "b", "a.b", "b.c", "a.b.c", 'q"\\']
PATTERNS = ["%", "a%", "%a%b%", "_", "__", "b\\%", "%pain", "STR%", "%ss_", "a\\_b", "", "İ%", "ı_", "a\\\\b", "%\n"]


@pytest.fixture
def url(postgres: Callable[[], str]) -> str:
    return postgres()


@pytest.fixture
def draw() -> random.Random:
    return random.Random(20240229)


def sql(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Run a statement with the collection's schema as the search path."""
    found = parse(url)
    with psycopg.connect(found.conninfo, autocommit=True) as connection:
        connection.execute(f'set search_path = "{found.schema}", public'.encode())
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def value(draw: random.Random, depth: int = 2) -> Any:
    kind = draw.random()
    if depth and kind < 0.2:
        return [value(draw, depth - 1) for _ in range(draw.randrange(4))]
    if depth and kind < 0.4:
        return {draw.choice(KEYS): value(draw, depth - 1) for _ in range(draw.randrange(3))}
    return draw.choice(SCALARS)


def metadata(draw: random.Random) -> dict[str, Any]:
    return {draw.choice(KEYS): value(draw) for _ in range(draw.randrange(5))}


def comparison(draw: random.Random) -> dict[str, Any]:
    scalar, strings = draw.choice(SCALARS), [each for each in SCALARS if isinstance(each, str)]
    ordered = draw.choice(  # no day of the calendar is no bound
        [
            each
            for each in SCALARS
            if isinstance(each, (int, float, str)) and not isinstance(each, bool) and each != NO_DATE
        ]
    )
    op = draw.choice(
        ["$eq", "$ne", "$in", "$nin", "$all", "$gt", "$gte", "$lt", "$lte", "$contains", "$like", "$ilike", "$prefix",
         "$text", "$exists", "$empty"]
    )  # fmt: skip
    match op:
        case "$eq" | "$ne" | "$contains":
            return {op: draw.choice([scalar, scalar, draw.choice(DATES)]) if op != "$contains" else scalar}
        case "$in" | "$nin" | "$all":
            return {op: draw.choices([*SCALARS, *DATES], k=draw.choice([1, 3, 20]))}
        case "$gt" | "$gte" | "$lt" | "$lte":
            return {op: draw.choice([ordered, ordered, ordered, "a\0b", *draw.choices(DATES, k=2)])}
        case "$like" | "$ilike":
            return {op: draw.choice(PATTERNS)}
        case "$prefix":
            return {op: draw.choice(strings)}
        case "$text":
            return {op: draw.choice(["pain", "chest PAIN", "strasse", "straße", "a b", "İSTANBUL", "1"])}
    return {op: draw.random() < 0.5}


def filter_(draw: random.Random, depth: int = 2) -> dict[str, Any]:
    kind = draw.random()
    if depth and kind < 0.3:
        return {draw.choice(["$and", "$or"]): [filter_(draw, depth - 1) for _ in range(draw.randrange(1, 4))]}
    if depth and kind < 0.4:
        return {"$not": filter_(draw, depth - 1)}
    return {draw.choice(KEYS): comparison(draw)}


def documents(draw: random.Random, count: int, prefix: str = "d") -> list[Document]:
    made = []
    for i in range(count):
        text = " ".join(draw.choices(WORDS, k=draw.randrange(1, 12)))
        more = {"n": i, "day": i % 5} | ({"note": draw.choice(["v1", "v2", 3, 3.0, ["x"], {"y": 1}])} if i % 3 else {})
        made.append(Document(text, metadata(draw) | more, f"{prefix}{i}", [draw.gauss(0, 1) for _ in range(8)]))
    return made


@pytest.fixture
def both(url: str) -> Iterator[Callable[..., tuple[Collection, Collection]]]:
    """Opens a collection in memory and one on the server."""
    opened: list[Collection] = []

    def new(**options: Any) -> tuple[Collection, Collection]:
        opened.extend((Collection.open(**options), Collection.open(url, **options)))
        return opened[-2], opened[-1]

    yield new
    for collection in opened:
        collection.close()


def test_500_random_filters_select_what_the_embedded_engine_selects(both: Any, draw: random.Random) -> None:
    memory, server = both()
    made = [Document("t", metadata(draw), f"m{i}", [1, i]) for i in range(200)]
    for collection in (memory, server):
        collection.add(made)
    some = 0
    for _ in range(500):
        filter = filter_(draw)
        expected = [d.id for d in memory.get(filter=filter)]
        some += 0 < len(expected) < len(made)
        assert [d.id for d in server.get(filter=filter)] == expected, filter
        assert server.count(filter) == len(expected)
    assert some > 200
    for key in KEYS:
        assert server.facets(key, filter={"a": {"$exists": True}}) == memory.facets(
            key, filter={"a": {"$exists": True}}
        )


@pytest.fixture
def dated(url: str) -> Iterator[tuple[Collection, list[Document]]]:
    draw = random.Random(11)
    made = [Document("t", random_record(draw), f"m{i}", [1, i]) for i in range(300)]
    with Collection.open(url) as notes:
        notes.add(made)
        yield notes, made


@settings(max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(filter=filters)
def test_random_filters_dates_among_them_agree_with_the_reference_predicate(dated: Any, filter: Any) -> None:
    notes, made = dated
    assert [d.id for d in notes.get(filter=filter)] == [d.id for d in made if matches(filter, d.metadata)]


def asks(draw: random.Random) -> dict[str, Any]:
    """Draw the options of a search."""
    ask: dict[str, Any] = {"mode": draw.choice(["dense", "sparse", "hybrid"]), "top_k": draw.choice([1, 4, 10, 200])}
    if ask["mode"] == "hybrid":
        ask |= draw.choice([{}, {"alpha": 0.2}, {"alpha": 1.0}, {"fusion": "rrf"}, {"fusion": "rrf", "fetch_k": 7}])
    if draw.random() < 0.3:
        ask["filter"] = filter_(draw, 1)
    if draw.random() < 0.2:
        ask["ids"] = [f"d{draw.randrange(150)}" for _ in range(40)]
    if draw.random() < 0.3:
        ask["group_by"] = draw.choice(["note", "day", "a"])
    if draw.random() < 0.5:
        ask["assertion"] = draw.choice(["prefer", "only", "any"])
    if draw.random() < 0.2:
        ask["offset"] = 3
    if draw.random() < 0.2:
        ask |= {"diversity": 0.4, "fetch_k": 20}
    if draw.random() < 0.2:
        ask["min_score"] = 0.1
    return ask


def assert_same_answer(memory: Collection, server: Collection, query: str, vector: Any, ask: dict[str, Any]) -> int:
    expected, found = (each.search(query, vector=vector, explain=True, **ask) for each in (memory, server))
    assert [hit.id for hit in found] == [hit.id for hit in expected], ask
    assert [hit.document for hit in found] == [hit.document for hit in expected]
    for one, other in zip(found, expected, strict=True):
        assert abs(one.score - other.score) < 1e-9
        assert one.explanation.terms == pytest.approx(other.explanation.terms, abs=1e-9)
        assert one.explanation.signals == pytest.approx(other.explanation.signals, abs=1e-9)
        assert one.explanation.negated == other.explanation.negated
        assert (one.dense is None, one.sparse is None) == (other.dense is None, other.sparse is None)
    return len(found)


def test_300_random_searches_give_the_embedded_engines_ids_order_and_scores(both: Any, draw: random.Random) -> None:
    memory, server = both()
    made = documents(draw, 150)
    for collection in (memory, server):
        collection.add([Document("chest chest pain", {}, id, [1] * 8) for id in ("d3", "gone")])
        collection.add(made)
        collection.delete(["gone"])
        collection.add([Document(made[5].text, {"again": True}, "d9", made[5].vector)])
    found = 0
    for _ in range(300):
        query = " ".join(draw.choices([*WORDS, "unknownword"], k=draw.randrange(1, 6)))
        found += assert_same_answer(memory, server, query, [draw.gauss(0, 1) for _ in range(8)], asks(draw))
    assert found > 1_000


def test_150_random_searches_among_denied_findings_demote_the_ones_that_the_embedded_engine_does(
    both: Any, draw: random.Random
) -> None:
    memory, server = both()
    cues, findings = ["", "No ", "Denies ", "Negative for ", "Reports "], ["fever", "cough", "chest pain", "nausea"]
    made = []
    for i, document in enumerate(documents(draw, 150)):
        said = [f"{draw.choice(cues)}{draw.choice(findings)}." for _ in range(draw.randrange(1, 4))]
        made.append(Document(" ".join(said), document.metadata, f"d{i}", document.vector))
    for collection in (memory, server):
        collection.add(made)
    demoted = 0
    for _ in range(150):
        query, ask = (
            f"{draw.choice(['', 'without ', 'no '])}{draw.choice(findings)}",
            asks(draw) | {"top_k": draw.choice([10, 200])},
        )
        if "diversity" in ask:  # it chooses among the best fetch_k, and what is demoted comes last
            ask["fetch_k"] = 200
        vector = [draw.gauss(0, 1) for _ in range(8)]
        assert_same_answer(memory, server, query, vector, ask)
        hits = server.search(query, vector=vector, explain=True, **ask)
        demoted += sum("assertion" in hit.explanation.signals for hit in hits)
    assert demoted > 300


def test_whole_notes_that_deny_a_finding_are_left_out_as_by_the_embedded_engine(both: Any, draw: random.Random) -> None:
    said = ["Fever.", "No fever.", "Denies fever. Reports cough.", "Reports fever. No cough.", "Cough."]
    notes = [Document(" ".join(draw.sample(said, 2)), {}, f"n{i}") for i in range(40)]
    found = []
    for collection in both(encoder=Letters()):
        collection.add_notes(notes)
        found.append([hit.id for hit in collection.search_notes("fever", top_k=40, mode="sparse", assertion="only")])
    assert found[1] == found[0]
    assert 0 < len(found[0]) < 40


def test_many_equal_and_nearly_equal_vectors_come_in_the_order_of_float64(both: Any, rng: np.random.Generator) -> None:
    memory, server = both()
    base = rng.normal(size=64).astype(np.float32)
    near = [Document("t", {}, f"n{i}", np.nextafter(base, np.float32(np.inf)) if i % 3 else base) for i in range(300)]
    far = [Document("t", {}, f"f{i}", base * 1e-20 if i % 2 else base * np.float32(1e30)) for i in range(100)]
    for collection in (memory, server):
        collection.add([*near, *far])
    for k in (1, 10, 350):
        assert_same_answer(memory, server, "t", base, {"mode": "dense", "top_k": k})
        assert_same_answer(memory, server, "t", -base, {"mode": "hybrid", "top_k": k})
    stored = server.get(filter={}, include_vectors=True)
    assert [d.vector.tobytes() for d in stored] == [np.asarray(d.vector, np.float32).tobytes() for d in [*near, *far]]


def test_a_scope_sees_counts_and_ranks_by_its_own_records_alone(both: Any, draw: random.Random) -> None:
    memory, server = both(scope_keys=["patient", "ward"])
    scopes: list[dict[str, Any]] = [{"patient": p, "ward": w} for p in ("A", "B", 1, "1") for w in (1, "x")]
    for scope in scopes:
        made = documents(draw, draw.randrange(1, 20))
        for collection in (memory, server):
            collection.scoped(**scope).add(made)
    assert server.scopes() == memory.scopes()
    for scope in [*scopes, {"patient": "nobody", "ward": 1}]:
        one, other = memory.scoped(**scope), server.scoped(**scope)
        assert (len(other), other.facets("day"), other.get(filter={})) == (
            len(one),
            one.facets("day"),
            one.get(filter={}),
        )
        for _ in range(6):
            assert_same_answer(one, other, "chest pain fever", [draw.gauss(0, 1) for _ in range(8)], asks(draw))
    server.scoped(**scopes[0]).delete(filter={})
    assert len(server) == len(memory) - len(memory.scoped(**scopes[0]))


class Letters:
    """Encodes a text by how often it has each letter."""

    name, dimension, fingerprint = "letters", 26, "letters-1"

    def encode_documents(self, texts: Any) -> Any:
        return np.array([[1 + text.lower().count(chr(97 + i)) for i in range(26)] for text in texts], np.float32)

    encode_queries = encode_documents


class Others(Letters):
    name, dimension, fingerprint = "others", 5, "others-1"

    def encode_documents(self, texts: Any) -> Any:
        return np.array([[len(text), *(1 + text.count(c) for c in "aein")] for text in texts], np.float32)

    encode_queries = encode_documents


def test_notes_are_split_searched_replaced_and_put_together_as_in_a_folder(both: Any) -> None:
    memory, server = both(encoder=Letters())
    for collection in (memory, server):
        for i in range(12):
            text = f"HPI: Cough for {i} days. Denies chest pain.\n\nPLAN: Metoprolol {i} mg. Return with fever.\n"
            collection.add_note(text, id=f"v{i}", metadata={"day": i % 3})
        collection.add_note("HPI: Cough is gone.", id="v3")
        collection.delete_note("v4")
        collection.add([Document("cough cough cough", {"source_id": "v1"}, "no-passage")])
    for mode, filter in itertools.product(("hybrid", "dense", "sparse"), (None, {"day": 1}, {"section": "HPI"})):
        ask: dict[str, Any] = {"mode": mode, "filter": filter, "top_k": 5}
        expected, found = (each.search_notes("cough with fever", **ask) for each in (memory, server))
        assert [hit.id for hit in found] == [hit.id for hit in expected]
        assert [hit.score for hit in found] == pytest.approx([hit.score for hit in expected], abs=1e-9)
        assert [[p.id for p in hit.passages] for hit in found] == [[p.id for p in hit.passages] for hit in expected]
    assert server.get_note("v7") == memory.get_note("v7")


@pytest.mark.parametrize(
    ("document", "named"),
    [
        (Document("t", {}, "a\0b", [1, 2]), r"documents\[1\].id: holds U\+0000"),
        (Document("t", {}, "é" * 1_001, [1, 2]), r"documents\[1\].id: has over 2000 bytes"),
        (
            Document("t", {"k": {"deep": "a\0b"}}, "x", [1, 2]),
            r"documents\[1\].metadata.k.deep \(id 'x'\): holds U\+0000",
        ),
        (Document("t", {"k": ["a\0b"]}, "x", [1, 2]), r"documents\[1\].metadata.k \(id 'x'\): holds U\+0000"),
        (Document("t", {"a\0b": 1}, "x", [1, 2]), r"documents\[1\].metadata.a\\0b \(id 'x'\): holds U\+0000"),
    ],
)
def test_what_postgresql_cannot_hold_is_refused_by_name_and_changes_nothing(url, document, named) -> None:
    with Collection.open(url) as notes:
        notes.add([Document("old", {}, "old", [1, 2])])
        with pytest.raises(InvalidDocumentError, match=named):
            notes.replace([Document("fine", {}, "fine", [1, 2]), document], filter={})
        assert [d.id for d in notes.get(filter={})] == ["old"]
        notes.add([Document("a\0b", {"list": [{"in": "a\0b"}]}, "text", [1, 2])])
        assert notes.get(["text", "a\0b"]) == [Document("a\0b", {"list": [{"in": "a\0b"}]}, "text")]


WRITER = """
import sys
from bedside import Collection, Document, engines
url, seed, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
import random
draw = random.Random(seed)
with Collection.open(url, scope_keys=["p"], lock_timeout=60) as notes:
    for turn in range(rounds):
        ids = draw.sample(range(60), 20)
        notes.add([Document(f"pain {seed} {turn}", {"p": i % 3, "by": seed}, f"d{i}", [1, i + 1]) for i in ids])
        if turn % 7 == 6:
            notes.scoped(p=turn % 3).replace([Document("new", {"by": seed}, f"r{seed}", [1, 1])], filter={"by": seed})
    print("done")
"""


def child(*arguments: Any, code: str = WRITER) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_four_processes_that_write_the_same_ids_neither_fail_nor_lose_nor_disagree(url: str) -> None:
    writers = [child(url, seed, 25) for seed in range(4)]
    for writer in writers:
        out, err = writer.communicate(timeout=200)
        assert (writer.returncode, out) == (0, "done\n"), err[-2000:]
    with Collection.open(url) as notes:
        report = notes.verify()
        assert report.records == len(notes) == len(list(sql(url, "select distinct sid, id from doc")))
        assert sum(count for _, count in notes.scopes()) == len(notes)


LOADER = """
import sys, time
from bedside import Collection, Document, engines
with Collection.open(sys.argv[1]) as notes:
    def batches():
        for turn in range(1_000):
            yield [Document("half loaded", {"turn": turn}, f"l{turn}-{i}", [1, 2]) for i in range(50)]
            print(turn, flush=True)
    notes.add_batches(batches())
"""


def test_a_writer_that_is_killed_in_a_load_leaves_nothing_and_keeps_nobody_waiting(url: str) -> None:
    with Collection.open(url, lock_timeout=60) as notes:
        notes.add([Document("cough", {}, "here", [1, 2])])
        loader = child(url, code=LOADER)
        assert loader.stdout
        for _ in range(5):
            loader.stdout.readline()
        assert notes.count() == 1
        loader.send_signal(signal.SIGKILL)
        loader.communicate()
        notes.add([Document("next", {}, "next", [1, 2])])
        assert [d.id for d in notes.get(filter={})] == ["here", "next"]
        assert [hit.id for hit in notes.search("half loaded cough", mode="sparse")] == ["here"]
        notes.verify()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_what_was_acknowledged_is_there_after_the_server_was_restarted(how: signal.Signals) -> None:
    if "BEDSIDE_TEST_DSN" in os.environ:
        pytest.skip("a site's server is not restarted")
    with postgres_server.running() as server:
        assert server.folder
        port = int(server.url.rpartition(":")[2].partition("/")[0])
        acknowledged: list[str] = []
        stopping = threading.Event()
        with Collection.open(server.place("c")) as notes:

            def write() -> None:
                for i in itertools.count():
                    if stopping.is_set():
                        return
                    try:
                        notes.add([Document(f"note {i}", {"i": i}, f"d{i}", [1, i + 1])])
                    except DatabaseError:
                        continue  # refused or unknown: not acknowledged
                    acknowledged.append(f"d{i}")

            writer = threading.Thread(target=write)
            writer.start()
            while len(acknowledged) < 20:
                time.sleep(0.01)
            postgres_server.stop(server.folder, how)
            postgres_server.start(server.folder, port)
            before = len(acknowledged)
            while len(acknowledged) < before + 5:
                time.sleep(0.01)
            stopping.set()
            writer.join()
            there = {d.id for d in notes.get(filter={})}
            assert set(acknowledged) <= there
            assert notes.verify().records == len(there)


def test_a_lock_that_is_held_for_too_long_is_named_and_readers_do_not_wait(url: str) -> None:
    with Collection.open(url, lock_timeout=0.2) as notes:
        notes.add([Document("cough", {}, "here", [1, 2])])
        found = parse(url)
        with psycopg.connect(found.conninfo) as other:
            other.execute(f'select * from "{found.schema}".scope for update'.encode())  # noqa: S608 - ours
            with pytest.raises(LockTimeoutError, match="another writer"):
                notes.add([Document("new", {}, "new", [1, 2])])
            assert notes.count() == 1
        assert notes.add([Document("new", {}, "new", [1, 2])]) == ["new"]


def test_an_error_of_the_server_holds_no_value(url: str) -> None:
    with Collection.open(url) as notes:
        notes.add([Document("t", {}, "x", [1, 2])])
        sql(url, "alter table doc add constraint refuses check (record not like '%very private%')")
        with pytest.raises(DatabaseError, match="23514 CheckViolation") as refused:
            notes.add([Document("very private", {}, "y", [1, 2])])
        assert "private" not in f"{refused.value}{refused.value!r}"


def test_read_only_reads_and_neither_writes_nor_creates(url: str) -> None:
    with pytest.raises(NotACollectionError):
        Collection.open(url, read_only=True)
    with Collection.open(url) as notes:
        notes.add([Document("cough", {}, "here", [1, 2])])
    with Collection.open(url, read_only=True) as notes:
        assert [hit.id for hit in notes.search("cough", mode="sparse")] == ["here"]
        calls: list[Callable[[], Any]] = [
            lambda: notes.add(["t"]), lambda: notes.delete(["here"]), lambda: notes.erase(["here"]), notes.compact,
        ]  # fmt: skip
        for call in calls:
            with pytest.raises((ReadOnlyError, BedsideError)):
                call()
        assert len(notes) == 1


def test_a_schema_that_is_none_of_ours_or_of_a_newer_format_is_refused(url: str) -> None:
    name = parse(url).schema
    sql(url, f'create schema "{name}"; create table "{name}".about (x int)')
    with pytest.raises(NotACollectionError):
        Collection.open(url)
    sql(url, f'drop table "{name}".about')
    Collection.open(url).close()
    sql(url, "update about set terms = 'another tokenizer'")
    with pytest.raises(FormatVersionError, match="another tokenizer"):
        Collection.open(url)
    sql(url, "update about set format = 99")
    with pytest.raises(FormatVersionError, match="format 99"):
        Collection.open(url)


def test_a_failed_filling_leaves_no_schema_and_keeps_one_that_was_there(url: str) -> None:
    def schemas() -> list[tuple[Any, ...]]:
        return sql(url, f"select nspname from pg_namespace where nspname = '{parse(url).schema}'")  # noqa: S608 - ours

    def fail() -> None:
        with Collection.filling(url):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert schemas() == []
    Collection.open(url).close()
    with pytest.raises(ZeroDivisionError):
        fail()
    assert len(schemas()) == 1


def test_a_copy_in_a_folder_is_equal_and_reembedding_keeps_records_and_order(url: str, tmp_path: Path) -> None:
    with Collection.open(url, encoder=Letters()) as notes:
        notes.add([Document(f"note {i} of pain", {"i": i, "f": [0.1, -0.0]}, f"d{i}") for i in range(600)])
        notes.copy_to(tmp_path / "copy")
        with Collection.open(tmp_path / "copy", encoder=Letters()) as copy:
            for one, other in zip(notes.stream(include_vectors=True), copy.stream(include_vectors=True), strict=True):
                assert one == other
                assert one.vector.tobytes() == other.vector.tobytes()
            assert_same_answer(copy, notes, "note 7 pain", None, {"top_k": 20})
            notes.reembed(Others())
            copy.reembed(Others())
            assert_same_answer(copy, notes, "note 7 pain", None, {"top_k": 20})
        assert notes.dimension == 5
        notes.verify()
    with pytest.raises(BedsideError, match="others"):
        Collection.open(url, encoder=Letters()).search("pain")


@pytest.mark.parametrize(
    "damage",
    [
        "update scope set tokens = tokens + 1", "update doc set dl = dl + 1 where id = 'd1'",
        "update post set tf = tf + 1 where row = (select min(row) from post)",
        "delete from vec where row = (select min(row) from vec)", "update doc set fields = '{}' where id = 'd1'",
        "insert into post select key, 999999, sid, tf, dl, negated from post limit 1",
        "update post set negated = negated + 1 where row = (select min(row) from post)",
        "update doc set ends = ends - 1 where id = 'd1'",
    ],
)  # fmt: skip
def test_verify_finds_what_does_not_agree_with_the_records(url: str, damage: str) -> None:
    with Collection.open(url) as notes:
        notes.add([Document(f"note {i}", {"i": i}, f"d{i}", [1, i]) for i in range(5)])
        assert notes.verify().records == 5
        sql(url, damage)
        with pytest.raises(DatabaseError):
            notes.verify()


def holding(folder: Path, needle: bytes) -> list[str]:
    return [str(path) for path in (folder / "base").rglob("*") if path.is_file() and needle in path.read_bytes()]


def test_an_erased_text_is_in_no_data_file_and_the_receipt_names_what_is_beyond(
    server: Server, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if server.folder is None:
        pytest.skip("the files of a site's server are not ours to read")
    monkeypatch.setattr(facets, "LARGE", 1)
    with Collection.open(url, scope_keys=["patient"]) as notes:
        mine = notes.scoped(patient="Zaphodine Quux")
        mine.add([Document("unmistakable sentence of hers", {"k": "remarkable value"}, "peculiar-id", [1, 2])])
        notes.scoped(patient="B").add([Document("other", {}, "b", [1, 2])])
        sql(url, "analyze")  # by itself: two statements would be one transaction, which keeps every table locked
        sql(url, "checkpoint")
        needles = [b"unmistakable sentence", b"remarkable value", b"peculiar-id", b"Zaphodine Quux"]
        assert all(holding(server.folder / "data", needle) for needle in needles)
        assert ("remarkable value",) in sql(url, "select value #>> '{}' from facet")
        receipt = mine.erase(["peculiar-id"])
        sql(url, "checkpoint")
        assert [holding(server.folder / "data", needle) for needle in needles] == [[]] * 4
        assert receipt.ids == ("peculiar-id",)
        assert any("write-ahead log" in each for each in receipt.beyond)
        assert any("replicas" in each for each in receipt.beyond)
        assert len(notes) == notes.verify().records == 1


def test_an_erasure_that_another_transaction_still_sees_says_that_traces_remain(url: str) -> None:
    with Collection.open(url, lock_timeout=0.3) as notes:
        notes.add([Document("private", {}, "x", [1, 2])])
        with psycopg.connect(parse(url).conninfo) as other:
            other.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            other.execute("select 1")  # takes a snapshot, which lasts until the transaction ends
            with pytest.raises(TracesRemainError, match="still sees them"):
                notes.erase(["x"])
            assert len(notes) == 0
        assert notes.erase(["x"]).ids == ()


def test_iterators_that_are_dropped_give_their_connections_back(url: str) -> None:
    with Collection.open(url) as notes:
        notes.add([Document("t", {}, f"d{i}", [1, 2]) for i in range(600)])
        for advanced in (False, True):
            for _ in range(3 * connections._MOST):
                stream = notes.stream()
                if advanced:
                    next(stream)
                del stream
        assert len(notes) == 600
        half = notes.stream()
        next(half)
    with pytest.raises(BedsideError):
        list(half)


def test_one_pool_serves_all_collections_of_a_database_and_is_closed_with_the_last(postgres) -> None:
    first, second = Collection.open(postgres()), Collection.open(postgres())
    assert first._engine._database.pool is second._engine._database.pool
    first.close()
    second.add(["still open"])
    pool = second._engine._database.pool
    second.close()
    assert pool._pool is None


FORKED = """
import os, sys
from bedside import Collection, Document, engines
with Collection.open(sys.argv[1]) as notes:
    notes.add([Document("of the parent", {}, "p", [1, 2])])
    pid = os.fork()
    if not pid:
        notes.add([Document("of the child", {}, "c", [1, 2])])
        os._exit(0 if notes.count() == 2 else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert notes.count() == 2
    notes.add([Document("of the parent again", {}, "q", [1, 2])])
    print(notes.count())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_has_connections_of_its_own(url: str) -> None:
    out, err = child(url, code=FORKED).communicate(timeout=60)
    assert out == "3\n", err[-2000:]


def test_the_code_of_its_page_runs(url: str, postgres: Callable[[], str], tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "postgres.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    code = "\n".join(blocks)
    for number in (1, 2):
        note = {"id": f"n{number}", "text": "No fever.", "metadata": {"patient_id": "A"}}
        (tmp_path / f"notes-{number}.jsonl").write_text(json.dumps(note) + "\n")
    for name, place in (("ward_again", postgres()), ("ward_in_bulk", postgres()), ("ward", url)):
        code = code.replace(f"postgresql://nurse@db.hospital/notes?collection={name}", place)
    assert url in code
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]


def test_an_emptied_collection_takes_another_dimension_after_an_empty_batch_too(url: str) -> None:
    with Collection.open(url) as notes:
        notes.add([Document("t", {}, "two", [1, 2])])
        notes.delete(["two"])
        assert notes.add_batches(iter([[], [Document("t", {}, "three", [1, 2, 3])], []])) == 1
        assert (notes.dimension, len(notes.search("t", vector=[1, 2, 3]))) == (3, 1)


def test_a_url_is_read_without_the_collection_and_defaults_its_name() -> None:
    found = parse("postgresql://u@h1:5432,h2:5433/d?target_session_attrs=any&collection=a%20b")
    assert (found.schema, "target_session_attrs=any" in found.conninfo, "collection" in found.conninfo) == (
        "a b",
        True,
        False,
    )
    assert parse("postgres://h/d").schema == "bedside"
    asked = parse("postgresql://h/d?options=-c%20statement_timeout%3D5s%20-c%20x.y%3Da%2Bb+c")
    assert conninfo_to_dict(asked.conninfo)["options"] == "-c statement_timeout=5s -c x.y=a+b+c"
    assert parse(asked.again).conninfo == asked.conninfo
    with pytest.raises(InvalidInputError, match="63 bytes"):
        parse(f"postgresql://h/d?collection={'x' * 64}")


def test_the_facts_are_kept_as_they_were_decided(url: str) -> None:
    with Collection.open(url, encoder=Letters(), scope_keys=["p"]) as notes:
        notes.add([Document("pain", {"p": 1})])
    facts = json.loads(sql(url, "select facts from about")[0][0])
    assert (facts["dimension"], facts["encoder"]["name"], facts["scope_keys"]) == (26, "letters", ["p"])


def test_what_can_be_known_of_a_url_without_opening_it_is_answered_and_the_rest_refused(url: str) -> None:
    assert not engines.holds_collection(url)
    with pytest.raises(NotACollectionError, match="there is no collection"):
        engines.read_facts(url)
    with Collection.open(url, scope_keys=["patient_id"]) as notes:
        notes.scoped(patient_id="A").add([Document("Chest pain.", {}, "a", [1, 0, 0])])
        facts = notes.facts
    assert engines.holds_collection(url)
    assert engines.read_facts(url) == facts
    assert min(engines.sizes(url).values()) > 0
    with pytest.raises(InvalidInputError, match=r"^postgresql://bedside@.*on PostgreSQL"):
        engines.repair(url)


def test_no_folder_is_made_of_a_url(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInputError, match="in Python a URL is a str"):
        Collection.open(Path(url))
    with pytest.raises(InvalidInputError, match="expected a folder, got a URL"):
        Collection.open("mysql://host/notes")
    assert not list(tmp_path.iterdir())
