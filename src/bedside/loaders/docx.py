"""DOCX as text: paragraphs as lines, headings as Markdown has them, table cells between tabs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bedside.loaders.archives import opened
from bedside.loaders.docx_parts import Package, descendants, value
from bedside.loaders.docx_styles import Looks
from bedside.loaders.docx_text import Walk
from bedside.loaders.xml_tree import Element, children
from bedside.types import Document

if TYPE_CHECKING:
    from bedside.loaders.content import Content

_ASIDES = {"footnotes": "footnote", "endnotes": "endnote", "comments": "comment"}


def documents(content: Content, text: str) -> Iterator[Document]:  # noqa: ARG001 - DOCX is not text
    """Yield the file as one document: the headers of its pages, its body, their footers.

    Tracked changes are taken as accepted; what is hidden or struck out is left out. Footnotes, endnotes and comments
    stand behind their paragraph, as ``[footnote: …]``. Fields of forms are their values, boxes ``[x]`` or ``[ ]``, and
    symbols the characters that they look like. Files within it are read where they stand.
    """
    with opened(content, "DOCX") as archive:
        package = Package(content, archive)
        body = package.tree(package.main)
        if body is None:
            raise content.refused("a damaged DOCX, without a body")
        yield Document(_text(package, body), {}, content.id)


def _text(package: Package, body: Element) -> str:
    related = package.related(package.main)
    by_kind = {part.kind: part.name for part in related.values() if not part.is_outside}
    styles = None
    with package.content.part("styles"):
        styles = package.tree(by_kind.get("styles", ""))
    looks = Looks(styles)
    asides: dict[str, dict[str, Element]] = {}
    for kind, name in _ASIDES.items():
        with package.content.part(kind):
            asides[name] = _by_id(package.tree(by_kind.get(kind, "")), name)
    walk = Walk(package, looks, related, asides)
    tops, feet = (_margins(package, body, looks, kind) for kind in ("header", "footer"))
    text = walk.text(body)
    walk.report()
    return "\n\n".join(part for part in (*tops, text, *feet) if part.strip())


def _margins(package: Package, body: Element, looks: Looks, kind: str) -> list[str]:
    """Return the texts of the headers or footers of all pages, each once."""
    related = package.related(package.main)
    named = [related.get(value(reference, "id") or "") for reference in descendants(body, f"{kind}Reference")]
    found = []
    for name in dict.fromkeys(part.name for part in named if part is not None and not part.is_outside):
        with package.content.part(kind):
            root = package.tree(name)
            if root is not None:
                found.append(Walk(package, looks, package.related(name), {}).text(root))
    return list(dict.fromkeys(found))


def _by_id(root: Element | None, name: str) -> dict[str, Element]:
    """Return the notes of a part by their ids, without the lines that part notes from the text."""
    notes = () if root is None else children(root, name)
    return {value(note, "id") or "": note for note in notes if value(note, "type") in (None, "normal")}
