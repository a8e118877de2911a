"""Writing, reading, deleting and scopes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    MetadataFilter,
    MetadataFilters,
    VectorStore,
    VectorStoreQuery,
)
from llama_index.vector_stores.bedside import BedsideVectorStore

from bedside import Collection
from bedside.errors import (
    EncoderRequired,
    InvalidInputError,
    InvalidVectorError,
    ScopeMismatch,
    ScopeRequired,
)

HPI = MetadataFilters(filters=[MetadataFilter(key="section", value="HPI")])


def ids(store: BedsideVectorStore, *args: Any, **options: Any) -> list[str]:
    return [node.node_id for node in store.get_nodes(*args, **options)]


def test_it_is_a_vector_store_that_keeps_text(store: BedsideVectorStore) -> None:
    assert isinstance(store, BasePydanticVectorStore)
    assert isinstance(store, VectorStore)
    assert store.stores_text
    assert store.is_embedding_query
    assert store.class_name() == "BedsideVectorStore"
    assert isinstance(store.client, Collection)


class TestWriting:
    def test_adding_a_node_again_replaces_it(
        self, store: BedsideVectorStore, make_node: Callable[..., TextNode]
    ) -> None:
        store.add([make_node("1", "Chest pain.", "old", section="HPI"), make_node("2", "Cough.")])
        assert store.add([make_node("1", "No chest pain.", "new", section="ROS")]) == ["1"]
        (found,) = store.get_nodes(["1"])
        assert (found.text, found.metadata, found.ref_doc_id) == ("No chest pain.", {"section": "ROS"}, "new")
        assert len(store.get_nodes()) == 2

    def test_bad_nodes_are_refused_and_nothing_is_added(
        self, store: BedsideVectorStore, make_node: Callable[..., TextNode]
    ) -> None:
        good = make_node("good", "Chest pain.")
        for bad, error in [
            ([good, TextNode(text="x", embedding=[1.0])], InvalidVectorError),
            ([good, TextNode(text="x", embedding=[0.0] * 64)], InvalidVectorError),
            ([good, TextNode(text="x", embedding=[float("nan")] * 64)], InvalidVectorError),
        ]:
            with pytest.raises(error):
                store.add(bad)
        assert store.get_nodes() == []
        store.add([good])
        with pytest.raises(EncoderRequired):
            store.add([TextNode(text="without a vector")])
        assert ids(store) == ["good"]

    @pytest.mark.parametrize("wrong", [None, "a text", 7, TextNode(text="x", embedding=[1.0])])
    def test_nodes_are_a_list(self, store: BedsideVectorStore, wrong: Any) -> None:
        with pytest.raises(InvalidInputError, match="nodes: expected a list of nodes"):
            store.add(wrong)

    def test_nothing_to_add_is_no_error(self, store: BedsideVectorStore) -> None:
        assert store.add([]) == []

    def test_a_generator_is_read_once_and_whole(self, store: BedsideVectorStore, notes: list[TextNode]) -> None:
        assert store.add(node for node in notes) == ids(store)


class TestReading:
    def test_ids_come_in_the_order_asked_and_missing_ones_are_skipped(
        self, store: BedsideVectorStore, notes: list[TextNode]
    ) -> None:
        store.add(notes)
        assert ids(store, ["b-1", "gone", "a-0"]) == ["b-1", "a-0"]
        assert ids(store, []) == []
        assert ids(store) == [node.node_id for node in notes]
        assert ids(store, filters=HPI) == ["a-0", "b-0"]
        assert ids(store, ["b-1", "b-0"], HPI) == ["b-0"]


class TestDeleting:
    def test_delete_removes_exactly_the_nodes_of_one_document(
        self, store: BedsideVectorStore, notes: list[TextNode], make_node: Callable[..., TextNode]
    ) -> None:
        store.add([*notes, make_node("a", "A node that has a document's id.")])
        store.delete("a")
        assert ids(store) == ["b-0", "b-1", "lone", "a"]

    @pytest.mark.parametrize("ref_doc_id", ["None", "", "gone", "lone", "a-0"])
    def test_a_node_without_a_document_belongs_to_none(
        self, store: BedsideVectorStore, notes: list[TextNode], ref_doc_id: str
    ) -> None:
        store.add(notes)
        store.delete(ref_doc_id)
        assert len(store.get_nodes()) == len(notes)

    def test_delete_nodes_takes_ids_filters_or_both(self, store: BedsideVectorStore, notes: list[TextNode]) -> None:
        store.add(notes)
        store.delete_nodes([])
        store.delete_nodes([], HPI)
        store.delete_nodes(["gone"])
        assert len(store.get_nodes()) == 5
        store.delete_nodes(["a-0", "a-1"], HPI)
        assert ids(store) == ["a-1", "b-0", "b-1", "lone"]
        store.delete_nodes(["lone"])
        store.delete_nodes(filters=HPI)
        assert ids(store) == ["a-1", "b-1"]

    @pytest.mark.parametrize("filters", [None, MetadataFilters(filters=[])])
    def test_deleting_nothing_in_particular_is_refused(
        self, store: BedsideVectorStore, notes: list[TextNode], filters: MetadataFilters | None
    ) -> None:
        store.add(notes)
        with pytest.raises(InvalidInputError):
            store.delete_nodes(filters=filters)
        assert len(store.get_nodes()) == 5

    def test_clear_removes_everything(self, store: BedsideVectorStore, notes: list[TextNode]) -> None:
        store.add(notes)
        store.clear()
        assert store.get_nodes() == []


def test_the_async_verbs_do_what_the_others_do(store: BedsideVectorStore, notes: list[TextNode]) -> None:
    async def session() -> None:
        assert await store.async_add(notes) == [node.node_id for node in notes]
        assert [node.node_id for node in await store.aget_nodes(filters=HPI)] == ["a-0", "b-0"]
        await store.adelete("a")
        await store.adelete_nodes(["lone"])
        result = await store.aquery(VectorStoreQuery(query_embedding=notes[2].embedding, similarity_top_k=5))
        assert result.ids == ["b-0", "b-1"]
        await store.aclear()
        assert await store.aget_nodes() == []

    asyncio.run(session())


def test_a_cancelled_add_is_whole_or_not_at_all(tmp_path: Path, make_node: Callable[..., TextNode]) -> None:
    """Whenever it is cancelled, its transaction is one, the store goes on, and its files are sound."""
    store = BedsideVectorStore(tmp_path / "notes")

    async def session() -> None:
        for turn in range(30):
            adding = asyncio.create_task(
                store.async_add([make_node(f"{turn}-{n}", "pain", turn=turn) for n in range(9)])
            )
            await asyncio.sleep(turn * 0.0002)
            adding.cancel()
            await asyncio.wait([adding])
        await store.async_add([make_node("after", "pain", turn="last")])

    asyncio.run(session())
    store.close()
    with Collection.open(tmp_path / "notes") as notes:
        assert {count for _, count in notes.facets("turn")} <= {1, 9}
        assert "after" in notes
        notes.verify()


def test_the_event_loop_goes_on_while_a_query_runs(
    store: BedsideVectorStore, notes: list[TextNode], monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add(notes)

    async def session() -> bool:
        loop_went_on = asyncio.Event()
        running = asyncio.get_running_loop()
        original = Collection.search

        def search(self: Collection, *args: Any, **options: Any) -> Any:
            asyncio.run_coroutine_threadsafe(mark(), running).result(timeout=20)
            return original(self, *args, **options)

        async def mark() -> None:
            loop_went_on.set()

        monkeypatch.setattr(Collection, "search", search)
        await store.aquery(VectorStoreQuery(query_embedding=notes[0].embedding))
        return loop_went_on.is_set()

    assert asyncio.run(session())


class TestScopes:
    def test_a_scoped_store_sees_and_changes_one_patient_only(
        self, tmp_path: Path, make_node: Callable[..., TextNode]
    ) -> None:
        a = BedsideVectorStore(tmp_path / "notes", scope={"patient_id": "A"})
        b = BedsideVectorStore(tmp_path / "notes", scope={"patient_id": "B"})
        a.add([make_node("1", "Chest pain.", "doc")])
        b.add([make_node("1", "Cough.", "doc"), make_node("2", "Fever.", "doc")])
        assert [node.text for node in a.get_nodes()] == ["Chest pain."]
        assert a.get_nodes()[0].metadata == {"patient_id": "A"}
        query = VectorStoreQuery(query_embedding=make_node("q", "Cough.").embedding, similarity_top_k=10)
        assert [node.text for node in a.query(query).nodes] == ["Chest pain."]
        a.delete("doc")
        a.clear()
        assert (a.get_nodes(), len(b.get_nodes())) == ([], 2)

    def test_a_node_of_another_patient_is_refused(self, make_node: Callable[..., TextNode]) -> None:
        store = BedsideVectorStore(scope={"patient_id": "A"})
        with pytest.raises(ScopeMismatch):
            store.add([make_node("1", "Chest pain.", patient_id="B")])
        assert store.get_nodes() == []

    def test_without_its_scope_a_divided_collection_answers_nothing(self, make_node: Callable[..., TextNode]) -> None:
        store = BedsideVectorStore(scope_keys=["patient_id"])
        store.add([make_node("1", "Chest pain.", patient_id="A"), make_node("1", "Cough.", patient_id="B")])
        for verb in (
            store.get_nodes,
            store.clear,
            lambda: store.delete_nodes(["1"]),  # of either patient
            lambda: store.query(VectorStoreQuery(query_embedding=[1.0] * 64)),
        ):
            with pytest.raises(ScopeRequired):
                verb()
        with pytest.raises(ScopeRequired):
            store.add([make_node("2", "Whose?")])
        assert [node.text for node in store.scoped(patient_id="B").get_nodes()] == ["Cough."]

    def test_a_scope_cannot_be_left(self) -> None:
        store = BedsideVectorStore(scope={"patient_id": "A"})
        with pytest.raises(ScopeMismatch):
            store.scoped(patient_id="B")
        assert store.scoped(patient_id="A").scope == {"patient_id": "A"}
