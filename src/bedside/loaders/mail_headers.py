"""How a message begins: told from bytes, before anything is read."""

from __future__ import annotations

import re

_BEGINNING = 1 << 16
_HEADER = re.compile(rb"([!-9;-~]{1,76}):")
_SURE = frozenset((b"received", b"message-id", b"mime-version", b"return-path", b"delivered-to"))
_USUAL = frozenset((b"from", b"to", b"date", b"subject", b"content-type"))


def header_names(data: bytes) -> frozenset[bytes]:
    """Return the names of the headers that a message begins with, in lower case; none where it does not begin so."""
    names = set()
    for number, line in enumerate(data[:_BEGINNING].splitlines()):
        if not line.strip():
            break
        if line[:1] in b" \t" or (number == 0 and line.startswith(b"From ")):
            continue
        found = _HEADER.match(line)
        if found is None:
            return frozenset()
        names.add(found[1].lower())
    return frozenset(names)


def is_message(data: bytes, *, named: bool) -> bool:
    """Whether bytes are a message: by headers that people do not write into notes, or by its name and any header."""
    names = header_names(data)
    return bool(names & _USUAL) and (named or bool(names & _SURE))


def is_page(data: bytes) -> bool:
    """Whether a message is a page that a browser saved."""
    head = re.split(rb"\r?\n\r?\n", data[:_BEGINNING], maxsplit=1)[0].lower()
    return b"multipart/related" in head and (
        b"saved by" in head or b"content-location:" in head or b"\nto:" not in head
    )
