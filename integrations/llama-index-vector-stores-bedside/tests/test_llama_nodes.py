"""Nodes come back whole, and their records are what every other reader of the collection expects."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llama_index.core.schema import (
    BaseNode,
    Document,
    ImageDocument,
    ImageNode,
    IndexNode,
    MediaResource,
    Node,
    NodeRelationship,
    ObjectType,
    RelatedNodeInfo,
    TextNode,
)
from llama_index.core.vector_stores.types import VectorStoreQuery
from llama_index.vector_stores.bedside import BedsideVectorStore

import bedside
from bedside.errors import InvalidDocumentError

VECTOR = [0.5, 0.25]
RELATED = {
    NodeRelationship.SOURCE: RelatedNodeInfo(
        node_id="doc", node_type=ObjectType.DOCUMENT, metadata={"file": {"page": 3}}, hash="abc"
    ),
    NodeRelationship.PREVIOUS: RelatedNodeInfo(node_id="before", node_type=ObjectType.TEXT),
    NodeRelationship.NEXT: RelatedNodeInfo(node_id="after"),
    NodeRelationship.PARENT: RelatedNodeInfo(node_id="parent"),
    NodeRelationship.CHILD: [RelatedNodeInfo(node_id="one"), RelatedNodeInfo(node_id="two")],
}
METADATA = {"section": "HPI", "codes": ["I20.9", None, 3], "vitals": {"bp": {"sys": 120, "map": 93.5}}, "final": True}
NODES: list[BaseNode] = [
    TextNode(
        id_="text",
        text="Chest pain.",
        embedding=VECTOR,
        metadata=METADATA,
        relationships=RELATED,
        excluded_embed_metadata_keys=["codes"],
        excluded_llm_metadata_keys=["vitals", "final"],
        metadata_template="{key} = {value}",
        metadata_separator=" | ",
        text_template="{content} [{metadata_str}]",
        start_char_idx=17,
        end_char_idx=28,
        mimetype="text/markdown",
    ),
    TextNode(id_="plain", text="  leading and trailing \n", embedding=VECTOR, metadata={"a.b": 1, "ä": "µ"}),
    TextNode(id_="empty", text="", embedding=VECTOR),
    IndexNode(id_="index", text="A summary.", index_id="engine-1", embedding=VECTOR, metadata=METADATA),
    IndexNode(
        id_="index-obj",
        text="A summary.",
        index_id="i",
        embedding=VECTOR,
        obj=TextNode(id_="inner", text="Inner.", relationships=RELATED, metadata=METADATA),
    ),
    ImageNode(id_="image", text="ECG", image="iVBORw0KGgo=", image_mimetype="image/png", embedding=VECTOR),
    ImageNode(id_="image-path", image_path="ecg.png", text_embedding=[1.0], embedding=VECTOR),
    Document(id_="document", text="A whole note.", embedding=VECTOR, metadata=METADATA),
    ImageDocument(id_="image-document", image=b"\x89PNG\r\n", text="ECG", embedding=VECTOR),
    Node(
        id_="media",
        image_resource=MediaResource(data=b"\x89PNG\r\n", path=Path("ecg.png")),
        audio_resource=MediaResource(url="https://example.org/heart.mp3"),
        embedding=VECTOR,
    ),
    Node(
        id_="node",
        text_resource=MediaResource(text="Text.", mimetype="text/html"),
        relationships=RELATED,
        embedding=VECTOR,
    ),
]


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.node_id)
def test_a_node_comes_back_equal_and_of_its_class(store: BedsideVectorStore, node: BaseNode) -> None:
    before = node.to_dict()
    assert store.add([node]) == [node.node_id]
    (found,) = store.get_nodes([node.node_id])
    assert type(found) is type(node)
    assert found == node
    assert found.hash == node.hash
    assert node.to_dict() == before


def test_media_bytes_come_back(store: BedsideVectorStore) -> None:
    """LlamaIndex leaves them out of its own dumps."""
    store.add(NODES)
    media, scan = store.get_nodes(["media", "image-document"])
    assert media.image_resource.data == NODES[-2].image_resource.data
    assert scan.image_resource.data == NODES[-3].image_resource.data


def test_a_query_gives_whole_nodes_without_embeddings(store: BedsideVectorStore) -> None:
    store.add(NODES)
    result = store.query(VectorStoreQuery(query_embedding=VECTOR, similarity_top_k=100))
    assert result.ids == [node.node_id for node in result.nodes] == [node.node_id for node in NODES]
    for found, node in zip(result.nodes, NODES, strict=True):
        assert found == node.model_copy(update={"embedding": None})


def test_metadata_are_the_top_level_keys_of_the_record(store: BedsideVectorStore) -> None:
    store.add([NODES[0]])
    (record,) = store.client.get(["text"])
    assert record.text == "Chest pain."
    assert {key: value for key, value in record.metadata.items() if key != "_node"} == METADATA
    assert store.client.count({"vitals.bp.sys": {"$gt": 100}, "codes": "I20.9"}) == 1


def test_a_node_of_text_and_metadata_alone_is_a_record_of_text_and_metadata_alone(store: BedsideVectorStore) -> None:
    store.add([TextNode(id_="1", text="Chest pain.", metadata={"section": "HPI"}, embedding=VECTOR)])
    (record,) = store.client.get(["1"])
    assert record.metadata == {"section": "HPI"}


def test_a_record_that_llama_index_did_not_write_is_a_text_node(store: BedsideVectorStore) -> None:
    store.client.add([bedside.Document("Chest pain.", {"tags": ["x"]}, id="1", vector=VECTOR)])
    assert store.get_nodes() == [TextNode(id_="1", text="Chest pain.", metadata={"tags": ["x"]}, embedding=VECTOR)]


def test_nodes_that_were_read_can_be_written_back(store: BedsideVectorStore) -> None:
    store.add(NODES)
    found = store.get_nodes()
    store.add(found)
    assert store.get_nodes() == found == NODES


class Finding(TextNode):
    certainty: float = 1.0


def test_a_node_of_a_class_of_ones_own_comes_back_as_its_nearest_known_base(store: BedsideVectorStore) -> None:
    store.add([Finding(id_="1", text="Chest pain.", certainty=0.5, embedding=VECTOR)])
    assert store.get_nodes() == [TextNode(id_="1", text="Chest pain.", embedding=VECTOR)]


@pytest.mark.parametrize(
    ("metadata", "where"),
    [({"_node": 1}, "_node"), ({"at": {"t": {1, 2}}}, "at.t"), ({"x": math.nan}, "x"), ({"x": object()}, "x")],
)
def test_metadata_that_cannot_be_kept_are_refused_by_name(
    store: BedsideVectorStore, metadata: dict[str, Any], where: str
) -> None:
    good = TextNode(id_="good", text="Chest pain.", embedding=VECTOR)
    bad = TextNode(id_="bad", text="Chest pain.", metadata=metadata, embedding=VECTOR)
    with pytest.raises(InvalidDocumentError, match=where):
        store.add([good, bad])
    assert store.get_nodes() == []


def test_what_is_no_node_is_refused(store: BedsideVectorStore) -> None:
    with pytest.raises(InvalidDocumentError, match="expected LlamaIndex nodes, got str"):
        store.add(["Chest pain."])


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=8,
)


@given(
    text=st.text(min_size=1),
    metadata=st.dictionaries(st.text().filter(lambda key: key != "_node"), JSON, max_size=4),
    source=st.none() | st.text(min_size=1),
    offsets=st.tuples(st.none() | st.integers(0, 99), st.none() | st.integers(0, 99)),
)
def test_any_text_and_metadata_come_back_exactly(
    text: str, metadata: dict[str, Any], source: str | None, offsets: tuple[int | None, int | None]
) -> None:
    related = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id=source)} if source else {}
    node = TextNode(
        id_="1",
        text=text,
        metadata=metadata,
        relationships=related,
        start_char_idx=offsets[0],
        end_char_idx=offsets[1],
        embedding=VECTOR,
    )
    store = BedsideVectorStore()
    store.add([node])
    (found,) = store.get_nodes()
    assert found == node
    assert repr(found.metadata) == repr(node.metadata)


def test_the_source_document_is_filterable_under_llama_index_names(
    store: BedsideVectorStore, make_node: Callable[..., TextNode]
) -> None:
    from llama_index.core.vector_stores.types import FilterOperator, MetadataFilter, MetadataFilters

    store.add([make_node("1", "x", "d1"), make_node("2", "x", "d2"), make_node("3", "x", "d1", doc_id="own")])

    def ids(key: str, value: object, operator: FilterOperator = FilterOperator.EQ) -> list[str]:
        chosen = MetadataFilters(filters=[MetadataFilter(key=key, value=value, operator=operator)])
        return [node.node_id for node in store.get_nodes(filters=chosen)]

    assert ids("ref_doc_id", "d1") == ["1", "3"]
    assert ids("document_id", "d2") == ["2"]
    assert ids("doc_id", "d1") == ["1"]
    assert ids("doc_id", "own") == ["3"]
    assert ids("doc_id", "d1", FilterOperator.NE) == ["2", "3"]
    assert ids("doc_id", ["d1", "d2"], FilterOperator.IN) == ["1", "2"]
