"""``BedsideEmbeddings``: Bedside's text encoder as a LangChain embedding model."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from langchain_core.embeddings import Embeddings
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, PrivateAttr
from typing_extensions import Self, override

import bedside
from bedside.support.fork import in_each_process
from bedside.types import Encoder

__all__ = ["BedsideEmbeddings"]

_loading: threading.Lock


def _make_lock() -> None:
    """One for all models: loading is rare, and a lock of each object's own could be neither copied nor pickled."""
    global _loading
    _loading = threading.Lock()


in_each_process(_make_lock)


class BedsideEmbeddings(BaseModel, Embeddings):
    """Embed texts with a Hugging Face encoder, Bio_ClinicalBERT by default, on this machine.

    The model is loaded at the first use, once, whatever the number of threads. Everything that changes a vector is a
    field, and fields cannot be changed afterwards; ``None`` leaves a setting to ``bedside.load_encoder``, which
    documents them all. The ``a…`` methods encode in a worker thread, so the event loop goes on.

    Attributes:
        model: A name on the Hugging Face Hub, or a local folder; ``model_name`` is accepted as well.
        cache_dir: The folder that keeps downloaded models; ``cache_folder`` is accepted as well.

    Raises:
        pydantic.ValidationError: An unknown argument, or a value of the wrong type.
        ModelNotFoundError: At the first use: the model is neither local nor in reach.

    Example::

        embeddings = BedsideEmbeddings(model="emilyalsentzer/Bio_ClinicalBERT")
        vector = embeddings.embed_query("chest pain on exertion")
        len(vector) == embeddings.dims
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    model: str | Path = Field(
        default="emilyalsentzer/Bio_ClinicalBERT", validation_alias=AliasChoices("model", "model_name")
    )
    revision: str | None = None
    backend: str | None = None
    pooling: str | None = None
    max_length: int | None = None
    overflow: str | None = None
    overlap: int | None = None
    query_model: str | Path | None = None
    query_prompt: str | None = None
    document_prompt: str | None = None
    normalize: bool | None = None
    lowercase: bool | None = None
    device: str | None = None
    dtype: str | None = None
    batch_tokens: int | None = None
    cache: bool | str | Path | None = None
    local_files_only: bool = False
    cache_dir: str | Path | None = Field(default=None, validation_alias=AliasChoices("cache_dir", "cache_folder"))

    _encoder: Encoder | None = PrivateAttr(default=None)

    @classmethod
    def from_encoder(cls, encoder: Encoder) -> Self:
        """Embed with an encoder that is already there, such as :class:`bedside.words.WordVectors`.

        Its name and fingerprint stand for the model's name, so that caches tell two encoders apart.
        """
        made = cls(model=" ".join(filter(None, (encoder.name, encoder.fingerprint))))
        made._encoder = encoder
        return made

    @property
    def encoder(self) -> Encoder:
        """The Bedside encoder, loaded now if it is not yet."""
        with _loading:
            if self._encoder is None:
                settings: dict[str, Any] = self.model_dump(exclude={"model"}, exclude_none=True)
                self._encoder = bedside.load_encoder(self.model, **settings)
            return self._encoder

    @property
    def dims(self) -> int:
        """Length of a vector."""
        encoder = self.encoder
        return encoder.dimension or len(self.embed_query("length"))

    @override
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self.encoder.encode_documents(texts).tolist()
        return vectors

    @override
    def embed_query(self, text: str) -> list[float]:
        vector: list[float] = self.encoder.encode_queries([text])[0].tolist()
        return vector
