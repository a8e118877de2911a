"""``BedsideEmbedding`` keeps LlamaIndex' contract and gives the encoder's own vectors."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llama_index.core import Settings, VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.embeddings import resolve_embed_model
from llama_index.core.ingestion import IngestionCache, IngestionPipeline
from llama_index.core.ingestion.pipeline import get_transformation_hash
from llama_index.core.schema import TextNode
from llama_index.core.storage.kvstore import SimpleKVStore
from llama_index.embeddings.bedside import BedsideEmbedding
from pydantic import ValidationError

import bedside
from bedside.errors import BedsideWarning, ModelNotFoundError
from bedside.types import Encoder

TEXTS = ["Chest pain on exertion.", "Denies dyspnea.", "HbA1c 9.1 %. " * 20, "x"]


def test_the_default_model_is_bio_clinicalbert_and_nothing_loads_before_it_is_used() -> None:
    model = BedsideEmbedding()
    assert model.model_name == "emilyalsentzer/Bio_ClinicalBERT"
    assert isinstance(model, BaseEmbedding)
    assert model.class_name() == "BedsideEmbedding"
    assert model._encoder is None


def test_vectors_are_the_encoders_own_as_python_floats(minilm: BedsideEmbedding, folder: str) -> None:
    encoder = bedside.load_encoder(folder, device="cpu", dtype="float32")
    texts = minilm.get_text_embedding_batch(TEXTS)
    np.testing.assert_allclose(texts, encoder.encode_documents(TEXTS), atol=1e-6)
    np.testing.assert_allclose(minilm.get_text_embedding(TEXTS[0]), texts[0], atol=1e-5)
    query = minilm.get_query_embedding(TEXTS[0])
    np.testing.assert_allclose(query, encoder.encode_queries(TEXTS[:1])[0], atol=1e-6)
    assert {type(x) for x in [*texts[0], *query]} == {float}
    assert minilm.encoder.fingerprint == encoder.fingerprint


def test_async_vectors_are_the_same_and_the_loop_goes_on(minilm: BedsideEmbedding) -> None:
    async def session() -> tuple[list[float], list[float], list[list[float]], bool]:
        went_on = False

        async def beside() -> None:
            nonlocal went_on
            await asyncio.sleep(0)
            went_on = True

        task = asyncio.create_task(beside())
        text = await minilm.aget_text_embedding(TEXTS[0])
        return (
            text,
            await minilm.aget_query_embedding(TEXTS[0]),
            await minilm.aget_text_embedding_batch(TEXTS),
            (went_on and task.done()),
        )

    text, query, batch, went_on = asyncio.run(session())
    assert went_on
    np.testing.assert_allclose(text, minilm.get_text_embedding(TEXTS[0]), atol=1e-6)
    np.testing.assert_allclose(query, minilm.get_query_embedding(TEXTS[0]), atol=1e-6)
    np.testing.assert_allclose(batch, minilm.get_text_embedding_batch(TEXTS), atol=1e-6)


def test_a_list_reaches_the_encoder_whole(minilm: BedsideEmbedding, monkeypatch: pytest.MonkeyPatch) -> None:
    """It sorts by length, which ten texts at a time would defeat."""
    calls: list[int] = []
    encode = type(minilm.encoder).encode_documents

    def counting(self: Encoder, texts: list[str]) -> Any:
        calls.append(len(texts))
        return encode(self, texts)

    monkeypatch.setattr(type(minilm.encoder), "encode_documents", counting)
    minilm.get_text_embedding_batch(["chest pain"] * 100)
    assert calls == [100]


def test_prompts_go_before_queries_and_texts(folder: str, minilm: BedsideEmbedding) -> None:
    prompted = BedsideEmbedding(model_name=folder, query_prompt="query: ", document_prompt="note: ", dtype="float32")
    pairs = [
        (prompted.get_query_embedding("pain"), minilm.get_query_embedding("query: pain")),
        (prompted.get_text_embedding("pain"), minilm.get_text_embedding("note: pain")),
    ]
    for with_prompt, spelt_out in pairs:
        np.testing.assert_allclose(with_prompt, spelt_out, atol=1e-5)
    words = BedsideEmbedding(query_instruction="query: ", text_instruction="note: ", cache_folder="models")
    assert (words.query_prompt, words.document_prompt, words.cache_dir) == ("query: ", "note: ", "models")


SETTINGS: dict[str, Any] = {
    "revision": "main",
    "pooling": "cls",
    "max_length": 128,
    "overflow": "error",
    "overlap": 16,
    "query_prompt": "query: ",
    "document_prompt": "note: ",
    "normalize": False,
    "lowercase": True,
    "dtype": "float32",
}


@pytest.mark.parametrize("name", [*SETTINGS, "model_name"])
def test_a_setting_that_changes_vectors_changes_the_ingestion_caches_key(name: str) -> None:
    def key(settings: dict[str, Any]) -> str:
        return get_transformation_hash([TextNode(text="Chest pain.")], BedsideEmbedding(**settings))

    given = {"model_name": "other", **SETTINGS}
    assert key(given) == key(dict(given))
    assert key(given) != key({other: value for other, value in given.items() if other != name})


def test_every_setting_of_load_encoder_that_is_a_field_reaches_it(folder: str) -> None:
    given = {name: value for name, value in SETTINGS.items() if name != "revision"}
    encoder: Any = BedsideEmbedding(model_name=folder, batch_tokens=512, **given).encoder
    settings = {name: value for name, value in given.items() if name != "dtype"}
    assert {name: getattr(encoder.settings, name) for name in settings} == settings
    assert (encoder.dtype, encoder.batch_tokens) == ("float32", 512)


def test_from_dict_of_to_dict_is_the_same_model() -> None:
    model = BedsideEmbedding(model_name="some/model", embed_batch_size=7, num_workers=2, **SETTINGS)
    again = BedsideEmbedding.from_dict(model.to_dict())
    assert again.to_dict() == model.to_dict()
    assert BedsideEmbedding.from_json(model.to_json()).to_dict() == model.to_dict()


def test_pickling_leaves_the_weights_behind(minilm: BedsideEmbedding) -> None:
    expected = minilm.get_text_embedding("Chest pain.")
    pickled = pickle.dumps(minilm)
    assert len(pickled) < 5_000
    again = pickle.loads(pickled)  # noqa: S301 - our own bytes
    assert again._encoder is None
    assert again.to_dict() == minilm.to_dict()
    assert again.get_text_embedding("Chest pain.") == expected
    assert minilm._encoder is not None


def test_a_copy_gives_the_same_vectors(minilm: BedsideEmbedding) -> None:
    minilm.get_text_embedding("warm")
    for again in (minilm.model_copy(), copy.deepcopy(minilm)):
        np.testing.assert_allclose(again.get_text_embedding("pain"), minilm.get_text_embedding("pain"), atol=1e-6)


def test_many_threads_load_the_model_once(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[str] = []
    load = bedside.load_encoder

    def counting(model: str, **options: Any) -> Encoder:
        loads.append(model)
        return load(model, **options)

    monkeypatch.setattr(bedside, "load_encoder", counting, raising=False)
    model = BedsideEmbedding(model_name=folder, dtype="float32")
    vectors: list[list[float]] = []
    threads = [threading.Thread(target=lambda: vectors.append(model.get_text_embedding("pain"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loads == [folder]
    assert len(vectors) == 4
    assert all(vector == vectors[0] for vector in vectors)


def test_every_base_field_is_accepted(folder: str, minilm: BedsideEmbedding) -> None:
    debug = LlamaDebugHandler(print_trace_on_end=False)
    cache = SimpleKVStore()
    model = BedsideEmbedding(
        model_name=folder,
        embed_batch_size=2,
        num_workers=2,
        embeddings_cache=cache,
        callback_manager=CallbackManager([debug]),
        dtype="float32",
        **({"rate_limiter": None} if "rate_limiter" in BaseEmbedding.model_fields else {}),  # since 0.14
    )
    expected = minilm.get_text_embedding_batch(TEXTS)
    np.testing.assert_allclose(model.get_text_embedding_batch(TEXTS), expected, atol=1e-5)
    assert len(debug.get_event_pairs(CBEventType.EMBEDDING)) == 2
    assert set(cache.get_all(collection="embeddings")) == set(TEXTS)
    np.testing.assert_allclose(asyncio.run(model.aget_text_embedding_batch(TEXTS)), expected, atol=1e-5)
    if hasattr(BaseEmbedding, "to_payload"):  # since 0.14
        assert model.to_payload() == {"class_name": "BedsideEmbedding", "model_name": folder, "embed_batch_size": 2}


@pytest.mark.parametrize(
    "wrong", [{"trust_remote_code": True}, {"embed_batch_size": 0}, {"max_length": "long"}, {"embeddings_cache": {}}]
)
def test_an_argument_that_is_wrong_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises((ValidationError, TypeError)):
        BedsideEmbedding(**wrong)


def test_a_model_that_is_not_there_is_named_at_the_first_use(tmp_path: Path) -> None:
    model = BedsideEmbedding(model_name=str(tmp_path / "gone"))
    with pytest.raises(ModelNotFoundError, match="gone"):
        model.get_text_embedding("pain")
    local = BedsideEmbedding(model_name="nobody/nothing", local_files_only=True, cache_dir=str(tmp_path))
    with pytest.raises(ModelNotFoundError, match="nobody/nothing"):
        asyncio.run(local.aget_query_embedding("pain"))


def test_a_text_without_a_word_does_not_stop_the_others(minilm: BedsideEmbedding) -> None:
    with pytest.warns(BedsideWarning, match="1 of 2 texts"):
        vectors = minilm.get_text_embedding_batch(["Chest pain.", " "])
    assert vectors[0] == pytest.approx(minilm.get_text_embedding("Chest pain."), abs=1e-6)


def test_it_is_the_default_model_of_an_index(minilm: BedsideEmbedding, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "_embed_model", resolve_embed_model(minilm))
    index = VectorStoreIndex([TextNode(id_=str(i), text=text) for i, text in enumerate(TEXTS[:2])])
    assert index.as_retriever(similarity_top_k=1).retrieve("angina with effort")[0].node_id == "0"


def test_an_ingestion_cache_answers_the_second_run(minilm: BedsideEmbedding, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = IngestionCache()
    first = IngestionPipeline(transformations=[minilm], cache=cache).run(nodes=[TextNode(text="pain")])
    monkeypatch.setattr(type(minilm.encoder), "encode_documents", None)
    again = IngestionPipeline(transformations=[BedsideEmbedding.from_dict(minilm.to_dict())], cache=cache)
    assert again.run(nodes=[TextNode(text="pain")])[0].embedding == first[0].embedding


@pytest.mark.slow
def test_worker_processes_embed_as_one_does(minilm: BedsideEmbedding) -> None:
    nodes = [TextNode(id_=str(i), text=f"Chest pain for {i} days.") for i in range(4)]
    expected = minilm.get_text_embedding_batch([node.text for node in nodes])
    pipeline = IngestionPipeline(transformations=[minilm], disable_cache=True)
    found = pipeline.run(nodes=nodes, num_workers=2)
    np.testing.assert_allclose([node.embedding for node in found], expected, atol=1e-5)


def test_a_collection_of_its_vectors_names_the_encoder(minilm: BedsideEmbedding, tmp_path: Path) -> None:
    """LangChain and the core meet the same vectors under the same name, and another encoder is refused."""
    with bedside.Collection.open(tmp_path / "notes", encoder=minilm.encoder) as notes:
        notes.add([bedside.Document("Chest pain.", vector=minilm.get_text_embedding("Chest pain."))])
    other = BedsideEmbedding(model_name=minilm.model_name, pooling="cls", dtype="float32")
    with pytest.raises(bedside.errors.EncoderMismatch):
        bedside.Collection.open(tmp_path / "notes", encoder=other.encoder)
