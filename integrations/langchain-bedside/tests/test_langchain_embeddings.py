"""``BedsideEmbeddings`` beyond the standard suites, and the bridge from any LangChain model."""

from __future__ import annotations

import copy
import inspect
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from langchain_bedside import BedsideEmbeddings, BedsideVectorStore, LangChainEncoder, as_encoder
from langchain_core.embeddings import DeterministicFakeEmbedding
from pydantic import ValidationError

from bedside import Collection, Encoder, load_encoder
from bedside.errors import EncoderMismatch, InvalidInputError, ModelNotFoundError

TEXTS = ["chest pain", "no chest pain", "a " * 400]


def test_vectors_are_the_encoders(minilm: BedsideEmbeddings) -> None:
    """Documents and queries are the encoder's vectors, bit for bit, as lists of floats."""
    encoder = load_encoder(minilm.model, device="cpu")
    assert np.array_equal(np.array(minilm.embed_documents(TEXTS), np.float32), encoder.encode_documents(TEXTS))
    assert np.array_equal(np.array(minilm.embed_query("pain"), np.float32), encoder.encode_queries(["pain"])[0])
    assert minilm.dims == encoder.dimension == 384
    assert minilm.embed_documents([]) == []


async def test_async_embeds_the_same(minilm: BedsideEmbeddings) -> None:
    """The coroutines give the same vectors."""
    assert await minilm.aembed_documents(TEXTS) == minilm.embed_documents(TEXTS)
    assert await minilm.aembed_query("pain") == minilm.embed_query("pain")


def test_every_setting_of_load_encoder_is_a_field() -> None:
    """Nothing that decides a vector is out of reach, and nothing else is accepted."""
    assert set(BedsideEmbeddings.model_fields) == set(inspect.signature(load_encoder).parameters)
    with pytest.raises(ValidationError):
        BedsideEmbeddings(trust_remote_code=True)  # type: ignore[call-arg]


def test_settings_reach_the_encoder(minilm: BedsideEmbeddings) -> None:
    """A field changes the vectors and with them the fingerprint."""
    other = BedsideEmbeddings(**{**minilm.model_dump(), "pooling": "cls"})
    assert other.embed_query("pain") != minilm.embed_query("pain")
    assert other.encoder.fingerprint != minilm.encoder.fingerprint


def test_habitual_names_are_accepted_and_settings_are_fixed(minilm: BedsideEmbeddings) -> None:
    """``model_name`` and ``cache_folder`` mean model and cache_dir; a field cannot change under a loaded model."""
    named = BedsideEmbeddings(model_name=str(minilm.model), cache_folder="somewhere")  # type: ignore[call-arg]
    assert (named.model, named.cache_dir) == (str(minilm.model), "somewhere")
    assert BedsideEmbeddings().model == "emilyalsentzer/Bio_ClinicalBERT"
    with pytest.raises(ValidationError):
        named.pooling = "cls"  # type: ignore[misc]


def test_nothing_is_loaded_before_it_is_used(tmp_path: Path) -> None:
    """A model that does not exist is an error at the first use, with a name."""
    missing = BedsideEmbeddings(model=tmp_path / "nowhere", local_files_only=True)
    with pytest.raises(ModelNotFoundError):
        missing.embed_query("pain")


def test_threads_share_one_loaded_encoder(minilm: BedsideEmbeddings) -> None:
    """Eight threads that start at once get the same encoder and the same vectors."""
    fresh = BedsideEmbeddings(**minilm.model_dump())
    with ThreadPoolExecutor(8) as pool:
        encoders = list(pool.map(lambda _: fresh.encoder, range(8)))
        vectors = list(pool.map(fresh.embed_query, ["pain"] * 8))
    assert all(encoder is encoders[0] for encoder in encoders)
    assert vectors == [minilm.embed_query("pain")] * 8


def test_embeddings_can_be_copied_and_sent_to_workers(minilm: BedsideEmbeddings) -> None:
    """A deep copy and a pickle embed as the original does; a pickle carries no weights."""
    expected = minilm.embed_query("pain")
    assert copy.deepcopy(minilm).embed_query("pain") == expected
    sent = pickle.dumps(minilm)
    assert len(sent) < 10_000
    assert pickle.loads(sent).embed_query("pain") == expected  # noqa: S301 - made two lines above


def test_importing_the_package_loads_no_model_library() -> None:
    """``import langchain_bedside`` is light: torch and transformers come with the first text."""
    code = "import sys, langchain_bedside; print({'torch', 'transformers'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert ran.stdout.strip() == "set()"


def test_the_bridge_is_an_encoder() -> None:
    """Any LangChain model serves a collection: float32, its dimension known from the first text on."""
    encoder = LangChainEncoder(DeterministicFakeEmbedding(size=8))
    assert isinstance(encoder, Encoder)
    assert (encoder.name, encoder.dimension, encoder.fingerprint) == ("DeterministicFakeEmbedding", None, None)
    vectors = encoder.encode_documents(["a", "b"])
    assert (vectors.dtype, vectors.shape, encoder.dimension) == (np.float32, (2, 8), 8)
    assert np.array_equal(encoder.encode_queries(["a"])[0], vectors[0])
    assert encoder.encode_documents([]).shape[0] == 0


def test_bedside_embeddings_are_recognised_across_frameworks(minilm: BedsideEmbeddings, tmp_path: Path) -> None:
    """What LangChain wrote, the core reads with the same encoder; another encoder is refused."""
    assert as_encoder(minilm) is minilm.encoder
    store = BedsideVectorStore.from_texts(["chest pain"], minilm, path=tmp_path / "c", ids=["1"])
    scored = [(document.id, score) for document, score in store.similarity_search_with_score("pain")]
    store.close()
    with Collection.open(tmp_path / "c", encoder=load_encoder(minilm.model, device="cpu")) as notes:
        assert [(hit.id, hit.score) for hit in notes.search("pain")] == scored
    with pytest.raises(EncoderMismatch):
        BedsideVectorStore(BedsideEmbeddings(model=minilm.model, pooling="cls"), tmp_path / "c")


def test_one_text_where_a_list_is_meant_is_refused_and_not_taken_letter_by_letter() -> None:
    """As everywhere in Bedside, a string is not a list of texts."""
    encoder = as_encoder(DeterministicFakeEmbedding(size=4))
    for encode in (encoder.encode_documents, encoder.encode_queries):
        with pytest.raises(InvalidInputError, match="expected a list of texts"):
            encode("angina")
        assert encode(["angina", "rest"]).shape == (2, 4)
