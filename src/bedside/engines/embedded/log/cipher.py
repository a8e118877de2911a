"""AES-256-GCM, and base64 of what it made: all that an encrypted collection asks of the ``crypto`` extra.

Where a function must be imported when it is first needed, each call would pay for the import again, which costs as much
as opening a short line. So a :class:`Cipher` keeps what its key needs.
"""

from __future__ import annotations

import os

from bedside.engines.embedded.log.seal import BrokenSealError
from bedside.support.extras import needs

NONCE = 12
"""Bytes of a nonce: random, so a key may seal 2**32 times."""
TAG = 16
"""Bytes of what tells that a ciphertext is whole."""


class Cipher:
    """What seals and opens with one key.

    Args:
        key: 32 bytes.

    Raises:
        MissingExtraError: ``bedside[crypto]`` is not installed.
    """

    def __init__(self, key: bytes) -> None:
        with needs("crypto"):
            from cryptography.exceptions import InvalidTag
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
            from pybase64 import b64decode, b64encode
        self._aes, self._refusals = AESGCM(key), (InvalidTag, ValueError)
        self._encode, self._decode = b64encode, b64decode

    def seal(self, content: bytes | memoryview, context: bytes) -> bytes:
        """Return ``content`` sealed: nonce, ciphertext, tag. It opens in the same context only."""
        nonce = os.urandom(NONCE)
        return nonce + self._aes.encrypt(nonce, content, context)

    def open(self, content: bytes, context: bytes) -> bytes:
        """Return what :meth:`seal` sealed.

        Raises:
            BrokenSealError: It was sealed with another key or in another context, or was changed.
        """
        try:
            return self._aes.decrypt(content[:NONCE], content[NONCE:], context)
        except self._refusals:
            raise BrokenSealError("it does not open with its key") from None

    def open_into(self, content: memoryview, context: bytes, room: memoryview) -> None:
        """Open what :meth:`seal` sealed into memory that is there already; raises as :meth:`open`."""
        try:
            self._aes.decrypt_into(content[:NONCE], content[NONCE:], context, room)
        except self._refusals:
            raise BrokenSealError("it does not open with its key") from None

    def to_text(self, sealed: bytes) -> bytes:
        """Return base64: pybase64 takes a sixth of the time of Python's own, in which a search would lose a tenth."""
        return self._encode(sealed)

    def from_text(self, text: bytes | str) -> bytes:
        """Return what :meth:`to_text` was given.

        Raises:
            BrokenSealError: It is no base64.
        """
        try:
            return self._decode(text, validate=True)
        except ValueError:
            raise BrokenSealError("it is no base64") from None
