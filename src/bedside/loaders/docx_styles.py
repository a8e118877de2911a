"""How runs and paragraphs of a DOCX look: hidden, struck out, raised, a heading, in a font of symbols."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bedside.loaders.docx_parts import is_on, value
from bedside.loaders.symbols import is_symbol_font
from bedside.loaders.xml_tree import child, children

if TYPE_CHECKING:
    from bedside.loaders.xml_tree import Element

_MAX_BASES = 16
_UNSEEN = ("vanish", "strike", "dstrike")


@dataclass(frozen=True)
class Look:
    """How text looks.

    Attributes:
        is_unseen: It is hidden or struck out.
        is_raised: It is a superscript.
        font: Of symbols, or empty.
        level: Of a heading, 1 to 9; 0 for anything else.
    """

    is_unseen: bool = False
    is_raised: bool = False
    font: str = ""
    level: int = 0


class Looks:
    """The styles of a document."""

    def __init__(self, styles: Element | None) -> None:
        self._styles = {value(style, "styleId") or "": style for style in children(styles, "style")}
        self._known: dict[str, Look] = {}

    def of_paragraph(self, paragraph: Element) -> Look:
        """Return how the text of a paragraph looks where its runs say nothing else."""
        properties = child(paragraph, "pPr")
        look = self._of_style(value(child(properties, "pStyle")))
        return replace(look, level=_level(properties) or look.level)

    def of_run(self, run: Element, paragraph: Look) -> Look:
        """Return how a run looks."""
        properties = child(run, "rPr")
        if properties is None:
            return paragraph
        style = value(child(properties, "rStyle"))
        return _changed(paragraph if style is None else _joined(paragraph, self._of_style(style)), properties)

    def _of_style(self, id: str | None) -> Look:
        if not id:
            return Look()
        if id not in self._known:
            chain: list[Element] = []
            base: str | None = id
            while base in self._styles and len(chain) < _MAX_BASES:
                chain.append(self._styles[base])
                base = value(child(chain[-1], "basedOn"))
            look = Look()
            for style in reversed(chain):
                level = _heading_level(value(child(style, "name"))) or _level(child(style, "pPr")) or look.level
                look = replace(_changed(look, child(style, "rPr")), level=level)
            self._known[id] = look
        return self._known[id]


def _joined(paragraph: Look, style: Look) -> Look:
    return Look(
        paragraph.is_unseen or style.is_unseen,
        paragraph.is_raised or style.is_raised,
        style.font or paragraph.font,
        paragraph.level,
    )


def _changed(look: Look, properties: Element | None) -> Look:
    """Return a look as the properties of a run change it."""
    if properties is None:
        return look
    switches = [node for name in _UNSEEN if (node := child(properties, name)) is not None]
    unseen = any(map(is_on, switches)) if switches else look.is_unseen
    align = value(child(properties, "vertAlign"))
    fonts = child(properties, "rFonts")
    font = value(fonts, "ascii") or value(fonts, "hAnsi")
    return replace(
        look,
        is_unseen=unseen,
        is_raised=look.is_raised if align is None else align == "superscript",
        font=look.font if font is None else font if is_symbol_font(font) else "",
    )


def _heading_level(name: str | None) -> int:
    """Return the level of Word's own headings, whose names in the file are English in every language."""
    word, _, level = (name or "").lower().partition(" ")
    return int(level) if word == "heading" and level in tuple("123456789") else 0


def _level(properties: Element | None) -> int:
    """Return the level that a paragraph has in the outline, which 9 says is none."""
    level = value(child(properties, "outlineLvl"))
    return int(level) + 1 if level in tuple("012345678") else 0
