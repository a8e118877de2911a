"""Bytes as text: byte order marks, what HTML and XML declare, and nothing else by guessing."""

from __future__ import annotations

import codecs
import re

# UTF-32's little-endian mark begins with UTF-16's.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CHARSET = re.compile(
    rb"<meta[^>]{1,500}?charset\s{0,9}=\s{0,9}[\"']?\s{0,9}([\w:-]{2,40})|<\?xml[^>]{1,500}?encoding=[\"']([\w:-]{2,40})",
    re.IGNORECASE,
)
_DECLARED_WITHIN = 1024  # bytes, as browsers look at
# What a page means by its declaration, https://encoding.spec.whatwg.org/#names-and-labels: an encoding that it cannot
# be in, since the declaration was read as ASCII, is UTF-8.
_MEANT = dict.fromkeys(("iso-8859-1", "iso8859-1", "latin1", "latin-1", "ascii", "us-ascii"), "cp1252") | dict.fromkeys(
    ("utf-16", "utf-16le", "utf-16be", "utf-32"), "utf-8"
)


class UndecodableError(ValueError):
    """Bytes are text in another encoding than the one that was named, declared or assumed."""


def decoded(data: bytes, encoding: str | None = None) -> str:
    """Return bytes as text, by their mark, the encoding given, the one they declare, or as UTF-8.

    Raises:
        UndecodableError: They are in another encoding.
        ValueError: They are something else; the message says what and where.
    """
    name = encoding_of(data, encoding)
    try:
        text = data.decode(name)
    except UnicodeDecodeError as error:
        raise UndecodableError(f"byte {error.start} is not {name}") from None
    except (LookupError, UnicodeError, TypeError):
        raise ValueError(f"{name!r} is not a known text encoding") from None
    if "\0" in text:
        raise ValueError("holds null characters: it is neither text nor another kind of file that is read")
    return text


def peeked(data: bytes, encoding: str | None = None) -> str:
    """Return bytes as text as far as they are text: enough to see how a file begins, and never an error."""
    try:
        return data.decode(encoding_of(data, encoding), "replace")
    except (LookupError, UnicodeError, TypeError):
        return data.decode("utf-8", "replace")


def has_mark(data: bytes) -> bool:
    """Whether bytes begin with a byte order mark."""
    return any(data.startswith(mark) for mark, _ in _MARKS)


def encoding_of(data: bytes, encoding: str | None = None) -> str:
    """Return the encoding that bytes are said to be in."""
    marked = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    return marked or encoding or _declared(data[:_DECLARED_WITHIN]) or "utf-8"


def _declared(beginning: bytes) -> str | None:
    """Return the encoding that HTML or XML says it is in."""
    found = _CHARSET.search(beginning) if beginning.lstrip()[:1] == b"<" else None
    name = (found[1] or found[2]).decode("ascii").lower() if found else None
    return None if name is None else _MEANT.get(name, name)
