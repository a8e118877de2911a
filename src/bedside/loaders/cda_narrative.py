"""The narrative of a CDA section as text: blocks on lines of their own, the rows of a table too, cells between tabs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

from bedside.loaders.laid_out import LINE, SPACE, WORD, laid_out
from bedside.loaders.scripts import raised
from bedside.loaders.xml_tree import attribute, name_of

if TYPE_CHECKING:
    from bedside.loaders.xml_tree import Element

# CDA's own (NarrativeBlock.xsd), and HTML's, which some systems write in its place.
_BLOCKS = frozenset(
    (
        *("paragraph", "list", "item", "table", "caption", "tr", "thead", "tbody", "tfoot", "footnote"),
        *("renderMultiMedia", "div", "p", "ul", "ol", "li", "dl", "dt", "dd", "pre", "hr"),
        *("h1", "h2", "h3", "h4", "h5", "h6"),
    )
)
_APART = frozenset(("paragraph", "p", "table", "list", "ul", "ol"))
_CELLS = frozenset(("td", "th"))
_Waiting: TypeAlias = "list[tuple[Element | str, bool]]"


def narrative(text: Element) -> str:
    """Return what a reader sees of a section's ``text``; what is marked as deleted is left out."""
    return laid_out(_seen(text))


def _seen(root: Element) -> Iterator[str]:
    """Yield the pieces of the text in order, with a stack, since narrative may be nested deeper than Python calls.

    Blocks in a cell are parted by spaces, so that a row stays a line; a cell that holds a table is laid out as blocks.
    """
    waiting: _Waiting = [(root, False)]
    while waiting:
        node, in_cell = waiting.pop()
        if isinstance(node, str):
            yield node
            continue
        name = name_of(node)
        if attribute(node, "revised") == "delete" or name == "del":
            continue
        if name == "sup":
            yield raised("".join(node.itertext()))
            continue
        if name == "br":
            yield SPACE if in_cell else "\n"
            continue
        if name == "content":  # "CBC" and "at 10:37", "80" and "mm[Hg]" often stand side by side without a space
            waiting.append((WORD, in_cell))
            yield WORD
        if name in _CELLS:
            in_cell = not any(name_of(inner) == "table" for inner in node)
        edge = _edge(name, in_cell)
        keeps = node.get("{http://www.w3.org/XML/1998/namespace}space") == "preserve" and not in_cell
        after = "\t" if name in _CELLS and in_cell else edge
        pieces = [(edge, in_cell), *_inside(node, in_cell, keeps), (after, in_cell)]
        waiting.extend(reversed(pieces))


def _edge(name: str, in_cell: bool) -> str:
    """Return what parts an element from what is before and after it: an empty line for paragraphs, else a line."""
    if name not in _BLOCKS and (name not in _CELLS or in_cell):
        return ""
    return SPACE if in_cell else "\n" if name in _APART else LINE


def _inside(node: Element, in_cell: bool, keeps: bool) -> Iterator[tuple[Element | str, bool]]:
    yield _spaced(node.text, keeps), in_cell
    for inner in node:
        yield inner, in_cell
        yield _spaced(inner.tail, keeps), in_cell


def _spaced(text: str | None, keeps: bool) -> str:
    return "" if not text else text if keeps else re.sub(r"\s+", " ", text)
