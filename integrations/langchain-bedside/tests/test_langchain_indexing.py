"""LangChain's ``index()`` and ``aindex()``: all clean-up modes, all key encoders, both record managers."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import uuid
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_bedside import BedsideRecordManager, BedsideVectorStore
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.indexing import InMemoryRecordManager, RecordManager, aindex, index

from bedside.errors import BedsideWarning, InvalidInputError

EMBEDDING = DeterministicFakeEmbedding(size=8)


def note(text: str, source: str) -> Document:
    return Document(text, metadata={"source": source})


FIRST = [note("one", "a.txt"), note("two", "a.txt"), note("three", "b.txt")]
SECOND = [note("one", "a.txt"), note("TWO", "a.txt")]
LEFT = {
    None: ["TWO", "one", "three", "two"],
    "incremental": ["TWO", "one", "three"],
    "scoped_full": ["TWO", "one", "three"],
    "full": ["TWO", "one"],
}
MANAGERS: list[Callable[[BedsideVectorStore], RecordManager]] = [
    lambda store: BedsideRecordManager(store, source_id_key="source"),
    lambda store: BedsideRecordManager(store, source_id_key=lambda document: document.metadata["source"]),
    lambda _: InMemoryRecordManager("test"),
]
KEY_ENCODERS: list[Any] = [
    "sha256",
    "sha512",
    "blake2b",
    lambda document: hashlib.md5(document.page_content.encode(), usedforsecurity=False).hexdigest(),
    pytest.param("sha1", marks=pytest.mark.filterwarnings("ignore:Using SHA-1")),
]


def texts(store: BedsideVectorStore) -> list[str]:
    return sorted(document.page_content for document in store.get(filter={}))


@pytest.mark.parametrize("make", MANAGERS)
@pytest.mark.parametrize("cleanup", list(LEFT))
async def test_every_cleanup_mode_leaves_what_it_should(make: Any, cleanup: Any) -> None:
    """A second run with one changed and one missing source leaves what LangChain documents, sync and async."""
    for run_async in (False, True):
        store = BedsideVectorStore(EMBEDDING)
        manager = make(store)
        manager.create_schema()
        arguments: Any = {"cleanup": cleanup, "source_id_key": "source", "key_encoder": "sha256", "batch_size": 2}
        for documents in (FIRST, SECOND):
            if run_async:
                await aindex(documents, manager, store, **arguments)
            else:
                index(documents, manager, store, **arguments)
        assert texts(store) == LEFT[cleanup]


@pytest.mark.parametrize("key_encoder", KEY_ENCODERS)
def test_every_key_encoder_skips_what_is_there(key_encoder: Any) -> None:
    """A second run over the same documents adds nothing, whatever makes the keys."""
    store = BedsideVectorStore(EMBEDDING)
    manager = BedsideRecordManager(store, source_id_key="source")
    arguments: Any = {"cleanup": "full", "source_id_key": "source", "key_encoder": key_encoder}
    assert index(FIRST, manager, store, **arguments)["num_added"] == 3
    again = index(FIRST, manager, store, **arguments)
    assert again == {"num_added": 0, "num_updated": 0, "num_skipped": 3, "num_deleted": 0}


def run(store: BedsideVectorStore, documents: list[Document], **arguments: Any) -> dict[str, int]:
    manager = BedsideRecordManager(store, source_id_key="source", filter=arguments.pop("filter", None))
    given: Any = {"source_id_key": "source", "key_encoder": "sha256", **arguments}
    return dict(index(documents, manager, store, **given))


def test_a_store_that_lost_documents_gets_them_back() -> None:
    """A document that was deleted by any other way is indexed again, where a book of its own would skip it."""
    store = BedsideVectorStore(EMBEDDING)
    run(store, FIRST)
    store.delete([str(store.get(filter={"source": "b.txt"})[0].id)])
    assert run(store, FIRST) == {"num_added": 1, "num_updated": 0, "num_skipped": 2, "num_deleted": 0}
    assert texts(store) == ["one", "three", "two"]


def test_what_is_indexed_is_known_after_a_restart(tmp_path: Path) -> None:
    """A new process over the same folder skips what is there and deletes what is stale."""
    store = BedsideVectorStore(EMBEDDING, tmp_path / "c")
    run(store, FIRST, cleanup="incremental")
    store.close()
    store = BedsideVectorStore(EMBEDDING, tmp_path / "c")
    counts = run(store, SECOND, cleanup="incremental")
    assert counts == {"num_added": 1, "num_updated": 0, "num_skipped": 1, "num_deleted": 1}
    assert texts(store) == LEFT["incremental"]


def test_a_run_that_died_between_writing_and_recording_is_finished_by_the_next() -> None:
    """A crash after the store's write leaves nothing behind that the next run would miss or keep."""

    class Dies(BedsideRecordManager):
        def update(self, keys: Any, **kwargs: Any) -> None:
            raise RuntimeError("power cut")

    store = BedsideVectorStore(EMBEDDING)
    with pytest.raises(RuntimeError, match="power cut"):
        index(FIRST, Dies(store, source_id_key="source"), store, source_id_key="source", key_encoder="sha256")
    assert texts(store) == ["one", "three", "two"]
    counts = run(store, SECOND, cleanup="incremental")
    assert counts == {"num_added": 1, "num_updated": 0, "num_skipped": 1, "num_deleted": 1}
    assert texts(store) == LEFT["incremental"]


def test_a_filter_or_a_scope_limits_what_a_full_cleanup_deletes() -> None:
    """A manager deletes nothing outside its filter, nor outside its store's scope."""
    store = BedsideVectorStore(EMBEDDING)
    store.add_texts(["by hand"], [{"source": "hand"}])
    run(store, FIRST, cleanup="full", filter={"source": {"$ne": "hand"}})
    run(store, SECOND, cleanup="full", filter={"source": {"$ne": "hand"}})
    assert texts(store) == ["TWO", "by hand", "one"]
    wards = BedsideVectorStore(EMBEDDING, scope_keys=["patient_id"])
    a, b = wards.scoped(patient_id="A"), wards.scoped(patient_id="B")
    run(a, FIRST, cleanup="full")
    run(b, FIRST, cleanup="full")
    run(a, [], cleanup="full")
    assert (texts(a), texts(b)) == ([], ["one", "three", "two"])


INDEXER = """
import sys, time
from pathlib import Path
from langchain_bedside import BedsideRecordManager, BedsideVectorStore
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.indexing import index

folder, source, ready = sys.argv[1:]
store = BedsideVectorStore(DeterministicFakeEmbedding(size=8), folder)
Path(ready).touch()
late = time.monotonic() + 30
while len(list(Path(ready).parent.glob("ready-*"))) < 2 and time.monotonic() < late:
    time.sleep(0.001)
for turn in range(8):
    notes = [Document(f"{source} {turn} {n}", metadata={"source": source}) for n in range(6)]
    manager = BedsideRecordManager(store, source_id_key="source", filter={"source": source})
    index(notes, manager, store, cleanup="full", source_id_key="source", key_encoder="sha256", batch_size=2)
"""


@pytest.mark.parametrize("sources", [("a", "a"), ("a", "b")])
def test_two_processes_may_clean_up_fully_at_once(tmp_path: Path, sources: tuple[str, str]) -> None:
    """With the same documents, or with filters that do not overlap, exactly what the last turn loaded is left."""
    folder = tmp_path / "c"
    BedsideVectorStore.from_texts(["stale"], EMBEDDING, [{"source": "a"}], path=folder).close()
    indexers = [
        subprocess.Popen([sys.executable, "-c", INDEXER, str(folder), source, str(tmp_path / f"ready-{n}")])  # noqa: S603
        for n, source in enumerate(sources)
    ]
    assert [indexer.wait(timeout=60) for indexer in indexers] == [0, 0]
    expected = sorted(f"{source} 7 {n}" for source in set(sources) for n in range(6))
    assert texts(BedsideVectorStore(EMBEDDING, folder)) == expected


def test_force_update_writes_again_and_refreshes() -> None:
    """``force_update`` replaces documents in place and deletes none of them."""
    store = BedsideVectorStore(EMBEDDING)
    run(store, FIRST)
    counts = run(store, FIRST, force_update=True, cleanup="full")
    assert counts == {"num_added": 0, "num_updated": 3, "num_skipped": 0, "num_deleted": 0}


def test_the_managers_verbs_answer_from_the_store() -> None:
    """Keys exist, are listed by time and group, and are deleted, as the documents are."""
    store = BedsideVectorStore(EMBEDDING)
    keys = store.add_documents(FIRST, ids=["1", "2", "3"])
    manager = BedsideRecordManager(store, source_id_key="source")
    start = manager.get_time()
    assert manager.exists(["3", str(uuid.uuid4()), "1"]) == [True, False, True]
    assert manager.list_keys(before=start) == keys
    manager.update(["1", "3"], group_ids=["a.txt", "b.txt"], time_at_least=start)
    assert manager.list_keys(before=start) == ["2"]
    assert manager.list_keys(after=start) == ["1", "3"]
    assert manager.list_keys(group_ids=["a.txt"], limit=1) == ["1"]
    manager.delete_keys(["1", "2"])
    assert manager.list_keys() == ["3"]
    assert store.count() == 1


def test_the_manager_refuses_what_cannot_be() -> None:
    """Lists of another length, a time to come, and groups without a source key are named errors."""
    store = BedsideVectorStore.from_texts(["one"], EMBEDDING, ids=["1"])
    manager = BedsideRecordManager(store)
    with pytest.raises(InvalidInputError, match="group_ids"):
        manager.update(["1"], group_ids=["a", "b"])
    with pytest.raises(InvalidInputError, match="time_at_least"):
        manager.update(["1"], time_at_least=manager.get_time() + 3600)
    with pytest.raises(InvalidInputError, match="source_id_key"):
        manager.list_keys(group_ids=["a"])


def test_a_source_larger_than_a_batch_is_skipped_by_scoped_full_and_rewritten_with_a_warning_by_incremental(
    embedding: DeterministicFakeEmbedding,
) -> None:
    """LangChain cleans up after each batch in incremental mode, before it has seen the rest of the source."""
    store = BedsideVectorStore(embedding)
    manager = BedsideRecordManager(store, source_id_key="source")
    passages = [Document(f"Passage {n}.", metadata={"source": "letter"}) for n in range(4)]

    def run(cleanup: Any) -> dict[str, int]:
        given: dict[str, Any] = {"cleanup": cleanup, "source_id_key": "source", "key_encoder": "sha256"}
        return dict(index(passages, manager, store, **given, batch_size=2))

    with warnings.catch_warnings():
        warnings.simplefilter("error", BedsideWarning)
        assert run("incremental")["num_added"] == 4
        assert run("scoped_full") == {"num_added": 0, "num_updated": 0, "num_skipped": 4, "num_deleted": 0}
    with pytest.warns(BedsideWarning, match='2 unchanged documents were deleted and written again.*"scoped_full"'):
        run("incremental")
    assert store.count() == 4


def test_a_document_that_comes_back_in_a_later_run_is_no_rewriting(embedding: DeterministicFakeEmbedding) -> None:
    store = BedsideVectorStore(embedding)
    manager = BedsideRecordManager(store, source_id_key="source")
    given: dict[str, Any] = {"cleanup": "full", "source_id_key": "source", "key_encoder": "sha256"}
    passage = [Document("Passage.", metadata={"source": "letter"})]
    with warnings.catch_warnings():
        warnings.simplefilter("error", BedsideWarning)
        for documents in (passage, [], passage):
            index(documents, manager, store, **given)
    assert store.count() == 1
