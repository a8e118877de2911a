"""The lines of an encrypted log: an envelope that shows a line's size and the random name of its key, nothing else.

::

    {"op":"open","format":"bedside-log","version":2,"crc":"…"}
    {"op":"sealed","key":"5f0c…","data":"…","crc":"…"}
    {"op":"commit","records":2,"chain":"…","at":"…","mac":"…","crc":"…"}

``data`` is base64 of nonce, ciphertext and tag. What is sealed is the length of a JSON object (little-endian, four
bytes), the object as in a plain line, and the bytes of the vector. Deletes look like puts. Checksum and chain are over
what is written, so both can be compared without a key; the chain is a SHA-256, and the HMAC of a commit covers it.
"""

from __future__ import annotations

import hashlib
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterator, Sequence

import numpy as np
import orjson

from bedside.engines.embedded.log.codec import Chain, Change, Codec, Commit, commit_of
from bedside.engines.embedded.log.keyring import Keyring, opened_with, sealed_with, shredded_error
from bedside.engines.embedded.log.seal import seal, sealed, unseal
from bedside.errors import KeyRequired, ShreddedError
from bedside.records import Delete, Record, ScopeKey
from bedside.remedies import Give

HEADER = seal({"op": "open", "format": "bedside-log", "version": 2})
"""The first line of every encrypted log."""
_LENGTH = 4


class SealedCodec(Codec):
    """Changes as sealed lines, and back.

    Args:
        scope_keys: Those of the collection.
        keyring: Its keys; without one, lines can be checked and not read.
        log: The log's name, which its commits are bound to.
    """

    header = HEADER

    def __init__(self, scope_keys: Sequence[str], keyring: Keyring | None, log: str) -> None:
        super().__init__(scope_keys)
        self._keyring, self._log = keyring, log
        self._lost: set[str] = set()
        self._known = set() if keyring is None else set(keyring.shredded)

    def encode(self, change: Change) -> bytes:
        """Return the line of a change, sealed with its scope's key."""
        self.check_readable(change.scope)
        name, cipher = self._keys().of_scope(change.scope)
        content = sealed_with(cipher, _packed(change), name.encode())
        data = b2a_base64(content, newline=False)
        return sealed(b'{"op":"sealed","key":"%b","data":"%b"' % (name.encode(), data))

    def decode(self, line: bytes, *, vectors: bool = True) -> Change:
        """Return the change of a line whose checksum was compared before.

        Raises:
            ShreddedError: Its key was destroyed.
            BrokenSealError: It was not sealed with the key that it names.
        """
        said = orjson.loads(line)
        name = said["key"]
        try:
            cipher = self._keys().named(name)
        except ShreddedError:
            self._lost.add(name)
            raise
        content = opened_with(cipher, a2b_base64(said["data"]), name.encode())
        end = _LENGTH + int.from_bytes(content[:_LENGTH], "little")
        change = self._change(orjson.loads(content[_LENGTH:end]), vectors=False)
        if not vectors or isinstance(change, Delete) or end == len(content):
            return change
        return change._replace(vector=np.frombuffer(content, "<f4", offset=end).astype(np.float32, copy=False))

    def shown(self, record: Record) -> bytes:  # noqa: ARG002 # one signature
        """A sealed line shows nothing of its record."""
        return b""

    def traces(self, line: bytes) -> Iterator[bytes]:
        """Yield what a sealed line could be recognised by: its ciphertext."""
        yield str(orjson.loads(line)["data"]).encode()

    # The chain of transactions

    def chained(self, line: bytes, before: Chain) -> Chain:
        """Return the chain behind a line: SHA-256 of the one before it and the line."""
        return hashlib.sha256((before.encode() if isinstance(before, str) else b"") + line).hexdigest()

    def chain_behind(self, commit: Commit, line: bytes) -> Chain:
        """Return the chain behind the line of a commit, which says what it was before."""
        return self.chained(line, commit.chain)

    def commit(self, records: int, chain: Chain) -> bytes:
        """Return the line that closes a transaction now; the keys that it needs are on the disk then."""
        keyring = self._keys()
        keyring.save()
        return seal(keyring.signed(commit_of(records, str(chain)), self._log))

    def closes(self, line: bytes, pending: int, chain: Chain) -> bool:
        """Tell whether a line closes a transaction of ``pending`` lines.

        Raises:
            BrokenSealError: It does, and not this one; or it was written without the key.
        """
        closes = super().closes(line, pending, chain)
        if closes and self._keyring is not None:
            self._keyring.check_signed(unseal(line), self._log)
        return closes

    # What a destroyed key leaves unreadable

    @property
    def lacks_keys(self) -> bool:
        """Whether this log holds lines that nobody can read any more."""
        return self._keyring is not None and (bool(self._lost) or len(self._keyring.shredded) > len(self._known))

    def check_readable(self, scope: ScopeKey | None) -> None:
        """Refuse a scope, or with ``None`` the whole, of which this log holds lines that nobody can read any more.

        Raises:
            ShreddedError: Its key was shredded since this log was begun, or before a backup of it was put back.
        """
        if self._keyring is None or not self.lacks_keys:
            return
        shredded = self._keyring.shredded
        lost = self._lost | (shredded.keys() - self._known)
        if scope is None or self._keyring.pseudonym(scope) in {shredded[name] for name in lost}:
            raise shredded_error()

    def _keys(self) -> Keyring:
        if self._keyring is None:
            raise KeyRequired("the collection is encrypted", remedies=[Give("key")])
        return self._keyring


def _packed(change: Change) -> bytes:
    if isinstance(change, Delete):
        return _joined({"op": "delete", "id": change.id, **({"scope": change.scope} if change.scope else {})}, b"")
    vector = b"" if change.vector is None else np.ascontiguousarray(change.vector, dtype="<f4").tobytes()
    return _joined({"op": "put", "id": change.id, "text": change.text, "metadata": change.metadata}, vector)


def _joined(said: dict[str, object], vector: bytes) -> bytes:
    text = orjson.dumps(said)
    return len(text).to_bytes(_LENGTH, "little") + text + vector
