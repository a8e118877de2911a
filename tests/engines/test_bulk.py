"""Bulk loading: what it gives is what adding the files gives, whoever loads them, whatever dies, and however often."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside import Collection, Document
from bedside.audit import AuditLog, acting_as
from bedside.bulk import BulkReport, bulk_load
from bedside.bulk.shards import cut, numbered_lines
from bedside.engines import examine, holds_collection
from bedside.engines.postgres.url import parse
from bedside.errors import ActorRequired, BedsideError, EncoderRequired, InvalidInputError, UnreadableFileError
from bedside.text.split import NoteSplitter
from command_line import NOT_IGNORED, bedside
from engines.bulk_encoders import Letters

SMALL = 4_000
"""Bytes of a shard: some twenty documents."""
KEYS = ["patient_id"]


@pytest.fixture
def url(postgres: Callable[[], str]) -> str:
    return postgres()


@pytest.fixture
def processes() -> Iterator[Executor]:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        yield executor


def lines(draw: random.Random, first: int, count: int, word: str = "") -> list[dict[str, Any]]:
    words = ["chest", "pain", "denies", "fever", "cough", "120/80", "metoprolol", "5mg", "Übelkeit", "no"]
    return [
        {
            "id": f"d{first + i}",
            "text": " ".join(draw.choices(words, k=draw.randint(3, 40))) + word,
            "metadata": {"patient_id": f"P{draw.randrange(5)}", "n": i, "tags": draw.choices(words, k=2)},
        }
        for i in range(count)
    ]


def write(path: Path, records: Sequence[Any]) -> Path:
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in records), encoding="utf-8")
    return path


def added(files: Sequence[Path], *, notes: bool = False, **options: Any) -> Collection:
    """What the files give when they are added one after another in memory."""
    collection = Collection.open(scope_keys=KEYS, encoder=Letters())
    for file in files:
        documents = [Document(**json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]
        if not notes:
            collection.add(documents)
        for note in documents if notes else []:
            collection.scoped(patient_id=note.metadata["patient_id"]).add_notes([note], **options)
    return collection


def content(notes: Collection) -> list[Any]:
    return [
        (scope, d.id, d.text, d.metadata, d.vector.tobytes())
        for scope, _ in notes.scopes()
        for d in notes.scoped(**scope).stream(include_vectors=True)
    ]


def assert_same(url: str, expected: Collection) -> None:
    """Records, their order, and answers."""
    with Collection.open(url, encoder=Letters()) as loaded:
        loaded.verify()
        assert content(loaded) == content(expected)
        assert loaded.scopes() == expected.scopes()
        for scope, _ in expected.scopes():
            for query in ("denies chest pain", "metoprolol 5mg", "fever"):
                for more in ({}, {"filter": {"n": {"$lt": 20}}, "explain": True}, {"mode": "sparse", "top_k": 50}):
                    one = loaded.scoped(**scope).search(query, **more)
                    assert one == expected.scoped(**scope).search(query, **more)


def rows(url: str) -> list[Any]:
    """Everything in every table, the ledger and the indexes."""
    found = parse(url)
    with psycopg.connect(found.conninfo) as connection:
        connection.execute(f'set search_path = "{found.schema}", public'.encode())
        tables = [
            connection.execute(f"select {table}::text from {table} order by 1".encode()).fetchall()  # noqa: S608 - a constant
            for table in ("about", "scope", "doc", "vec", "post", "loaded")
        ]
        indexes = "select tablename, indexname from pg_indexes where schemaname = %s order by 1, 2"
        return [*tables, connection.execute(indexes, (found.schema,)).fetchall()]


def assert_second_run_changes_nothing(files: Sequence[Path], url: str, shards: int, **options: Any) -> None:
    before = rows(url)
    again = bulk_load(files, url, scope_keys=KEYS, encoder=Letters(), shard_bytes=SMALL, **options)
    assert (again.documents, again.shards, again.skipped) == (0, 0, shards)
    assert rows(url) == before


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two files, the second of which has some documents of the first in other words."""
    draw = random.Random(7)
    return [
        write(tmp_path / "a.jsonl", lines(draw, 0, 120)),
        write(tmp_path / "b.jsonl", [*lines(draw, 120, 60), *lines(draw, 30, 20, " again")]),
    ]


def test_processes_give_what_adding_the_files_gives_and_a_second_run_changes_nothing(
    files: list[Path], url: str, processes: Executor
) -> None:
    one_by_one = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    report = bulk_load(files, url, executor=processes, encoder=Letters(), scope_keys=KEYS, shard_bytes=SMALL)
    assert report.is_complete
    assert report.shards > 4
    assert report.documents <= len(one_by_one)
    assert_same(url, added(files))
    assert_second_run_changes_nothing(files, url, report.shards)
    with Collection.open(url, encoder=Letters()) as notes:
        patient = notes.scoped(patient_id="P1")
        patient.add([Document("later pain", {}, "later")])
        assert patient.get(filter={})[-1].id == "later"
    assert set(rows(url)[-1]) == set(indexes_of_a_new_one(url))


def indexes_of_a_new_one(url: str) -> list[Any]:
    Collection.open(url + "_new").close()
    found = rows(url + "_new")[-1]
    with psycopg.connect(parse(url).conninfo, autocommit=True) as connection:
        connection.execute(f'drop schema "{parse(url).schema}_new" cascade'.encode())
    return found


class Backwards(Executor):
    """Runs what it is given in the opposite order, once it has all of it."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._given: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._given.append((future, lambda: fn(*args, **kwargs)))
        if len(self._given) == self._count:
            for waiting, work in reversed(self._given):
                waiting.set_result(work())
        return future


@pytest.mark.parametrize("notes", [False, True])
def test_a_later_file_wins_also_where_it_is_loaded_first(tmp_path: Path, url: str, notes: bool) -> None:
    draw = random.Random(3)
    long = "HPI: Chest pain for 3 days. PLAN: Rest, metoprolol 5mg. LABS: none. "
    first, second = lines(draw, 0, 6), lines(draw, 4, 6)
    for line in first:
        line["metadata"]["patient_id"], line["text"] = "P1", long * 8 + line["text"]
    for line in second:
        line["metadata"]["patient_id"] = "P1"
    files = [write(tmp_path / "a.jsonl", first), write(tmp_path / "b.jsonl", second)]
    how: dict[str, Any] = {"notes": True, "splitter": NoteSplitter(20, overlap=5)} if notes else {}
    report = bulk_load(files, url, executor=Backwards(2), encoder=Letters(), scope_keys=KEYS, **how)
    assert (report.shards, report.failed) == (2, ())
    assert_same(url, added(files, **how))


def test_notes_are_split_as_add_notes_splits_them_and_replace_notes_of_before(
    tmp_path: Path, url: str, processes: Executor
) -> None:
    text = "HPI: Chest pain for 3 days, worse on exertion. PLAN: Rest and metoprolol 5mg. ROS: No fever, no cough. "
    records = [
        {"id": f"n{i}", "text": text * (1 + i % 4), "metadata": {"patient_id": f"P{i % 3}", "n": i}} for i in range(30)
    ]
    files = [write(tmp_path / "a.jsonl", records)]
    splitter = NoteSplitter(24, overlap=6)
    with Collection.open(url, scope_keys=KEYS, encoder=Letters()) as there:
        view = there.scoped(patient_id="P1")
        view.add_notes([Document(text * 9, {"n": 0}, "n4")], splitter=splitter)
        report = bulk_load(
            files, url, executor=processes, encoder=Letters(), notes=True, splitter=splitter, shard_bytes=SMALL
        )
        assert report.is_complete
        expected = added(files, notes=True, splitter=splitter)
        assert_same(url, expected)
        for query in ("chest pain", "cough"):
            found = [there.scoped(patient_id="P1").search_notes(query)]
            assert found == [expected.scoped(patient_id="P1").search_notes(query)]
        assert view.get_note("n4") == expected.scoped(patient_id="P1").get_note("n4")
        view.add([Document("no passage", {}, "n31#0")])
    other = write(tmp_path / "b.jsonl", [{"id": "n31", "text": text, "metadata": {"patient_id": "P1"}}])
    report = bulk_load([other], url, encoder=Letters(), notes=True, splitter=splitter)
    assert [str(each) for each in report.failed] == [
        f"{other}, lines 1 to 1: notes: a record that is not a passage has the id 'n31#0', which a passage of the note "
        "needs"
    ]


def test_what_cannot_be_stored_is_named_by_file_line_and_id_and_the_rest_is_loaded(tmp_path: Path, url: str) -> None:
    def line(id: str, metadata: Any = None, **other: Any) -> dict[str, Any]:
        return {"id": id, "text": f"secret of {id}", "metadata": metadata or {"patient_id": "P1"}, **other}

    given = [
        line("ok1"), '{"id": "x", "text": "secret', line("blank", text="  "), "", line("ok2"), "[1]",
        line("no scope", {"k": 1}), line("ok1", text="secret twice"), line("big", {"patient_id": "P1", "k": 2**64 - 1}),
        line("nul", {"patient_id": "P1", "k": "secret\0"}), line("vec", vector=[1, 2]), line("ok3"), line("i" * 2_001),
    ]  # fmt: skip
    bad = write(tmp_path / "bad.jsonl", given)
    report = bulk_load([bad], url, encoder=Letters(), scope_keys=KEYS)
    named = [(each.line, each.id, each.reason.partition(":")[0]) for each in report.refused]
    assert sorted(named, key=lambda each: each[0]) == [
        (2, None, "not JSON"), (3, "blank", "text"), (6, None, "expected a JSON object, got list"),
        (7, "no scope", "metadata"), (8, "ok1", "id"), (9, "big", "metadata.k"), (10, "nul", "metadata.k"),
        (11, "vec", "vector"), (13, "i" * 2_001, "id"),
    ]  # fmt: skip
    assert (report.documents, report.left_out, report.failed) == (3, 9, ())
    assert not report.is_complete
    assert all(each.file == str(bad) for each in report.refused)
    assert not any("secret" in str(each) for each in report.refused)
    again = bulk_load([bad], url, encoder=Letters())
    assert (again.documents, again.skipped, again.left_out, again.refused) == (0, 1, 9, ())
    with Collection.open(url) as notes:
        assert [d.id for d in notes.scoped(patient_id="P1").get(filter={})] == ["ok1", "ok2", "ok3"]


def with_one_that_kills(files: list[Path], tmp_path: Path) -> list[Path]:
    return [*files, write(tmp_path / "c.jsonl", lines(random.Random(1), 200, 60, " KILL"))]


def test_a_killed_worker_leaves_whole_shards_and_the_next_run_does_the_rest(
    files: list[Path], tmp_path: Path, url: str, processes: Executor
) -> None:
    files = with_one_that_kills(files[:1], tmp_path)
    encoder = Letters(str(tmp_path / "killed"))
    first = bulk_load(files, url, executor=processes, encoder=encoder, scope_keys=KEYS, shard_bytes=SMALL)
    assert (tmp_path / "killed").exists()
    assert first.failed
    assert "a worker process ended" in first.failed[0].reason
    with Collection.open(url) as notes:
        there = notes.verify().records  # the other worker, which ends with the pool, may have just loaded one more
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as others:
        second = bulk_load(files, url, executor=others, encoder=encoder, shard_bytes=SMALL)
    assert second.is_complete
    assert there >= first.documents
    assert there + second.documents == 120 + 60
    assert_same(url, added(files))
    assert_second_run_changes_nothing(files, url, second.skipped + second.shards)


LOAD = """
import sys
from bedside.bulk import bulk_load
from engines.bulk_encoders import Letters

bulk_load(sys.argv[2:-1], sys.argv[-1], encoder=Letters(sys.argv[1]), scope_keys=["patient_id"], shard_bytes=4_000)
"""


@pytest.fixture
def left_by_a_killed_load(files: list[Path], tmp_path: Path, url: str) -> list[Path]:
    """The files of a load whose starter was killed: some shards are there, and no indexes."""
    files = with_one_that_kills(files[:1], tmp_path)
    tests = Path(__file__).parents[1]  # where `engines` is found
    killed = subprocess.run([sys.executable, "-c", LOAD, tmp_path / "killed", *files, url], cwd=tests, check=False)
    assert killed.returncode == -signal.SIGKILL
    return files


INDEXES = {"doc_fields", "doc_row", "doc_dated", "doc_versions", "vec_row", "post_key", "post_row"}


def test_indexes_that_a_killed_load_left_out_are_told_of_and_compact_makes_them(
    left_by_a_killed_load: list[Path], url: str
) -> None:
    with Collection.open(url, encoder=Letters()) as notes:
        report = notes.verify()
        assert report.records > 0
        assert set(report.missing_indexes) == INDEXES
        assert "missing indexes, which compact makes: doc_fields" in bedside("verify", url)
        wrong = {check.what: check for check in examine(url) if check.state == "wrong"}["indexes"]
        assert "doc_fields" in wrong.found
        assert "bedside compact" in wrong.advice
        notes.compact()
        assert notes.verify().missing_indexes == ()
        assert {check.what: check.state for check in examine(url)}["indexes"] == "ok"
    assert set(rows(url)[-1]) == set(indexes_of_a_new_one(url))
    assert bulk_load(left_by_a_killed_load, url, encoder=Letters(), shard_bytes=SMALL).is_complete
    assert_same(url, added(left_by_a_killed_load))


def test_an_index_that_was_not_finished_is_made_anew(url: str) -> None:
    with Collection.open(url) as notes, psycopg.connect(parse(url).conninfo, autocommit=True) as connection:
        found = connection.execute(
            "update pg_index set indisvalid = false where indexrelid = to_regclass(%s) returning indexrelid",
            (f'"{parse(url).schema}".post_key',),
        ).fetchall()
        assert len(found) == 1
        assert notes.verify().missing_indexes == ("post_key",)
        notes.compact()
        assert notes.verify().missing_indexes == ()


def test_a_load_leaves_a_line_before_it_loads_and_without_an_actor_makes_nothing(
    files: list[Path], tmp_path: Path, url: str
) -> None:
    audit = AuditLog(tmp_path / "trail", key=bytes(32))
    with pytest.raises(ActorRequired, match="bulk_load: an audit trail is kept"):
        bulk_load(files, url, encoder=Letters(), scope_keys=KEYS, audit=audit)
    assert not holds_collection(url)
    with acting_as("loader"):
        bulk_load(files[:1], url, encoder=Letters(), scope_keys=KEYS, audit=audit)
        bulk_load(files[:1], url, encoder=Letters(), audit=audit)
        with pytest.raises(BedsideError):
            bulk_load(files, url, encoder=Letters(), scope_keys=["ward"], audit=audit)
    with Collection.open(url) as notes:
        asked = {"actor": "loader", "verb": "bulk_load"}
        told = [{key: line[key] for key in ("actor", "verb", "collection", "count", "error") if key in line} for line in
                audit.entries()]  # fmt: skip
        assert told == [
            {**asked, "collection": notes.facts.id, "count": 120},
            {**asked, "collection": notes.facts.id, "count": 0},
            {**asked, "error": "ScopeMismatch"},
        ]


def test_dask_workers_load_and_one_that_is_killed_is_replaced(files: list[Path], tmp_path: Path, url: str) -> None:
    distributed = pytest.importorskip("distributed")
    files = with_one_that_kills(files, tmp_path)
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None,
            local_directory=str(tmp_path),
        ) as cluster,
        distributed.Client(cluster) as client,
    ):  # fmt: skip
        report: BulkReport = bulk_load(
            files, url, executor=client.get_executor(), encoder=Letters(str(tmp_path / "killed")), scope_keys=KEYS,
            shard_bytes=SMALL,
        )  # fmt: skip
    assert (tmp_path / "killed").exists()
    assert report.is_complete
    assert_same(url, added(files))
    assert_second_run_changes_nothing(files, url, report.shards)


def test_two_loads_of_the_same_files_at_once_load_each_shard_once(files: list[Path], url: str) -> None:
    Collection.open(url, scope_keys=KEYS, encoder=Letters()).close()
    with ThreadPoolExecutor(2) as both:
        reports = list(both.map(lambda _: bulk_load(files, url, encoder=Letters(), shard_bytes=SMALL), range(2)))
    assert all(report.is_complete for report in reports)
    assert_same(url, added(files))


def test_writers_of_the_same_ids_beside_a_load_neither_fail_nor_make_an_id_twice(files: list[Path], url: str) -> None:
    errors: list[BaseException] = []
    done = threading.Event()

    def write_on() -> None:
        try:
            with Collection.open(url, scope_keys=KEYS, encoder=Letters()) as notes:
                draw = random.Random(5)
                while not done.is_set():
                    for line in lines(draw, 0, 10):
                        notes.add([Document(**line)])
        except BedsideError as error:
            errors.append(error)

    Collection.open(url, scope_keys=KEYS, encoder=Letters()).close()
    thread = threading.Thread(target=write_on)
    thread.start()
    with ThreadPoolExecutor(3) as workers:
        report = bulk_load(files, url, executor=workers, encoder=Letters(), shard_bytes=SMALL)
    done.set()
    thread.join()
    assert errors == []
    assert report.is_complete
    with Collection.open(url) as notes:
        notes.verify()
        found = {d["id"]: 0 for d in lines(random.Random(0), 0, 180)}
        for scope, _ in notes.scopes():
            for document in notes.scoped(**scope):
                found[str(document.id)] += 1
    assert min(found.values()) == 1


def test_what_cannot_be_loaded_in_bulk_is_refused_before_anything_is_made(
    files: list[Path], tmp_path: Path, url: str
) -> None:
    for wrong in (
        lambda: bulk_load(files, str(tmp_path / "folder")),
        lambda: bulk_load(files[0], url),
        lambda: bulk_load(files, url, splitter=NoteSplitter(20)),
        lambda: bulk_load(files, url, shard_bytes=0),
    ):
        with pytest.raises(InvalidInputError):
            wrong()
    assert not holds_collection(url)
    assert not (tmp_path / "folder").exists()
    with Collection.open(url) as notes:
        notes.add([Document("a", vector=[1, 2, 3, 4])])
    with pytest.raises(EncoderRequired):
        bulk_load(files, url)


def test_a_file_that_is_changed_while_it_is_loaded_fails_by_name(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"id": "1", "text": "a"}])
    (shard,) = cut(path, 10, "")
    write(path, [{"id": "1", "text": "b"}])
    with pytest.raises(UnreadableFileError, match=r"^a.jsonl: was changed"):
        numbered_lines(shard, "")


LINE = st.binary(max_size=12).map(lambda line: line.replace(b"\n", b""))


@given(st.lists(LINE, max_size=20), st.integers(1, 40), st.booleans())
def test_shards_are_whole_lines_numbered_as_in_the_file(parts: list[bytes], size: int, ended: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.jsonl")
        path.write_bytes(b"\n".join(parts) + (b"\n" if ended else b""))
        shards = list(cut(path, size, "how"))
        found = [each for shard in shards for each in numbered_lines(shard, "how")]
        whole = path.read_bytes()
    expected = [(n, line) for n, line in enumerate(whole.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1) if line.strip()]
    assert found == expected
    assert sum(shard.size for shard in shards) == len(whole)


def test_bedside_bulk_load_loads_says_what_it_left_out_and_loads_nothing_twice(tmp_path: Path, url: str) -> None:
    vectors = [{"id": f"d{i}", "text": f"pain {i}", "vector": [1, i + 1]} for i in range(5)]
    good, bad = write(tmp_path / "good.jsonl", vectors), write(tmp_path / "bad.jsonl", [{"id": "x", "text": " "}])
    assert bedside("bulk-load", good, url, "--workers", 2) == "5 documents added in 1 shards\n"
    said = bedside("bulk-load", good, url, "--workers", 1)
    assert said == "0 documents added in 0 shards; 1 shards were loaded before\n"
    done = subprocess.run(
        [sys.executable, "-m", "bedside.cli", "bulk-load", str(bad), str(good), url, "--json"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith(f"{bad}, line 1 (id 'x'): text: empty;")
    report = json.loads(done.stdout)
    assert (report["documents"], report["left_out"], report["skipped"]) == (0, 1, 1)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to a group of processes")
def test_ctrl_c_ends_a_bulk_load_and_its_workers_with_one_line_and_the_next_one_loads_the_rest(
    tmp_path: Path, url: str
) -> None:
    file, draw = tmp_path / "notes.jsonl", random.Random(7)
    words = [f"word{number}" for number in range(3_000)]
    with file.open("w") as lines:
        for number in range(40_000):
            lines.write(json.dumps({"text": " ".join(draw.choices(words, k=60)), "id": str(number)}) + "\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "bedside.cli", "bulk-load", str(file), url, "--workers", "2"],
        stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=NOT_IGNORED,
    )  # fmt: skip
    while not (holds_collection(url) and bedside("count", url) != "0\n") and process.poll() is None:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    said = "bedside: interrupted; what was finished stays, and nothing is half done\n"
    assert (process.communicate(timeout=60)[1], process.returncode) == (said, 130)
    there = int(bedside("count", url))
    assert 0 < there < 40_000
    assert bedside("bulk-load", file, url).startswith(f"{40_000 - there} documents added")
    assert bedside("count", url) == "40000\n"
