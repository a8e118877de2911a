"""``BedsideNodeParser`` keeps LlamaIndex' contract of a node parser over Bedside's splitter of notes."""

from __future__ import annotations

import asyncio
import pickle
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llama_index.core import Document
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.ingestion.pipeline import get_transformation_hash
from llama_index.core.node_parser import NodeParser
from llama_index.core.schema import MetadataMode, TextNode
from llama_index.embeddings.bedside import BedsideEmbedding, BedsideNodeParser
from pydantic import ValidationError

from bedside.text.split import NoteSplitter

NOTE = (
    "Seen today.\nHPI: Cough for 3 days. No fever. Takes 0.5 mg q.d. Cough is dry.\n\nPLAN: Rest. Return in 2 weeks.\n"
)
PIECES = ["HPI: ", "PLAN:\n", "Cough. ", "Dr. Wu gave 0.5 mg. ", "µ≥𝛽 ", "\n\n", "  ", "no fever", "x" * 40]
NOTES = st.lists(st.sampled_from(PIECES), min_size=1, max_size=12).map("".join)


def note(text: str = NOTE, name: str = "n1") -> Document:
    return Document(id_=name, text=text, metadata={"patient_id": "A"}, excluded_llm_metadata_keys=["patient_id"])


def test_nodes_carry_metadata_section_and_relationships() -> None:
    nodes = BedsideNodeParser().get_nodes_from_documents([note(), note("HPI: Knee pain.", "n2")])
    assert [node.metadata.get("section") for node in nodes] == [None, "HPI", "PLAN", "HPI"]
    assert [node.ref_doc_id for node in nodes] == ["n1", "n1", "n1", "n2"]
    assert {node.metadata["patient_id"] for node in nodes} == {"A"}
    assert nodes[0].excluded_llm_metadata_keys == ["patient_id"]
    assert nodes[0].source_node.hash == note().hash
    for one, two in pairwise(nodes[:3]):
        assert one.next_node == two.as_related_node_info()
        assert two.prev_node == one.as_related_node_info()
    assert [nodes[0].prev_node, nodes[2].next_node, nodes[3].prev_node, nodes[3].next_node] == [None] * 4
    assert isinstance(BedsideNodeParser(), NodeParser)


def test_a_nodes_section_kind_is_for_filters_and_in_no_prompt() -> None:
    parser = BedsideNodeParser(section_kinds={"Ward round": "plan"})
    one, two, three = parser([note("A/P: Rest.\nWard round: Walk.\nFAMILY MEETING: held today.")])
    assert [node.metadata.get("section_kind") for node in (one, two, three)] == ["assessment_and_plan", "plan", None]
    for mode in (MetadataMode.EMBED, MetadataMode.LLM):
        assert "section_kind" not in two.get_content(mode)
    assert parser([three])[0].metadata["section"] == "FAMILY MEETING"


@given(text=NOTES, max_tokens=st.integers(3, 30), overlap=st.integers(0, 2))
def test_offsets_are_exact_and_no_character_is_lost(text: str, max_tokens: int, overlap: int) -> None:
    """Also where a note says the same twice, which a search for the text would confuse."""
    nodes = BedsideNodeParser(max_tokens=max_tokens, overlap=overlap)([note(text)])
    expected = NoteSplitter(max_tokens, overlap).split(text)
    assert [(n.text, n.start_char_idx, n.end_char_idx) for n in nodes] == [(p.text, p.start, p.end) for p in expected]
    assert all(text[node.start_char_idx : node.end_char_idx] == node.text for node in nodes)


def test_what_was_cut_before_is_placed_in_its_document() -> None:
    """Nodes cut again keep the document as their source, and their offsets are offsets in it."""
    sections = BedsideNodeParser()([note()])
    for node in BedsideNodeParser(max_tokens=8, overlap=0)(sections):
        assert node.ref_doc_id == "n1"
        assert NOTE[node.start_char_idx : node.end_char_idx] == node.text


def test_tokens_are_the_encoders_own(minilm: BedsideEmbedding) -> None:
    text = NOTE * 10
    nodes = BedsideNodeParser(embed_model=minilm, max_tokens=24, overlap=6)([note(text)])
    count = minilm.encoder.count_tokens
    assert [node.text for node in nodes] == [passage.text for passage in NoteSplitter(24, 6, count).split(text)]
    assert max(count([node.text for node in nodes])) <= 24


def test_the_base_fields_work() -> None:
    debug = LlamaDebugHandler(print_trace_on_end=False)
    parser = BedsideNodeParser.from_dict(
        {"include_metadata": False, "include_prev_next_rel": False}, callback_manager=CallbackManager([debug])
    )
    parser.id_func = lambda i, document: f"{document.node_id}.{i}"
    nodes = parser.get_nodes_from_documents([note()], show_progress=False)
    assert [node.node_id for node in nodes] == ["n1.0", "n1.1", "n1.2"]
    assert [node.metadata for node in nodes] == [
        {},
        {"section": "HPI", "section_kind": "hpi"},
        {"section": "PLAN", "section_kind": "plan"},
    ]
    assert {node.next_node for node in nodes} == {None}
    assert len(debug.get_event_pairs(CBEventType.NODE_PARSING)) == 1
    assert BedsideNodeParser()([]) == []
    assert BedsideNodeParser()([note(" \n")]) == []


def test_async_gives_the_same() -> None:
    nodes = asyncio.run(BedsideNodeParser().acall([note()]))
    assert [node.text for node in nodes] == [node.text for node in BedsideNodeParser()([note()])]


def test_settings_come_back_and_tell_ingestion_caches_apart(folder: str) -> None:
    parser = BedsideNodeParser(embed_model=BedsideEmbedding(model_name=folder), max_tokens=24)
    settings = {name: value for name, value in parser.to_dict().items() if name != "id_func"}  # no parser reads it back
    again = BedsideNodeParser.from_dict(settings)
    assert again.to_dict() == parser.to_dict()
    assert pickle.loads(pickle.dumps(parser)).to_dict() == parser.to_dict()  # noqa: S301 - our own bytes
    others = [BedsideNodeParser(), BedsideNodeParser(max_tokens=24), BedsideNodeParser(overlap=1), parser]
    keys = {get_transformation_hash([TextNode(text="x")], other) for other in others}
    assert len(keys) == 4


@pytest.mark.parametrize(
    "wrong", [{"max_tokens": 0}, {"overlap": -1}, {"max_tokens": 8, "overlap": 8}, {"section_kinds": {"!": "plan"}}]
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        BedsideNodeParser(**wrong)


def test_an_ingestion_pipeline_cuts_and_embeds(minilm: BedsideEmbedding) -> None:
    nodes = IngestionPipeline(transformations=[BedsideNodeParser(), minilm]).run(documents=[note()])
    assert [len(node.embedding or []) for node in nodes] == [384] * 3


@pytest.mark.slow
def test_worker_processes_cut_and_embed_as_one_does(minilm: BedsideEmbedding) -> None:
    pipeline = IngestionPipeline(
        transformations=[BedsideNodeParser(embed_model=minilm, max_tokens=16), minilm], disable_cache=True
    )
    documents = [note(NOTE.replace("3 days", f"{i} days"), f"n{i}") for i in range(4)]
    one, many = (pipeline.run(documents=documents, num_workers=workers) for workers in (None, 2))
    assert [(node.ref_doc_id, node.text) for node in many] == [(node.ref_doc_id, node.text) for node in one]
