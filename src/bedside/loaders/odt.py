"""ODT as text: paragraphs and the rows of tables as lines, headings as Markdown has them, cells between tabs.

Open Document Format 1.3 (https://docs.oasis-open.org/office/OpenDocument/v1.3/), packed or as one XML file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bedside.loaders.archives import opened, unpacked
from bedside.loaders.laid_out import LINE, SPACE, laid_out
from bedside.loaders.scripts import raised
from bedside.loaders.xml_tree import Element, child, name_of, namespace_of, parsed, parsed_part
from bedside.types import Document

if TYPE_CHECKING:
    from bedside.loaders.content import Content

_UNSEEN = frozenset(
    (
        *("tracked-changes", "sequence-decls", "variable-decls", "user-field-decls", "hidden-text", "forms", "scripts"),
        *(
            "table-column",
            "table-columns",
            "meta",
            "settings",
            "font-face-decls",
            "change",
            "change-start",
            "change-end",
        ),
        *("note-citation", "binary-data", "soft-page-break", "ruby-text", "table-of-content-source"),
    )
)
_BLOCKS = frozenset(("p", "h", "list-item", "table", "table-row", "text-box", "list-header"))
_ASIDES = frozenset(("note", "annotation"))
# A comment's author and date, a picture's description; text:title and text:date are fields that a reader sees.
_BESIDE = ("http://purl.org/dc/elements/1.1/", "urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0")
_MAX_REPEATED = 1_000
"""The most spaces, cells or rows that one element stands for: writers use it for what is empty beside the sheet."""


def documents(content: Content, text: str) -> Iterator[Document]:
    """Yield the file as one document: headers of its pages, body, footnotes and comments, footers.

    What is hidden, deleted or struck out is left out; what was inserted and not yet accepted is there. A tick is
    ``[x]`` or ``[ ]``.
    """
    if text:
        root = parsed(content, text, "ODT")
        yield Document(_text(root, root), {}, content.id)
        return
    with opened(content, "ODT") as archive:
        if b"encryption-data" in unpacked(content, archive, "META-INF/manifest.xml", "ODT"):
            raise content.refused("encrypted with a password; store it without one")
        parts = [unpacked(content, archive, name, "ODT") for name in ("content.xml", "styles.xml")]
        body, sheet = (parsed_part(content, data, "ODT") if data else None for data in parts)
    if body is None:
        raise content.refused("a damaged ODT, without content.xml")
    yield Document(_text(body, sheet), {}, content.id)


def _text(root: Element, sheet: Element | None) -> str:
    """Return the body, and before and after it what stands at the top and the foot of its pages."""
    looks = _Looks(root, *([] if sheet is None else [sheet]))
    masters = child(sheet, "master-styles")
    tops, feet = (
        [_lines(node, looks) for node in ([] if masters is None else masters.iter()) if name_of(node).startswith(name)]
        for name in ("header", "footer")
    )
    body = child(root, "body")
    parts = [*dict.fromkeys(tops), "" if body is None else _lines(body, looks), *dict.fromkeys(feet)]
    return "\n\n".join(part for part in parts if part)


class _Looks:
    """What the styles of a document say of the text that has them."""

    def __init__(self, *roots: Element) -> None:
        self.unseen: set[str] = set()
        self.raised: set[str] = set()
        self.fields = {id: _field(node) for root in roots for node in root.iter() if (id := _attribute(node, "id"))}
        parents: dict[str, str] = {}
        for style in (node for root in roots for node in root.iter() if name_of(node) == "style"):
            name, look = _attribute(style, "name"), child(style, "text-properties")
            parents[name] = _attribute(style, "parent-style-name")
            if _attribute(look, "display") == "none" or _attribute(look, "text-line-through-style") not in ("", "none"):
                self.unseen.add(name)
            if _attribute(look, "text-position").startswith("super") or _is_above(_attribute(look, "text-position")):
                self.raised.add(name)
        for name, parent in parents.items():  # one generation: automatic styles have no deeper one
            self.unseen |= {name} if parent in self.unseen else set()
            self.raised |= {name} if parent in self.raised else set()


def _field(node: Element) -> str:
    """Return the value of a form's field as it is seen."""
    if name_of(node) in ("checkbox", "radio"):
        state = _first(node, "current-state", "state", "current-selected", "selected")
        return f"{'[x]' if state in ('checked', 'true') else '[ ]'} {_attribute(node, 'label')}"
    chosen = [_attribute(option, "label") for option in node if _first(option, "current-selected") == "true"]
    return ", ".join(chosen) or _first(node, "current-value", "value")


def _first(node: Element, *names: str) -> str:
    """Return the first attribute that is there."""
    return next((value for name in names if (value := _attribute(node, name))), "")


def _tick(mark: Element) -> str:
    """Return a box of the kind that Word's forms have; nothing for another field, whose value is text."""
    if not _attribute(mark, "type").endswith("FORMCHECKBOX"):
        return ""
    checked = [param for param in mark if _attribute(param, "name").endswith("Checked")]
    return "[x]" if any(_attribute(param, "value") == "true" for param in checked) else "[ ]"


def _is_above(position: str) -> bool:
    """Whether text stands well above the line, as in ``33% 58%``."""
    found = re.match(r"(\d{1,3})%", position)
    return found is not None and int(found[1]) >= 20


def _lines(root: Element, looks: _Looks) -> str:
    """Return the text of an element, and after it that of its footnotes and comments."""
    asides: list[Element] = []
    parts = [laid_out(_seen(root, looks, asides))]
    for aside in asides:  # one in another one comes after it
        parts.append(laid_out(piece for part in aside for piece in _seen(part, looks, asides)))
    return "\n".join(part for part in parts if part)


def _seen(root: Element, looks: _Looks, asides: list[Element]) -> Iterator[str]:
    """Yield the pieces of text in order, with a stack; blocks in a cell are parted by spaces, a row stays a line."""
    waiting: list[tuple[Element | str, bool, bool]] = [(root, False, False)]
    while waiting:
        node, in_cell, is_up = waiting.pop()
        if isinstance(node, str):
            yield raised(node) if is_up else node
            continue
        name, style = name_of(node), _attribute(node, "style-name")
        if name in _ASIDES:
            asides.append(node)
        if name in _UNSEEN or name in _ASIDES or style in looks.unseen or namespace_of(node) in _BESIDE:
            continue
        if _attribute(node, "is-hidden") == "true":
            continue
        if name in ("s", "tab", "line-break"):
            yield {"s": " " * _repeated(node, "c"), "tab": "\t", "line-break": SPACE if in_cell else "\n"}[name]
            continue
        if name in ("control", "fieldmark", "fieldmark-start"):
            yield looks.fields.get(_attribute(node, "control"), "") if name == "control" else _tick(node)
        if name == "table-cell":
            in_cell = not any(name_of(inner) == "table" for inner in node)
        before, after = _edges(node, name, in_cell)
        is_up = is_up or style in looks.raised
        pieces = [(before, in_cell, False), *_inside(node, in_cell, is_up), (after, in_cell, False)]
        waiting.extend(reversed(pieces))


def _inside(node: Element, in_cell: bool, is_up: bool) -> Iterator[tuple[Element | str, bool, bool]]:
    yield _spaced(node.text), in_cell, is_up
    for inner in node:
        yield inner, in_cell, is_up
        yield _spaced(inner.tail), in_cell, is_up


def _edges(node: Element, name: str, in_cell: bool) -> tuple[str, str]:
    """Return what parts an element from what stands before and after it."""
    if (name == "table-cell" and in_cell) or name == "covered-table-cell":
        return "", "\t" * _repeated(node, "number-columns-repeated")
    if name == "h" and not in_cell:
        level = _attribute(node, "outline-level")
        return f"\n\n{'#' * (min(int(level), 6) if level.isdecimal() else 1)} ", "\n"
    edge = (SPACE if in_cell else LINE) if name in _BLOCKS or name == "table-cell" else ""
    return edge, edge


def _repeated(node: Element, name: str) -> int:
    written = _attribute(node, name)
    return min(int(written), _MAX_REPEATED) if written.isdecimal() and len(written) < 10 else 1


def _attribute(node: Element | None, name: str) -> str:
    """Return an attribute by its name without a namespace, of which this format has a dozen."""
    if node is None:
        return ""
    return next((value for key, value in node.attrib.items() if key.rpartition("}")[2] == name), "")


def _spaced(text: str | None) -> str:
    return re.sub(r"\s+", " ", text) if text else ""
