"""The asynchronous methods: the same answers, and an event loop that goes on."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from langchain_bedside import BedsideRetriever, BedsideVectorStore, UnknownSearchArgumentError
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings

from bedside import Collection
from bedside.errors import InvalidDocumentError, InvalidInputError


class OnlyAsync(Embeddings):
    """A model of a remote service: its synchronous methods must not be called."""

    def __init__(self) -> None:
        self.model = DeterministicFakeEmbedding(size=16)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        raise AssertionError("the synchronous method was called")

    def embed_query(self, text: str) -> list[float]:
        raise AssertionError("the synchronous method was called")

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        return self.model.embed_documents(texts)

    async def aembed_query(self, text: str) -> list[float]:
        return self.model.embed_query(text)


class Waiting(Embeddings):
    """A slow model without coroutines: it answers only once the event loop has let it."""

    def __init__(self) -> None:
        self.go_on = threading.Event()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        if not self.go_on.wait(timeout=30):
            raise TimeoutError("the event loop stood still")
        return [[1.0, float(len(text))] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


def ids(documents: list[Document]) -> list[str | None]:
    return [document.id for document in documents]


@pytest.mark.parametrize("mode", ["dense", "sparse", "hybrid"])
async def test_async_gives_what_sync_gives(store: BedsideVectorStore, mode: Any, notes: list[Document]) -> None:
    """Every search gives the same documents and scores in both worlds, with a native coroutine and without."""
    native = await BedsideVectorStore.afrom_documents(notes, OnlyAsync())
    options = {"retrieval_mode": mode, "k": 3, "filter": {"year": {"$exists": True}}}
    expected = store.similarity_search_with_score("chest pain", **options)
    assert expected
    for other in (store, native):
        assert await other.asimilarity_search_with_score("chest pain", **options) == expected
        assert await other.asimilarity_search("chest pain", **options) == [d for d, _ in expected]
        relevant = await other.asimilarity_search_with_relevance_scores("chest pain", **options)
        assert relevant == store.similarity_search_with_relevance_scores("chest pain", **options)
        mmr = await other.amax_marginal_relevance_search("chest pain", lambda_mult=0.3, **options)
        assert mmr == store.max_marginal_relevance_search("chest pain", lambda_mult=0.3, **options)


async def test_async_by_vector_gives_what_sync_gives(
    store: BedsideVectorStore, embedding: DeterministicFakeEmbedding
) -> None:
    """The searches by vector have their twins."""
    vector = embedding.embed_query("chest pain")
    expected = store.similarity_search_with_score_by_vector(vector, k=2)
    assert await store.asimilarity_search_with_score_by_vector(vector, k=2) == expected
    assert await store.asimilarity_search_by_vector(vector, k=2) == [d for d, _ in expected]
    mmr = store.max_marginal_relevance_search_by_vector(vector, k=2)
    assert await store.amax_marginal_relevance_search_by_vector(vector, k=2) == mmr


async def test_async_writing_does_what_sync_writing_does(notes: list[Document]) -> None:
    """Add, read, update, count and delete have their twins, and a native coroutine is used for embedding."""
    store = await BedsideVectorStore.afrom_texts((n.page_content for n in notes), OnlyAsync(), ids=list("wxyz"))
    assert await store.aadd_texts((t for t in ["new"]), [{"i": 1}], ids=["n"]) == ["n"]
    assert await store.aadd_documents(iter([Document("own id", id="o")]), batch_size=10) == ["o"]
    assert ids(await store.aget_by_ids(["o", "nobody", "n"])) == ["o", "n"]
    assert ids(await store.aget(filter={"i": 1})) == ["n"]
    await store.aupdate_documents(["n"], [Document("newer", metadata={"i": 2})])
    assert (await store.aget(["n"]))[0].page_content == "newer"
    with pytest.raises(InvalidInputError):
        await store.aupdate_documents(["nobody"], [Document("x")])
    assert await store.adelete(["o"]) is True
    assert await store.adelete(filter={"i": 2}) is True
    assert await store.acount() == 4
    with pytest.raises(InvalidInputError):
        await store.adelete()


async def test_bad_input_is_refused_with_a_native_coroutine_too(notes: list[Document]) -> None:
    """Blank text, another length and unknown arguments are refused before or after embedding; nothing is stored."""
    store = BedsideVectorStore(OnlyAsync())
    with pytest.raises(InvalidDocumentError):
        await store.aadd_texts(["one", " "])
    with pytest.raises(InvalidInputError):
        await store.aadd_texts(["one", "two"], ids=["1"])
    with pytest.raises(UnknownSearchArgumentError):
        await store.asimilarity_search("one", where={})
    assert await store.acount() == 0


async def test_the_loop_goes_on_while_a_slow_model_works() -> None:
    """A model without coroutines works in another thread: the loop lets it go on, so it cannot have stood still."""
    model = Waiting()
    store = BedsideVectorStore(model)

    async def let_go() -> None:
        await asyncio.sleep(0.01)
        model.go_on.set()

    for call in (
        lambda: store.aadd_texts(["one", "three"], ids=["1", "2"]),
        lambda: store.asimilarity_search("one"),
        lambda: store.asimilarity_search_with_relevance_scores("one"),
        lambda: store.amax_marginal_relevance_search("one"),
        lambda: BedsideRetriever(vectorstore=store).ainvoke("one"),
        lambda: store.as_retriever(search_type="hybrid").ainvoke("one"),
    ):
        model.go_on.clear()
        answer, _ = await asyncio.gather(call(), let_go())
        assert len(answer) == 2


async def test_searches_run_beside_the_loop(notes: list[Document]) -> None:
    """The core's work is done in another thread than the event loop's."""
    store = await BedsideVectorStore.afrom_documents(notes, OnlyAsync())
    threads: set[int] = set()
    await store.asimilarity_search("x", filter=lambda _: threads.add(threading.get_ident()) is None)
    assert threads
    assert threading.get_ident() not in threads


async def test_a_cancelled_add_is_whole_or_not_at_all(tmp_path: Path) -> None:
    """Whenever it is cancelled, its transaction is one, the store goes on, and its files are sound."""
    store = BedsideVectorStore(DeterministicFakeEmbedding(size=16), tmp_path / "notes.bedside")
    for turn in range(40):
        texts = [f"{turn} {n}" for n in range(20)]
        adding = asyncio.create_task(store.aadd_texts(texts, [{"turn": turn}] * 20))
        await asyncio.sleep(turn * 0.0002)
        adding.cancel()
        await asyncio.wait([adding])
    assert store.add_texts(["after"], [{"turn": "last"}], ids=["after"]) == ["after"]
    store.close()  # waits for the thread that is writing
    with Collection.open(tmp_path / "notes.bedside") as notes:
        assert {count for _, count in notes.facets("turn")} <= {1, 20}
        assert "after" in notes
        notes.verify()


async def test_an_add_that_is_cancelled_while_a_coroutine_embeds_writes_nothing() -> None:
    """What a thread has begun goes on to its end; a coroutine is ended where it waits."""
    embedding, go_on = asyncio.Event(), asyncio.Event()

    class Slow(OnlyAsync):
        async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
            embedding.set()
            await go_on.wait()
            return await super().aembed_documents(texts)

    store = BedsideVectorStore(Slow())
    adding = asyncio.create_task(store.aadd_texts(["one"]))
    await embedding.wait()
    adding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await adding
    go_on.set()
    assert await store.acount() == 0
    assert len(await store.aadd_texts(["one", "two"])) == await store.acount() == 2


async def test_concurrent_calls_do_not_mix(store: BedsideVectorStore, notes: list[Document]) -> None:
    """Twenty searches and writes at once each get their own answer."""
    texts = [note.page_content for note in notes]
    searches = [store.asimilarity_search(text, k=1) for text in texts * 5]
    adds = [store.aadd_texts([f"extra {i}"], ids=[f"extra {i}"]) for i in range(5)]
    answers = await asyncio.gather(*searches, *adds)
    assert [d[0].page_content for d in answers[:20]] == texts * 5
    assert answers[20:] == [[f"extra {i}"] for i in range(5)]
