"""What was valid when, the latest, and copies: asked for and shown on every surface under the same names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from langchain_bedside import BedsideVectorStore as LangChainStore
from langchain_core.documents import Document as LangChainDocument
from langchain_core.embeddings import DeterministicFakeEmbedding
from llama_index.core.schema import MetadataMode, TextNode
from llama_index.core.vector_stores.types import VectorStoreQuery, VectorStoreQueryMode
from llama_index.vector_stores.bedside import BedsideVectorStore as LlamaStore
from starlette.testclient import TestClient
from typer.testing import CliRunner

from bedside import Collection, Document
from bedside.cli.app import app
from bedside.serving.access import Access
from bedside.serving.http import create_app
from bedside.serving.mcp import Tools
from bedside.serving.models import SearchRequest
from bedside.serving.note_models import NoteHitModel
from bedside.serving.service import Service

STORY = "Wound on the left shin three centimetres wide, clean, no discharge, dressing changed by the nurse"
RECORDS: list[tuple[str, str, dict[str, Any]]] = [
    ("mon", STORY, {"date": "2024-03-01", "day": "x", "valid_to": "2024-03-05"}),
    ("tue", f"{STORY}.", {"date": "2024-03-02", "day": "x", "valid_from": "2024-03-02"}),
    ("new", "Wound healed, dressing removed.", {"date": "2024-03-09", "day": "x", "supersedes": "mon"}),
]
ASKED: list[tuple[dict[str, Any], list[str]]] = [
    ({"as_of": "2024-03-01"}, ["new"]),
    ({"as_of": "2024-03-03"}, ["new", "tue"]),
    ({"newest_first": True}, ["new", "tue", "mon"]),
    ({"recency": "1d:1", "as_of": "2024-03-09", "date_key": "date"}, ["new", "tue"]),
    ({"latest_by": "day", "newest_first": True}, ["new", "tue", "mon"]),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with Collection.open(tmp_path / "c") as notes:
        notes.add([Document(text, metadata, id) for id, text, metadata in RECORDS])
    return tmp_path


def command(folder: Path, options: dict[str, Any]) -> list[dict[str, Any]]:
    given = [
        part
        for name, value in options.items()
        for part in (f"--{name.replace('_', '-')}", *([] if value is True else [str(value)]))
    ]
    done = CliRunner().invoke(app, ["search", str(folder / "c"), "wound dressing", "--json", *given])
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.output.splitlines()]


@pytest.mark.parametrize(("options", "expected"), ASKED, ids=str)
def test_the_command_line_http_and_a_chatbot_give_the_same_options_the_same_meaning(folder, options, expected) -> None:
    with Collection.open(folder / "c", read_only=True) as notes:
        found = [hit.id for hit in notes.search("wound dressing", **options)]
    assert sorted(found) == sorted(expected)
    if "newest_first" in options:
        assert found == expected
    assert [line["id"] for line in command(folder, options)] == found
    service = Service(folder)
    request = SearchRequest(query="wound dressing", **options)
    hits = service.search(Access(), "c", {}, request.query, None, **request.options())
    assert [hit.id for hit in hits] == found
    told = Tools(service, Access()).search("c", "wound dressing", **options)
    assert [hit.id for hit in told.hits] == found


def test_copies_and_their_dates_are_shown_by_the_command_line_http_and_to_a_chatbot(folder) -> None:
    options = {"collapse": "copies", "filter": {"date": {"$lt": "2024-03-05"}}}
    expected = ([{"id": "tue", "source": None, "date": "2024-03-02"}], "2024-03-01", "2024-03-02")
    (line,) = command(folder, {"collapse": "copies", "filter": json.dumps(options["filter"])})
    assert (line["copies"], line["first_seen"], line["last_seen"]) == expected
    hits = Tools(Service(folder), Access()).search("c", "wound dressing", **options).model_dump()["hits"]
    assert [(hit["copies"], hit["first_seen"], hit["last_seen"]) for hit in hits] == [expected]
    table = CliRunner().invoke(app, ["search", str(folder / "c"), "wound dressing", "--collapse", "copies"]).output
    assert "1 copies: tue; seen from 2024-03-01 to 2024-03-02" in table


def test_a_whole_note_shows_its_copies_and_their_dates_on_every_surface_too(tmp_path) -> None:
    said = "The wound is clean and dry, and its edges are together."
    with Collection.open(tmp_path / "c") as notes:
        notes.add_notes(Document(said, {"date": f"2024-03-0{day}"}, f"day-{day}") for day in (1, 2, 3))
        (hit,) = notes.search_notes("wound", mode="sparse", collapse="copies")
    assert ({copy.source for copy in hit.copies} | {hit.id}, hit.first_seen, hit.last_seen) == (
        {"day-1", "day-2", "day-3"},
        "2024-03-01",
        "2024-03-03",
    )
    asked = {"mode": "sparse", "collapse": "copies"}
    (told,) = Tools(Service(tmp_path), Access()).search_notes("c", "wound", **asked).model_dump()["notes"]
    options = ["--mode", "sparse", "--collapse", "copies"]
    line, table = (
        CliRunner().invoke(app, ["search-notes", str(tmp_path / "c"), "wound", *options, *form]).output
        for form in (["--json"], [])
    )
    for shown in (json.loads(line), told, NoteHitModel.values(hit)):
        assert {name: shown[name] for name in hit.sightings} == hit.sightings
    assert "2 copies: day-" in table
    assert "; seen from 2024-03-01 to 2024-03-03" in table


@pytest.mark.parametrize(
    ("asked", "left"), [("2024-03-01", {"new"}), ("2024-03-03", {"new", "tue"}), ("now", {"new", "tue"})]
)
def test_what_is_read_and_counted_without_ranking_is_what_was_valid_then_on_every_surface(folder, asked, left) -> None:
    run, place = CliRunner().invoke, str(folder / "c")
    lines = run(app, ["get", place, "--filter", "{}", "--as-of", asked, "--json"]).output.splitlines()
    assert {json.loads(line)["id"] for line in lines} == left
    assert run(app, ["count", place, "--as-of", asked]).output == f"{len(left)}\n"
    assert run(app, ["stats", place, "--facets", "day", "--as-of", asked]).output == f'"x"\t{len(left)}\n'
    service = Service(folder)
    tools = Tools(service, Access())
    assert {found.id for found in tools.get("c", filter={}, as_of=asked).documents} == left
    assert (tools.count("c", as_of=asked).count, tools.facets("c", "day", as_of=asked).facets[0].count) == (
        len(left),
    ) * 2
    with TestClient(create_app(service), base_url="http://localhost") as client:
        for verb, more, count in (
            ("get", {"filter": {}}, lambda answer: len(answer["documents"])),
            ("count", {}, lambda answer: answer["count"]),
            ("facets", {"key": "day"}, lambda answer: answer["facets"][0]["count"]),
        ):
            answer = client.post(f"/v1/collections/c/{verb}", json={"as_of": asked, **more})
            assert count(answer.json()) == len(left), verb
            wrong = client.post(f"/v1/collections/c/{verb}", json={"as_of": "yesterday", **more})
            assert (wrong.status_code, wrong.json()["detail"][:6]) == (400, "as_of:")
    with Collection.open(folder / "c", read_only=True) as notes:
        store = LangChainStore(collection=notes)
        assert ({found.id for found in store.get(filter={}, as_of=asked)}, store.count(as_of=asked)) == (
            left,
            len(left),
        )


def test_what_was_valid_then_is_counted_over_every_scope_by_each_scopes_own_versions() -> None:
    notes = Collection.open(scope_keys=["ward"])
    for ward in ("A", "B"):
        notes.scoped(ward=ward).add([Document("old", {"k": "x"}, "v1"), Document("new", {"k": "x"}, "v2")])
    notes.scoped(ward="A").add([Document("new", {"k": "x", "supersedes": "v1"}, "v2")])
    assert (notes.count(as_of="now", all_scopes=True), notes.facets("k", as_of="now", all_scopes=True)) == (
        3,
        [("x", 3)],
    )
    assert notes.count(all_scopes=True) == 4


def test_langchain_takes_them_per_call_and_as_defaults_of_a_store_and_shows_copies_in_metadata() -> None:
    texts = [LangChainDocument(text, id=id, metadata=metadata) for id, text, metadata in RECORDS]
    embedding = DeterministicFakeEmbedding(size=4)
    store = LangChainStore.from_documents(texts, embedding, retrieval_mode="sparse", as_of="2024-03-03")
    assert {found.id for found in store.similarity_search("wound dressing")} == {"new", "tue"}
    assert {found.id for found in store.similarity_search("wound dressing", as_of="2024-03-01")} == {"new"}
    retriever = store.as_retriever(search_kwargs={"as_of": None, "collapse": "copies", "newest_first": True})
    new, wound = retriever.invoke("wound dressing")
    assert (new.id, new.metadata["first_seen"], "copies" in new.metadata) == ("new", "2024-03-09", False)
    assert (wound.metadata["first_seen"], wound.metadata["last_seen"]) == ("2024-03-01", "2024-03-02")
    assert {wound.id, *(copy["id"] for copy in wound.metadata["copies"])} == {"mon", "tue"}


def test_llama_index_takes_them_per_query_and_puts_no_copies_into_a_prompt() -> None:
    store = LlamaStore()
    store.add([TextNode(id_=id, text=text, metadata=about, embedding=[1.0, 0.5]) for id, text, about in RECORDS])
    query = VectorStoreQuery(query_str="wound dressing", mode=VectorStoreQueryMode.SPARSE, similarity_top_k=5)
    assert set(store.query(query, as_of="2024-03-03").ids) == {"new", "tue"}
    assert store.query(query, recency="1d:1", latest_by="day").ids[0] == "new"
    found = store.query(query, collapse="copies", newest_first=True)
    assert found.ids[0] == "new"
    wound = found.nodes[1]
    assert (wound.metadata["last_seen"], len(wound.metadata["copies"])) == ("2024-03-02", 1)
    prompt = wound.get_content(MetadataMode.LLM)
    assert "last_seen: 2024-03-02" in prompt
    assert "copies" not in prompt
    assert "last_seen" not in wound.get_content(MetadataMode.EMBED)


def test_nothing_changes_where_nothing_is_asked_for(folder) -> None:
    with Collection.open(folder / "c", read_only=True) as notes:
        (first, *_) = notes.search("wound dressing", explain=True)
    assert (first.copies, first.first_seen, first.last_seen, first.sightings) == ((), None, None, {})
    assert first.explanation.signals == {}
    assert "recency" not in first.explanation.formula


def test_both_adapters_and_the_command_line_add_versions_of_notes_and_list_them(tmp_path: Path) -> None:
    chain = LangChainStore(collection=Collection.open(), retrieval_mode="sparse")
    index = LlamaStore()
    for store in (chain, index):
        store.add_note("PLAN: Rest.", id="v1")
        store.add_note("PLAN: Rest, then walk.", id="v2", supersedes="v1")
        assert [(each.id, each.superseded_by) for each in store.history("v1")] == [("v2", ()), ("v1", ("v2",))]
    chain.add_notes([LangChainDocument("PLAN: Walk.", id="v3")], supersedes={"v3": ["v1", "v2"]})
    assert [found.id for found in chain.search_notes("walk", as_of="now")] == ["v3"]
    for name, text in (("v1.txt", "PLAN: Rest."), ("v2.txt", "PLAN: Rest, then walk.")):
        (tmp_path / name).write_text(text)
    run = CliRunner().invoke
    place = str(tmp_path / "ward")
    for file, more in (("v1.txt", []), ("v2.txt", ["--supersedes", "v1.txt"])):
        assert run(app, ["add-notes", place, str(tmp_path / file), *more]).exit_code == 0
    found = run(app, ["search-notes", place, "rest", "--as-of", "now", "--json"]).output
    assert [json.loads(line)["id"] for line in found.splitlines()] == ["v2.txt"]
    assert run(app, ["add-notes", place, str(tmp_path), "--supersedes", "v1.txt"]).exit_code == 2
