"""HL7 v2 as it is written: messages of segments, fields, repetitions, components, escapes (chapter 2)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bedside.loaders.decoding import decoded

if TYPE_CHECKING:
    from bedside.loaders.content import Content

# MSH-18, table 0211; what is not here is UTF-8 or ASCII, which is part of it.
_CODECS = {
    "8859/1": "cp1252", "8859/2": "iso8859-2", "8859/3": "iso8859-3", "8859/4": "iso8859-4", "8859/5": "iso8859-5",
    "8859/6": "iso8859-6", "8859/7": "iso8859-7", "8859/8": "iso8859-8", "8859/9": "iso8859-9", "8859/15": "iso8859-15",
    "GB 18030-2000": "gb18030", "KS X 1001": "euc_kr", "CNS 11643-1992": "cp950", "BIG-5": "big5",
    "ISO IR87": "iso2022_jp", "UNICODE UTF-16": "utf-16", "UNICODE UTF-32": "utf-32",
}  # fmt: skip
_ENDS = re.compile(r"\r\n|[\r\n\x0b\x1c\x1d\x1e\x85]")
_HEADS = ("MSH", "FHS", "BHS")
_SIGNS = "|^~\\&"
_NULL = '""'  # the value is to be deleted


@dataclass(frozen=True)
class Segment:
    """A line of a message.

    Attributes:
        fields: As they are written, the segment's name first, so that a field's number is its place.
        signs: What parts fields, components, repetitions, escapes and subcomponents.
        codec: Of escaped bytes.
    """

    fields: tuple[str, ...]
    signs: str
    codec: str

    @property
    def name(self) -> str:
        """Its three letters."""
        return self.fields[0]

    def raw(self, number: int) -> str:
        """Return a field as it is written; empty if there is none, or where it is to be deleted."""
        value = self.fields[number] if number < len(self.fields) else ""
        return "" if value == _NULL else value

    def count(self, number: int) -> int:
        """Return how often a field is repeated."""
        return self.raw(number).count(self.signs[2]) + 1

    def text(self, number: int) -> str:
        """Return a field that has no components, such as TX and FT; its repetitions are lines."""
        return text_in(self.raw(number), self.signs, self.codec)

    def component(self, number: int, component: int, repetition: int = 0) -> str:
        """Return a component without its subcomponents after the first."""
        held = self._components(number, repetition)
        first = held[component - 1].split(self.signs[4])[0] if component <= len(held) else ""
        return _unescaped(first, self.signs, self.codec).strip()

    def coded(self, number: int, repetition: int = 0) -> str:
        """Return a coded field (CE, CWE) in words: the original text, its text, that in another system, or its code.

        A text has no subcomponents: the sign that parts them is one that the system forgot to escape.
        """
        held = self._components(number, repetition)
        texts = (_unescaped(held[at - 1], self.signs, self.codec).strip() for at in (9, 2, 5) if at <= len(held))
        return next(filter(None, texts), "") or self.component(number, 1, repetition)

    def words(self, number: int, repetition: int = 0) -> str:
        """Return all components of a field one after the other."""
        held = self._components(number, repetition)
        parts = (part for component in held for part in component.split(self.signs[4]))
        return " ".join(_unescaped(part, self.signs, self.codec).strip() for part in parts if part.strip())

    def person(self, number: int) -> str:
        """Return a name (XCN: number, family, given; NDL: the same as subcomponents)."""
        held = self._components(number, 0)
        parts = held[0].split(self.signs[4]) if self.signs[4] in held[0] and len(held) < 3 else held
        name = [_unescaped(part.split(self.signs[4])[0], self.signs, self.codec).strip() for part in parts]
        return " ".join(filter(None, (*name[2:3], *name[1:2]))) or (name[0] if not name[0].isdigit() else "")

    def identifier(self, number: int) -> str:
        """Return an entity identifier (EI) in one string."""
        parts = (self.component(number, at) for at in range(1, 5))
        return "^".join(part for part in parts if part)

    def encapsulated(self, number: int) -> tuple[str, str, str, str]:
        """Return type, subtype, encoding and data of a field of type ED."""
        _, kind, subtype, encoding, data = (*self.raw(number).split(self.signs[1], 4), *[""] * 5)[:5]
        written = _unescaped(data.replace(self.signs[2], ""), self.signs, self.codec)
        return kind.strip(), subtype.strip().lower(), encoding.strip(), written

    def _components(self, number: int, repetition: int) -> list[str]:
        repetitions = self.raw(number).split(self.signs[2])
        return repetitions[repetition].split(self.signs[1]) if repetition < len(repetitions) else [""]


def messages(content: Content) -> Iterator[list[Segment]]:
    """Yield each message of a file, its MSH first; the frames of a batch and of MLLP are passed over.

    A line that does not begin as a segment does is a line of the field before it: systems forget to escape line ends.

    Raises:
        UnreadableFileError: The file is not in the encoding that it says.
    """
    codec = content.encoding or _codec(content.data)
    try:
        text = decoded(content.data, codec)
    except ValueError as error:
        raise content.refused(str(error)) from None
    message: list[Segment] = []
    count, promised = 0, 0
    for line, signs in _lines(text):
        segment = _segment(line, signs, codec or "utf-8")
        if segment.name == "BTS":
            promised += int(segment.text(1)) if segment.text(1).isascii() and segment.text(1).isdigit() else 0
        if segment.name in (*_HEADS, "BTS", "FTS"):
            if message:
                yield message
            message = [segment] if segment.name == "MSH" else []
            count += segment.name == "MSH"
        elif message:
            message.append(segment)
    if message:
        yield message
    if promised > count:
        content.refuse("", f"the batch ends with a count of {promised} messages and holds {count}")


def text_in(written: str, signs: str, codec: str = "utf-8") -> str:
    r"""Return what a field of text says: escapes are what they stand for, repetitions are lines.

    A repetition sign between a space and a digit is one that the system forgot to escape: about.

    Example:
        >>> text_in(r"Opacity ~3 cm\.br\5 \T\ 6~Plan: rest", "|^~\\&")
        'Opacity ~3 cm\n5 & 6\nPlan: rest'
    """
    if written.startswith("{\\rtf"):  # as it is, with nothing escaped
        return written
    lines = re.sub(rf"(?<!\s)(?<!\A){re.escape(signs[2])}|{re.escape(signs[2])}(?!\d)", "\n", written)
    return _unescaped(lines, signs, codec)


def _unescaped(written: str, signs: str, codec: str) -> str:
    if signs[3] not in written:
        return written
    sign = re.escape(signs[3])
    return re.sub(
        rf"{sign}([^{sign}\n]{{1,200}}){sign}", lambda found: _meant(found[1], found[0], signs, codec), written
    )


def _meant(escape: str, written: str, signs: str, codec: str) -> str:
    """Return what stands for an escape; what is not an escape is what it is."""
    plain = {"F": signs[0], "S": signs[1], "R": signs[2], "E": signs[3], "T": signs[4], "P": "#", "H": "", "N": ""}
    if escape in plain:
        return plain[escape]
    command = re.fullmatch(r"\.(br|sp|sk|ce|fi|nf|in|ti)\s*([+-]?\d{0,3})", escape, re.IGNORECASE)
    if command:
        name, number = command[1].lower(), abs(int(command[2])) if command[2].strip("+-") else 1
        return "\n" * number if name == "sp" else "\n" if name in ("br", "ce") else " " * number if name == "sk" else ""
    if re.fullmatch(r"X(?:[0-9A-Fa-f]{2})+", escape):
        return bytes.fromhex(escape[1:]).decode(codec, "replace").replace("\r\n", "\n").replace("\r", "\n")
    return "" if re.fullmatch(r"[CM][0-9A-Fa-f]{4,6}|Z[0-9A-Za-z]{0,8}", escape) else written


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """Yield each segment's line with the signs of the message that it is of."""
    signs, held = _SIGNS, list[str]()
    for line in _ENDS.split(text.lstrip("\ufeff")):
        begin = line.lstrip()
        is_head = begin[:3] in _HEADS and len(begin) > 3 and not begin[3].isalnum()
        if is_head or re.match(rf"[A-Z][A-Z0-9]{{2}}(?:{re.escape(signs[0])}|\s*\Z)", begin):
            if held:
                yield "\n".join(held), signs
            signs = _signs(begin) if is_head else signs
            held = [begin]
        elif held:
            held.append(line)
    if held:
        yield "\n".join(held), signs


def _signs(head: str) -> str:
    """Return the signs that a message, file or batch header names, in the usual order; the usual ones where none is."""
    part, named = head[3], head[4:].split(head[3], 1)[0]
    component, repetition, escape, sub = (named[at] if at < len(named) else _SIGNS[at + 1] for at in range(4))
    return part + component + repetition + escape + sub


def _segment(line: str, signs: str, codec: str) -> Segment:
    fields = line.rstrip().split(signs[0])
    if fields[0] in _HEADS:  # the first sign that parts fields is a field itself
        fields.insert(1, signs[0])
    return Segment((fields[0].strip(), *fields[1:]), signs, codec)


def _codec(data: bytes) -> str | None:
    """Return the encoding that the first message names in MSH-18."""
    head = re.search(rb"MSH[^\r\n]{1,2000}", data)
    fields = head[0].decode("latin-1") if head else ""
    named = fields.split(fields[3])[17:18] if len(fields) > 3 else []
    return _CODECS.get(named[0].split("~")[0].strip().upper()) if named else None
