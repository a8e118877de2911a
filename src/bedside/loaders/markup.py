"""How XML and HTML begin: the first element, and what stands before it. Every pattern takes linear time."""

from __future__ import annotations

import re
from typing import NamedTuple

_BETWEEN = re.compile(r"[\s\ufeff]+")
_DOCTYPE = re.compile(r"<!doctype\s+([\w.:-]+)[^>\[]*", re.IGNORECASE)
_ELEMENT = re.compile(r"<(?:([A-Za-z_][\w.-]*):)?([A-Za-z_][\w.-]*)(?=[\s/>])")


class Root(NamedTuple):
    """The first element of a text.

    Attributes:
        name: Its name without a prefix; empty where the text is not markup.
        namespace: What its prefix, or the lack of one, stands for; empty where that is not said.
        is_xml: The text says that it is XML: by its declaration, a document type, or a namespace.
    """

    name: str = ""
    namespace: str = ""
    is_xml: bool = False


def root_of(text: str) -> Root:
    """Return the first element; ``html`` too where only the document type says so.

    White space, comments, processing instructions and document types before it are passed over. A comment ends at its
    first ``-->``.
    """
    at, is_xml = 0, False
    while at < len(text):
        if blank := _BETWEEN.match(text, at):
            at = blank.end()
        elif text.startswith("<!--", at):
            at = _after(text, "-->", at + 4)
        elif text.startswith("<?", at):
            is_xml |= text.startswith("<?xml", at)
            at = _after(text, "?>", at)
        elif doctype := _DOCTYPE.match(text, at):
            if doctype[1].lower() == "html":
                return Root("html", "", is_xml)
            is_xml = True
            at = _after(text, "]" if text.startswith("[", doctype.end()) else ">", doctype.end())
        elif is_xml and text.startswith(">", at):  # the end of a document type with declarations in it
            at += 1
        else:
            return _element(text, at, is_xml)
    return Root("", "", is_xml)


def _element(text: str, at: int, is_xml: bool) -> Root:
    found = _ELEMENT.match(text, at)
    if found is None:
        return Root("", "", is_xml)
    prefix = f"xmlns:{found[1]}" if found[1] else "xmlns"
    tag = text[at : _after(text, ">", at)]
    namespace = re.search(rf"\s{re.escape(prefix)}\s{{0,9}}=\s{{0,9}}[\"']([^\"']*)", tag)
    return Root(found[2], namespace[1] if namespace else "", is_xml or " xmlns" in tag or "\nxmlns" in tag)


def _after(text: str, end: str, at: int) -> int:
    """Return the place after the next ``end``, or the end of the text."""
    found = text.find(end, at)
    return len(text) if found < 0 else found + len(end)
