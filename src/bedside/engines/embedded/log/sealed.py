"""The lines of an encrypted log: an envelope that shows a line's size and the random name of its key, nothing else.

::

    {"op":"open","format":"bedside-log","version":2,"crc":"…"}
    {"op":"sealed","key":"5f0c…","data":"…","more":"…","crc":"…"}
    {"op":"commit","records":2,"chain":"…","at":"…","actor":"…","mac":"…","crc":"…"}

``data`` and ``more`` are base64 of nonce, ciphertext and tag: of the JSON object of a plain line, and of the vector's
bytes, which may be none. They are apart because a search reads texts alone, and base64 is the slowest part of reading.
Checksum and chain are over what is written, so both can be compared without a key; the chain is a SHA-256, and the HMAC
of a commit covers it. Who wrote it, where known, is sealed with a key for that and bound to the chain.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from bedside.engines.embedded.log.cipher import TAG
from bedside.engines.embedded.log.codec import Chain, Change, Codec, Commit, commit_of
from bedside.engines.embedded.log.keyring import Keyring, shredded_error
from bedside.engines.embedded.log.seal import BrokenSealError, seal, sealed, unseal
from bedside.errors import KeyRequired, ShreddedError
from bedside.records import Delete, ScopeKey
from bedside.remedies import Give
from bedside.support.acting import acting

HEADER = seal({"op": "open", "format": "bedside-log", "version": 2})
"""The first line of every encrypted log."""
_START, _THEN_DATA, _THEN_MORE = b'{"op":"sealed","key":"', b'","data":"', b'","more":"'


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
        said, vector = _parts(change)
        data = cipher.seal(said, name.encode())
        more = cipher.seal(vector, _beside(name, data))
        parts = (_START, name.encode(), _THEN_DATA, cipher.to_text(data), _THEN_MORE, cipher.to_text(more), b'"')
        return sealed(b"".join(parts))

    def decode(self, line: bytes, *, vectors: bool = True) -> Change:
        """Return the change of a line whose checksum was compared before.

        Raises:
            ShreddedError: Its key was destroyed.
            BrokenSealError: It was not sealed with the key that it names.
        """
        name, text, more = _envelope(line)
        try:
            cipher = self._keys().named(name)
        except ShreddedError:
            self._lost.add(name)
            raise
        data = cipher.from_text(text)
        change = self._change(orjson.loads(cipher.open(data, name.encode())))
        if not vectors or isinstance(change, Delete):
            return change
        vector = cipher.open(cipher.from_text(more), _beside(name, data))
        return change._replace(vector=np.frombuffer(vector, "<f4").astype(np.float32, copy=False)) if vector else change

    def traces(self, line: bytes) -> Iterator[bytes]:
        """Yield what a sealed line could be recognised by: its ciphertexts."""
        yield from _envelope(line)[1:]

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
        said = commit_of(records, str(chain))
        if (who := acting()) is not None:
            said["actor"] = keyring.sealed_actor(who.actor, str(chain))
        return seal(keyring.signed(said, self._log))

    def _actor(self, said: Mapping[str, Any]) -> str | None:
        return self._keys().opened_actor(said["actor"], said["chain"]) if "actor" in said else None

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


def _envelope(line: bytes) -> tuple[str, bytes, bytes]:
    """Return the name of the key and the base64 of ``data`` and ``more``, cut out: JSON would read the vector too."""
    data = line.find(_THEN_DATA)
    more = line.find(_THEN_MORE, data)
    end = line.find(b'"', more + len(_THEN_MORE))
    if not line.startswith(_START) or -1 in (data, more, end):
        raise BrokenSealError("the line holds no record")
    name = line[len(_START) : data].decode("ascii", "replace")
    return name, line[data + len(_THEN_DATA) : more], line[more + len(_THEN_MORE) : end]


def _beside(name: str, data: bytes) -> bytes:
    """Return the context of a vector: the text that it was sealed beside."""
    return name.encode() + data[-TAG:]


def _parts(change: Change) -> tuple[bytes, bytes]:
    """Return what a plain line says, and the bytes of its vector."""
    if isinstance(change, Delete):
        scope = {"scope": change.scope} if change.scope else {}
        return orjson.dumps({"op": "delete", "id": change.id, **scope}), b""
    vector = b"" if change.vector is None else np.ascontiguousarray(change.vector, dtype="<f4").tobytes()
    return orjson.dumps({"op": "put", "id": change.id, "text": change.text, "metadata": change.metadata}), vector
