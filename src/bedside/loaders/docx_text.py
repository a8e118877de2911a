"""What a reader sees of the XML of a DOCX, in order."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from bedside.loaders.docx_fields import content_control, legacy_field
from bedside.loaders.docx_parts import Package, Part, descendants, is_on, value
from bedside.loaders.docx_styles import Look, Looks
from bedside.loaders.layout import Lines
from bedside.loaders.scripts import raised
from bedside.loaders.symbols import is_symbol_font, symbol
from bedside.loaders.xml_tree import Element, child, children, name_of

if TYPE_CHECKING:
    from bedside.loaders.content import Content

# ISO/IEC 29500 part 1: deleted, moved away, properties, instructions; a field's own data are read where it begins.
_UNSEEN = frozenset(
    (
        *(
            "del",
            "moveFrom",
            "pPr",
            "rPr",
            "sectPr",
            "sdtPr",
            "sdtEndPr",
            "tblPr",
            "tblPrEx",
            "tblGrid",
            "trPr",
            "tcPr",
        ),
        *("ffData", "instrText", "delText", "delInstrText", "rt", "docPr", "binData", "ctrlPr", "sSupPr", "fPr"),
    )
)
_SIGNS = {"tab": "\t", "ptab": "\t", "cr": "\n", "br": "\n", "noBreakHyphen": "-", "den": "/"}
_TABLES = {"tbl": "table", "tr": "row", "tc": "cell"}
_REFERENCES = {"footnoteReference": "footnote", "endnoteReference": "endnote", "commentReference": "comment"}
_SHOWN = frozenset((*_SIGNS, *_TABLES, "sym", "fldChar", "sdt", "txbxContent", "relIds"))
_NO_LOOK = Look()
_LOOKS = 500_000  # elements of drawings in which text is looked for: those nested in one another are seen again


class _Step(NamedTuple):
    """An element that is to be walked, or to be ended."""

    node: Element
    look: Look
    is_end: bool = False


class Walk:
    """Walks one part of a DOCX.

    Args:
        package: The file.
        looks: Its styles.
        related: What the part names, by its ids.
        asides: Footnotes, endnotes and comments by their ids.
    """

    def __init__(
        self, package: Package, looks: Looks, related: Mapping[str, Part], asides: Mapping[str, Mapping[str, Element]]
    ) -> None:
        self._package, self._looks, self._related, self._asides = package, looks, related, asides
        self._lines = Lines(is_tight=True)
        self._pending: list[tuple[str, Element]] = []
        self._taken: set[tuple[str, str]] = set()  # notes and files within: each once
        self._unknown = 0
        self._looks_left = _LOOKS
        self._joins = False  # the last paragraph's end was deleted
        self._is_blank = False  # nothing was in the paragraph yet

    @property
    def _content(self) -> Content:
        return self._package.content

    def text(self, root: Element) -> str:
        """Return what a reader sees."""
        self._walk(root)
        self._flush_asides()
        return self._lines.text()

    def report(self) -> None:
        """Say what could only be taken in part."""
        if self._unknown:
            self._content.guess("", f"{self._unknown} signs of a symbol font that is not known are U+FFFD")

    def _walk(self, root: Element) -> None:
        """Walk an element with a stack, since elements may be nested deeper than Python calls."""
        waiting = [_Step(root, _NO_LOOK)]
        while waiting:
            step = waiting.pop()
            if step.is_end:
                self._end(step.node)
                continue
            name = name_of(step.node)
            if name in _UNSEEN or _is_deleted(step.node, name):
                continue
            inner = self._begin(step.node, name, step.look)
            if inner is None:
                continue
            if name in _TABLES or name in ("p", "txbxContent"):
                waiting.append(_Step(step.node, step.look, is_end=True))
            waiting.extend(_Step(node, inner, is_end=False) for node in reversed(self._children(step.node, name)))

    def _begin(self, node: Element, name: str, look: Look) -> Look | None:
        """Take the beginning of an element; return how what is in it looks, or ``None`` where it is not walked."""
        if name == "p":
            if not self._joins:
                self._lines.line()
            self._joins, self._is_blank = False, True
            look = self._looks.of_paragraph(node)
            if look.level and not self._lines.is_in_cell:
                self._lines.heading(min(look.level, 6))
            return look
        if name == "r":
            look = self._looks.of_run(node, look)
            return None if look.is_unseen else look
        if name == "t":
            self._is_blank = False
            self._write(node.text or "", look)
            return None
        return self._begin_other(node, name, look)

    def _begin_other(self, node: Element, name: str, look: Look) -> Look | None:
        self._is_blank = self._is_blank and name not in _SHOWN
        if name in _TABLES:
            self._lines.begin(_TABLES[name], node)
        elif name == "txbxContent":
            self._lines.line()
        elif name == "sup":
            return Look(look.is_unseen, True, look.font, look.level)
        elif name in _SIGNS:
            self._lines.add(_SIGNS[name], is_kept=True)
            return look if name == "den" else None
        elif name == "sym":
            self._write_symbol(value(node, "font") or "", value(node, "char") or "")
        elif name == "fldChar":
            self._lines.word(legacy_field(child(node, "ffData")))
        elif name == "sdt" and (shown := content_control(node)) is not None:
            self._lines.word(shown)
            return None
        elif name in _REFERENCES:
            self._refer(_REFERENCES[name], value(node, "id") or "")
        elif name == "altChunk":
            self._include(value(node, "id") or "")
        elif name == "relIds":
            self._diagram(value(node, "dm") or "")
        return look

    def _end(self, node: Element) -> None:
        name = name_of(node)
        if name in _TABLES:
            self._lines.end(_TABLES[name], node)
        elif name == "p" and child(node, "pPr", "rPr", "del") is not None:
            self._joins = True
        else:
            if name == "p":
                self._end_paragraph()
            self._flush_asides()

    def _end_paragraph(self) -> None:
        """End a paragraph: an empty one is an empty line, and one that ends in a text box has ended already."""
        if self._is_blank:
            self._lines.line_end()
        else:
            self._lines.line()
        self._is_blank = False

    def _children(self, node: Element, name: str) -> list[Element]:
        """Return what is in an element; of a drawing's twins the one that has text in it."""
        if name != "AlternateContent":
            return list(node)
        choices = [*children(node, "Choice"), *children(node, "Fallback")]
        return next(([each] for each in choices if self._holds_text(each)), choices[:1])

    def _holds_text(self, node: Element) -> bool:
        for each in islice(node.iter(), self._looks_left):
            self._looks_left -= 1
            if name_of(each) == "t":
                return True
        return False

    def _write(self, text: str, look: Look) -> None:
        if look.font:
            text = "".join(symbol(look.font, ord(sign)) for sign in text)
            self._unknown += text.count("\ufffd")
        self._lines.add(raised(text) if look.is_raised else text, is_kept=True)

    def _write_symbol(self, font: str, code: str) -> None:
        try:
            number = int(code, 16)
            sign = symbol(font, number) if is_symbol_font(font) else chr(number)
        except (ValueError, OverflowError):
            sign = "\ufffd"
        if "\ue000" <= sign <= "\uf8ff" or "\ud800" <= sign <= "\udfff":
            sign = "\ufffd"
        self._unknown += sign == "\ufffd"
        self._lines.add(sign, is_kept=True)

    def _refer(self, kind: str, id: str) -> None:
        note = self._asides.get(kind, {}).get(id)
        if note is not None and self._is_new(kind, id):
            self._pending.append((kind, note))

    def _is_new(self, kind: str, id: str) -> bool:
        """Whether something is referred to for the first time."""
        is_new = (kind, id) not in self._taken
        self._taken.add((kind, id))
        return is_new

    def _flush_asides(self) -> None:
        """Write the notes of the paragraph that ended on lines of their own."""
        pending, self._pending = self._pending, []
        for kind, note in pending:
            inner = Walk(self._package, self._looks, {}, {})
            text = inner.text(note).strip()
            self._unknown += inner._unknown
            if text:
                self._lines.line()
                self._lines.add(f"[{kind}: {text}]", is_kept=True)
                self._lines.line_end()

    def _include(self, id: str) -> None:
        """Take a file that stands within the text."""
        from bedside.loaders.content import text_of

        part = self._related.get(id)
        if part is None or not self._is_new("file", part.name):
            return
        with self._content.part(part.name):
            if part.is_outside:
                self._content.leave_out(part.name, "only linked to")
                return
            text = text_of(self._content.attached(self._package.data(part.name), part.name))
            self._lines.line()
            self._lines.add(text, is_kept=True)
            self._lines.line_end()

    def _diagram(self, id: str) -> None:
        """Take the words of a drawing that is kept as a list of points."""
        part = self._related.get(id)
        if part is None or part.is_outside or not self._is_new("diagram", part.name):
            return
        root = self._package.tree(part.name)
        for point in descendants(root, "pt"):
            words = "".join(node.text or "" for node in descendants(point, "t")).strip()
            if words:
                self._lines.line()
                self._lines.add(words)
                self._lines.line_end()


def _is_deleted(node: Element, name: str) -> bool:
    """Whether a row or a cell was deleted, or is hidden."""
    if name == "tr":
        properties = child(node, "trPr")
        return child(properties, "del") is not None or is_on(child(properties, "hidden"))
    return name == "tc" and child(node, "tcPr", "cellDel") is not None
