"""The blocks of a page: bytes compressed, sealed where a passphrase is given, and written as base64."""

from __future__ import annotations

import os
import zlib
from base64 import b64encode
from collections.abc import Iterable, Iterator
from hashlib import pbkdf2_hmac
from typing import Any
from unicodedata import normalize

from bedside.support.extras import needs

ITERATIONS = 600_000
"""Of PBKDF2 with SHA-256: OWASP's password storage cheat sheet, 2023."""
_GZIP = 16 + zlib.MAX_WBITS


def compressed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the chunks as one gzip stream."""
    packer = zlib.compressobj(6, zlib.DEFLATED, _GZIP)
    yield from filter(None, map(packer.compress, chunks))
    yield packer.flush()


def base64(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the chunks as one base64 text."""
    rest = b""
    for chunk in chunks:
        rest += chunk
        whole = len(rest) - len(rest) % 3
        yield b64encode(rest[:whole])
        rest = rest[whole:]
    yield b64encode(rest)


class Seal:
    """AES-256-GCM under a key derived from a passphrase by PBKDF2, which WebCrypto opens.

    Args:
        passphrase: Any text; its composed form (NFC) counts.

    Raises:
        MissingExtraError: ``bedside[crypto]`` is not installed.
    """

    def __init__(self, passphrase: str) -> None:
        with needs("crypto"):
            from cryptography.hazmat.primitives.ciphers import Cipher
            from cryptography.hazmat.primitives.ciphers.algorithms import AES
            from cryptography.hazmat.primitives.ciphers.modes import GCM
        salt, nonce = os.urandom(16), os.urandom(12)
        key = pbkdf2_hmac("sha256", normalize("NFC", passphrase).encode(), salt, ITERATIONS)
        self._sealing = Cipher(AES(key), GCM(nonce)).encryptor()
        self.facts: dict[str, Any] = {
            "salt": b64encode(salt).decode(),
            "nonce": b64encode(nonce).decode(),
            "iterations": ITERATIONS,
        }

    def __call__(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the chunks sealed, and at the end the tag by which damage shows."""
        yield from map(self._sealing.update, chunks)
        yield self._sealing.finalize() + self._sealing.tag
