"""One collection, many processes and threads: nothing lost, nothing doubled, nothing seen in part."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from bedside import Collection
from bedside.errors import CollectionClosedError, LockTimeoutError, NotACollectionError
from store import traffic
from store.children import DIMENSION, Child, document, model_of, run
from store.mounts import mounts
from store.traffic import BATCH, batch

WRITERS = ("one", "two", "three", "four")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with Collection.open(tmp_path / "c") as notes:
        notes.add(document(id, 1) for id in "abc")
    return tmp_path / "c"


@pytest.mark.parametrize("calls", [25, pytest.param(250, marks=pytest.mark.slow)])
def test_four_writers_lose_nothing_double_nothing_and_readers_see_every_commit(calls, tmp_path):
    """Three writers race to create the collection; the fourth begins once a fifth process has begun to compact it."""
    folder, records = tmp_path / "c", len(WRITERS) * calls * BATCH
    with ExitStack() as stack:
        writers = [stack.enter_context(Child(traffic.write, folder=folder, name=n, calls=calls)) for n in WRITERS]
        readers = [
            stack.enter_context(Child(traffic.read, folder=folder, records=records, read_only=r)) for r in (True, False)
        ]
        compacter = stack.enter_context(Child(traffic.compact, folder=folder, records=records))
        for child in (*writers, compacter):
            assert child.report() == "ready"
        for child in (*writers[:-1], compacter):
            child.tell()
        assert compacter.report() == "compacted"
        writers[-1].tell()
        for writer in writers:
            acknowledged = writer.end(600)
            assert acknowledged[-1] == calls - 1
        for reader in readers:
            (seen,) = reader.end(600)
            assert seen["sizes"] > 3, f"the reader saw the records arrive in {seen}"
        compacter.end(600)
    with Collection.open(folder) as notes:
        assert set(model_of(notes)) == {id for name in WRITERS for n in range(calls) for id in batch(name, n)}
        for name in WRITERS:
            mine = [id for id in model_of(notes) if id.startswith(name)]
            assert mine == [id for n in range(calls) for id in batch(name, n)], "a writer's calls keep their order"
        assert notes.verify().records == records


def test_eight_threads_add_and_search_one_collection_while_it_is_compacted(tmp_path):
    rounds, errors = 15, []

    def work(name: str) -> None:
        try:
            for number in range(rounds):
                added = [document(id, 1) for id in batch(name, number)]
                notes.add(added)
                hits = notes.search("version 1", vector=added[0].vector, top_k=3)
                assert added[0] in [hit.document for hit in hits], "a thread does not find what it added"
                assert notes.search(vector=added[1].vector, top_k=1)[0].document == added[1]
                assert notes.search("troponin", mode="sparse", filter={"tags": added[0].id}, top_k=1)
                if number % 5 == 4:
                    notes.delete([added[1].id])
        except BaseException as error:  # noqa: BLE001 # raised below, in the thread that pytest watches
            errors.append(error)

    with Collection.open(tmp_path / "c") as notes:
        threads = [threading.Thread(target=work, args=(f"t{i}",)) for i in range(8)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            notes.compact()
            time.sleep(0.01)
        for thread in threads:
            thread.join(60)
        assert not errors, errors[0]
        before = model_of(notes)
    expected = {id for i in range(8) for n in range(rounds) for id in batch(f"t{i}", n)[: 1 if n % 5 == 4 else BATCH]}
    assert set(before) == expected
    with Collection.open(tmp_path / "c") as notes:
        assert list(model_of(notes)) == list(before)


def test_threads_that_read_a_collection_in_memory_never_stop_one_that_adds():
    """The threads change places as often as they can, so that a reader is met at every step."""
    errors, done = [], threading.Event()

    def read(notes: Collection) -> None:
        try:
            while not done.is_set():
                assert len(list(notes)) >= 30
        except BaseException as error:  # noqa: BLE001 # raised below, in the thread that pytest watches
            errors.append(error)

    interval = sys.getswitchinterval()
    with Collection.open() as notes:
        notes.add(document(f"first-{i}", 1) for i in range(30))
        threads = [threading.Thread(target=read, args=(notes,)) for _ in range(4)]
        sys.setswitchinterval(1e-6)
        try:
            for thread in threads:
                thread.start()
            for number in range(500):
                notes.add([document(f"n{number}", 1)])
        finally:
            done.set()
            sys.setswitchinterval(interval)
            for thread in threads:
                thread.join(60)
        assert not errors, errors[0]
        assert len(notes) == 530


def test_another_process_sees_a_commit_and_a_compaction_without_opening_anew(folder):
    with (
        Collection.open(folder, read_only=True) as reader,
        Child(traffic.write, folder=folder, name="other", calls=1) as writer,
    ):
        writer.report()
        writer.tell()
        assert writer.report() == 0
        assert batch("other", 0)[0] in reader
        writer.end()
        with Collection.open(folder) as compacting:
            for _ in range(3):
                compacting.compact()
                assert len(reader) == 3 + BATCH
                assert reader.search("troponin", mode="sparse", top_k=9)


def test_a_collection_that_another_process_compacted_is_closed_without_harm(folder):
    one, two = Collection.open(folder), Collection.open(folder)
    two.compact()
    one.close()
    assert len(two) == 3
    two.compact()
    with Collection.open(folder) as notes:
        assert len(model_of(notes)) == 3


def test_a_reader_goes_on_reading_documents_it_began_with_while_they_are_compacted_away(folder):
    with Collection.open(folder) as notes, Collection.open(folder) as other:
        documents = iter(notes)
        first = next(documents)
        other.delete(["b"])
        other.compact()
        notes.add([document("d", 1)])
        assert [first.id, *(d.id for d in documents)] == ["a", "b", "c"]
        assert list(model_of(notes)) == ["a", "c", "d"]


def test_iterating_over_a_collection_that_was_closed_says_so(folder):
    with Collection.open(folder) as notes:
        documents = iter(notes)
        next(documents)
    with pytest.raises(CollectionClosedError):
        next(documents)


def test_threads_that_are_using_a_collection_when_another_closes_it_are_told_so(tmp_path):
    def use(call) -> None:
        try:
            while True:
                call()
        except BaseException as error:  # noqa: BLE001 # compared below, in the thread that pytest watches
            told.append(type(error))

    interval, told = sys.getswitchinterval(), []
    for number in range(10):
        notes = Collection.open(tmp_path / str(number))
        notes.add(document(f"n{i}", 1) for i in range(40))
        calls = [lambda n=notes: list(n), lambda n=notes: n.verify(), lambda n=notes: n.add([document("new", 1)])]
        threads = [threading.Thread(target=use, args=(call,)) for call in calls]
        sys.setswitchinterval(1e-6)
        try:
            for thread in threads:
                thread.start()
            time.sleep(0.01)
            notes.close()
        finally:
            for thread in threads:
                thread.join(60)
            sys.setswitchinterval(interval)
    assert told == [CollectionClosedError] * 30


def test_a_writer_waits_for_another_as_long_as_it_was_told_and_readers_do_not(folder):
    with Child(traffic.hold, folder=folder) as holder:
        assert holder.report() == "encoding"
        with Collection.open(folder, lock_timeout=0.2) as notes:
            with pytest.raises(LockTimeoutError, match=r"0\.2 s"):
                notes.add([document("d", 1)])
            assert list(model_of(notes)) == ["a", "b", "c"]
            holder.tell()
            holder.end()
            assert len(notes.search(vector=np.ones(DIMENSION), top_k=9)) == 3
            notes.add([document("d", 1)])


def test_the_lock_of_a_killed_writer_does_not_block_the_next(folder):
    with Child(traffic.hold, folder=folder) as holder:
        assert holder.report() == "encoding"
        holder.kill()
        with Collection.open(folder, lock_timeout=0) as notes:
            notes.add([document("d", 1)])
            assert list(model_of(notes)) == ["a", "b", "c", "d"]


def test_one_open_collection_serves_a_process_and_its_fork(tmp_path):
    (found,) = run(traffic.fork, folder=tmp_path / "c", calls=10)
    assert set(found) == {"before", *(id for name in ("parent", "child") for n in range(10) for id in batch(name, n))}
    with Collection.open(tmp_path / "c") as notes:
        assert model_of(notes) == found


def test_many_processes_may_create_one_collection_at_once(tmp_path):
    with ExitStack() as stack:
        children = [
            stack.enter_context(Child(traffic.write, folder=tmp_path / "c", name=f"w{i}", calls=1)) for i in range(6)
        ]
        for child in children:
            child.report()
        for child in children:
            child.tell()
        for child in children:
            child.end()
    with Collection.open(tmp_path / "c") as notes:
        assert set(model_of(notes)) == {id for i in range(6) for id in batch(f"w{i}", 0)}


def test_many_threads_may_create_one_collection_at_once(tmp_path):
    errors = []

    def work(path: Path, id: str) -> None:
        try:
            with Collection.open(path) as notes:
                notes.add([document(id, 1)])
        except BaseException as error:  # noqa: BLE001 # raised below, in the thread that pytest watches
            errors.append(error)

    for number in range(10):
        path = tmp_path / str(number)
        threads = [threading.Thread(target=work, args=(path, id)) for id in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not errors, errors[0]
        with Collection.open(path, read_only=True) as notes:
            assert sorted(model_of(notes)) == ["a", "b", "c", "d"]


def test_another_users_collection_can_be_read_without_any_file_of_ours():
    """Root may do everything, so it becomes another user; anybody else takes the rights from themself."""
    root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as parent:
        Path(parent).chmod(0o755)
        path = Path(parent) / "c"
        with Collection.open(path) as notes:
            notes.add(document(id, 1) for id in "abc")
        (path / "write.lock").unlink()
        for file in path.rglob("*"):
            file.chmod(0o555 if file.is_dir() else 0o444)
        path.chmod(0o555)
        before = sorted(p.name for p in path.rglob("*"))
        found, refusal = run(traffic.look, folder=path, uid=65534 if root else None)
        assert found == 3
        assert "read_only=True" in refusal
        assert sorted(p.name for p in path.rglob("*")) == before
        path.chmod(0o755)


@mounts
def test_a_collection_on_a_read_only_mount_can_be_read(folder):
    (folder / "write.lock").unlink()
    mount = f"mount --bind {folder} {folder} && mount -o remount,bind,ro {folder}"
    found, refusal = run(traffic.look, mount=mount, folder=folder, uid=None)
    assert found == 3
    assert "read_only=True" in refusal


def test_a_collection_that_is_deleted_while_open_says_so(folder):
    with Collection.open(folder) as notes:
        for path in folder.iterdir():
            path.unlink()
        with pytest.raises(CollectionClosedError, match="deleted or moved"):
            notes.count()
        with pytest.raises(NotACollectionError):
            Collection.open(folder, read_only=True)


@pytest.mark.parametrize("restored", ["the folder", "the log alone"])
def test_what_is_added_after_a_backup_was_put_back_under_an_open_collection_is_in_the_backup(restored, folder):
    backup = folder.parent / "backup"
    shutil.copytree(folder, backup)
    with Collection.open(folder) as notes, Collection.open(folder, read_only=True) as reader:
        notes.add([document("after the backup", 1)])
        if restored == "the folder":
            shutil.rmtree(folder)
            shutil.copytree(backup, folder)
        else:
            shutil.copy(backup / "log-000001.jsonl", folder / "restored")
            (folder / "restored").replace(folder / "log-000001.jsonl")
        assert list(model_of(reader)) == list(model_of(notes)) == ["a", "b", "c"], "reading notices it as well"
        notes.add([document("d", 1)])
        assert list(model_of(notes)) == ["a", "b", "c", "d"]
        notes.verify()
    with Collection.open(folder) as notes:
        assert list(model_of(notes)) == ["a", "b", "c", "d"]


def test_a_collection_whose_folder_now_holds_another_takes_nothing_for_it(folder):
    """As in a notebook that deletes a folder and creates the collection anew while the old one is still open."""
    with Collection.open(folder) as old:
        shutil.rmtree(folder)
        with pytest.raises(CollectionClosedError, match="deleted or moved"):
            old.add([document("d", 1)])
        assert not folder.exists()
        with Collection.open(folder) as new:
            new.add([document("x", 1)])
            for _ in range(2):
                for call in (len, lambda notes: notes.add([document("d", 1)]), lambda notes: notes.erase(["x"])):
                    with pytest.raises(CollectionClosedError, match="holds another collection"):
                        call(old)
            assert list(model_of(new)) == ["x"]
    with Collection.open(folder) as new:
        assert list(model_of(new)) == ["x"]


def test_a_reader_that_read_the_manifest_before_the_first_record_finds_it_all_the_same(tmp_path):
    """A first add decides the dimension: a reader may know the manifest from before it and the log from after it."""
    path = tmp_path / "c" / "manifest.json"
    with Collection.open(tmp_path / "c") as notes:
        before = path.read_bytes()
        notes.add([document("a", 1)])
    path.write_bytes(before)
    with Collection.open(tmp_path / "c", read_only=True) as notes:
        assert [hit.id for hit in notes.search(vector=np.ones(DIMENSION))] == ["a"]
