"""Bedside and the stores its users would otherwise pick, behind the same few calls.

Each candidate is set up as its own documentation shows it for vectors that are given: cosine or, the vectors being of
unit length, the inner product; no network, no telemetry. A library that is not installed is left out by name.
"""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from bedside import Collection, Document
from bedside.types import Vector
from corpora import Rows
from peer import BUCKET, Peer
from vectra import Vectra


class Bedside(Peer):
    """This project, on disk."""

    name = "Bedside"
    package = "bedside"

    def load(self, rows: Rows) -> None:
        """Add rows with their texts, metadata and postings."""
        self.reopen()
        self.collection.add(documents(rows))

    def reopen(self) -> None:
        """Open the collection."""
        self.collection = Collection.open(self.folder / "c")

    def search(self, query: Vector, k: int) -> Sequence[str]:
        """Search by vector."""
        return [hit.id for hit in self.collection.search(vector=query, top_k=k)]

    def filtered(self, query: Vector, k: int) -> Sequence[str]:
        """Search by vector within the bucket."""
        return [hit.id for hit in self.collection.search(vector=query, top_k=k, filter={"bucket": BUCKET})]

    def add_one(self, id: str, text: str, vector: Vector) -> None:
        """Add one document; it is synced when the call returns."""
        self.collection.add([Document(text, {"bucket": 0}, id, vector)])

    def close(self) -> None:
        """Close the collection."""
        self.collection.close()


class Matvec(Peer):
    """A bare product of the matrix with the query: the memory's speed, without an answer."""

    name = "numpy matrix-vector product"
    package = "numpy"

    def load(self, rows: Rows) -> None:
        """Copy the matrix."""
        self.vectors = rows.vectors.copy()

    def search(self, query: Vector, k: int) -> Sequence[str]:  # noqa: ARG002 # the bare product ranks nothing
        """Multiply."""
        np.dot(self.vectors, query)
        return []


class FaissFlat(Peer):
    """FAISS' exact index: vectors alone."""

    name = "FAISS flat"
    package = "faiss"

    def load(self, rows: Rows) -> None:
        """Add the vectors."""
        self.index = self.lib.IndexFlatIP(rows.vectors.shape[1])
        self.index.add(rows.vectors)
        self.bucket = self.lib.IDSelectorBatch(np.arange(BUCKET, len(rows), 100, dtype=np.int64))

    def search(self, query: Vector, k: int) -> Sequence[str]:
        """Search."""
        return [f"d{row}" for row in self.index.search(query[None], k)[1][0]]

    def filtered(self, query: Vector, k: int) -> Sequence[str]:
        """Search among the bucket's row numbers, which FAISS is given."""
        chosen = self.lib.SearchParameters(sel=self.bucket)
        return [f"d{row}" for row in self.index.search(query[None], k, params=chosen)[1][0]]


class Chroma(Peer):
    """Chroma on disk with its default index: HNSW, approximate."""

    name = "Chroma (HNSW, approximate)"
    package = "chromadb"

    def load(self, rows: Rows) -> None:
        """Add rows in the largest batches it takes."""
        client = self._client()
        space = {"hnsw": {"space": "cosine"}}
        self.collection = client.create_collection("bench", configuration=space, embedding_function=None)
        for part in _batches(len(rows), client.get_max_batch_size()):
            self.collection.add(
                ids=rows.ids[part],
                embeddings=rows.vectors[part],
                documents=rows.texts[part],
                metadatas=[rows.metadata(row) for row in range(part.start, part.stop)],
            )

    def reopen(self) -> None:
        """Get the collection."""
        self.collection = self._client().get_collection("bench", embedding_function=None)

    def _client(self) -> Any:
        settings = self.lib.config.Settings(anonymized_telemetry=False)
        return self.lib.PersistentClient(str(self.folder), settings=settings)

    def search(self, query: Vector, k: int) -> Sequence[str]:
        """Query."""
        found: list[str] = self.collection.query(query_embeddings=[query], n_results=k)["ids"][0]
        return found

    def filtered(self, query: Vector, k: int) -> Sequence[str]:
        """Query with ``where``."""
        answer = self.collection.query(query_embeddings=[query], n_results=k, where={"bucket": BUCKET})
        found: list[str] = answer["ids"][0]
        return found

    def add_one(self, id: str, text: str, vector: Vector) -> None:
        """Add one record (SQLite commits it)."""
        self.collection.add(ids=[id], embeddings=[vector], documents=[text], metadatas=[{"bucket": 0}])


class LanceDB(Peer):
    """LanceDB on disk without a vector index: exact."""

    name = "LanceDB"
    package = "lancedb"
    text_index: ClassVar[bool] = False

    def load(self, rows: Rows) -> None:
        """Create the table from Arrow columns."""
        arrow = importlib.import_module("pyarrow")
        flat = arrow.array(rows.vectors.ravel())
        facts = [rows.metadata(row) for row in range(len(rows))]
        columns = {
            "id": rows.ids,
            "text": rows.texts,
            "vector": arrow.FixedSizeListArray.from_arrays(flat, rows.vectors.shape[1]),
            **{key: [fact[key] for fact in facts] for key in facts[0]},
        }
        self.table = self.lib.connect(str(self.folder)).create_table("c", arrow.table(columns))
        if self.text_index:
            self.table.create_index("text", config=importlib.import_module("lancedb.index").FTS())
            self.table.wait_for_index(["text_idx"])

    def reopen(self) -> None:
        """Open the table."""
        self.table = self.lib.connect(str(self.folder)).open_table("c")

    def search(self, query: Vector, k: int) -> Sequence[str]:
        """Search; everything but the vector comes back."""
        return self._ids(self.table.search(query).distance_type("dot").limit(k))

    def filtered(self, query: Vector, k: int) -> Sequence[str]:
        """Search with a filter that is applied first."""
        chosen = self.table.search(query).distance_type("dot").where(f"bucket = {BUCKET}", prefilter=True)
        return self._ids(chosen.limit(k))

    def add_one(self, id: str, text: str, vector: Vector) -> None:
        """Add one row: one new version of the table."""
        self.table.add([{"id": id, "text": text, "vector": vector, "bucket": 0, "section": "S0", "year": 2000}])

    @staticmethod
    def _ids(query: Any) -> list[str]:
        return [row["id"] for row in query.select(["id", "text", "bucket", "section", "year", "_distance"]).to_list()]


class LanceDBText(LanceDB):
    """LanceDB with its full-text index, which does what Bedside's postings do."""

    name = "LanceDB with its full-text index"
    text_index = True


class QdrantLocal(Peer):
    """Qdrant's local mode in memory: numpy, exact."""

    name = "Qdrant local, in memory"
    package = "qdrant_client"
    largest = 100_000

    def client_arguments(self) -> dict[str, str]:
        """Say where the client keeps its data."""
        return {"location": ":memory:"}

    def load(self, rows: Rows) -> None:
        """Upload in batches."""
        self.client = self.lib.QdrantClient(**self.client_arguments())
        size = self.lib.models.VectorParams(size=rows.vectors.shape[1], distance=self.lib.models.Distance.COSINE)
        self.client.create_collection("c", vectors_config=size)
        payload = ({**rows.metadata(row), "text": text} for row, text in enumerate(rows.texts))
        self.client.upload_collection("c", vectors=rows.vectors, payload=payload, ids=range(len(rows)), batch_size=1000)

    def search(self, query: Vector, k: int) -> Sequence[str]:
        """Query."""
        return [f"d{point.id}" for point in self.client.query_points("c", query=query, limit=k).points]

    def filtered(self, query: Vector, k: int) -> Sequence[str]:
        """Query with a filter on the payload."""
        models = self.lib.models
        match = models.FieldCondition(key="bucket", match=models.MatchValue(value=BUCKET))
        chosen = models.Filter(must=[match])
        found = self.client.query_points("c", query=query, limit=k, query_filter=chosen).points
        return [f"d{point.id}" for point in found]

    def add_one(self, id: str, text: str, vector: Vector) -> None:
        """Upsert one point (SQLite commits it)."""
        point = self.lib.models.PointStruct(id=int(id[1:]), vector=vector.tolist(), payload={"text": text, "bucket": 0})
        self.client.upsert("c", [point])

    def close(self) -> None:
        """Close the files."""
        self.client.close()


class LlamaIndexSimple(Peer):
    """LlamaIndex' default vector store: dicts of lists, in memory."""

    name = "LlamaIndex SimpleVectorStore"
    package = "llama_index.core.vector_stores"
    largest = 10_000

    def load(self, rows: Rows) -> None:
        """Add nodes."""
        node = importlib.import_module("llama_index.core.schema").TextNode
        self.store = self.lib.SimpleVectorStore()
        vectors = rows.vectors.tolist()
        nodes = [
            node(id_=id, text=text, embedding=vector, metadata=rows.metadata(i))
            for i, (id, text, vector) in enumerate(zip(rows.ids, rows.texts, vectors, strict=True))
        ]
        self.store.add(nodes)

    def search(self, query: Vector, k: int) -> Sequence[str]:
        """Query."""
        return self._ids(query, k, None)

    def filtered(self, query: Vector, k: int) -> Sequence[str]:
        """Query with a metadata filter."""
        match = self.lib.MetadataFilter(key="bucket", value=BUCKET)
        return self._ids(query, k, self.lib.MetadataFilters(filters=[match]))

    def _ids(self, query: Vector, k: int, filters: Any) -> list[str]:
        asked = self.lib.VectorStoreQuery(query_embedding=query.tolist(), similarity_top_k=k, filters=filters)
        found: list[str] = self.store.query(asked).ids
        return found


class LangChainInMemory(Peer):
    """LangChain's InMemoryVectorStore."""

    name = "LangChain InMemoryVectorStore"
    package = "langchain_core.vectorstores"
    largest = 10_000

    def load(self, rows: Rows) -> None:
        """Fill the store's dict as its ``add_documents`` does."""
        self.store = self.lib.InMemoryVectorStore(embedding=None)
        vectors = rows.vectors.tolist()
        for i, (id, text, vector) in enumerate(zip(rows.ids, rows.texts, vectors, strict=True)):
            self.store.store[id] = {"id": id, "vector": vector, "text": text, "metadata": rows.metadata(i)}

    def search(self, query: Vector, k: int) -> Sequence[str]:
        """Search by vector."""
        return [document.id for document in self.store.similarity_search_by_vector(query.tolist(), k)]

    def filtered(self, query: Vector, k: int) -> Sequence[str]:
        """Search with a predicate."""

        def wanted(document: Any) -> bool:
            return bool(document.metadata["bucket"] == BUCKET)

        return [d.id for d in self.store.similarity_search_by_vector(query.tolist(), k, filter=wanted)]


class QdrantDisk(QdrantLocal):
    """Qdrant's local mode on disk: the same, and SQLite."""

    name = "Qdrant local, on disk"

    def client_arguments(self) -> dict[str, str]:
        """Say where the client keeps its data."""
        return {"path": str(self.folder)}


SEARCHERS: tuple[type[Peer], ...] = (
    Matvec, Bedside, FaissFlat, Chroma, LanceDB, QdrantLocal, LlamaIndexSimple, LangChainInMemory, Vectra,
)  # fmt: skip
ON_DISK: tuple[type[Peer], ...] = (Bedside, Chroma, LanceDB, QdrantDisk)


def documents(rows: Rows, first: int = 0) -> Iterator[Document]:
    """Yield rows as documents whose numbers begin at ``first``."""
    for i, (text, vector) in enumerate(zip(rows.texts, rows.vectors, strict=True), first):
        yield Document(text, rows.metadata(i), f"d{i}", vector)


def _batches(n: int, size: int) -> Iterator[slice]:
    for start, stop in itertools.pairwise([*range(0, n, size), n]):
        yield slice(start, stop)
