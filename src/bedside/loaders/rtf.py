r"""RTF as text: paragraphs as lines, the rows of tables too, cells between tabs; ticks, footnotes, headers and footers.

Rich Text Format 1.9.1, https://interoperability.blob.core.windows.net/files/Archive_References/[MSFT-RTF].pdf. We read
it ourselves: striprtf 0.0.35, the library for it, drops headers, footers, footnotes, text boxes and ticks without a
word, keeps what is struck out or hidden, takes superscripts and the font Symbol for ordinary letters (10⁹, μg), and
makes halves of characters of a ``\u`` pair.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from bedside.loaders.rtf_words import (
    ASIDES,
    BREAKS,
    CODECS,
    CODECS_OF_WORDS,
    DESTINATIONS,
    LAID_OUT,
    ROW,
    SIGNS,
    codec_of,
)
from bedside.loaders.scripts import raised
from bedside.loaders.symbols import is_symbol_font, symbol
from bedside.types import Document

if TYPE_CHECKING:
    from bedside.loaders.content import Content

MAX_DEPTH = 10_000
"""The most groups within one another: Word writes some dozen."""
_HEARD = frozenset(("", "fonttbl", "ffl"))  # destinations whose characters count
_TOKEN = re.compile(
    r"\\(?P<word>[a-zA-Z]{1,32})(?P<number>-?\d{1,10})?[ ]?|\\'(?P<byte>[0-9a-fA-F]{2})|\\(?P<sign>[^a-zA-Z])"
    r"|(?P<brace>[{}])|(?P<text>[^\\{}\r\n\0]+)|[\r\n\0\\]+"
)


def documents(content: Content, text: str) -> Iterator[Document]:  # noqa: ARG001 - RTF has its own encodings
    """Yield the file as one document; what is hidden, deleted or struck out is left out."""
    yield Document(_Reader(content).text(), {}, content.id)


class _State(NamedTuple):
    """What a group inherits and what ends with it."""

    out: list[str]
    skipped: str = ""  # the destination that nobody sees
    font: int | None = None
    after_unicode: int = 1  # characters that stand for a \u where it is not understood
    unseen: frozenset[str] = frozenset()  # properties by which the text is not current
    is_raised: bool = False
    in_table: bool = False


class _Reader:
    """Reads one file; the text of headers, footers, footnotes and comments comes after its body."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._body: list[str] = []
        self._asides: list[list[str]] = []
        self._state, self._stack = _State(self._body), list[_State]()
        self._fonts: dict[int, tuple[str, str]] = {}  # name and codec
        self._codec = content.encoding or "cp1252"
        self._raw = "utf-8" if _is_utf8(content.data) else ""  # for bytes that are not escaped
        self._bytes = bytearray()  # of one codec, not yet decoded
        self._bytes_codec = ""
        self._skip = 0  # characters left that stand for a \u
        self._field: dict[str, int] = {}  # of the form field that is being read
        self._choices: list[str] = []
        self._font = 0  # where none is chosen
        self._undecoded: set[str] = set()
        self._pictures = 0

    def text(self) -> str:
        data, at = self._content.data.decode("latin-1"), 0
        while found := _TOKEN.match(data, at):
            at = found.end()
            if found["word"] == "bin":
                at += max(0, int(found["number"] or 0))
            else:
                self._take(found)
        self._flush()
        self._report()
        return _tidied(self._body, self._asides)

    def _take(self, found: re.Match[str]) -> None:
        if found["text"]:
            self._plain(found["text"])
        elif found["byte"]:
            self._byte(bytes([int(found["byte"], 16)]), self._codec_here())
        elif found["word"]:
            self._skip = self._skip if found["word"] == "u" else 0
            self._word(found["word"], None if found["number"] is None else int(found["number"]))
        elif found["brace"]:
            self._skip = 0
            self._group(found["brace"])
        elif found["sign"]:
            self._sign(found["sign"])

    # -- text ----------------------------------------------------------------------------------------------------------

    def _plain(self, text: str) -> None:
        """Take characters that stand for themselves; as bytes, since they may be the second halves of some."""
        text, self._skip = text[self._skip :], max(0, self._skip - len(text))
        if text and self._state.skipped in _HEARD:
            self._byte(text.encode("latin-1"), self._raw if self._raw and not text.isascii() else self._codec_here())

    def _byte(self, data: bytes, codec: str) -> None:
        if self._skip:
            self._skip -= 1
            return
        if codec != self._bytes_codec:
            self._flush()
        self._bytes_codec = codec
        self._bytes += data

    def _font_here(self) -> tuple[str, str]:
        """Return name and codec of the font that is chosen."""
        return self._fonts.get(self._font if self._state.font is None else self._state.font, ("", ""))

    def _codec_here(self) -> str:
        return self._font_here()[1] or self._codec

    def _flush(self) -> None:
        """Decode the bytes that came together and write them."""
        if not self._bytes:
            return
        data, self._bytes = bytes(self._bytes), bytearray()
        font = self._font_here()[0]
        if self._state.skipped == "fonttbl":
            self._name_font(data)
        elif is_symbol_font(font):
            self._write("".join(symbol(font, code) for code in data))
        else:
            try:
                text = data.decode(self._bytes_codec)
            except UnicodeDecodeError:
                text = data.decode(self._bytes_codec, "replace")
                self._undecoded.add(self._bytes_codec)
            self._write(text)

    def _write(self, text: str) -> None:
        state = self._state
        if state.skipped == "ffl":
            self._choices[-1] += text
        elif not state.skipped and not state.unseen:
            state.out.append(raised(text) if state.is_raised else text)

    # -- groups and signs ----------------------------------------------------------------------------------------------

    def _group(self, brace: str) -> None:
        self._flush()
        if brace == "{":
            if len(self._stack) >= MAX_DEPTH:
                raise self._content.refused(f"RTF with over {MAX_DEPTH} groups within one another")
            self._stack.append(self._state)
        elif self._stack:
            was, self._state = self._state, self._stack.pop()
            if was.skipped == "formfield" != self._state.skipped and not self._state.unseen:
                self._state.out.append(_chosen(self._field, self._choices))

    def _sign(self, sign: str) -> None:
        if self._skip:
            self._skip -= 1
        elif sign == "*":  # what follows is for those who know it
            self._flush()
            self._state = self._state._replace(skipped=self._state.skipped or "*")
        elif sign in SIGNS or sign in BREAKS:
            self._flush()
            self._write(SIGNS[sign]) if sign in SIGNS else self._break(BREAKS[sign])

    # -- words ---------------------------------------------------------------------------------------------------------

    def _word(self, word: str, number: int | None) -> None:
        if word == "u":
            self._unicode(number or 0)
            return
        self._flush()
        state = self._state
        if word in DESTINATIONS or (word in ASIDES and state.skipped in ("", "*")):
            self._destination(word)
        elif state.skipped == "*" and word in LAID_OUT:
            self._state = state._replace(skipped="")
        elif state.skipped:
            self._within(word, number)
        elif word in SIGNS:
            self._write(SIGNS[word])
        elif word in BREAKS:
            self._break(BREAKS[word])
        else:
            self._property(word, number)

    def _destination(self, word: str) -> None:
        state = self._state
        if word in ASIDES:
            self._asides.append([])
            self._state = _State(self._asides[-1], font=state.font, after_unicode=state.after_unicode)
        elif word == "ud":
            self._state = state._replace(skipped="" if state.skipped == "upr" else state.skipped)
        elif word == "ffl" and state.skipped == "formfield":
            self._choices.append("")
            self._state = state._replace(skipped=word)
        elif state.skipped in ("", "*") or (word, state.skipped) == ("formfield", "fldinst"):
            if word == "formfield":
                self._field, self._choices = {}, []
            self._pictures += word == "pict"
            self._state = state._replace(skipped=word)

    def _within(self, word: str, number: int | None) -> None:
        """Take a word of a destination that nobody sees: fonts and form fields say something of what is seen."""
        state, name = self._state, self._font_here()[0]
        if state.skipped == "fonttbl" and word == "f":
            self._state = state._replace(font=number or 0)
        elif state.skipped == "fonttbl" and word in ("fcharset", "cpg") and state.font is not None:
            codec = CODECS.get(number or 0) if word == "fcharset" else codec_of(number or 0)
            self._fonts[state.font] = (name, codec or "")
        elif state.skipped == "formfield" and word in ("fftype", "ffres", "ffdefres"):
            self._field[word] = number or 0

    def _property(self, word: str, number: int | None) -> None:
        state, is_on = self._state, number != 0
        if word in ("strike", "striked", "v", "deleted"):
            self._state = state._replace(unseen=state.unseen | {word} if is_on else state.unseen - {word})
        elif word in ("super", "up", "sub", "dn", "nosupersub"):
            self._state = state._replace(is_raised=word in ("super", "up") and is_on)
        elif word == "plain":
            self._state = state._replace(unseen=frozenset(), is_raised=False, font=None)
        elif word == "f":
            self._state = state._replace(font=number or 0)
        elif word in ("pard", "trowd", "intbl"):
            self._state = state._replace(in_table=word != "pard")
        elif word == "uc":
            self._state = state._replace(after_unicode=max(0, number or 0))
        elif word == "deff":
            self._font = number or 0
        elif word in CODECS_OF_WORDS or word == "ansicpg":
            self._codec = CODECS_OF_WORDS.get(word) or codec_of(number or 0) or self._codec

    def _unicode(self, number: int) -> None:
        if self._skip:
            self._skip -= 1
            return
        self._flush()
        code, font = number % 0x10000, self._font_here()[0]
        self._write(symbol(font, code) if 0xF000 <= code < 0xF100 else chr(code))
        self._skip = self._state.after_unicode

    def _break(self, written: str) -> None:
        """End a line; in a cell only the end of the row does."""
        state = self._state
        if not state.skipped and not state.unseen:
            state.out.append(" " if written == "\n" and state.in_table else written.replace(ROW, "\n"))
        if written == ROW:
            self._state = state._replace(in_table=False)

    def _name_font(self, data: bytes) -> None:
        name = data.decode("latin-1").strip().rstrip(";")
        if name and self._state.font is not None:
            self._fonts[self._state.font] = (name, self._font_here()[1])

    def _report(self) -> None:
        if self._stack:
            self._content.refuse("", f"cut off: {len(self._stack)} groups of the RTF are not closed")
        if self._undecoded:
            self._content.refuse("", f"some characters are not {', '.join(sorted(self._undecoded))}, as the RTF says")
        if self._raw:
            self._content.guess("", "its letters outside of ASCII are read as UTF-8, which RTF does not know")
        if self._pictures:
            self._content.leave_out("pictures", f"{self._pictures} pictures in the RTF")


def _chosen(field: dict[str, int], choices: list[str]) -> str:
    """Return a form field as it is seen; one for text says it in its result."""
    value = field.get("ffres", 25)
    value = field.get("ffdefres", 0) if value == 25 else value  # 25 is "as it is by default"
    if field.get("fftype") == 1:
        return "[x]" if value else "[ ]"
    return choices[value] if field.get("fftype") == 2 and 0 <= value < len(choices) else ""


def _is_utf8(data: bytes) -> bool:
    """Whether bytes outside of ASCII are there, and all of them are UTF-8: by chance they are not."""
    if data.isascii():
        return False
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _tidied(body: list[str], asides: list[list[str]]) -> str:
    """Join the pieces: halves of characters to whole ones, lines without space at their ends, no aside twice."""
    parts = ["".join(part) for part in (body, *asides)]
    whole = (part.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace") for part in parts)
    lines = ("\n".join(line.strip(" ").rstrip() for line in part.split("\n")).strip("\n") for part in whole)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(dict.fromkeys(part for part in lines if part.strip())))
