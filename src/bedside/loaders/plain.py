"""Text and Markdown: every character as it is written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bedside.types import Document

if TYPE_CHECKING:
    from bedside.loaders.content import Content


def documents(content: Content, text: str) -> Iterator[Document]:
    """Yield the text as one document."""
    yield Document(text, {}, content.id)
