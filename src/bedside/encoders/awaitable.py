"""What every encoder has besides the two blocking methods: their async forms, and ``close``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from bedside.types import Matrix


class AsyncMethods:
    """Adds ``aencode_documents`` and ``aencode_queries``, which encode in a worker thread: the loop goes on."""

    async def aencode_documents(self, texts: Sequence[str]) -> Matrix:
        """As ``encode_documents``, without blocking the event loop."""
        return await asyncio.to_thread(self.encode_documents, texts)

    async def aencode_queries(self, texts: Sequence[str]) -> Matrix:
        """As ``encode_queries``, without blocking the event loop."""
        return await asyncio.to_thread(self.encode_queries, texts)

    def encode_documents(self, texts: Sequence[str]) -> Matrix:
        """Encode passages: float32 ``[n, d]``."""
        raise NotImplementedError

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        """Encode questions: float32 ``[n, d]``."""
        raise NotImplementedError

    def close(self) -> None:
        """Release what was loaded; the next call loads it again. Nothing to release here."""
