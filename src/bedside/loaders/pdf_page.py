"""The text of a page of a PDF, and what on it cannot be read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bedside.loaders.hyphens import joined
from bedside.loaders.symbols import symbol

MAX_OPERATIONS = 10_000_000
"""The most drawing operations of a file, counted anew each time that a form is drawn; a page of text has thousands."""
MAX_UNREADABLE = 0.02
"""The share of signs without a meaning from which on a page is refused: bullets in a font without a map are fewer."""
# Control characters, halves of pairs, private signs, and the names of glyphs that stand for nothing.
_UNREADABLE = re.compile(
    r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\ud800-\udfff\ue000-\uf8ff\ufffd]|/(?:[A-Za-z]{1,3}\d{1,5}|cid\d{1,5})(?=/|$)"
)
_PRIVATE = re.compile(r"[\uf020-\uf0ff]")
_UNKNOWN = "\ufffd"
_SCAN, _LITTLE = 0.5, 200  # of the page's area; characters beside it, as of a line that a fax machine adds
_INVISIBLE = 3  # the rendering mode of text that lies over the scan in which it was recognised
_LINES = 40  # curves as a logo has them
_MARKS = dict.fromkeys((b"c", b"v", b"y"), 1) | dict.fromkeys((b"Tj", b"TJ", b"'", b'"', b"sh"), _LINES + 1)


class TooMuchError(Exception):
    """The file draws more than a chart does."""


@dataclass(frozen=True)
class PageText:
    """What a page says.

    Attributes:
        text: What can be read of it.
        unreadable: Signs that stand for nothing, each U+FFFD in the text.
        is_scan: A picture covers it, and next to nothing else is on it.
        is_drawn: There is more on it than lines: pictures, curves, or what should be text.
    """

    text: str
    unreadable: int
    is_scan: bool
    is_drawn: bool

    @property
    def is_garbled(self) -> bool:
        """Whether too little of it can be read for any of it to be trusted."""
        return self.unreadable > MAX_UNREADABLE * len("".join(self.text.split()))


@dataclass
class PageReader:
    """Reads the pages of one file, one after another.

    Attributes:
        operations: Drawing operations so far.
    """

    operations: int = 0

    def read(self, page: Any) -> PageText:
        """Return what a page says.

        Raises:
            TooMuchError: The pages read so far draw more than ``MAX_OPERATIONS``.
        """
        seen = _Seen(_forms(page))

        def drawn(operator: bytes, operands: Any, matrix: Any, _: Any) -> None:
            self.operations += 1
            if self.operations > MAX_OPERATIONS:
                raise TooMuchError
            seen.drawn(operator, operands, matrix)

        whole = page.extract_text(visitor_operand_before=drawn, visitor_text=seen.written)
        if self.operations > MAX_OPERATIONS:  # pypdf goes on where a form raises
            raise TooMuchError
        readable = "".join(seen.readable) if "".join(seen.pieces) == whole else _marked(whole, "")
        text = joined(readable.replace("\f", "\n"))
        area = abs(float(page.mediabox.width) * float(page.mediabox.height)) or 1.0
        is_scan = seen.pictured / area > _SCAN and len(text.strip()) < _LITTLE and not seen.is_recognised
        return PageText(text, text.count(_UNKNOWN), is_scan, seen.marks > _LINES or seen.pictured > 0)


@dataclass
class _Seen:
    """What is on one page."""

    forms: frozenset[str]
    pieces: list[str] = field(default_factory=list)
    readable: list[str] = field(default_factory=list)
    pictured: float = 0.0
    marks: int = 0
    is_recognised: bool = False

    def drawn(self, operator: bytes, operands: Any, matrix: Any) -> None:
        """Take a drawing operation."""
        if operator == b"INLINE IMAGE" or (operator == b"Do" and operands and operands[0] not in self.forms):
            self.pictured += abs(matrix[0] * matrix[3] - matrix[1] * matrix[2])
        elif operator == b"Tr":
            self.is_recognised |= bool(operands) and operands[0] == _INVISIBLE
        else:
            self.marks += _MARKS.get(operator, 0)

    def written(self, text: str, _cm: Any, _tm: Any, font: Any, _size: Any) -> None:
        """Take a text as pypdf makes it of a font's codes."""
        self.pieces.append(text)
        font = font if isinstance(font, Mapping) else {}
        if _has_no_map(font):
            self.readable.append(re.sub(r"\S", _UNKNOWN, text))
        else:
            self.readable.append(_marked(text, str(font.get("/BaseFont", ""))))


def _marked(text: str, font: str) -> str:
    """Return a text with Word's private signs as what they stand for, and U+FFFD for each sign that says nothing."""
    name = font.lstrip("/").rpartition("+")[2].lower()
    name = "symbol" if name.startswith("symbol") else name
    text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if name == "symbol" or name.startswith("wingdings"):
        text = _PRIVATE.sub(lambda sign: symbol(name, ord(sign[0])), text)
    text = text.replace("\uf0b7", "•")  # Word's bullet, which fonts of other names have too
    return _UNREADABLE.sub(_UNKNOWN, text)


def _has_no_map(font: Mapping[str, Any]) -> bool:
    """Whether a font's codes are mere numbers of glyphs, and nothing says which characters those are."""
    encoding = font.get("/Encoding")
    return (
        font.get("/Subtype") == "/Type0"
        and isinstance(encoding, str)
        and encoding.startswith("/Identity")
        and "/ToUnicode" not in font
    )


def _forms(page: Any) -> frozenset[str]:
    """Return the names of what the page draws that is not a picture, but more drawing."""
    resources = page.get("/Resources")
    held = resources.get_object().get("/XObject") if resources is not None else None
    drawings = {} if held is None else held.get_object()
    return frozenset(name for name in drawings if drawings[name].get("/Subtype") == "/Form")
