"""One model for queries and another for documents, as MedCPT and other two-tower retrievers are published."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from bedside.encoders.awaitable import AsyncMethods
from bedside.encoders.cache import VectorCache
from bedside.errors import EncoderMismatch
from bedside.types import Encoder, Matrix


class PairedEncoder(AsyncMethods):
    """Two encoders with one vector space.

    Args:
        queries: Encodes queries.
        documents: Encodes documents.

    Raises:
        EncoderMismatch: their vectors differ in length.
    """

    def __init__(self, queries: Encoder, documents: Encoder) -> None:
        if queries.dimension != documents.dimension:
            raise EncoderMismatch(
                f"{queries.name} makes vectors of {queries.dimension} dimensions, {documents.name} of "
                f"{documents.dimension}: they cannot be compared"
            )
        self.queries = queries
        self.documents = documents

    def __repr__(self) -> str:
        return f"PairedEncoder({self.queries!r}, {self.documents!r})"

    def __getattr__(self, name: str) -> Any:
        if name in ("count_tokens", "max_length"):  # notes are cut to fit the document encoder
            return getattr(self.documents, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def name(self) -> str:
        """The document encoder's name."""
        return self.documents.name

    @property
    def dimension(self) -> int | None:
        """Length of a vector."""
        return self.documents.dimension

    @property
    def fingerprint(self) -> str | None:
        """Names both encoders; ``None`` if one of them has none."""
        both = (self.documents.fingerprint, self.queries.fingerprint)
        return hashlib.sha256("/".join(map(str, both)).encode()).hexdigest()[:32] if all(both) else None

    def encode_documents(self, texts: Sequence[str]) -> Matrix:
        """Encode passages with the document encoder: float32 ``[n, d]``; it says what odd texts give."""
        return self.documents.encode_documents(texts)

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        """Encode questions with the query encoder: float32 ``[n, d]``; it says what odd texts give."""
        return self.queries.encode_queries(texts)

    @property
    def cache(self) -> VectorCache | None:
        """Where one of both keeps vectors of texts; ``None`` where neither does."""
        kept = (getattr(encoder, "cache", None) for encoder in (self.queries, self.documents))
        return next((cache for cache in kept if cache is not None), None)

    def forget(self, texts: Sequence[str]) -> int:
        """Delete the vectors of these texts from the caches of both and say how many there were."""
        return sum(forget(texts) for forget in self._both("forget"))

    def close(self) -> None:
        """Release the weights of both."""
        for close in self._both("close"):
            close()

    def _both(self, method: str) -> list[Callable[..., Any]]:
        """A method of each encoder that has it."""
        found = (getattr(encoder, method, None) for encoder in (self.queries, self.documents))
        return [bound for bound in found if bound is not None]
