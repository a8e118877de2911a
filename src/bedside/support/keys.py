"""Secret keys: where one is read from, and what is derived of it. Nothing here prints, stores or repeats a key."""

from __future__ import annotations

import hmac
import logging
import os
import re
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from bedside.errors import InvalidInputError
from bedside.support.files import replace_file

KEY_BYTES = 32
KeySource: TypeAlias = "bytes | str | os.PathLike[str] | Callable[[], bytes]"
"""Where a key comes from: 32 bytes, the *name* of an environment variable (``str``), a key file (``Path``), or a
function that asks a key service and returns 32 bytes."""
_EVERYBODY = 0o006
_log = logging.getLogger(__name__)
_NAME = re.compile(r"[A-Z_][A-Z0-9_]{0,39}")  # shorter than any key as text, which a message must not repeat


def load_key(source: KeySource, argument: str = "key") -> bytes:
    """Return the 32 bytes that ``source`` leads to.

    A file holds the 32 bytes as they are, or as text like a variable does: 64 hexadecimal digits, or base64. One that
    every user of the machine may read is used, and warned of in the log.

    Args:
        source: See :data:`KeySource`.
        argument: Its name, for messages.

    Raises:
        InvalidInputError: There is no such file or variable, or what is there is not a key of 32 bytes.

    Example:
        >>> len(load_key(bytes(32)))
        32
    """
    if isinstance(source, str):
        return _of_variable(source, argument)
    if isinstance(source, os.PathLike):
        return _of_file(Path(source), argument)
    found: object = source() if callable(source) else source
    where = f"{argument}: what the function returned" if callable(source) else argument
    if not isinstance(found, bytes | bytearray) or len(found) != KEY_BYTES:
        raise InvalidInputError(f"{where}: expected {KEY_BYTES} bytes, got {_kind(found)}")
    return bytes(found)


def new_key_file(path: Path) -> None:
    """Write a new random key, as 64 hexadecimal digits, into a file that only its owner can read.

    Raises:
        InvalidInputError: The file is there already: it may be the only copy of a key.
    """
    if path.exists():
        raise InvalidInputError(f"{path} is there already, and may be the only copy of a key")
    replace_file(path, [os.urandom(KEY_BYTES).hex().encode() + b"\n"])


def derived(key: bytes, purpose: str) -> bytes:
    """Return a key of 32 bytes for one purpose, so that no key serves two."""
    return hmac.digest(key, f"bedside {purpose}".encode(), "sha256")


def hmac_hex(key: bytes, *parts: bytes) -> str:
    """Return the HMAC-SHA256 of ``parts`` as 64 hexadecimal digits; no two lists of parts have the same one."""
    return hmac.digest(key, b"".join(len(part).to_bytes(8, "little") + part for part in parts), "sha256").hex()


def _of_variable(name: str, argument: str) -> bytes:
    text = os.environ.get(name) if "\0" not in name else None
    if text is None:
        shown = f" {name}" if _NAME.fullmatch(name) else ""  # anything else may be a key given by mistake
        raise InvalidInputError(
            f"{argument}: there is no environment variable{shown}; a str is the name of one, a pathlib.Path a key file"
        )
    return _of_text(text, f"{argument}: the environment variable {name}")


def _of_file(path: Path, argument: str) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(1_024)
            mode = os.fstat(file.fileno()).st_mode
    except OSError as error:
        raise InvalidInputError(f"{argument}: the key file {path} cannot be read: {error.strerror}") from None
    if os.name == "posix" and mode & _EVERYBODY:
        _log.warning("the key file %s can be read or replaced by every user of this machine: chmod 600 it", path)
    where = f"{argument}: the key file {path}"
    return content if len(content) == KEY_BYTES else _of_text(content.decode("ascii", "replace"), where)


def _of_text(text: str, where: str) -> bytes:
    text = text.strip()
    try:
        key = bytes.fromhex(text) if len(text) == 2 * KEY_BYTES else b64decode(text, validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise InvalidInputError(f"{where} holds no key: expected {KEY_BYTES} bytes as 64 hexadecimal digits or base64")
    return key


def _kind(found: object) -> str:
    return f"{len(found)} bytes" if isinstance(found, bytes | bytearray) else type(found).__name__
