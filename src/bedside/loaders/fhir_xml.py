"""FHIR's XML as the JSON that says the same (https://hl7.org/fhir/xml.html); see :mod:`bedside.loaders.fhir`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from bedside.loaders.fhir import documents_among
from bedside.loaders.fhir_json import within
from bedside.loaders.xml_tree import Element, name_of, namespace_of, parsed
from bedside.types import Document

if TYPE_CHECKING:
    from bedside.loaders.content import Content

_XHTML = "http://www.w3.org/1999/xhtml"
_VOID = ("br", "hr", "img", "input", "col")
MAX_DEPTH = 200
"""The most elements within one another: nested questions and sections need some dozen."""


def documents(content: Content, text: str) -> Iterator[Document]:
    """Yield the documents of a resource or a Bundle in XML, as those in JSON."""
    value = _resource(content, parsed(content, text, "FHIR"), 0)
    return documents_among(content, lambda asked: within(asked, value, ""))


def _resource(content: Content, element: Element, depth: int) -> dict[str, Any]:
    return {"resourceType": name_of(element), **_members(content, element, depth)}


def _members(content: Content, element: Element, depth: int) -> dict[str, Any]:
    """Return an element's children by name; one that comes several times as a list."""
    if depth > MAX_DEPTH:
        raise content.refused(f"FHIR with over {MAX_DEPTH} elements within one another")
    found: dict[str, Any] = {}
    for node in element:
        name, value = name_of(node), _value(content, node, depth + 1)
        if name not in found:
            found[name] = value
        elif isinstance(found[name], list):
            found[name].append(value)
        else:
            found[name] = [found[name], value]
    return found


def _value(content: Content, node: Element, depth: int) -> Any:
    """Return a primitive value as its string, narrative as XHTML, a resource or an element as an object."""
    if namespace_of(node) == _XHTML:
        return _xhtml(node)
    if (value := node.get("value")) is not None:
        return value
    inner = next(iter(node), None)
    if inner is not None and len(node) == 1 and name_of(inner)[:1].isupper():
        return _resource(content, inner, depth)
    return _members(content, node, depth)


def _xhtml(root: Element) -> str:
    """Write narrative out, with a stack, since it may be nested deeper than Python calls."""
    out: list[str] = []
    waiting: list[Element | str] = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, str):
            out.append(node)
            continue
        attributes = "".join(f' {key}="{escape(value, {chr(34): "&quot;"})}"' for key, value in node.attrib.items())
        name = name_of(node)
        out.append(f"<{name}{attributes}>{escape(node.text or '')}")
        waiting.append("" if name in _VOID else f"</{name}>")
        for inner in reversed(node):
            waiting.extend((escape(inner.tail or ""), inner))
    return "".join(out)
