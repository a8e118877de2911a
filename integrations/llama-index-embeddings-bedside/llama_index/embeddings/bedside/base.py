"""``BedsideEmbedding``: Bedside's text encoder as a LlamaIndex embedding model."""

from __future__ import annotations

import asyncio
import inspect
import threading
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import ConfigDict, Field, PrivateAttr
from pydantic import AliasChoices
from typing_extensions import Self, override

import bedside
from bedside.support.fork import in_each_process
from bedside.types import Encoder

__all__ = ["BedsideEmbedding"]

_loading: threading.Lock


def _make_lock() -> None:
    """One for all models: loading is rare, and a lock of each object's own could be neither copied nor pickled."""
    global _loading
    _loading = threading.Lock()


in_each_process(_make_lock)


class BedsideEmbedding(BaseEmbedding):
    """Embed texts with a Hugging Face encoder, Bio_ClinicalBERT by default, on this machine.

    The model is loaded at the first use, once, whatever the number of threads. Everything that changes a vector is a
    field, so that an ingestion cache tells two settings apart; ``None`` leaves a setting to ``bedside.load_encoder``,
    whose arguments the fields are, and which documents them all. The async methods encode in a worker thread, so the
    event loop goes on. A pickled model carries its settings and loads its weights anew.

    Attributes:
        model_name: A name on the Hugging Face Hub, or a local folder.
        query_prompt: Put before every query; ``query_instruction`` is accepted as well.
        document_prompt: Put before every text of the index; ``text_instruction`` is accepted as well.
        cache_dir: The folder that keeps downloaded models; ``cache_folder`` is accepted as well.
        embed_batch_size: Texts handed to the encoder at once, 1 to 2048; it sorts them by length into its own batches.

    Raises:
        pydantic.ValidationError: An unknown argument, or a value of the wrong type.
        ModelNotFoundError: At the first use: the model is neither local nor in reach.

    Example::

        Settings.embed_model = BedsideEmbedding(model_name="emilyalsentzer/Bio_ClinicalBERT")
        vector = Settings.embed_model.get_query_embedding("chest pain on exertion")
    """

    model_config = ConfigDict(extra="forbid", protected_namespaces=("pydantic_model_",), arbitrary_types_allowed=True)

    model_name: str = "emilyalsentzer/Bio_ClinicalBERT"
    # Padding on four sets of clinical texts, tokens computed per token given: 1.03 to 2.29 with 10 texts a call (the
    # base class' default), 1.01 to 1.11 with 512, 1.01 to 1.05 with 2048.
    embed_batch_size: int = Field(default=512, gt=0, le=2048)
    revision: str | None = None
    backend: str = "torch"
    pooling: str | None = None
    max_length: int | None = None
    overflow: str | None = None
    overlap: int | None = None
    query_model: str | None = None
    query_prompt: str | None = Field(default=None, validation_alias=AliasChoices("query_prompt", "query_instruction"))
    document_prompt: str | None = Field(
        default=None, validation_alias=AliasChoices("document_prompt", "text_instruction")
    )
    normalize: bool | None = None
    lowercase: bool | None = None
    device: str = "auto"
    dtype: str = "auto"
    batch_tokens: int | None = None
    cache: bool | str | None = None
    local_files_only: bool = False
    cache_dir: str | None = Field(default=None, validation_alias=AliasChoices("cache_dir", "cache_folder"))

    _encoder: Encoder | None = PrivateAttr(default=None)
    _given: bool = PrivateAttr(default=False)

    @classmethod
    def from_encoder(cls, encoder: Encoder) -> Self:
        """Embed with an encoder that is already there, such as :class:`bedside.words.WordVectors`.

        Its name and fingerprint stand for the model's name, so that an ingestion cache tells two encoders apart. It is
        pickled with the model, as it could not be loaded again by that name.
        """
        made = cls(model_name=" ".join(filter(None, (encoder.name, encoder.fingerprint))))
        made._encoder, made._given = encoder, True
        return made

    @classmethod
    @override
    def class_name(cls) -> str:
        return "BedsideEmbedding"

    @property
    def encoder(self) -> Encoder:
        """The Bedside encoder, loaded now if it is not yet; a collection opened with it refuses other vectors."""
        with _loading:
            if self._encoder is None:
                taken = set(inspect.signature(bedside.load_encoder).parameters)
                settings: dict[str, Any] = self.model_dump(include=taken, exclude_none=True)
                settings.pop("class_name", None)
                self._encoder = bedside.load_encoder(self.model_name, **settings)
            return self._encoder

    @override
    def _get_query_embedding(self, query: str) -> list[float]:
        vector: list[float] = self.encoder.encode_queries([query])[0].tolist()
        return vector

    @override
    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self.encoder.encode_documents(texts).tolist()
        return vectors

    @override
    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    @override
    async def _aget_query_embedding(self, query: str) -> list[float]:
        return await asyncio.to_thread(self._get_query_embedding, query)

    @override
    async def _aget_text_embedding(self, text: str) -> list[float]:
        return await asyncio.to_thread(self._get_text_embedding, text)

    @override
    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return await asyncio.to_thread(self._get_text_embeddings, texts)

    @override
    def __getstate__(self) -> dict[str, Any]:
        bare = self.model_copy()
        if not self._given:
            bare._encoder = None
        state: dict[str, Any] = super(BedsideEmbedding, bare).__getstate__()
        return state

    @override
    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # makes a new model of the fields alone
        private = state.get("__pydantic_private__") or {}
        if private.get("_given"):
            self._encoder, self._given = private["_encoder"], True
