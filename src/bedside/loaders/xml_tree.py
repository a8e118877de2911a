"""XML as a tree, from files that nobody vouches for: nothing outside of them is asked for, nothing in them expands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias
from xml.etree.ElementTree import Element as _Element
from xml.parsers.expat.errors import XML_ERROR_UNBOUND_PREFIX, codes

from bedside.errors import MissingExtraError
from bedside.loaders.decoding import decoded

if TYPE_CHECKING:
    from bedside.loaders.content import Content

Element: TypeAlias = _Element
_PREFIX = re.compile(r"(?<=[\s</])([A-Za-z_][\w.-]{0,30}):(?=[A-Za-z_])")
_MAX_PREFIXES = 100
MAX_TAGS = 2_000_000
"""More tags are refused: each takes a hundred bytes of memory, and the longest history has some hundred thousand."""


def parsed(content: Content, text: str, what: str = "XML") -> Element:
    """Return the root of a text.

    Entities that a file declares, and references to other files, are what makes XML do harm, and no clinical document
    needs them; they are refused (https://github.com/tiran/defusedxml#attack-vectors).

    Args:
        content: The file, for the errors.
        text: XML, decoded.
        what: The kind of file, as an error names it.

    Raises:
        UnreadableFileError: It is damaged, or declares entities.
        MissingExtraError: ``bedside[loaders]`` is not installed.
    """
    try:
        from defusedxml import DefusedXmlException
        from defusedxml.ElementTree import ParseError, fromstring
    except ModuleNotFoundError as error:
        raise MissingExtraError("defusedxml", "loaders") from error
    written = text.lstrip("\ufeff \t\r\n")
    if written.count("<") > MAX_TAGS:
        raise content.refused(f"{what} with over {MAX_TAGS} tags, the most that are read")
    try:
        try:
            root: Element = fromstring(written)
        except ParseError as error:
            if error.code != codes[XML_ERROR_UNBOUND_PREFIX]:
                raise
            root = fromstring(_bound(written, content.root.name))
    except DefusedXmlException:
        raise content.refused(f"{what} that declares entities or asks for other files; store it without them") from None
    except ParseError as error:
        line, column = error.position
        raise content.refused(f"damaged {what}, line {line}, column {column + 1}") from None
    except (ValueError, LookupError) as error:  # an encoding that is unknown; a lone surrogate
        raise content.refused(f"damaged {what} ({type(error).__name__})") from None
    return root


def parsed_part(content: Content, data: bytes, what: str) -> Element:
    """Return the root of a part of an archive, in the encoding that it declares.

    Raises:
        UnreadableFileError: It is damaged, or declares entities.
        MissingExtraError: ``bedside[loaders]`` is not installed.
    """
    try:
        text = decoded(data)
    except ValueError:
        raise content.refused(f"damaged {what}, not in the encoding that it declares") from None
    return parsed(content, text, what)


def _bound(text: str, root: str) -> str:
    """Declare the prefixes that are used in the root element: systems cut documents, and forget ``xsi``, ``sdtc``."""
    begin = re.search(rf"<(?:[\w.-]{{1,30}}:)?{re.escape(root)}(?=[\s/>])", text)
    if begin is None:
        return text
    tag = text[begin.end() : text.find(">", begin.end())]
    missing = [
        name
        for name in dict.fromkeys(_PREFIX.findall(text))
        if name[:3].lower() != "xml" and f"xmlns:{name}" not in tag
    ]
    declared = "".join(f' xmlns:{name}="urn:undeclared:{name}"' for name in missing[:_MAX_PREFIXES])
    return text[: begin.end()] + declared + text[begin.end() :]


def name_of(element: Element) -> str:
    """Return an element's name without its namespace."""
    return element.tag.rpartition("}")[2]


def namespace_of(element: Element) -> str:
    """Return an element's namespace; empty where it has none."""
    return element.tag[1:].partition("}")[0] if element.tag.startswith("{") else ""


def child(element: Element | None, *path: str) -> Element | None:
    """Return the first child of a name, its first child of the next name, and so on; ``None`` if there is none."""
    for name in path:
        element = next(children(element, name), None)
    return element


def children(element: Element | None, name: str) -> Iterator[Element]:
    """Yield the children of a name."""
    return (node for node in (() if element is None else element) if name_of(node) == name)


def attribute(element: Element | None, name: str) -> str:
    """Return an attribute's value without white space around it; empty if there is none."""
    return "" if element is None else element.get(name, "").strip()


def words_in(element: Element | None) -> str:
    """Return all text in an element, runs of white space as one space."""
    return "" if element is None else " ".join("".join(element.itertext()).split())
