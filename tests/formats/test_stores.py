"""The stores that people come from: each is made with its own library, and read to the last bit."""

import hashlib
import json
import pickle
import random
import sqlite3
import warnings

import numpy as np
import pytest

from bedside import Document
from bedside.errors import (
    BedsideError,
    BedsideWarning,
    DuplicateIdError,
    InvalidInputError,
    InvalidVectorError,
    UnreadableFileError,
)
from bedside.formats.stores import (
    read_chroma,
    read_faiss,
    read_lancedb,
    read_langchain,
    read_llama_index,
    read_pinecone,
    read_qdrant,
    write_langchain,
)
from bedside.formats.stores.detect import detect
from bedside.formats.vectra import read_documents, write_documents
from formats.vectra_protobuf import write_protobuf

RNG = np.random.default_rng(11)
VECTORS = RNG.normal(size=(4, 5)).astype(np.float32)
TEXTS = ["BP 120/80", "no fever 😀", "tab\tand\r\nline", "müde"]
PLAIN = [
    {"ward": "icu", "n": 1, "f": 0.5, "yes": True},
    {"n": 2**40, "f": -0.1, "yes": False, "ward": ""},
    {},
    {"n": 3},
]
NESTED = [{**metadata, "list": [1, None, "a"], "object": {"a": {"b": []}}, "none": None} for metadata in PLAIN]


def documents(metadatas, vectors=VECTORS):
    return [Document(t, m, f"id-{i}", v) for i, (t, m, v) in enumerate(zip(TEXTS, metadatas, vectors, strict=True))]


def assert_exact(read, wanted):
    read = list(read)
    assert read == wanted
    for a, b in zip(read, wanted, strict=True):
        assert np.asarray(a.vector, np.float32).tobytes() == np.asarray(b.vector, np.float32).tobytes()
        assert json.dumps(a.metadata, sort_keys=True) == json.dumps(b.metadata, sort_keys=True)


def fingerprints(folder):
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


class Known:
    """A LangChain embedding that knows the vectors of our texts."""

    def embed_documents(self, texts):
        return [VECTORS[TEXTS.index(text)].tolist() for text in texts]

    def embed_query(self, text):
        return self.embed_documents([text])[0]


# LangChain's InMemoryVectorStore


def langchain_dump(path, metadatas=NESTED):
    from langchain_core.documents import Document as Passage
    from langchain_core.vectorstores import InMemoryVectorStore

    store = InMemoryVectorStore(Known())
    store.add_documents(
        [Passage(t, metadata=m, id=f"id-{i}") for i, (t, m) in enumerate(zip(TEXTS, metadatas, strict=True))]
    )
    store.dump(str(path))
    return path


def test_a_langchain_dump_comes_over_exactly(tmp_path):
    assert_exact(read_langchain(langchain_dump(tmp_path / "dump.json")), documents(NESTED))


def test_dicts_that_langchain_escaped_are_unescaped(tmp_path):
    metadatas = [{"a": [{"lc": 1, "x": {"lc": 2}}]}, {"lc": "top"}, {"__lc_escaped__": {"a": 1}}, {}]
    assert_exact(read_langchain(langchain_dump(tmp_path / "dump.json", metadatas)), documents(metadatas))


def test_langchain_opens_the_dump_that_we_write_and_it_reads_back_exactly(tmp_path):
    from langchain_core.vectorstores import InMemoryVectorStore

    wanted = documents([*NESTED[:2], {"a": [{"lc": 1}]}, {"__lc_escaped__": 1, "lc": {}}])
    assert write_langchain(tmp_path / "dump.json", wanted) == 4
    store = InMemoryVectorStore.load(str(tmp_path / "dump.json"), Known())
    found = store.similarity_search_with_score(TEXTS[1], k=4)
    assert [passage.page_content for passage, _ in found][:1] == [TEXTS[1]]
    assert {p.id: p.metadata for p, _ in found} == {d.id: d.metadata for d in wanted}
    assert_exact(read_langchain(tmp_path / "dump.json"), wanted)


def test_a_dump_that_cannot_be_written_leaves_nothing(tmp_path):
    for wrong, error in ((Document("x", {}, "y"), InvalidVectorError), (documents(PLAIN)[0], DuplicateIdError)):
        with pytest.raises(error, match=r"documents\[1\]"):
            write_langchain(tmp_path / "dump.json", [documents(PLAIN)[0], wrong])
    assert list(tmp_path.iterdir()) == []


def test_a_python_object_in_a_langchain_dump_is_refused_with_its_place(tmp_path):
    path = langchain_dump(tmp_path / "dump.json", [{}, {"when": {1, 2}}, {}, {}])
    with pytest.raises(UnreadableFileError, match=r"dump\.json, record 2\.metadata\.when: a Python object"):
        list(read_langchain(path))


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (lambda text: text[:200], UnreadableFileError, r"dump\.json: after record 0: the file ends too soon"),
        (lambda text: text[:-2], UnreadableFileError, r"dump\.json: after record 4: the file ends too soon"),
        (lambda text: text + "}", UnreadableFileError, r"dump\.json: after record 4: expected nothing more"),
        (
            lambda text: text.replace('"f": 0.5', '"f": 0.5.5'),
            UnreadableFileError,
            r"dump\.json, record 1, line \d+, column \d+: not JSON",
        ),
        (lambda text: text.replace('"id": "id-1"', '"id": "id-0"'), UnreadableFileError, "is not the key"),
        (lambda text: text.replace('"id-1": {', '"id-0": {'), UnreadableFileError, "the same key twice"),
        (lambda text: text.replace('"f": 0.5', '"f": NaN'), UnreadableFileError, "NaN is not JSON"),
        (
            lambda text: text.replace('"text": "m\\u00fcde"', '"text": 5'),
            UnreadableFileError,
            r"record 4\.text: expected a str",
        ),
        (
            lambda text: text.replace('"f": 0.5', '"f": ' + "[" * 100_000 + "]" * 100_000),
            UnreadableFileError,
            "record 1: nested too deeply",
        ),
        (lambda text: "[" * 100_000, UnreadableFileError, r"dump\.json: byte 0: expected an object"),
        (lambda text: "[]", UnreadableFileError, r"dump\.json: byte 0: expected an object"),
    ],
)
def test_a_damaged_dump_is_refused_with_its_place(tmp_path, change, error, says):
    path = langchain_dump(tmp_path / "dump.json")
    path.write_text(change(path.read_text()))
    with pytest.raises(error, match=says):
        list(read_langchain(path))


def test_a_vector_of_another_dimension_zero_or_infinite_is_refused_with_its_place(tmp_path):
    path = langchain_dump(tmp_path / "dump.json")
    whole = json.loads(path.read_text())
    for vector, says in (([1.0], "expected dimension 5, got 1"), ([0] * 5, "zero vector"), ([1e300] * 5, "finite")):
        path.write_text(json.dumps(whole | {"id-2": whole["id-2"] | {"vector": vector}}))
        with pytest.raises(InvalidVectorError, match=rf"record 3\.vector: .*{says}"):
            list(read_langchain(path))
    path.write_text(json.dumps(whole | {"id-2": whole["id-2"] | {"vector": ["1"] * 5}}))
    with pytest.raises(UnreadableFileError, match=r"record 3\.vector\[0\]: expected a number, got str"):
        list(read_langchain(path))


# LlamaIndex


def nodes():
    from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode

    made = [
        TextNode(id_=f"id-{i}", text=t, metadata=m, embedding=v.tolist())
        for i, (t, m, v) in enumerate(zip(TEXTS, NESTED, VECTORS, strict=True))
    ]
    made[1].relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id="note-7")
    made[1].start_char_idx, made[1].end_char_idx = 3, 13
    made[2].excluded_llm_metadata_keys = ["n"]
    return made


def storage_folder(folder, given):
    from llama_index.core import StorageContext
    from llama_index.core.vector_stores import SimpleVectorStore

    context = StorageContext.from_defaults(vector_store=SimpleVectorStore())
    context.vector_store.add(given)
    context.docstore.add_documents(given)
    context.persist(str(folder))
    return folder


def as_nodes(read):
    from llama_index.vector_stores.bedside.nodes import to_node

    return [to_node(document) for document in read]


def test_the_nodes_of_a_llama_index_folder_come_back_whole_from_our_adapter(tmp_path):
    given = nodes()
    read = list(read_llama_index(storage_folder(tmp_path / "storage", given)))
    assert [node.to_dict() for node in as_nodes(read)] == [node.to_dict() for node in given]
    assert_exact([read[0], read[3]], [documents(NESTED)[0], documents(NESTED)[3]])
    assert read[1].metadata["_node"]["ref_doc_id"] == "note-7"


def test_a_simple_vector_store_alone_gives_vectors_and_metadata(tmp_path):
    folder = storage_folder(tmp_path / "storage", nodes())
    read = list(read_llama_index(folder / "default__vector_store.json"))
    assert_exact(read, [Document("", d.metadata, d.id, d.vector) for d in documents(NESTED)])


def test_nodes_without_a_vector_are_left_out_with_a_warning(tmp_path):
    from llama_index.core.schema import TextNode
    from llama_index.core.storage.docstore import SimpleDocumentStore

    folder = storage_folder(tmp_path / "storage", nodes())
    store = SimpleDocumentStore.from_persist_dir(str(folder))
    store.add_documents([TextNode(text="a parent")])
    store.persist(str(folder / "docstore.json"))
    with pytest.warns(BedsideWarning, match="1 nodes have no vector"):
        assert len(list(read_llama_index(folder))) == 4


def test_a_llama_index_folder_that_lost_a_part_is_refused(tmp_path):
    folder = storage_folder(tmp_path / "storage", nodes())
    docstore = json.loads((folder / "docstore.json").read_text())
    del docstore["docstore/data"]["id-2"]
    (folder / "docstore.json").write_text(json.dumps(docstore))
    with pytest.raises(UnreadableFileError, match=r"lacks the node of the vector that is number 3"):
        list(read_llama_index(folder))
    (folder / "docstore.json").unlink()
    with pytest.raises(UnreadableFileError, match=r"docstore\.json: cannot be read"):
        list(read_llama_index(folder))
    with pytest.raises(UnreadableFileError, match="expected a LlamaIndex storage folder"):
        list(read_llama_index(tmp_path))


def test_of_several_filled_vector_stores_one_must_be_named(tmp_path):
    folder = storage_folder(tmp_path / "storage", nodes())
    (folder / "other__vector_store.json").write_bytes((folder / "default__vector_store.json").read_bytes())
    with pytest.raises(InvalidInputError, match="expected one of those it holds: default, other"):
        list(read_llama_index(folder))
    assert len(list(read_llama_index(folder, namespace="other"))) == 4


# Chroma


def chroma_folder(folder, metadatas=PLAIN, **options):
    import chromadb

    client = chromadb.PersistentClient(str(folder), settings=chromadb.Settings(anonymized_telemetry=False))
    held = client.create_collection("notes", embedding_function=None, **options)
    filled = [metadata or None for metadata in metadatas]
    held.add(ids=[f"id-{i}" for i in range(4)], embeddings=VECTORS, documents=TEXTS, metadatas=filled)
    client.close()
    return folder


def test_a_chroma_collection_comes_over_exactly_and_its_folder_is_left_as_it_was(tmp_path):
    folder = chroma_folder(tmp_path / "chroma")
    before = fingerprints(folder)
    assert_exact(read_chroma(folder), documents(PLAIN))
    assert fingerprints(folder) == before


def test_a_chroma_collection_in_cosine_space_keeps_directions(tmp_path):
    read = list(read_chroma(chroma_folder(tmp_path / "chroma", metadata={"hnsw:space": "cosine"})))
    unit, held = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (VECTORS, np.array([d.vector for d in read])))
    np.testing.assert_allclose(held, unit, rtol=1e-5)


def test_of_several_chroma_collections_one_must_be_named_and_what_is_none_is_refused(tmp_path):
    import chromadb

    folder = chroma_folder(tmp_path / "chroma")
    client = chromadb.PersistentClient(str(folder), settings=chromadb.Settings(anonymized_telemetry=False))
    client.create_collection("empty", embedding_function=None)
    client.close()
    with pytest.raises(InvalidInputError, match="expected one of those it holds: empty, notes"):
        list(read_chroma(folder))
    assert list(read_chroma(folder, collection="empty")) == []
    with pytest.raises(UnreadableFileError, match=r"chroma\.sqlite3"):
        list(read_chroma(tmp_path))
    (folder / "chroma.sqlite3").write_bytes(b"SQLite format 3\0" + b"\0" * 5000)
    with pytest.raises(UnreadableFileError, match="Chroma cannot read it"):
        list(read_chroma(folder, collection="notes"))


def test_llama_indexs_nodes_in_chroma_come_back_whole(tmp_path):
    import chromadb
    from llama_index.core.vector_stores.utils import node_to_metadata_dict

    given = nodes()
    for node in given:
        node.metadata = {"ward": "icu", "n": 1}
    client = chromadb.PersistentClient(str(tmp_path), settings=chromadb.Settings(anonymized_telemetry=False))
    client.create_collection("notes", embedding_function=None).add(
        ids=[node.node_id for node in given],
        embeddings=[node.embedding for node in given],
        documents=[node.get_content() for node in given],
        metadatas=[node_to_metadata_dict(node, remove_text=True, flat_metadata=True) for node in given],
    )
    client.close()
    assert [n.to_dict() for n in as_nodes(read_chroma(tmp_path))] == [n.to_dict() for n in given]


# LanceDB


def lance_folder(folder, rows, name="notes"):
    import lancedb

    lancedb.connect(str(folder)).create_table(name, rows)
    return folder


def lance_rows(metadatas):
    return [
        {"id": f"id-{i}", "vector": v, "text": t, **m}
        for i, (t, m, v) in enumerate(zip(TEXTS, metadatas, VECTORS, strict=True))
    ]


def test_a_lance_table_comes_over_exactly_with_what_rows_lack_as_none(tmp_path):
    same = [{"ward": "icu", "n": i, "f": 0.5, "yes": True, "list": [1, 2], "object": {"a": "b"}} for i in range(3)]
    metadatas = [*same, dict.fromkeys(same[0])]
    folder = lance_folder(tmp_path / "db", lance_rows(metadatas))
    before = fingerprints(folder)
    assert_exact(read_lancedb(folder), documents(metadatas))
    assert fingerprints(folder) == before


def test_langchains_layout_in_lance_and_a_long_table_come_over_whole(tmp_path):
    rows = [
        {"id": str(i), "vector": VECTORS[i % 4] + np.float32(i), "text": TEXTS[i % 4], "metadata": {"n": i}}
        for i in range(2_500)
    ]
    read = list(read_lancedb(lance_folder(tmp_path, rows)))
    assert_exact(read, [Document(r["text"], r["metadata"], r["id"], r["vector"]) for r in rows])


def test_dates_in_lance_are_refused_and_columns_must_be_there(tmp_path):
    from datetime import datetime

    lance_folder(tmp_path, lance_rows([{"when": datetime(2024, 1, 5)}] * 4))
    with pytest.raises(UnreadableFileError, match=r"notes, record 1\.metadata\.when: expected what JSON can hold"):
        list(read_lancedb(tmp_path))
    with pytest.raises(InvalidInputError, match="id_key='key': expected one of its columns"):
        list(read_lancedb(tmp_path, id_key="key"))
    with pytest.raises(InvalidInputError, match="vector_key='embedding': expected one of those it holds: vector"):
        list(read_lancedb(tmp_path, vector_key="embedding"))
    lance_folder(tmp_path, lance_rows([{}] * 4), "other")
    with pytest.raises(InvalidInputError, match="table=None: expected one of those it holds: notes, other"):
        list(read_lancedb(tmp_path))
    for file in (tmp_path / "notes.lance").rglob("*.lance"):
        file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(UnreadableFileError, match="LanceDB cannot read it"):
        list(read_lancedb(tmp_path, table="notes"))


# FAISS, as LangChain saves it


def faiss_folder(folder, metadatas=NESTED, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from langchain_community.vectorstores import FAISS

        store = FAISS.from_texts(
            TEXTS, Known(), metadatas=[dict(m) for m in metadatas], ids=[f"id-{i}" for i in range(4)], **options
        )
    store.save_local(str(folder))
    return folder


def test_a_faiss_folder_comes_over_exactly_where_its_pickle_is_allowed(tmp_path):
    assert_exact(read_faiss(faiss_folder(tmp_path), allow_pickle=True), documents(NESTED))


def test_a_faiss_folder_is_refused_without_a_word_for_its_pickle(tmp_path):
    faiss_folder(tmp_path)
    for allowed in ({}, {"allow_pickle": False}, {"allow_pickle": "no"}):
        with pytest.raises(InvalidInputError, match=r"index\.pkl is a pickle.*give allow_pickle=True"):
            list(read_faiss(tmp_path, **allowed))


class Attack:
    ran = False

    def __reduce__(self):
        return (setattr, (Attack, "ran", True))


@pytest.mark.parametrize("where", ["instead", "inside"])
def test_a_pickle_that_names_anything_else_is_refused_and_runs_nothing(tmp_path, where):
    folder = faiss_folder(tmp_path, [{"x": Attack()} if where == "inside" else {}, {}, {}, {}])
    if where == "instead":
        (folder / "index.pkl").write_bytes(pickle.dumps((Attack(), {0: "id-0"})))
    with pytest.raises(UnreadableFileError, match=r"index\.pkl: not a pickle of plain data: names .*, which is not"):
        list(read_faiss(folder, allow_pickle=True))
    assert not Attack.ran


def test_a_pickle_that_asks_for_a_huge_table_is_refused_before_it_is_allocated(tmp_path):
    folder = faiss_folder(tmp_path)
    (folder / "index.pkl").write_bytes(b"\x80\x02}r\xff\xff\xff\x7f}\x86.")
    with pytest.raises(UnreadableFileError, match="beyond the data"):
        list(read_faiss(folder, allow_pickle=True))


def test_a_cut_pickle_or_index_is_refused(tmp_path):
    folder = faiss_folder(tmp_path)
    docstore, index = ((folder / name).read_bytes() for name in ("index.pkl", "index.faiss"))
    for end in range(0, len(docstore), 41):
        (folder / "index.pkl").write_bytes(docstore[:end])
        with pytest.raises(UnreadableFileError, match=r"^index\.pkl"):
            list(read_faiss(folder, allow_pickle=True))
    (folder / "index.pkl").write_bytes(docstore)
    (folder / "index.faiss").write_bytes(index[:-10])
    with pytest.raises(UnreadableFileError, match=r"index\.faiss: not a whole FAISS index"):
        list(read_faiss(folder, allow_pickle=True))


def test_a_quantised_faiss_index_is_refused_and_hnsw_over_a_flat_one_is_read(tmp_path):
    import faiss

    folder = faiss_folder(tmp_path)
    for index, whole in (
        (faiss.IndexScalarQuantizer(5, faiss.ScalarQuantizer.QT_8bit), False),
        (faiss.IndexHNSWFlat(5, 8), True),
    ):
        index.train(VECTORS)
        index.add(VECTORS)
        faiss.write_index(index, str(folder / "index.faiss"))
        if whole:
            assert_exact(read_faiss(folder, allow_pickle=True), documents(NESTED))
        else:
            with pytest.raises(UnreadableFileError, match="only a flat index"):
                list(read_faiss(folder, allow_pickle=True))


def test_a_faiss_index_with_other_rows_than_its_docstore_is_refused(tmp_path):
    import faiss

    folder = faiss_folder(tmp_path)
    index = faiss.IndexFlatL2(5)
    index.add(VECTORS[:3])
    faiss.write_index(index, str(folder / "index.faiss"))
    with pytest.raises(UnreadableFileError, match=r"names 4 rows, and index\.faiss holds 3"):
        list(read_faiss(folder, allow_pickle=True))


# Qdrant's local mode

UUIDS = [f"00000000-0000-0000-0000-00000000000{i}" for i in range(4)]


def qdrant_folder(folder, payloads, ids=UUIDS, vectors=None, **config):
    from qdrant_client import QdrantClient, models

    client = QdrantClient(path=str(folder))
    config = config or {"vectors_config": models.VectorParams(size=5, distance=models.Distance.COSINE)}
    client.create_collection("notes", **config)
    given = VECTORS.tolist() if vectors is None else vectors
    points = [models.PointStruct(id=i, vector=v, payload=p) for i, v, p in zip(ids, given, payloads, strict=True)]
    client.upsert("notes", points)
    client.close()
    return folder


def with_ids(wanted, ids):
    return [Document(d.text, d.metadata, str(id), d.vector) for d, id in zip(wanted, ids, strict=True)]


@pytest.mark.parametrize("layout", ["langchain", "flat"])
def test_a_local_qdrant_folder_comes_over_as_it_was_added_and_is_left_as_it_was(tmp_path, layout):
    payloads = [
        {"page_content": t, "metadata": m} if layout == "langchain" else {"text": t, **m}
        for t, m in zip(TEXTS, NESTED, strict=True)
    ]
    folder = qdrant_folder(tmp_path / "q", payloads)
    before = fingerprints(folder)
    assert_exact(read_qdrant(folder, allow_pickle=True), with_ids(documents(NESTED), UUIDS))
    assert fingerprints(folder) == before


def test_numbers_as_ids_and_named_vectors_come_over(tmp_path):
    from qdrant_client import models

    size = models.VectorParams(size=5, distance=models.Distance.DOT)
    sparse = models.SparseVector(indices=[1], values=[0.5])
    folder = qdrant_folder(
        tmp_path,
        [{"note": text} for text in TEXTS],
        ids=[7, 8, 9, 10],
        vectors=[{"dense": v.tolist(), "other": v[::-1].tolist(), "words": sparse} for v in VECTORS],
        vectors_config={"dense": size, "other": size},
        sparse_vectors_config={"words": models.SparseVectorParams()},
    )
    read = read_qdrant(folder, vector_name="dense", text_key="note", allow_pickle=True)
    assert_exact(read, with_ids(documents([{}] * 4), [7, 8, 9, 10]))
    with pytest.raises(InvalidInputError, match="vector_name=None: expected one of those it holds: dense, other"):
        list(read_qdrant(folder, allow_pickle=True))
    with pytest.raises(UnreadableFileError, match=r"row 1\.title: expected the record's text, got NoneType"):
        list(read_qdrant(folder, vector_name="dense", text_key="title", allow_pickle=True))


def test_llama_indexs_nodes_in_qdrant_come_back_whole(tmp_path):
    from llama_index.core.vector_stores.utils import node_to_metadata_dict

    given = nodes()
    for node, id in zip(given, UUIDS, strict=True):
        node.id_ = id
    folder = qdrant_folder(tmp_path, [node_to_metadata_dict(node, remove_text=False) for node in given])
    read = as_nodes(read_qdrant(folder, allow_pickle=True))
    assert [node.to_dict() for node in read] == [node.to_dict() for node in given]


def test_qdrants_pickles_are_refused_without_a_word_and_nothing_in_them_runs(tmp_path):
    folder = qdrant_folder(tmp_path, [{}] * 4)
    with pytest.raises(InvalidInputError, match="is a pickle"):
        list(read_qdrant(folder))
    storage = folder / "collection" / "notes" / "storage.sqlite"
    with sqlite3.connect(storage) as connection:
        connection.execute("UPDATE points SET point = ? WHERE rowid = 2", (pickle.dumps(Attack()),))
    connection.close()
    with pytest.raises(UnreadableFileError, match=r"storage\.sqlite: row 2: .* names builtins\.setattr"):
        list(read_qdrant(folder, allow_pickle=True))
    assert not Attack.ran
    storage.write_bytes(storage.read_bytes()[:5000])
    with pytest.raises(UnreadableFileError, match=r"storage\.sqlite: not a whole Qdrant storage"):
        list(read_qdrant(folder, allow_pickle=True))


def test_of_a_point_that_an_old_client_wrote_twice_the_last_counts(tmp_path):
    folder = qdrant_folder(tmp_path, [{"text": text} for text in TEXTS], ids=[1, 2, 3, 4])
    with sqlite3.connect(folder / "collection" / "notes" / "storage.sqlite") as connection:
        import base64

        key = base64.b64encode(pickle.dumps(2, protocol=5)).decode()
        connection.execute("INSERT INTO points SELECT ?, point FROM points WHERE rowid = 2", (key,))
    connection.close()
    assert [d.id for d in read_qdrant(folder, allow_pickle=True)] == ["1", "3", "4", "2"]


# Pinecone's JSON


def pinecone_file(path, vectors):
    path.write_text(json.dumps({"namespace": "", "vectors": vectors}))
    return path


def pinecone_vectors():
    rows = zip(TEXTS, NESTED, VECTORS, strict=True)
    return [{"id": f"id-{i}", "values": v.tolist(), "metadata": {"text": t, **m}} for i, (t, m, v) in enumerate(rows)]


def test_pinecones_json_comes_over_exactly_as_a_list_or_by_id(tmp_path):
    vectors = pinecone_vectors()
    assert_exact(read_pinecone(pinecone_file(tmp_path / "p.json", vectors)), documents(NESTED))
    by_id = {vector["id"]: vector for vector in vectors}
    assert_exact(read_pinecone(pinecone_file(tmp_path / "p.json", by_id)), documents(NESTED))


def test_pinecones_sparse_values_are_left_out_with_a_warning(tmp_path):
    vectors = pinecone_vectors()
    vectors[2]["sparseValues"] = {"indices": [1], "values": [0.5]}
    with pytest.warns(BedsideWarning, match="the sparse values of 1 vectors"):
        assert_exact(read_pinecone(pinecone_file(tmp_path / "p.json", vectors)), documents(NESTED))


def test_duplicate_ids_and_missing_parts_of_pinecones_json_are_refused(tmp_path):
    whole = pinecone_vectors()
    for change, error, says in (
        ({"id": "id-0"}, DuplicateIdError, r"vectors\[1\]\.id: given to two records"),
        ({"id": 5}, UnreadableFileError, r"vectors\[1\]\.id: expected a string"),
        ({"values": None}, UnreadableFileError, r"vectors\[1\]\.vector: expected a list of numbers"),
        ({"values": [True] * 5}, UnreadableFileError, r"vectors\[1\]\.vector\[0\]: expected a number, got bool"),
        ({"values": [1e400] * 5}, InvalidVectorError, r"vectors\[1\]\.vector: every number must be finite"),
        ({"values": [10**400] * 5}, UnreadableFileError, r"vectors\[1\]\.vector: a whole number beyond"),
        ({"metadata": {"a": [1e400]}}, UnreadableFileError, r"vectors\[1\]\.metadata\.a\[0\]: .* got inf"),
        ({"metadata": []}, None, ""),
        ({"metadata": "x"}, UnreadableFileError, r"vectors\[1\]\.metadata: expected an object"),
    ):
        path = pinecone_file(tmp_path / "p.json", [whole[0], whole[1] | change])
        path.write_text(path.read_text().replace("Infinity", "1e400"))
        if error is None:
            assert len(list(read_pinecone(path))) == 2
            continue
        with pytest.raises(error, match=says):
            list(read_pinecone(path))


# Damage of every kind


def damaged(data, rng):
    changed = bytearray(data)
    place = rng.randrange(len(changed))
    kind = rng.random()
    if kind < 0.3:
        return bytes(changed[:place])
    if kind < 0.6:
        changed[place] = rng.randrange(256)
    else:
        thing = rng.choice([b"null", b"[]", b"{}", b"1e999", b'"x"', b"-1", b"9" * 40, b"\x00\xff"])
        changed[place : place + rng.randrange(1, 20)] = thing
    return bytes(changed)


def vectra_folder(folder):
    write_documents(folder, documents(PLAIN), indexed=("ward", "n"))
    return folder


def vectra_protobuf(folder):
    return write_protobuf(folder, documents(PLAIN), ("ward", "n"))


STORES = {
    "langchain": (lambda at: langchain_dump(at / "dump.json"), "", read_langchain),
    "pinecone": (lambda at: pinecone_file(at / "p.json", pinecone_vectors()), "", read_pinecone),
    "llama-index": (lambda at: storage_folder(at / "s", nodes()), "docstore.json", read_llama_index),
    "faiss": (lambda at: faiss_folder(at / "f"), "index.pkl", read_faiss),
    "qdrant": (lambda at: qdrant_folder(at / "q", NESTED), "collection/notes/storage.sqlite", read_qdrant),
    "vectra": (lambda at: vectra_folder(at / "v"), "index.json", read_documents),
    "vectra, protobuf": (
        lambda at: vectra_protobuf(at / "v"),
        "index.pb",
        read_documents,
    ),
}


@pytest.mark.parametrize("name", STORES)
def test_a_damaged_store_is_a_named_error_or_reads_whole(tmp_path, name):
    make, inside, read = STORES[name]
    store = make(tmp_path)
    file = store / inside if inside else store
    options = {"allow_pickle": True} if read in (read_faiss, read_qdrant) else {}
    whole, count = file.read_bytes(), len(list(read(store, **options)))
    rng, refused = random.Random(3), 0
    for _ in range(120):
        file.write_bytes(damaged(whole, rng))
        try:
            read_now = list(read(store, **options))
        except BedsideError as error:
            refused += 1
            assert len(str(error)) < 1_000
        else:
            assert len(read_now) <= count
    assert refused > 20


@pytest.mark.parametrize("name", [*STORES, "chroma", "lancedb"])
def test_a_store_is_told_by_what_is_in_it(tmp_path, name):
    made = {
        "chroma": lambda at: chroma_folder(at / "c"),
        "lancedb": lambda at: lance_folder(at / "l", lance_rows([{}] * 4)),
    }
    store = made[name](tmp_path) if name in made else STORES[name][0](tmp_path)
    assert detect(store) == name.partition(",")[0]
    (tmp_path / "other.json").write_text('{"a": 1}')
    assert detect(tmp_path / "other.json") is None
