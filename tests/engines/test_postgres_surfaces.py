"""A URL where a folder may stand: the command line, HTTP, MCP and the adapters; and no password in what they say."""

from __future__ import annotations

import json
import logging
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from langchain_bedside import BedsideRecordManager
from langchain_bedside import BedsideVectorStore as LangChainStore
from langchain_core.embeddings import DeterministicFakeEmbedding
from llama_index.core.schema import TextNode
from llama_index.vector_stores.bedside import BedsideVectorStore as LlamaIndexStore
from mcp import StdioServerParameters
from mcp.client import Client
from mcp.client.stdio import stdio_client

from bedside import Collection, Document, engines
from bedside.errors import BedsideError, InvalidInputError, NotACollectionError
from command_line import LINES, bedside, json_lines
from engines import postgres_server
from engines.postgres_server import Server
from serving_server import problem, serving

SECRET = "hunter2secret"  # noqa: S105 - of nobody


@pytest.fixture
def url(postgres: Callable[[], str]) -> str:
    return postgres()


@pytest.fixture
def with_password(url: str) -> str:
    """The URL with a password that the server, which trusts the loopback, does not ask for."""
    return url.replace("://bedside@", f"://bedside:{SECRET}@")


@pytest.fixture
def root(server: Server, postgres: Callable[[], str]) -> Iterator[str]:
    """The URL of the database, in which two collections are: ``ward`` by patient, and ``guidelines``."""
    with Collection.open(server.place("guidelines")) as guidelines:
        guidelines.add([Document("Aspirin for acute coronary syndrome.", {}, "acs")])
    with Collection.open(server.place("ward"), scope_keys=["patient_id"]) as ward:
        for patient in "AB":
            ward.scoped(patient_id=patient).add([Document(f"Secret of {patient}: chest pain.", {}, f"{patient}1")])
    yield server.url
    with psycopg.connect(server.url, autocommit=True) as connection:
        for name in ("guidelines", "ward", "made"):
            connection.execute(f'drop schema if exists "{name}" cascade'.encode())


def test_commands_do_on_a_url_what_they_do_in_a_folder(url: str, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    bedside("init", url)
    assert "already holds a collection" in bedside("init", url, code=1)
    assert bedside("add", url, "-", stdin=json_lines(LINES)) == "3 documents added\n"
    with Collection.open(tmp_path / "ward") as notes:
        notes.add([Document(**line) for line in LINES])
    for asked in (
        ("search", "chest pain", "--mode", "sparse", "--json", "--explain"), ("get", "--filter", "{}", "--vectors"),
        ("stats", "--facets", "section"),
    ):  # fmt: skip
        command, *options = asked
        assert bedside(command, url, *options) == bedside(command, tmp_path / "ward", *options)
    stats = json.loads(bedside("stats", url, "--json"))
    assert min(stats.pop("table_bytes"), stats.pop("index_bytes")) > 0
    with Collection.open(tmp_path / "ward", read_only=True) as notes:
        assert (stats["records"], stats["dimension"], stats["scope_keys"]) == (len(notes), 3, [])
    bedside("export", url, out, "--include-vectors")
    assert "2 documents deleted" in bedside("delete", url, "--filter", '{"section": {"$ne": "HPI"}}')
    bedside("import", url, out)
    assert "3 records" in bedside("compact", url)
    assert "3 records" in bedside("verify", url)
    assert "out of reach: the write-ahead log" in bedside("erase", url, "--id", "a", "--yes")
    assert bedside("count", url) == "2\n"
    assert "there is no log to repair on PostgreSQL" in bedside("repair", url, code=1)


def test_the_collections_of_a_database_are_served_by_http_as_those_of_a_folder(root: str) -> None:
    with serving(root) as client:  # type: ignore[arg-type]
        assert {"guidelines", "ward"} <= set(client.get("/v1/collections").json()["collections"])
        asked = {"query": "chest pain", "mode": "sparse", "scope": {"patient_id": "A"}}
        hits = client.post("/v1/collections/ward/search", json=asked).json()["hits"]
        assert [hit["id"] for hit in hits] == ["A1"]
        problem(client.post("/v1/collections/nowhere/search", json=asked), 404, "NotACollectionError")
        assert client.put("/v1/collections/made", json={"scope_keys": ["p"]}).is_success
        added = client.post(
            "/v1/collections/made/add", json={"documents": [{"id": "x", "text": "Cough."}], "scope": {"p": "1"}}
        )
        assert added.json() == {"ids": ["x"], "skipped": []}
        with psycopg.connect(root, autocommit=True) as connection:
            connection.execute("drop schema made cascade")
        problem(client.post("/v1/collections/made/count", json={"scope": {"p": "1"}}), 404, "NotACollectionError")


def test_the_collections_of_a_database_are_listed_and_one_of_them_is_no_root(root: str) -> None:
    assert {"guidelines", "ward"} <= set(engines.list_collections(root))
    assert "is itself a collection: give the URL without" in bedside("serve", f"{root}?collection=ward", code=1)


async def test_a_chatbot_finds_what_is_in_a_database(root: str, tmp_path: Path) -> None:
    command = StdioServerParameters(
        command=sys.executable,
        args=["-m", "bedside.cli", "mcp", root, "--scope", "patient_id=B", "--collection", "ward"],
        env=dict(os.environ),
        cwd=str(tmp_path),
    )
    async with Client(stdio_client(command), read_timeout_seconds=60) as client:
        answer = await client.call_tool("search", {"collection": "ward", "query": "chest pain", "mode": "sparse"})
        assert [hit["id"] for hit in answer.structured_content["hits"]] == ["B1"]


def test_langchains_record_manager_is_named_after_the_collection(url: str, postgres: Callable[[], str]) -> None:
    embedding = DeterministicFakeEmbedding(size=8)
    stores = [LangChainStore(embedding, place) for place in (url, postgres())]
    assert len({BedsideRecordManager(store).namespace for store in stores}) == 2
    for store in stores:
        store.close()


def test_a_llama_index_store_is_opened_again_by_pickle_dict_and_pointer(with_password: str, tmp_path: Path) -> None:
    store = LlamaIndexStore(with_password)
    store.add([TextNode(id_="1", text="Cough.", embedding=[1.0, 0.0])])
    pointer = tmp_path / "default__vector_store.json"
    store.persist(str(pointer))
    kept = [pickle.dumps(store), json.dumps(store.to_dict()).encode(), pointer.read_bytes(), repr(store).encode()]
    assert not any(SECRET.encode() in each for each in kept)
    again = [
        pickle.loads(kept[0]),  # noqa: S301 - made above
        LlamaIndexStore.from_dict(store.to_dict()),
        LlamaIndexStore.from_persist_dir(str(tmp_path)),
    ]  # fmt: skip
    for each in again:
        assert [node.node_id for node in each.get_nodes()] == ["1"]
        each.close()
    with psycopg.connect(with_password.partition("?")[0], autocommit=True) as connection:
        connection.execute(f'drop schema "{with_password.rpartition("=")[2]}" cascade'.encode())
    told = store.to_dict()
    for gone in (lambda: LlamaIndexStore.from_dict(told), lambda: LlamaIndexStore.from_persist_dir(str(tmp_path))):
        with pytest.raises(NotACollectionError, match=r"there is no collection|is not there"):
            gone()
    store.close()


WRONG = [
    f"postgresql://nurse:{SECRET}@127.0.0.1:{{port}}/notes?collection=ward",
    f"postgresql://nurse@127.0.0.1:{{port}}/notes?collection=ward&password={SECRET}",
    f"postgresql://nurse:{SECRET}@127.0.0.1:not-a-port/notes",
    f"postgresql://nurse:{SECRET}@127.0.0.1/notes?nonsense=400",
    f"postgresql://nurse:{SECRET}@127.0.0.1/notes?collection=pg_catalog",
    f"postgresql://nurse:{SECRET}@127.0.0.1/notes?collection=a&collection=b",
    f"postgresql://nurse:{SECRET}?{SECRET}@127.0.0.1/notes",
    f"postgresql://nurse:{SECRET}/{SECRET}@127.0.0.1/notes",
    f"postgresql://nurse:{SECRET}@{SECRET}@127.0.0.1/notes",
    f"postgresql://nurse:{SECRET}#{SECRET}@127.0.0.1/notes",
    f"postgresqlx://nurse:{SECRET}@127.0.0.1/notes",
]


@pytest.mark.parametrize("place", WRONG)
def test_no_surface_shows_the_password_of_a_url_that_is_wrong(
    place: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    place = place.replace("{port}", str(postgres_server.free_port()))
    asks: list[Callable[[], object]] = [
        lambda: Collection.open(place), lambda: engines.holds_collection(place), lambda: engines.read_facts(place),
        lambda: engines.sizes(place), lambda: engines.list_collections(place), lambda: engines.repair(place),
        lambda: LangChainStore(path=place), lambda: LlamaIndexStore(place),
        lambda: LlamaIndexStore.from_dict({"path": place}),
    ]  # fmt: skip
    for ask in asks:
        with pytest.raises(BedsideError) as raised:
            ask()
        assert SECRET not in f"{raised.value}{raised.value!r}"
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    "arguments",
    [
        ("count", "URL"), ("add", "URL", "-"), ("serve", "URL"), ("mcp", "URL"), ("import", "nowhere", "URL"),
        ("count", "nowhere", "URL"), ("URL",), ("add", "file.jsonl", "URL"), ("copy", "URL", "URL"),
        ("count", "--filter", "URL", "URL"), ("init", "URL"),
    ],
)  # fmt: skip
def test_no_command_shows_the_password_of_a_url_that_cannot_be_reached_or_stands_in_the_wrong_place(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    place = f"postgresql://nurse:{SECRET}@127.0.0.1:{postgres_server.free_port()}/notes"
    done = subprocess.run(
        [sys.executable, "-m", "bedside.cli", *(place if each == "URL" else each for each in arguments)],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode in (1, 2)
    assert SECRET not in done.stdout + done.stderr


def test_what_goes_well_shows_no_password_either(with_password: str) -> None:
    said = bedside("init", with_password) + bedside("verify", with_password)
    said += bedside("init", with_password, code=1)
    with Collection.open(with_password) as notes:
        said += repr(notes) + str(notes.place) + repr(notes.facts)
        with Collection.open(notes.place) as again:
            assert again.facts == notes.facts
    assert SECRET not in said
    assert engines.shown(with_password) == engines.shown(notes.place)


def test_a_password_that_is_not_written_as_urls_are_is_told_how() -> None:
    with pytest.raises(InvalidInputError, match="write %25 %2F"):
        Collection.open("postgresql://nurse:a/b@db.hospital/notes")
