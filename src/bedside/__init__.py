"""Clinical retrieval for LangChain and LlamaIndex: a text encoder and an embedded, JSON-backed store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bedside.collection import Collection, ScopedCollection, SparseSettings
from bedside.types import Document, Encoder, Explanation, Hit

if TYPE_CHECKING:
    from bedside.encoders import load_encoder

__version__ = "0.1.0"

__all__ = [
    "Collection",
    "Document",
    "Encoder",
    "Explanation",
    "Hit",
    "ScopedCollection",
    "SparseSettings",
    "load_encoder",
]


def __getattr__(name: str) -> Any:
    """Load the encoders when they are first asked for: a collection works without them."""
    if name == "load_encoder":
        from bedside.encoders import load_encoder

        return load_encoder
    raise AttributeError(f"module 'bedside' has no attribute {name!r}")
