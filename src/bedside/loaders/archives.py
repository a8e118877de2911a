"""Zip archives as documents use them, from files that nobody vouches for."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bedside.loaders.content import Content

MAX_UNPACKED = 256 << 20
"""The most that a file's parts may have unpacked, 256 MiB: a page of text unpacks to some 10 KB."""
MAX_PARTS = 10_000
"""The most parts of a file: one for each picture, some dozen else."""


def opened(content: Content, what: str) -> zipfile.ZipFile:
    """Return the archive that a document is, checked for what it claims; nothing is unpacked for it.

    A part that unpacks to more than its header says is cut there by :mod:`zipfile`, and then fails its checksum.

    Raises:
        UnreadableFileError: It is damaged, or unpacks to more than a document can have.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(content.data))
        parts = archive.infolist()
    except Exception as error:  # noqa: BLE001 - a damaged archive makes zipfile fail anywhere, in any way
        raise content.refused(f"a damaged {what} or zip archive ({type(error).__name__})") from None
    if len(parts) > MAX_PARTS or len({part.filename for part in parts}) < len(parts):
        raise content.refused(f"{what} with over {MAX_PARTS} parts, or with a part twice")
    if sum(part.file_size for part in parts) > MAX_UNPACKED:
        raise content.refused(f"{what} that unpacks to over {MAX_UNPACKED >> 20} MiB")
    return archive


def unpacked(content: Content, archive: zipfile.ZipFile, name: str, what: str) -> bytes:
    """Return a part; empty if there is none.

    Raises:
        UnreadableFileError: It is damaged, or encrypted.
    """
    if name not in archive.namelist():
        return b""
    try:
        return archive.read(name)
    except Exception as error:  # noqa: BLE001 - a damaged archive makes zipfile fail anywhere, in any way
        raise content.refused(f"a damaged or encrypted {what} ({type(error).__name__})") from None
