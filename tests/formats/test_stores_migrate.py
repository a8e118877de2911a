"""From another store into a collection, whole or not at all; the command as a process."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bedside import Collection, Document
from bedside.errors import (
    BedsideWarning,
    InvalidDocumentError,
    InvalidInputError,
    InvalidVectorError,
    ScopeMismatch,
    ScopeRequired,
    UnreadableFileError,
)
from bedside.formats.stores import write_langchain
from bedside.formats.stores.migration import READERS, store_of
from bedside.formats.vectra import Source, write_documents

VECTORS = np.random.default_rng(3).normal(size=(2_300, 4)).astype(np.float32)
PAGE = Path(__file__).resolve().parents[2] / "docs" / "migrating.md"


def notes(count=3, **metadata):
    return [Document(f"note {i}", {"n": i, **metadata}, f"id-{i}", VECTORS[i]) for i in range(count)]


def everything(collection):
    return collection.get(filter={}, include_vectors=True)


def test_a_store_is_told_and_comes_over_in_several_transactions(tmp_path):
    wanted = notes(2_300)
    write_documents(tmp_path / "v", wanted)
    with Collection.open(tmp_path / "c") as collection:
        assert collection.import_from(tmp_path / "v") == 2_300
    with Collection.open(tmp_path / "c") as collection:
        assert everything(collection) == wanted
        np.testing.assert_array_equal([d.vector for d in everything(collection)], VECTORS)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"vector": [1.0]}, InvalidInputError, "record 2201.vector: expected dimension 4, got 1"),
        ({"text": 5}, UnreadableFileError, "record 2201.text: expected a string"),
        ({"metadata": {"n": 2**70}}, InvalidDocumentError, "an integer must fit 64 bits"),
        ({"metadata": {"patient": ""}}, ScopeMismatch, "a scope is"),
        ({"metadata": {}}, ScopeRequired, "lacks the scope key 'patient'"),
    ],
)
def test_of_a_store_with_one_wrong_record_nothing_is_added(tmp_path, change, error, says):
    write_langchain(tmp_path / "dump.json", notes(2_300, patient="A"))
    raw = json.loads((tmp_path / "dump.json").read_text())
    raw["id-2200"].update(change)
    (tmp_path / "dump.json").write_text(json.dumps(raw))
    with Collection.open(tmp_path / "c", scope_keys=["patient"]) as collection:
        collection.add([Document("kept", {"patient": "A"}, "kept", VECTORS[0])])
        with pytest.raises(error, match=says):
            collection.import_from(tmp_path / "dump.json")
        assert [d.id for d in collection.scoped(patient="A")] == ["kept"]


def test_through_a_scoped_view_the_scope_is_filled_in_and_another_refused(tmp_path):
    write_langchain(tmp_path / "dump.json", notes())
    write_langchain(tmp_path / "other.json", notes(patient="B"))
    collection = Collection.open(scope_keys=["patient"])
    assert collection.scoped(patient="A").import_from(tmp_path / "dump.json") == 3
    with pytest.raises(ScopeMismatch, match=r"other\.json, record 1"):
        collection.scoped(patient="A").import_from(tmp_path / "other.json")
    assert [d.metadata["patient"] for d in collection.scoped(patient="A")] == ["A"] * 3


def test_vectors_of_another_dimension_than_the_collections_are_refused(tmp_path):
    write_langchain(tmp_path / "dump.json", notes())
    collection = Collection.open()
    collection.add([Document("a", {}, "a", [1.0, 2.0])])
    with pytest.raises(InvalidVectorError, match="of dimension 2, got dimension 4"):
        collection.import_from(tmp_path / "dump.json")
    assert len(collection) == 1


def test_what_is_no_store_and_options_that_a_store_lacks_are_refused(tmp_path):
    (tmp_path / "file").write_text("notes")
    for source, options, says in (
        ("gone", {}, "there is no such folder or file"),
        ("file", {}, "none of the stores that can be read: vectra, llama-index"),
        ("file", {"store": "milvus"}, "store='milvus': expected one of those it holds: chroma"),
        (
            "file",
            {"store": "pinecone", "options": {"table": "x"}},
            "table: not an option of pinecone; its options: text_key",
        ),
    ):
        with pytest.raises(InvalidInputError, match=says):
            store_of(tmp_path / source, **options)


def test_every_store_has_a_section_in_the_documentation():
    page = PAGE.read_text(encoding="utf-8").lower()
    for name in READERS:
        assert f"\n## {name.replace('-', '')}" in page


def command(*arguments, code=0):
    done = subprocess.run(
        [sys.executable, "-m", "bedside.cli", "migrate", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr if code else done.stdout


def test_the_command_fills_a_new_collection_and_leaves_none_behind_when_it_refuses(tmp_path):
    from qdrant_client import QdrantClient, models

    client = QdrantClient(path=str(tmp_path / "q"))
    for name in ("a", "b"):
        client.create_collection(name, vectors_config=models.VectorParams(size=4, distance=models.Distance.COSINE))
        client.upsert(name, [models.PointStruct(id=1, vector=VECTORS[0].tolist(), payload={"note": f"in {name}"})])
    client.close()

    assert "is a pickle" in command(tmp_path / "q", tmp_path / "c", "--part", "b", code=1)
    assert "expected one of those it holds: a, b" in command(tmp_path / "q", tmp_path / "c", "--allow-pickle", code=1)
    assert not (tmp_path / "c").exists()
    options = ["--allow-pickle", "--part", "b", "--text-key", "note", "--scope-key", "ward", "--scope", "ward=icu"]
    assert command(tmp_path / "q", tmp_path / "c", *options) == "1 documents added\n"
    with Collection.open(tmp_path / "c") as collection:
        (document,) = collection.scoped(ward="icu")
        assert (document.text, document.metadata, document.id) == ("in b", {"ward": "icu"}, "1")
        with pytest.warns(BedsideWarning, match="q: 1 of 1 records have no text; give text_key="):
            assert collection.scoped(ward="er").import_from(tmp_path / "q", collection="a", allow_pickle=True) == 1
    assert "migrate" in command("--help")


def test_the_command_takes_whole_documents_of_vectra_as_notes_each_into_its_scope(tmp_path):
    sources = [Source(f"doc://{i}", str(i), f"PLAN: Visit {i}.", {"patient": f"P{i % 2}"}) for i in range(3)]
    sources.append(Source("doc://empty", "empty", " ", {"patient": "P0"}))
    write_documents(tmp_path / "v", [], sources=sources)
    taken = (tmp_path / "v", tmp_path / "c", "--notes", "--scope-key", "patient")
    refused = command(*taken, code=1)
    assert "(id 'doc://empty')" in refused
    assert not (tmp_path / "c").exists()
    done = command(*taken, "--on-bad-document", "skip")
    assert "3 documents added, 1 skipped" in done
    with Collection.open(tmp_path / "c") as collection:
        assert collection.scopes() == [({"patient": "P0"}, 2), ({"patient": "P1"}, 1)]
        assert collection.scoped(patient="P1").get_note("doc://1").text == "PLAN: Visit 1."


def test_a_store_without_whole_documents_is_not_taken_for_notes(tmp_path):
    write_langchain(tmp_path / "dump.json", notes())
    refused = command(tmp_path / "dump.json", tmp_path / "c", "--notes", code=2)
    assert "langchain keeps no whole documents" in refused
    write_documents(tmp_path / "v", notes())
    refused = command(tmp_path / "v", tmp_path / "c", "--notes", code=1)
    assert "v: an index of items" in refused
