"""The parts of a DOCX and what they are to one another, whatever they are called.

ECMA-376 part 2 (packages) and ISO/IEC 29500 (transitional and strict): names are compared without their namespaces,
which differ between the two, and parts are found by their relationships, since Office 365 calls the body
``document2.xml``.
"""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import unquote

from bedside.loaders.archives import unpacked
from bedside.loaders.decoding import decoded
from bedside.loaders.xml_tree import Element, children, name_of, parsed

if TYPE_CHECKING:
    from bedside.loaders.content import Content

_WHAT = "DOCX"


@dataclass(frozen=True)
class Part:
    """What a part is to another one.

    Attributes:
        kind: The last word of the relationship's type, such as ``footnotes``, ``header`` or ``aFChunk``.
        name: Of the part in the archive; of one outside of the file, its address.
        is_outside: It is not in the file.
    """

    kind: str
    name: str
    is_outside: bool


@dataclass(frozen=True)
class Package:
    """The archive that a DOCX is."""

    content: Content
    archive: zipfile.ZipFile

    @cached_property
    def main(self) -> str:
        """The name of the part that holds the body.

        Raises:
            UnreadableFileError: There is none.
        """
        names = [part.name for part in self.related("").values() if part.kind == "officeDocument"]
        names += ["word/document.xml"]
        held = next((name for name in names if name in self.content.names), None)
        if held is None:
            raise self.content.refused("a damaged DOCX, without a body")
        return held

    def related(self, name: str) -> dict[str, Part]:
        """Return the parts that a part, or the package, names, by the ids it has for them."""
        folder, file = posixpath.split(name)
        root = self.tree(posixpath.join(folder, "_rels", f"{file}.rels"))
        found = {}
        for node in () if root is None else children(root, "Relationship"):
            is_outside = node.get("TargetMode") == "External"
            target = node.get("Target", "")
            place = target if is_outside else posixpath.normpath(posixpath.join("/", folder, unquote(target)))[1:]
            found[node.get("Id", "")] = Part(node.get("Type", "").rpartition("/")[2], place, is_outside)
        return found

    def tree(self, name: str) -> Element | None:
        """Return a part of XML; ``None`` if there is none of that name.

        Raises:
            UnreadableFileError: It is damaged, or declares entities.
        """
        data = unpacked(self.content, self.archive, name, _WHAT) if name in self.content.names else b""
        if not data:
            return None
        try:
            return parsed(self.content, decoded(data), _WHAT)
        except ValueError:
            raise self.content.refused(f"a damaged {_WHAT}, {name} is not the text that it says") from None

    def data(self, name: str) -> bytes:
        """Return a part's bytes; none where there is no such part."""
        return unpacked(self.content, self.archive, name, _WHAT)


def value(element: Element | None, name: str = "val") -> str | None:
    """Return an attribute by its name without a namespace; ``None`` where it is not there."""
    if element is None:
        return None
    return next((text for key, text in element.attrib.items() if key.rpartition("}")[2] == name), None)


def is_on(element: Element | None) -> bool:
    """Whether a switch is there and not turned off."""
    return element is not None and value(element) not in ("0", "false", "off", "none")


def descendants(element: Element | None, name: str) -> Iterator[Element]:
    """Yield what has a name, at any depth."""
    return (node for node in (() if element is None else element.iter()) if name_of(node) == name)
