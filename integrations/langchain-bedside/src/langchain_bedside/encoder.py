"""Any LangChain ``Embeddings`` as a Bedside ``Encoder``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from langchain_core.embeddings import Embeddings

from bedside.errors import InvalidInputError, InvalidVectorError
from bedside.intake import utf8
from bedside.types import Encoder, Matrix, Vector
from langchain_bedside.embeddings import BedsideEmbeddings

__all__ = ["LangChainEncoder", "aencode_documents", "aencode_query", "as_encoder"]


def as_encoder(embedding: Embeddings) -> Encoder:
    """Give the Bedside encoder behind an embedding model.

    ``BedsideEmbeddings`` hand over the encoder they wrap, fingerprint included, so that LangChain, LlamaIndex and the
    core recognise each other's vectors; every other model is bridged by :class:`LangChainEncoder`.

    Raises:
        InvalidInputError: It is not an embedding model, such as a model's name or its class.
    """
    if isinstance(embedding, BedsideEmbeddings):
        return embedding.encoder
    if isinstance(embedding, type) or not (hasattr(embedding, "embed_documents") and hasattr(embedding, "embed_query")):
        found = embedding.__name__ if isinstance(embedding, type) else type(embedding).__name__
        raise InvalidInputError(f"embedding: expected a LangChain embedding model (an object), got {found}")
    return LangChainEncoder(embedding)


def _as_matrix(vectors: Sequence[Sequence[float]], count: int) -> Matrix:
    """Turn a model's answer into float32 ``[count, d]``.

    Raises:
        InvalidVectorError: The model gave another number of vectors, or vectors of different lengths.
    """
    lengths = {len(vector) for vector in vectors}
    if len(vectors) != count or len(lengths) > 1:
        raise InvalidVectorError(
            f"the embedding model gave {len(vectors)} vectors of lengths {sorted(lengths)} for {count} texts; "
            "expected one vector of one length for each text"
        )
    return np.asarray(vectors, dtype=np.float32).reshape(count, max(lengths, default=0))


def _listed(texts: Sequence[str]) -> list[str]:
    if isinstance(texts, str):
        raise InvalidInputError("texts: expected a list of texts, got one text")
    return list(texts)


class LangChainEncoder:
    """A LangChain embedding model with the two encode methods that a collection asks for.

    ``fingerprint`` is ``None``, because LangChain's interface does not say which weights made a vector: between two
    such models only the dimension guards against mixing. ``dimension`` is ``None`` until the first text was encoded.

    Args:
        embedding: The model. Its documents and its queries may be embedded differently.
    """

    fingerprint: str | None = None

    def __init__(self, embedding: Embeddings) -> None:
        self.dimension: int | None = None
        self._embedding = embedding

    @property
    def name(self) -> str:
        """The class of the model, and the model's own name where it has one."""
        model = getattr(self._embedding, "model", None) or getattr(self._embedding, "model_name", None)
        kind = type(self._embedding).__name__
        return f"{kind}({model})" if isinstance(model, str) else kind

    def encode_documents(self, texts: Sequence[str]) -> Matrix:
        """Encode passages: float32 ``[n, d]`` in the order given."""
        listed = _listed(texts)
        return self._known(_as_matrix(self._embedding.embed_documents(listed), len(listed)))

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        """Encode questions: float32 ``[n, d]`` in the order given."""
        listed = _listed(texts)
        return self._known(_as_matrix([self._embedding.embed_query(text) for text in listed], len(listed)))

    def _known(self, matrix: Matrix) -> Matrix:
        if len(matrix):
            self.dimension = matrix.shape[1]
        return matrix


async def aencode_documents(embedding: Embeddings | None, texts: Sequence[str]) -> Matrix | None:
    """Encode passages with a model that has a coroutine of its own for it: float32 ``[n, d]``.

    ``None`` says that the collection is to encode, off the event loop: the model only has the synchronous method, or
    a text is blank or broken and the collection must judge it before anything is paid for.
    """
    native = embedding is not None and type(embedding).aembed_documents is not Embeddings.aembed_documents
    if embedding is None or not native or not all(text.strip() and text == utf8(text) for text in texts):
        return None
    return _as_matrix(await embedding.aembed_documents(list(texts)), len(texts))


async def aencode_query(embedding: Embeddings | None, text: str) -> Vector | None:
    """Encode a question as :func:`aencode_documents` does passages: float32 ``[d]``, or ``None``."""
    if embedding is None or type(embedding).aembed_query is Embeddings.aembed_query:
        return None
    vector: Vector = _as_matrix([await embedding.aembed_query(text)], 1)[0]
    return vector
