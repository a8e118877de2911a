"""vectra folders: what vectra 0.15.0 wrote is read, its recorded cosines are ours, what we write reads back."""

import json
import math
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside import Collection, Document
from bedside.errors import (
    BedsideWarning,
    DuplicateIdError,
    FilterError,
    InvalidDocumentError,
    InvalidInputError,
    InvalidVectorError,
    UnreadableFileError,
)
from bedside.formats.vectra import Source, content_hash, read_documents, read_notes, read_sources, write_documents
from bedside.formats.vectra.hashing import number_text
from bedside.formats.vectra.offsets import Offsets

ROOT = Path(__file__).resolve().parents[2]
ORACLES = Path(os.environ.get("BEDSIDE_ORACLES", ROOT.parent / "shared" / "oracles")) / "vectra"
needs_oracle = pytest.mark.skipif(not ORACLES.is_dir(), reason=f"no vectra oracle at BEDSIDE_ORACLES ({ORACLES})")


@pytest.fixture(scope="module")
def cases():
    return json.loads((ORACLES / "cases.json").read_bytes())


OTHER_FILTERS = {"q12-nin", "q16-missing-key", "qi1-indexed-noncfg-field"}
"""Queries whose filter selects other items here; docs/migrating.md says why."""
REFUSED_HERE = {"q24-short-query-vector", "qe1-edge-all", "qe2-edge-top2", "qe3-edge-top3"}
"""Queries with a vector of another dimension, or on an index with a zero vector."""


def imported(name):
    collection = Collection.open()
    collection.import_from(ORACLES / "example-index" / name)
    return collection


@needs_oracle
@pytest.mark.filterwarnings("ignore:.*have no text")  # theirs stand at "note", in some items alone
def test_an_imported_folder_gives_the_order_and_cosines_that_vectra_recorded(cases):
    queries = [case for case in cases["queries"] if case["name"] not in OTHER_FILTERS | REFUSED_HERE]
    opened = {name: imported(name) for name in {case["index"] for case in queries}}
    assert len(queries) == 10
    for case in queries:
        hits = opened[case["index"]].search(vector=case["vector"], top_k=case["topK"], filter=case["filter"])
        assert [hit.id for hit in hits] == [hit["id"] for hit in case["expected"]], case["name"]
        np.testing.assert_allclose([hit.dense for hit in hits], [hit["score"] for hit in case["expected"]], atol=1e-6)


@needs_oracle
def test_the_chunks_that_vectras_hybrid_queries_found_by_vector_have_their_recorded_cosines(cases):
    docs = imported("docs")
    answered = [case for case in cases["hybrid"] if "error" not in case]
    assert len(answered) == 8
    for case in answered:
        wanted = {hit["id"]: hit["score"] for hit in case["expected"] if not hit["isBm25"]}
        hits = docs.search(vector=case["vector"], top_k=len(wanted), filter=case["filter"])
        assert {hit.id for hit in hits} == set(wanted), case["name"]
        np.testing.assert_allclose([hit.dense for hit in hits], [wanted[hit.id] for hit in hits], atol=1e-6)


@needs_oracle
def test_content_hashes_are_vectras():
    for case in json.loads((ORACLES / "content-hash.json").read_bytes())["contentHash"]:
        assert content_hash(case["text"], case["metadata"], case["docType"]) == case["sha256"]


@needs_oracle
def test_the_hashes_of_a_catalog_are_those_of_its_documents():
    for source in read_sources(ORACLES / "example-index" / "docs"):
        hashes = {content_hash(source.text, source.metadata, kind) for kind in (None, source.uri.rpartition(".")[2])}
        assert source.hash in hashes


def utf16_cut(text, first, last):
    return text.encode("utf-16-le")[2 * first : 2 * last + 2].decode("utf-16-le")


@needs_oracle
@pytest.mark.parametrize("name", ["docs", "docs-gpt", "docs-legacy"])
def test_chunks_are_cut_where_vectra_cuts_them_and_carry_offsets_into_their_document(name):
    folder = ORACLES / "example-index" / name
    raw = json.loads((folder / "index.json").read_bytes())["items"]
    sources = {source.uri: source for source in read_sources(folder)}
    documents = list(read_documents(folder))
    assert len(sources) == 12
    assert [document.id for document in documents] == [item["id"] for item in raw]
    for document, item in zip(documents, raw, strict=True):
        place = item["metadata"]
        source = sources[document.metadata["source_id"]]
        start, end = document.metadata["start"], document.metadata["end"]
        assert document.text == source.text[start:end] == utf16_cut(source.text, place["startPos"], place["endPos"])
        assert source.id == place["documentId"] == document.metadata["documentId"]
        ours = ("documentId", "source_id", "start", "end", "startPos", "endPos")
        assert {k: v for k, v in document.metadata.items() if k not in ours} == source.metadata
        np.testing.assert_array_equal(document.vector, np.float32(item["vector"]))


@needs_oracle
@pytest.mark.parametrize("name", ["docs-pb", "docs-migrated-to-pb", "docs-legacy"])
def test_protobuf_and_old_catalogs_give_the_same_documents_as_json(name):
    first = list(read_documents(ORACLES / "example-index" / "docs"))
    other = list(read_documents(ORACLES / "example-index" / name))
    texts = [(d.text, {k: v for k, v in d.metadata.items() if k != "documentId"}) for d in first]
    assert [(d.text, {k: v for k, v in d.metadata.items() if k != "documentId"}) for d in other] == texts
    np.testing.assert_array_equal([d.vector for d in other], [d.vector for d in first])
    hashes = [s.hash for s in read_sources(ORACLES / "example-index" / "docs")]
    assert [s.hash for s in read_sources(ORACLES / "example-index" / name)] == (
        [None] * 12 if name == "docs-legacy" else hashes
    )


@needs_oracle
def test_side_car_files_and_inline_metadata_are_the_same_documents():
    inline, beside = (list(read_documents(ORACLES / "example-index" / n)) for n in ("local", "local-indexed"))
    assert inline == beside
    assert len(inline) == 30
    assert inline[0].metadata["site"] == {"ward": "A", "bed": 12}
    assert list(read_documents(ORACLES / "example-index" / "local-indexed-pb")) == inline


@needs_oracle
def test_text_key_takes_the_text_out_of_the_metadata_and_must_be_everywhere():
    with pytest.raises(
        UnreadableFileError, match=r"index.json: items\[\d+\].metadata.note: expected the record's text"
    ):
        list(read_documents(ORACLES / "example-index" / "local", text_key="note"))
    first = next(read_documents(ORACLES / "example-index" / "local", text_key="note"))
    assert first.text == "Chest pain – ECG normal"
    assert "note" not in first.metadata


@needs_oracle
def test_vectors_that_cosine_cannot_search_are_refused_with_their_place():
    with pytest.raises(InvalidVectorError, match=r"index.json: items\[1\].vector: a zero vector"):
        list(read_documents(ORACLES / "example-index" / "local-edge"))


def notes():
    vectors = np.random.default_rng(7).normal(size=(6, 5)).astype(np.float32)
    texts = ["BP 120/80", "no fever 😀", "", "tab\tand\r\nline", "  spaces  ", "müde"]
    odd = {"n": 1, "f": 0.1, "yes": True, "none": None, "list": [1, "a", None], "object": {"a": {"b": []}}}
    return [Document(text, {"ward": f"w{i}", **odd}, f"n{i}", vectors[i]) for i, text in enumerate(texts)]


def assert_same(read, written):
    assert read == written
    for a, b in zip(read, written, strict=True):
        assert a.vector.tobytes() == b.vector.tobytes()
        assert {k: type(v) for k, v in a.metadata.items()} == {k: type(v) for k, v in b.metadata.items()}


@pytest.mark.parametrize("indexed", [(), ("ward", "n"), ("nowhere",)])
def test_what_is_written_reads_back_exactly(tmp_path, indexed):
    documents = notes()
    assert write_documents(tmp_path / "v", documents, indexed=indexed) == 6
    assert_same(list(read_documents(tmp_path / "v")), documents)
    assert not (tmp_path / "v.new").exists()


@needs_oracle
@pytest.mark.parametrize("name", ["docs", "docs-gpt"])
def test_a_document_index_is_written_with_the_catalog_texts_and_offsets_it_had(tmp_path, name):
    folder = ORACLES / "example-index" / name
    documents, sources = list(read_documents(folder)), list(read_sources(folder))
    write_documents(tmp_path / "v", documents, sources=sources)
    assert_same(list(read_documents(tmp_path / "v")), documents)
    assert list(read_sources(tmp_path / "v")) == sources
    assert json.loads((tmp_path / "v/catalog.json").read_bytes()) == json.loads((folder / "catalog.json").read_bytes())
    written, given = (json.loads((at / "index.json").read_bytes())["items"] for at in (tmp_path / "v", folder))
    assert [item["metadata"] for item in written] == [item["metadata"] for item in given]


def test_the_norm_and_the_metadata_config_that_vectra_requires_are_written(tmp_path):
    write_documents(tmp_path / "v", [Document("a", {}, "1", np.float32([3, 4]))])
    raw = json.loads((tmp_path / "v" / "index.json").read_bytes())
    assert raw == {
        "version": 1,
        "metadata_config": {},
        "items": [{"id": "1", "metadata": {"text": "a"}, "vector": [3.0, 4.0], "norm": 5.0}],
    }


@pytest.mark.parametrize(
    ("document", "error", "says"),
    [
        (Document("a", {}, "1"), InvalidVectorError, r"documents\[1\].vector: vectra stores vectors"),
        (Document("a", {}, "1", [1.0, 2.0]), InvalidVectorError, "expected dimension 3, got 2"),
        (Document("a", {}, "0", [1.0, 2.0, 3.0]), DuplicateIdError, r"documents\[1\].id"),
        (Document("a", {"text": 1}, "1", [1.0, 2.0, 3.0]), InvalidDocumentError, "set text_key"),
        (Document("a", {"n": [2**53 + 1]}, "1", [1.0, 2.0, 3.0]), InvalidDocumentError, "no JavaScript number"),
    ],
)
def test_what_vectra_cannot_hold_is_refused_and_leaves_nothing(tmp_path, document, error, says):
    with pytest.raises(error, match=says):
        write_documents(tmp_path / "v", [Document("b", {}, "0", [1.0, 0.0, 0.0]), document])
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_not_written_into(tmp_path):
    (tmp_path / "kept.txt").write_text("x")
    with pytest.raises(InvalidInputError, match="new or empty folder"):
        write_documents(tmp_path, notes())
    assert [file.name for file in tmp_path.iterdir()] == ["kept.txt"]


def small_index(folder, **changes):
    item = {"id": "a", "metadata": {"text": "x"}, "vector": [1, 2], "norm": math.sqrt(5)}
    folder.mkdir()
    index = {"version": 1, "metadata_config": {}, "items": [item, item | {"id": "b"} | changes]}
    (folder / "index.json").write_text(json.dumps(index))
    return folder


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"id": 5}, r"items\[1\].id: expected a string that is not empty, got int"),
        ({"id": ""}, r"items\[1\].id: expected a string that is not empty"),
        ({"id": "a"}, r"items\[1\].id: given to two records"),
        ({"vector": [1, None]}, r"items\[1\].vector\[1\]: expected a number, got NoneType"),
        ({"vector": "1"}, r"items\[1\].vector: expected a list of numbers"),
        ({"vector": [1, 2, 3]}, r"items\[1\].vector: expected dimension 2, got 3"),
        ({"vector": [1, 1e39]}, r"items\[1\].vector: every number must be finite"),
        ({"metadata": []}, None),
        ({"metadata": [1]}, r"items\[1\].metadata: expected an object"),
        ({"norm": "5"}, r"items\[1\].norm: expected a number"),
        ({"metadataFile": "gone.json"}, r"gone.json: cannot be read"),
        ({"metadataFile": "../secret.json"}, r"leads out of the folder"),
    ],
)
def test_a_damaged_item_is_refused_with_the_file_and_its_place(tmp_path, changes, says):
    folder = small_index(tmp_path / "v", **changes)
    (tmp_path / "secret.json").write_text("{}")
    if says is None:
        assert len(list(read_documents(folder))) == 2
        return
    with pytest.raises(InvalidInputError, match=says):
        list(read_documents(folder))


@pytest.mark.parametrize("text", ['{"items": [', '{"items": {}}', "[]", '{"items": [1e400]}', "[" * 5000])
def test_a_file_that_is_no_index_is_refused_by_name(tmp_path, text):
    (tmp_path / "index.json").write_text(text)
    with pytest.raises(UnreadableFileError, match=r"^index\.json"):
        list(read_documents(tmp_path))


def test_a_half_migrated_folder_and_one_without_an_index_are_refused(tmp_path):
    with pytest.raises(UnreadableFileError, match=r"no index\.json or index\.pb"):
        list(read_documents(tmp_path))
    for name in ("index.json", "index.pb"):
        (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(UnreadableFileError, match="finish vectra's migration"):
        list(read_documents(tmp_path))


def test_an_index_of_another_name_is_found_in_its_folder_and_by_its_path(tmp_path):
    folder = small_index(tmp_path / "v")
    (folder / "index.json").rename(folder / "letters.json")
    (folder / "side-car.json").write_text('{"text": "y"}')
    for path in (folder, folder / "letters.json"):
        copy = Collection.open()
        assert copy.import_from(path) == 2
        assert [document.text for document in copy.get(["a", "b"])] == ["x", "x"]
    shutil.copyfile(folder / "letters.json", folder / "visits.json")
    with pytest.raises(UnreadableFileError, match=r"several indexes: letters\.json, visits\.json"):
        list(read_documents(folder))


def test_an_index_that_vectra_had_emptied_to_write_it_anew_is_told_as_such(tmp_path):
    (tmp_path / "index.json").touch()
    with pytest.raises(UnreadableFileError, match=r"^index\.json"):
        Collection.open().import_from(tmp_path)


def test_a_vector_that_was_a_float32array_is_an_object_with_its_places_as_keys(tmp_path):
    (document, other) = read_documents(small_index(tmp_path / "v", vector={"0": 0.5, "1": -2}))
    np.testing.assert_array_equal(other.vector, np.float32([0.5, -2]))
    assert document.text == other.text == "x"
    with pytest.raises(UnreadableFileError, match=r"items\[1\].vector: expected a list of numbers, got dict"):
        list(read_documents(small_index(tmp_path / "w", vector={"1": 0.5, "0": -2})))


@pytest.mark.parametrize(
    ("metadata", "text", "rest"),
    [
        ({"content": "Cough.", "n": 1}, "Cough.", {"n": 1}),
        ({"text": 5, "page_content": "Cough."}, "Cough.", {"text": 5}),
        ({"body": "Cough."}, "", {"body": "Cough."}),
    ],
)
def test_a_text_is_looked_for_where_those_of_other_stores_are(tmp_path, metadata, text, rest):
    folder = small_index(tmp_path / "v", metadata=metadata)
    *_, document = read_documents(folder)
    assert (document.text, document.metadata) == (text, rest)


def test_texts_that_were_not_found_are_told(tmp_path):
    folder = small_index(tmp_path / "v", metadata={"body": "Cough."})
    with pytest.warns(BedsideWarning, match=r"^v: 1 of 2 records have no text; give text_key="):
        Collection.open().import_from(folder)


@needs_oracle
def test_a_cut_protobuf_index_is_refused_or_ends_between_two_items(tmp_path):
    data = (ORACLES / "example-index" / "local-pb" / "index.pb").read_bytes()
    whole = list(read_documents(ORACLES / "example-index" / "local-pb"))
    between = 0
    for end in range(0, len(data), 7):
        (tmp_path / "index.pb").write_bytes(data[:end])
        try:
            read = list(read_documents(tmp_path))
        except InvalidInputError as error:
            assert "index.pb" in str(error)
        else:
            between += 1
            assert read == whole[: len(read)]
    assert between < 30


@needs_oracle
@pytest.mark.parametrize(
    ("name", "says"),
    [("catalog.json", "uriToId and idToUri"), ("index.json", "has text and no chunk"), ("*.txt", "cannot be read")],
)
def test_a_document_index_that_lost_a_part_is_refused(tmp_path, name, says):
    folder = tmp_path / "v"
    shutil.copytree(ORACLES / "example-index" / "docs", folder, copy_function=shutil.copyfile)
    folder.chmod(0o755)
    file = next(folder.glob(name))
    if name == "*.txt":
        file.unlink()
    else:
        raw = json.loads(file.read_bytes())
        if name == "index.json":
            gone = raw["items"][0]["metadata"]["documentId"]
            raw["items"] = [item for item in raw["items"] if item["metadata"]["documentId"] != gone]
        else:
            raw["idToUri"].popitem()
        file.write_text(json.dumps(raw))
    with pytest.raises(UnreadableFileError, match=says):
        list(read_documents(folder))


def document_index(folder, text, first, last, **metadata):
    source = Source("doc://a.txt", "a", text)
    write_documents(folder, [], sources=[source])
    raw = json.loads((folder / "index.json").read_bytes())
    place = {"documentId": "a", "startPos": first, "endPos": last}
    raw["items"] = [{"id": "1", "metadata": place | metadata, "vector": [1], "norm": 1}]
    (folder / "index.json").write_text(json.dumps(raw))
    return folder


def test_an_offset_inside_a_surrogate_pair_moves_outwards(tmp_path):
    chunk = next(read_documents(document_index(tmp_path / "v", "a😀b😀c", 2, 4)))
    assert (chunk.text, chunk.metadata["start"], chunk.metadata["end"]) == ("😀b😀", 1, 4)


@pytest.mark.parametrize(
    ("first", "last", "metadata", "says"),
    [
        (0, 7, {}, "endPos: expected an offset into the document's 7 UTF-16 code units"),
        (-1, 2, {}, "startPos: expected an offset"),
        (3, 2, {}, "endPos: expected at least startPos, 3"),
        (0, 1, {"start": 5}, "metadata.start: stands where the chunk's offsets go"),
        (0, 1, {"documentId": "b"}, "documentId: the catalog has no such document"),
    ],
)
def test_wrong_offsets_are_refused(tmp_path, first, last, metadata, says):
    with pytest.raises(UnreadableFileError, match=says):
        list(read_documents(document_index(tmp_path / "v", "a😀b😀c", first, last, **metadata)))


def replaced_document(folder, texts, chunks):
    """A document index as vectra leaves it when it replaces a document whose ``documentId`` is not indexed."""
    write_documents(
        folder, [], sources=[Source(f"doc://{id}", id, text, {"ward": "icu"}) for id, text in texts.items()]
    )
    items = []
    for i, (id, first, last) in enumerate(chunks):
        (folder / f"{i}.json").write_text(json.dumps({"documentId": id, "startPos": first, "endPos": last}))
        items.append({"id": str(i), "metadata": {}, "vector": [1, i], "norm": 1, "metadataFile": f"{i}.json"})
    index = {"version": 1, "metadata_config": {"indexed": ["ward"]}, "items": items}
    (folder / "index.json").write_text(json.dumps(index))
    return folder


def test_chunks_that_vectra_left_of_a_deleted_or_replaced_document_are_never_cut_out_of_another_text(tmp_path):
    whole = replaced_document(
        tmp_path / "whole", {"a": "No gout.", "b": "Gout."}, [("a", 0, 2), ("b", 0, 4), ("a", 3, 7)]
    )
    assert [chunk.text for chunk in read_documents(whole)] == ["No ", "Gout.", "gout."]
    again = replaced_document(tmp_path / "again", {"a": "No gout."}, [("a", 0, 4), ("a", 0, 7)])
    with pytest.raises(UnreadableFileError, match=r"items\[1\]: chunks of several versions .*call .*\.read_notes"):
        list(read_documents(again))
    gone = replaced_document(tmp_path / "gone", {"a": "No gout."}, [("deleted", 0, 4), ("a", 0, 7)])
    with pytest.raises(UnreadableFileError, match=r"the catalog has no such document; .*call .*\.read_notes"):
        list(read_documents(gone))
    for folder in (again, gone):
        assert list(read_notes(folder)) == [Document("No gout.", {"ward": "icu"}, "doc://a")]


def test_whole_documents_come_over_as_notes_under_their_uris(tmp_path):
    folder = replaced_document(tmp_path / "v", {"a": "PLAN: Rest 😀.", "b": "Gout."}, [("a", 0, 12), ("b", 0, 4)])
    notes = Collection.open()
    assert notes.add_notes(read_notes(folder)) == {"doc://a": "added", "doc://b": "added"}
    assert notes.get_note("doc://a") == Document("PLAN: Rest 😀.", {"ward": "icu"}, "doc://a")
    assert [hit.id for hit in notes.search_notes("gout")] == ["doc://b"]
    with pytest.raises(UnreadableFileError, match="an index of items"):
        list(read_notes(small_index(tmp_path / "items")))


def test_a_chunk_that_its_source_does_not_hold_is_not_written(tmp_path):
    chunk = Document("other", {"source_id": "u", "start": 0, "end": 5}, "1", [1.0])
    with pytest.raises(InvalidDocumentError, match="do not cut its text"):
        write_documents(tmp_path / "v", [chunk], sources=[Source("u", "i", "hello")])


def test_a_source_id_that_leads_out_of_the_folder_is_refused(tmp_path):
    with pytest.raises(InvalidDocumentError, match="can name a file"):
        write_documents(tmp_path / "v", [], sources=[Source("u", "../i", "hello")])


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=30), st.data())
def test_offsets_are_those_of_utf16(text, data):
    offsets = Offsets(text)
    place = data.draw(st.integers(0, len(text)))
    units = len(text[:place].encode("utf-16-le")) // 2
    assert offsets.to_utf16(place) == units
    assert offsets.to_python(units) == offsets.to_python(units, up=True) == place
    assert offsets.units == len(text.encode("utf-16-le")) // 2


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1, "0.1"), (5.0, "5"), (-0.0, "0"), (1e21, "1e+21"), (123456789012345680000.0, "123456789012345680000"),
        (1e-6, "0.000001"), (1e-7, "1e-7"), (-1.5e-9, "-1.5e-9"), (1.25e300, "1.25e+300"), (100.5, "100.5"),
    ],
)  # fmt: skip
def test_numbers_are_written_as_javascript_writes_them(value, text):
    assert number_text(value) == text


@pytest.mark.parametrize(
    ("metadata", "filter", "selected"),
    [
        ({"age": 71}, {"age": {"$in": [71]}}, True),
        ({"age": 5}, {"age": {"$in": ["15"]}}, False),
        ({"active": True}, {"active": {"$in": [True]}}, True),
        ({"ward": "icu"}, {"ward": {"$in": ["icu-2", "icu"]}}, True),
        ({"ward": "icu"}, {"ward": {"$in": ["icu-2"]}}, False),
        ({"age": 71}, {"age": {"$nin": [71]}}, False),
        ({"active": True}, {"active": {"$nin": [False]}}, True),
        ({}, {"ward": {"$ne": "er"}}, True),
        ({}, {"ward": {"$nin": ["er"]}}, True),
        ({"tags": ["acute"]}, {"tags": "acute"}, True),
        ({"tags": ["acute", "icu"]}, {"tags": {"$in": ["acute"]}}, True),
        ({"tags": ["acute", "icu"]}, {"tags": {"$in": ["acute,icu,er"]}}, False),
        ({"ward": None}, {"ward": None}, True),
        ({"age": 71}, {"age": {"$gt": "60"}}, False),
        ({"date": "2024-02-01"}, {"date": {"$gt": "2024-01-01"}}, True),
        ({"age": 71}, {"age": {"$gt": "abc"}}, False),
        ({"ward": "er"}, {"ward": {"$exists": True}}, True),
        ({"ward": "er"}, {"ward": {"$foo": "er"}}, FilterError),
        ({"site": {"ward": "A"}}, {"site.ward": "A"}, True),
    ],
)
def test_a_filter_that_vectra_answers_otherwise_selects_as_the_documentation_lists(metadata, filter, selected):
    collection = Collection.open()
    collection.add([Document("a note", metadata, "1")])
    if selected is FilterError:
        with pytest.raises(FilterError):
            collection.count(filter)
    else:
        assert collection.count(filter) == selected
