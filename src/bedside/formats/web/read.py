"""A page back as records: those that were written, not what a browser added to them."""

from __future__ import annotations

import re
import zlib
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bedside.errors import UnreadableFileError
from bedside.formats.fields import make, parse
from bedside.types import Document

_MARK = b'<meta name="generator" content="bedside web page">'
_GZIP = 16 + zlib.MAX_WBITS


def detect(path: Path, head: bytes) -> bool:
    """A page that says so at its beginning."""
    return path.is_file() and _MARK in head


def read(path: Path) -> Iterator[Document]:
    """Yield the documents.

    Raises:
        UnreadableFileError: The page is sealed, or damaged.
    """
    page = path.read_bytes()
    if parse(_block(page, b"bedside", path.name), path.name, "its first block")["seal"] is not None:
        raise UnreadableFileError(path.name, "sealed with a passphrase: open it in a browser and export from there")
    try:
        packed = zlib.decompress(b64decode(_block(page, b"documents", path.name), validate=True), _GZIP)
    except (ValueError, zlib.error):
        raise UnreadableFileError(path.name, "the page is damaged: its documents cannot be unpacked") from None
    lines = packed.partition(b"\n\n")[0].split(b"\n")  # after an empty line come the postings
    for number, line in enumerate(lines[1:], 1):
        fields = parse(line, path.name, f"document {number}")
        vector = fields.pop("vector", None)
        document = make(fields, path.name, f"document {number}")
        if vector is not None:
            vector = np.frombuffer(b64decode(vector), np.float32)
            document = Document(document.text, document.metadata, document.id, vector)
        yield document


def _block(page: bytes, name: bytes, file: str) -> bytes:
    found = re.search(rb'<script type="text/plain" id="%s">(.*?)</script>' % name, page, re.DOTALL)
    if found is None:
        raise UnreadableFileError(file, f"the page is damaged: it has no {name.decode()}")
    return found[1]
