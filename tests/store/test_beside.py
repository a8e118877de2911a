"""What takes long goes on beside searches: they see none of it or all of it, and wait for nothing."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedside import Collection, Document
from bedside.engines.embedded import checkpoints, state
from bedside.engines.embedded.index.rows import Index
from bedside.engines.embedded.log import log as log_module
from bedside.engines.embedded.log.log import DiskFile, Log
from bedside.errors import CorruptLogError
from forks import child_does, held_by_a_thread
from store import bulk
from store.children import DIMENSION, Child, answers, document, model_of

OLD, LOG = ["a", "b", "c"], "log-000001.jsonl"
QUERY = np.ones(DIMENSION, np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with Collection.open(tmp_path / "c") as notes:
        notes.add(document(id, 1) for id in OLD)
    return tmp_path / "c"


def found(notes: Collection) -> int:
    return len(notes.search("note", vector=QUERY, top_k=10_000))


def in_the_middle(pause: threading.Event, go_on: threading.Event, batches: int = 20) -> Iterator[list[Document]]:
    for number, batch in enumerate(bulk.batches(batches)):
        if number == batches // 2:
            pause.set()
            go_on.wait(60)
        yield batch


@pytest.mark.parametrize("place", ["memory", "disk"])
def test_searches_and_reads_go_on_in_the_middle_of_a_bulk_write_and_see_none_or_all_of_it(place, tmp_path) -> None:
    notes = Collection.open(None if place == "memory" else tmp_path / "c")
    notes.add(document(id, 1) for id in OLD)
    pause, go_on = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: notes.add_batches(in_the_middle(pause, go_on)))
    thread.start()
    assert pause.wait(60)
    assert (found(notes), notes.count(), len(notes.get(filter={})), "b0-1" in notes) == (3, 3, 3, False)
    go_on.set()
    seen = {found(notes)}
    while thread.is_alive():
        seen.add(found(notes))
    thread.join()
    assert seen <= {3, 2_003}
    assert (found(notes), notes.count()) == (2_003, 2_003)
    notes.close()


@pytest.mark.parametrize("rewrite", [Collection.compact, lambda notes: notes.erase(["x0"])])
def test_searches_go_on_in_the_middle_of_a_rewrite(rewrite, folder, monkeypatch) -> None:
    with Collection.open(folder) as notes:
        notes.add(document(f"x{i}", 1) for i in range(300))
        before, pause, go_on = answers(notes), threading.Event(), threading.Event()
        changes = Log.changes

        def slowly(log: Log, *args: Any) -> Iterator[Any]:
            for number, change in enumerate(changes(log, *args)):
                if number == 100 and threading.current_thread() is thread:
                    pause.set()
                    go_on.wait(60)
                yield change

        monkeypatch.setattr(Log, "changes", slowly)
        thread = threading.Thread(target=rewrite, args=[notes])
        thread.start()
        assert pause.wait(60)
        assert answers(notes) == before
        go_on.set()
        thread.join()
        assert notes.count() == (303 if rewrite is Collection.compact else 302)
        notes.verify()


def test_a_search_in_whose_time_the_log_was_replaced_does_not_pay_for_its_removal(folder, monkeypatch) -> None:
    monkeypatch.setattr(state, "_MANY", 0)
    monkeypatch.setattr(state, "_SEARCH", 1.0)
    closed, close = [], os.close
    monkeypatch.setattr(os, "close", lambda fd: (closed.append(threading.current_thread()), close(fd)))
    with Collection.open(folder) as notes:
        reading, replaced, read = threading.Event(), threading.Event(), Log.read
        switch = notes._engine._storage.switch

        def waits(log: Log, *args: Any, **options: Any) -> Any:
            if threading.current_thread() is thread:
                reading.set()
                replaced.wait(60)
            return read(log, *args, **options)

        def then_reads_on(*args: Any) -> None:
            switch(*args)
            replaced.set()

        monkeypatch.setattr(Log, "read", waits)
        monkeypatch.setattr(notes._engine._storage, "switch", then_reads_on)
        thread = threading.Thread(target=found, args=[notes])
        thread.start()
        assert reading.wait(60)
        notes.compact()
        thread.join()
        assert not (folder / LOG).exists()
    assert threading.current_thread() in closed  # with the old log
    assert thread not in closed


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, threading.Event]]:
    """The thread that follows other processes stops at its beginning (first event) until it may go on (second)."""
    monkeypatch.setattr(state, "BESIDE_BYTES", 2**12)
    follow, began, go_on = state.State._follow, threading.Event(), threading.Event()

    def waits(*start: Any) -> None:
        began.set()
        go_on.wait(60)
        follow(*start)

    monkeypatch.setattr(state.State, "_follow", waits)
    yield began, go_on
    go_on.set()


@pytest.mark.parametrize("call", [Collection.count, lambda notes: len(notes.get(filter={})), len])
def test_a_count_waits_for_what_another_process_wrote_in_bulk_and_a_search_does_not(folder, held, call) -> None:
    began, go_on = held
    with Collection.open(folder) as notes, Child(bulk.write_in_bulk, folder=folder, count=10) as child:
        assert child.report() == "written"
        assert (found(notes), notes.count()) == (3, 3)
        child.tell()
        assert child.report() == 1_000
        assert found(notes) == 3
        assert began.wait(60)
        counted: list[int] = []
        thread = threading.Thread(target=lambda: counted.append(call(notes)))
        thread.start()
        assert (found(notes), counted) == (3, [])
        go_on.set()
        thread.join(60)
        assert counted == [1_003]
        assert found(notes) == 1_003
        model_of(notes)
        child.tell()
        child.end()


def test_a_search_does_not_wait_for_a_count_that_takes_over_what_another_process_wrote_in_bulk(folder, held) -> None:
    began, go_on = held
    with Collection.open(folder) as notes, Collection.open(folder) as other:
        other.add_batches(bulk.batches(10))
        counted: list[int] = []
        thread = threading.Thread(target=lambda: counted.append(notes.count()))
        thread.start()
        assert began.wait(60)
        assert (found(notes), counted) == (3, [])
        go_on.set()
        thread.join(60)
        assert counted == [1_003]


def test_a_search_that_read_along_with_a_long_transaction_does_not_wait_for_it_once_it_is_committed(
    folder, held, monkeypatch
) -> None:
    monkeypatch.setattr(log_module, "_CHUNK", 2**10)  # the writer's buffer
    began, go_on = held
    with Collection.open(folder) as notes, Collection.open(folder) as other:

        def read_along() -> Iterator[list[Document]]:
            for number in range(60):
                seen = found(notes), began.is_set()
                assert seen == (3, False)  # there is little new, and no thread for it
                yield [document(f"x{number}", 1)]

        other.add_batches(read_along())
        assert found(notes) == 3
        assert began.wait(60)
        go_on.set()
        assert notes.count() == 63


def test_closing_does_not_wait_for_what_another_process_wrote_in_bulk(folder, held) -> None:
    began, _ = held
    with Collection.open(folder) as notes:
        with Collection.open(folder) as other:
            other.add_batches(bulk.batches(10))
        notes.close()
        assert not began.is_set()
    assert Collection.open(folder, read_only=True).verify().records == 1_003


@pytest.mark.parametrize("cache", ["cache", "no cache"])
def test_the_next_search_no_longer_finds_what_another_process_erased(folder, monkeypatch, cache) -> None:
    monkeypatch.setattr(state, "BESIDE_BYTES", 2**12)
    if cache == "no cache":
        monkeypatch.setattr(checkpoints, "write_cache", lambda *_: False)
    with Collection.open(folder) as notes, Collection.open(folder) as other:
        other.add(document(f"x{i}", 1) for i in range(200))
        assert notes.count() == 203
        other.erase([f"x{i}" for i in range(50)])
        assert found(notes) == 153
        assert answers(notes) == answers(other)


def test_what_another_process_erased_is_gone_while_an_earlier_bulk_write_is_still_being_taken_over(
    folder, held
) -> None:
    began, go_on = held
    with Collection.open(folder) as notes, Collection.open(folder) as other:
        other.add(document(f"x{i}", 1) for i in range(200))
        assert found(notes) == 3
        assert began.wait(60)
        other.erase(["a", "x7"])
        assert found(notes) == 201
        go_on.set()
        assert notes.count() == 201
        assert answers(notes) == answers(other)
        other.add([document("later", 1)])
        assert model_of(notes) == model_of(other)


def test_what_goes_wrong_in_taking_over_is_raised_by_the_next_call_and_not_lost(folder, held) -> None:
    _, go_on = held
    go_on.set()
    with Collection.open(folder) as notes:
        with Collection.open(folder) as other:
            other.add(document(f"x{i}", 1) for i in range(200))
        log = folder / LOG
        data = bytearray(log.read_bytes())
        data[-3_000] ^= 1
        log.write_bytes(data)
        with pytest.raises(CorruptLogError):
            for _ in range(2):  # whichever comes first: the search that began it, or the one after it
                found(notes)
                notes.count()


# -- another process's unfinished transaction ------------------------------------------------------------------------


@pytest.fixture
def bytes_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    lengths: list[int] = []
    read = DiskFile.read

    def counted(file: DiskFile, offset: int, length: int) -> bytes:
        data = read(file, offset, length)
        lengths.append(len(data))
        return data

    monkeypatch.setattr(DiskFile, "read", counted)
    return lengths


def committed(folder: Path, name: str, *documents: Document) -> bytes:
    """What a writer that adds documents appends to the log."""
    copy = shutil.copytree(folder, folder.with_name(name))
    before = (copy / LOG).stat().st_size
    with Collection.open(copy) as other:
        other.add(documents)
    return (copy / LOG).read_bytes()[before:]


def unfinished(folder: Path, name: str, count: int) -> bytes:
    """What a writer that adds ``count`` documents leaves when it dies before its commit line."""
    appended = committed(folder, name, *(document(f"{name}{i}", 1) for i in range(count)))
    return b"".join(appended.splitlines(keepends=True)[:-1])


@pytest.fixture
def rest(folder: Path) -> tuple[bytes, bytes]:
    """Rests of two dead writers, a long and a short one."""
    return unfinished(folder, "x", 300), unfinished(folder, "y", 30)


@pytest.mark.parametrize("read_only", [True, False])
def test_an_unfinished_transaction_is_read_once_however_often_one_searches(folder, rest, bytes_read, read_only) -> None:
    log = folder / LOG
    with Collection.open(folder, read_only=read_only) as notes:
        expected = answers(notes)
        with log.open("ab") as out:
            out.write(rest[0])
        bytes_read.clear()
        for _ in range(5):
            assert len(notes.search(vector=QUERY)) == 3
            notes.count()
        assert sum(bytes_read) < len(rest[0]) + 5 * 3 * 2_000
        with log.open("ab") as out:  # it goes on, and is cut off in the middle of a line
            out.write(rest[1][:-100])
        bytes_read.clear()
        for _ in range(5):
            assert answers(notes) == expected
        assert max(bytes_read) <= len(rest[1])


def test_after_a_dead_writers_rest_was_replaced_a_reader_reads_on(folder, rest) -> None:
    log = folder / LOG
    with Collection.open(folder, read_only=True) as notes:
        assert notes.count() == 3
        with log.open("ab") as out:
            out.write(rest[0])
        assert notes.count() == 3
        with Collection.open(folder) as other:
            other.add(document(f"z{i}", 1) for i in range(400))
            assert notes.count() == 403
            assert answers(notes) == answers(other)
            other.delete(["z0"])
            assert notes.count() == 402
        assert model_of(notes).keys() == {*OLD, *(f"z{i}" for i in range(1, 400))}


def test_after_a_rest_was_replaced_by_fewer_bytes_a_reader_reads_on(folder, rest) -> None:
    log = folder / LOG
    with Collection.open(folder, read_only=True) as notes:
        assert notes.count() == 3
        with log.open("ab") as out:
            out.write(rest[0])
        assert notes.count() == 3
        with Collection.open(folder) as other:
            other.add([document("z", 1)])
        assert notes.count() == 4
        assert list(model_of(notes)) == [*OLD, "z"]


def test_a_rest_that_was_replaced_by_as_many_bytes_is_not_taken_for_the_same(folder) -> None:
    new = document("z", 1)
    whole = committed(folder, "whole", new)
    spare = len(whole) - len(whole.splitlines(keepends=True)[0])
    padded = Document(new.text + "x" * spare, new.metadata, new.id, new.vector)
    same_size = committed(folder, "padded", padded).splitlines(keepends=True)[0]
    assert len(same_size) == len(whole)
    with Collection.open(folder, read_only=True) as notes:
        with (folder / LOG).open("ab") as out:
            out.write(same_size)
        assert notes.count() == 3
        with Collection.open(folder) as other:
            other.add([new])
            assert notes.count() == 4
            assert list(model_of(notes)) == [*OLD, "z"]


# -- forks -----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
@pytest.mark.parametrize("place", ["memory", "disk"])
def test_a_child_forked_while_threads_search_and_write_adds_and_searches(place, tmp_path) -> None:
    notes = Collection.open(None if place == "memory" else tmp_path / "c")
    notes.add(document(f"old{i}", 1) for i in range(300))
    stop, numbers = threading.Event(), iter(range(10**9))

    def until_stopped(call: Callable[[], object]) -> None:
        while not stop.is_set():
            call()

    calls: list[Callable[[], object]] = [
        lambda: notes.search("HbA1c", vector=QUERY),
        lambda: notes.add([document(f"n{next(numbers)}", 1)]),
        lambda: notes.add_batches([[document(f"m{i}", 2) for i in range(300)]]),
        lambda: notes.delete(["n1"]),
    ]
    threads = [threading.Thread(target=until_stopped, args=[call]) for call in calls]
    for thread in threads:
        thread.start()

    def child(number: int) -> bool:
        added = document(f"child{number}", 1)
        notes.add([added])
        best = notes.search(vector=added.vector, top_k=1)[0].id
        return best == added.id and notes.get([added.id]) == [Document(added.text, added.metadata, added.id)]

    try:
        worked = [child_does(lambda n=n: child(n)) for n in range(8)]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert worked == [True] * 8
    if place == "disk":
        assert notes.count({"version": 1, "tags": {"$in": [f"child{n}" for n in range(8)]}}) == 8
        notes.verify()
    notes.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
def test_a_child_forked_while_another_process_rows_are_half_taken_over_finds_them_all(folder, monkeypatch) -> None:
    monkeypatch.setattr(state, "BESIDE_BYTES", 2**12)
    join, joining, go_on = Index.join, threading.Event(), threading.Event()

    def waits(index: Index, part: Index) -> None:
        join(index, part)
        if threading.current_thread().name == "bedside-follow" and not joining.is_set():  # not in the child
            joining.set()
            go_on.wait(60)

    monkeypatch.setattr(Index, "join", waits)
    with Collection.open(folder) as notes, Collection.open(folder) as other:
        other.add(document(f"x{i}", 1) for i in range(200))
        assert found(notes) == 3
        assert joining.wait(60)

        def child() -> bool:
            new = document("new", 9)
            notes.add([new])
            return notes.count() == 204 and notes.search(vector=new.vector, top_k=1)[0].id == "new"

        try:
            assert child_does(child)
        finally:
            go_on.set()
        assert notes.count() == 204
        assert answers(notes) == answers(other)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
@pytest.mark.parametrize("place", ["memory", "disk"])
def test_a_child_forked_while_a_thread_is_in_the_middle_of_the_logs_file_adds_and_reads(place, tmp_path) -> None:
    notes = Collection.open(None if place == "memory" else tmp_path / "c")
    notes.add([document("a", 1)])
    # In memory, a fork waits until the thread is through: there is no file that a child could read again.
    with held_by_a_thread(notes._engine._log._file._lock, 0.3 if place == "memory" else 60):
        assert child_does(lambda: notes.add([document("b", 1)]) == ["b"] and len(notes.get(["a", "b"])) == 2)
    notes.close()
