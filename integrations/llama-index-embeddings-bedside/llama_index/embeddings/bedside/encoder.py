"""Any LlamaIndex ``BaseEmbedding`` as a Bedside ``Encoder``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.embeddings.bedside.base import BedsideEmbedding

from bedside.errors import InvalidInputError, InvalidVectorError
from bedside.types import Encoder, Matrix

__all__ = ["LlamaIndexEncoder", "as_encoder"]


def as_encoder(embed_model: BaseEmbedding) -> Encoder:
    """Give the Bedside encoder behind an embedding model, for ``Collection.open(encoder=...)``.

    A ``BedsideEmbedding`` hands over the encoder it wraps, fingerprint included, so that LlamaIndex, LangChain and the
    core recognise each other's vectors; every other model is bridged by :class:`LlamaIndexEncoder`.
    """
    return embed_model.encoder if isinstance(embed_model, BedsideEmbedding) else LlamaIndexEncoder(embed_model)


class LlamaIndexEncoder:
    """A LlamaIndex embedding model with the two encode methods that a collection asks for.

    ``fingerprint`` is ``None``, because LlamaIndex' interface does not say which weights made a vector: between two
    such models only the dimension guards against mixing. ``dimension`` is ``None`` until the first text was encoded.
    What an empty or an overlong text gives is up to the model; a collection refuses blank texts before it asks.

    Args:
        embed_model: The model. Its texts and its queries may be embedded differently.
    """

    fingerprint: str | None = None

    def __init__(self, embed_model: BaseEmbedding) -> None:
        self.dimension: int | None = None
        self._embed_model = embed_model

    @property
    def name(self) -> str:
        """The class of the model and the model's own name."""
        return f"{self._embed_model.class_name()}({self._embed_model.model_name})"

    def encode_documents(self, texts: Sequence[str]) -> Matrix:
        """Encode passages: float32 ``[n, d]`` in the order given.

        Raises:
            InvalidInputError: One string instead of a list.
            InvalidVectorError: The model gave another number of vectors, or vectors of different lengths.
        """
        wanted = _listed(texts)
        return self._known(self._embed_model.get_text_embedding_batch(wanted), len(wanted))

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        """Encode questions, as :meth:`encode_documents` does passages."""
        wanted = _listed(texts)
        return self._known([self._embed_model.get_query_embedding(text) for text in wanted], len(wanted))

    def _known(self, vectors: Sequence[Sequence[float]], count: int) -> Matrix:
        lengths = {len(vector) for vector in vectors}
        if len(vectors) != count or len(lengths) > 1:
            raise InvalidVectorError(
                f"the embedding model gave {len(vectors)} vectors of lengths {sorted(lengths)} for {count} texts; "
                "expected one vector of one length for each text"
            )
        if lengths:
            self.dimension = lengths.pop()
        return np.asarray(vectors, dtype=np.float32).reshape(count, self.dimension or 0)


def _listed(texts: Sequence[str]) -> list[str]:
    if isinstance(texts, str):
        raise InvalidInputError("texts: expected a list of strings, got one str; put it in a list")
    return list(texts)
