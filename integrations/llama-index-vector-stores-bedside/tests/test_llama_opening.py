"""Opening, pickling and persisting a store."""

from __future__ import annotations

import copy
import gc
import json
import pickle
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores.simple import SimpleVectorStore
from llama_index.vector_stores.bedside import BedsideVectorStore

from bedside import Collection
from bedside.errors import (
    CollectionClosedError,
    EncoderMismatch,
    InvalidInputError,
    NotACollectionError,
    ReadOnlyError,
    ScopeRequired,
)


def ids(store: BedsideVectorStore, *args: Any, **options: Any) -> list[str]:
    return [node.node_id for node in store.get_nodes(*args, **options)]


class TestOpening:
    def test_what_was_added_is_there_when_the_folder_is_opened_again(
        self, tmp_path: Path, notes: list[TextNode]
    ) -> None:
        store = BedsideVectorStore(tmp_path / "notes")
        store.add(notes)
        store.close()
        assert BedsideVectorStore(str(tmp_path / "notes")).get_nodes() == notes
        with pytest.raises(CollectionClosedError):
            store.get_nodes()

    def test_another_encoder_than_the_collections_is_refused(self, tmp_path: Path, notes: list[TextNode]) -> None:
        class Named:
            dimension = 64

            def __init__(self, name: str) -> None:
                self.name = self.fingerprint = name

            def encode_documents(self, texts: list[str]) -> Any:
                raise NotImplementedError

            encode_queries = encode_documents

        store = BedsideVectorStore(tmp_path / "notes", encoder=Named("one"))
        store.add(notes)
        store.close()
        with pytest.raises(EncoderMismatch):
            BedsideVectorStore(tmp_path / "notes", encoder=Named("two"))

    def test_read_only_does_not_write(self, tmp_path: Path, notes: list[TextNode]) -> None:
        BedsideVectorStore(tmp_path / "notes").add(notes)
        store = BedsideVectorStore(tmp_path / "notes", read_only=True)
        assert store.get_nodes() == notes
        with pytest.raises(ReadOnlyError):
            store.clear()

    def test_a_collection_goes_without_what_it_already_has(self, tmp_path: Path) -> None:
        collection = Collection.open()
        assert BedsideVectorStore(collection=collection).client is collection
        with pytest.raises(InvalidInputError):
            BedsideVectorStore(tmp_path, collection=collection)

    def test_a_folder_that_holds_something_else_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "thesis.txt").write_text("mine")
        with pytest.raises(NotACollectionError):
            BedsideVectorStore(tmp_path)

    def test_pickling_carries_the_path_and_memory_is_refused(self, tmp_path: Path, notes: list[TextNode]) -> None:
        store = BedsideVectorStore(tmp_path / "notes", scope={"patient_id": "A"})
        store.add(notes)
        again = pickle.loads(pickle.dumps(store))  # noqa: S301 - our own bytes
        assert (again.scope, ids(again)) == ({"patient_id": "A"}, ids(store))
        with pytest.raises(TypeError, match="in memory cannot be pickled"):
            pickle.dumps(BedsideVectorStore())

    def test_pickling_keeps_reading_only(self, tmp_path: Path, notes: list[TextNode]) -> None:
        with Collection.open(tmp_path / "notes"):
            pass
        store = BedsideVectorStore(tmp_path / "notes", read_only=True)
        for one in (store, pickle.loads(pickle.dumps(store))):  # noqa: S301 - our own bytes
            with pytest.raises(ReadOnlyError):
                one.add(notes)

    def test_a_dict_or_json_of_a_store_leads_to_its_folder(self, tmp_path: Path, notes: list[TextNode]) -> None:
        """As in LlamaIndex' stores over a database: where the nodes are comes back, with scope and reading only."""
        store = BedsideVectorStore(tmp_path / "notes", scope={"patient_id": "A"})
        store.add(notes)
        for again in (
            BedsideVectorStore.from_dict(store.to_dict()),
            BedsideVectorStore.from_json(store.to_json(), read_only=True),
        ):
            assert (again.scope, ids(again)) == ({"patient_id": "A"}, ids(store))
        twice = BedsideVectorStore.from_dict(again.to_dict())
        with pytest.raises(ReadOnlyError):
            twice.clear()

    def test_a_dict_that_leads_nowhere_is_refused(self, tmp_path: Path) -> None:
        """A store in memory, and a folder that is gone, are never answered with an empty store."""
        with pytest.raises(InvalidInputError, match="in memory"):
            BedsideVectorStore.from_dict(BedsideVectorStore().to_dict())
        told = {**BedsideVectorStore().to_dict(), "path": str(tmp_path / "gone")}
        with pytest.raises(NotACollectionError):
            BedsideVectorStore.from_dict(told)
        assert list(tmp_path.iterdir()) == []

    def test_a_deep_copy_is_refused_and_harms_nothing(self, tmp_path: Path, notes: list[TextNode]) -> None:
        store = BedsideVectorStore(tmp_path / "notes")
        store.add(notes)
        with pytest.raises(TypeError, match="cannot be copied"):
            copy.deepcopy(store)
        gc.collect()
        assert len(store.get_nodes()) == len(notes)

    @pytest.mark.parametrize("arguments", [{"scope": "A"}, {"scope": ["A"]}, {"scope_keys": "id"}])
    def test_scopes_and_their_keys_are_not_letters(self, arguments: dict[str, Any]) -> None:
        with pytest.raises(InvalidInputError, match=next(iter(arguments))):
            BedsideVectorStore(**arguments)


class TestPersisting:
    def test_a_persisted_store_is_found_again(
        self, store: BedsideVectorStore, notes: list[TextNode], tmp_path: Path
    ) -> None:
        store.add(notes)
        file = tmp_path / "out" / "default__vector_store.json"
        store.persist(str(file))
        store.persist(str(file), fs=fsspec.filesystem("file"))
        for again in (
            BedsideVectorStore.from_persist_path(str(file)),
            BedsideVectorStore.from_persist_dir(str(tmp_path / "out"), fs=fsspec.filesystem("file")),
        ):
            assert again.get_nodes() == notes

    def test_memory_is_written_out_anew_and_the_copy_before_goes_away(
        self, notes: list[TextNode], tmp_path: Path
    ) -> None:
        store = BedsideVectorStore()
        for count in (2, 5, 0):
            store.clear()
            store.add(notes[:count])
            store.persist(str(tmp_path / "notes.json"))
            assert BedsideVectorStore.from_persist_path(str(tmp_path / "notes.json")).get_nodes() == notes[:count]
            assert len(list(tmp_path.iterdir())) == 2

    def test_a_collection_on_disk_is_pointed_to_and_moves_along(self, notes: list[TextNode], tmp_path: Path) -> None:
        project = tmp_path / "project"
        store = BedsideVectorStore(project / "notes.bedside")
        store.add(notes[:1])
        store.persist(str(project / "storage" / "default__vector_store.json"))
        store.add(notes[1:])
        store.close()
        project.rename(tmp_path / "moved")
        moved = tmp_path / "moved" / "storage"
        assert BedsideVectorStore.from_persist_dir(str(moved)).get_nodes() == notes
        assert [file.name for file in moved.iterdir()] == ["default__vector_store.json"]

    def test_the_collection_may_lie_at_the_persist_path_itself(self, notes: list[TextNode], tmp_path: Path) -> None:
        path = tmp_path / "default__vector_store.json"
        store = BedsideVectorStore(path)
        store.add(notes)
        store.persist(str(path))
        assert BedsideVectorStore.from_persist_dir(str(tmp_path)).get_nodes() == notes
        with pytest.raises(NotACollectionError):
            BedsideVectorStore().persist(str(path))

    def test_a_scope_persists_its_own_records_only(self, make_node: Callable[..., TextNode], tmp_path: Path) -> None:
        a = BedsideVectorStore(scope={"patient_id": "A"})
        a.add([make_node("1", "Chest pain.")])
        BedsideVectorStore(collection=a._collection, scope={"patient_id": "B"}).add([make_node("1", "Cough.")])
        a.persist(str(tmp_path / "notes.json"))
        again = BedsideVectorStore.from_persist_path(str(tmp_path / "notes.json"), scope={"patient_id": "A"})
        assert [node.text for node in again.get_nodes()] == ["Chest pain."]
        with pytest.raises(ScopeRequired):
            BedsideVectorStore.from_persist_path(str(tmp_path / "notes.json")).get_nodes()
        assert len(again._collection) == 1

    def test_a_divided_store_persists_every_scope(self, make_node: Callable[..., TextNode], tmp_path: Path) -> None:
        store = BedsideVectorStore(scope_keys=["patient_id"])
        store.add([make_node("1", "Chest pain.", patient_id="A"), make_node("1", "Cough.", patient_id="B")])
        store.persist(str(tmp_path / "notes.json"))
        again = BedsideVectorStore.from_persist_path(str(tmp_path / "notes.json"))
        assert [again.scoped(patient_id=who).get_nodes()[0].text for who in "AB"] == ["Chest pain.", "Cough."]

    def test_a_foreign_loader_fails_on_our_file(
        self, store: BedsideVectorStore, notes: list[TextNode], tmp_path: Path
    ) -> None:
        store.add(notes)
        store.persist(str(tmp_path / "out" / "default__vector_store.json"))
        with pytest.raises(AttributeError):
            SimpleVectorStore.from_persist_dir(str(tmp_path / "out"))
        with pytest.raises(AttributeError):
            SimpleVectorStore.from_namespaced_persist_dir(str(tmp_path / "out"))

    def test_what_is_not_ours_is_refused(self, tmp_path: Path) -> None:
        file = tmp_path / "default__vector_store.json"
        with pytest.raises(NotACollectionError, match="there is no persisted"):
            BedsideVectorStore.from_persist_path(str(file))
        SimpleVectorStore().persist(str(file))
        foreign = file.read_bytes()
        with pytest.raises(NotACollectionError, match="was not written by"):
            BedsideVectorStore.from_persist_path(str(file))
        with pytest.raises(NotACollectionError, match="was not written by"):
            BedsideVectorStore().persist(str(file))
        assert file.read_bytes() == foreign

    def test_a_pointer_to_nothing_is_refused_and_makes_no_empty_collection(
        self, notes: list[TextNode], tmp_path: Path
    ) -> None:
        store = BedsideVectorStore(tmp_path / "notes")
        store.add(notes)
        store.persist(str(tmp_path / "out" / "store.json"))
        store.close()
        (tmp_path / "notes").rename(tmp_path / "elsewhere")
        with pytest.raises(NotACollectionError, match="is not there"):
            BedsideVectorStore.from_persist_path(str(tmp_path / "out" / "store.json"))
        assert not (tmp_path / "notes").exists()

    def test_a_remote_file_system_is_refused(self, store: BedsideVectorStore) -> None:
        memory = fsspec.filesystem("memory")
        with pytest.raises(InvalidInputError, match="local file system"):
            store.persist("/store.json", fs=memory)
        with pytest.raises(InvalidInputError, match="local file system"):
            BedsideVectorStore.from_persist_path("/store.json", fs=memory)

    def test_killed_while_persisting_loses_nothing(self, tmp_path: Path, notes: list[TextNode]) -> None:
        """A process persists five nodes over and over; killed at any moment, the file leads to all five."""
        file = tmp_path / "default__vector_store.json"
        store = BedsideVectorStore()
        store.add(notes)
        store.persist(str(file))
        program = textwrap.dedent(f"""
            from llama_index.vector_stores.bedside import BedsideVectorStore
            store = BedsideVectorStore.from_persist_path({str(file)!r})
            copy = BedsideVectorStore()
            copy.add(store.get_nodes())
            print("ready", flush=True)
            while True:
                copy.persist({str(file)!r})
        """)
        for delay in (0.02, 0.11):
            command = [sys.executable, "-c", program]
            child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own program
            try:
                assert child.stdout.readline() == "ready\n"
                with pytest.raises(subprocess.TimeoutExpired):
                    child.wait(delay)
            finally:
                child.send_signal(signal.SIGKILL)
                child.wait(30)
                child.stdout.close()
            assert BedsideVectorStore.from_persist_path(str(file)).get_nodes() == notes
            assert isinstance(json.loads(file.read_text()), list)
