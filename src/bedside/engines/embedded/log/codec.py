"""The lines of a log: the one place that knows their keys. Everything else sees records.

::

    {"op":"open","format":"bedside-log","version":1,"crc":"…"}
    {"op":"put","id":"a","text":"…","metadata":{…},"vector":"…","crc":"…"}
    {"op":"delete","id":"a","scope":["A"],"crc":"…"}
    {"op":"commit","records":2,"chain":"…","at":"2026-11-30T08:30:00.000Z","actor":"dr.x","crc":"…"}

A vector is base64 of little-endian float32. Keys that a reader does not know are ignored.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, NamedTuple, TypeAlias

import orjson

from bedside.engines.embedded.log.seal import BrokenSealError, check, seal, text_to_vector, unseal, vector_to_text
from bedside.errors import ShreddedError
from bedside.records import Delete, Record, ScopeKey
from bedside.support.acting import acting

VERSION = 1
HEADER = seal({"op": "open", "format": "bedside-log", "version": VERSION})
"""The first line of every log."""
COMMIT_ROOM = 2_048
"""Bytes that a commit line is shorter than."""
_HEADER_START, _COMMIT_START = b'{"op":"open"', b'{"op":"commit"'
_OPERATION = re.compile(rb'^\{"op":"(put|delete|open|commit)"')
_ID = re.compile(rb'^\{"op":"(put|delete)","id":"((?:[^"\\]|\\.)*)"')
_JOINT = re.compile(rb'(?<="\})[^\n](?=\{"op":")', re.DOTALL)

Change: TypeAlias = Record | Delete
"""What a line of a transaction says."""


Chain: TypeAlias = int | str
"""A running checksum over every byte of a log: a CRC-32, or in an encrypted log the digits of a SHA-256."""


class Commit(NamedTuple):
    """The line that closes a transaction: how many lines it has, and the checksum of the log before it, as text."""

    records: int
    chain: str


class Closing(NamedTuple):
    """Who closed a transaction, when, and how many lines it has; ``None`` where nobody was named or no time noted."""

    actor: str | None
    at: str | None
    records: int


class Codec:
    """Changes as lines, and back, for a collection divided by ``scope_keys``."""

    header = HEADER

    def __init__(self, scope_keys: Sequence[str]) -> None:
        self.scope_keys = tuple(scope_keys)

    def encode(self, change: Change) -> bytes:
        """Return the line of a change."""
        if isinstance(change, Delete):
            return seal({"op": "delete", "id": change.id, **({"scope": change.scope} if change.scope else {})})
        vector = {} if change.vector is None else {"vector": vector_to_text(change.vector)}
        return seal({"op": "put", "id": change.id, "text": change.text, "metadata": change.metadata, **vector})

    def decode(self, line: bytes, *, vectors: bool = True) -> Change:
        """Return the change of a line whose checksum was compared before; without ``vectors`` a record has none."""
        return self._change(orjson.loads(line), vectors=vectors)

    def opened(self, line: bytes, *, vectors: bool = True) -> Change:
        """Compare the checksum of a line and return its change; without ``vectors`` a record has none.

        Raises:
            BrokenSealError: The line is not what was written.
        """
        check(line)
        try:
            return self.decode(line, vectors=vectors)
        except (orjson.JSONDecodeError, KeyError) as error:
            raise BrokenSealError(f"the line holds no record: {type(error).__name__}") from None

    def _change(self, said: Mapping[str, Any], *, vectors: bool = True) -> Change:
        if said["op"] == "delete":
            return Delete(said["id"], tuple(said.get("scope", ())))
        metadata = said["metadata"]
        vector = text_to_vector(said["vector"]) if vectors and "vector" in said else None
        return Record(said["id"], said["text"], metadata, tuple(map(metadata.__getitem__, self.scope_keys)), vector)

    def traces(self, line: bytes) -> Iterator[bytes]:  # noqa: ARG002 # one signature
        """Yield what the line of a record could be recognised by, beside what is in the record: nothing."""
        yield from ()

    # The chain of transactions

    def chained(self, line: bytes, before: Chain) -> Chain:
        """Return the chain behind a line."""
        return zlib.crc32(line, int(before))

    def chain_behind(self, commit: Commit, line: bytes) -> Chain:
        """Return the chain behind the line of a commit, which says what it was before."""
        return self.chained(line, int(commit.chain, 16))

    def commit(self, records: int, chain: Chain) -> bytes:
        """Return the line that closes a transaction now."""
        return seal({**commit_of(records, f"{chain:08x}"), **({"actor": who.actor} if (who := acting()) else {})})

    def closing(self, line: bytes) -> Closing:
        """Return what the line says that closes a transaction.

        Raises:
            BrokenSealError: It was not written with the key of this collection, or for another place.
        """
        said = unseal(line)
        return Closing(self._actor(said), said.get("at"), said["records"])

    def _actor(self, said: Mapping[str, Any]) -> str | None:
        return said.get("actor")

    def closes(self, line: bytes, pending: int, chain: Chain) -> bool:
        """Tell whether a line closes a transaction of ``pending`` lines.

        Raises:
            BrokenSealError: It does, and not this one.
        """
        if (commit := as_commit(line)) is None:
            return False
        if (commit.records, commit.chain) != (pending, chain if isinstance(chain, str) else f"{chain:08x}"):
            raise BrokenSealError("the transaction does not match its commit line: lines are missing, doubled or moved")
        return True

    # What a destroyed key leaves unreadable

    @property
    def lacks_keys(self) -> bool:
        """Whether this log holds lines that nobody can read any more."""
        return False

    def check_readable(self, scope: ScopeKey | None) -> None:
        """Refuse a scope, or with ``None`` the whole, of which this log holds lines that nobody can read any more."""


def commit_of(records: int, chain: str) -> dict[str, Any]:
    """Return what a commit line says now."""
    at = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"op": "commit", "records": records, "chain": chain, "at": at}


def is_change(line: bytes) -> bool:
    """Tell whether a line is one of a change, and not a header or a commit."""
    return not line.startswith((_COMMIT_START, _HEADER_START))


def as_commit(line: bytes) -> Commit | None:
    """Return what a commit line says; ``None`` for any other line.

    Raises:
        BrokenSealError: The line is not what was written.
    """
    if not line.startswith(_COMMIT_START):
        return None
    try:
        said = unseal(line)
        return Commit(said["records"], said["chain"])
    except (orjson.JSONDecodeError, KeyError) as error:
        raise BrokenSealError(f"the line closes nothing: {type(error).__name__}") from None


class Remains(NamedTuple):
    """What can still be told of a line of a damaged log.

    Attributes:
        operation: ``"put"``, ``"delete"``, ``"open"``, ``"commit"`` or ``"unknown"``.
        id: Of its record, where it can be read.
        change: The whole change, where the line is not damaged.
        commit: The whole commit, where the line is one and not damaged.
        is_whole: Whether the line is as it was written.
    """

    operation: str
    id: str | None
    change: Change | None = None
    commit: Commit | None = None
    is_whole: bool = True


def remains_of(codec: Codec, line: bytes) -> Iterator[Remains]:
    """Yield what can be told of a line, or of two that a damaged line feed has joined."""
    whole = _remains(codec, line)
    if whole.is_whole:
        yield whole
        return
    for part in _JOINT.split(line[:-1]):
        found = _remains(codec, part + b"\n")
        if found.is_whole or line.endswith(b"\n"):
            yield found


def _remains(codec: Codec, line: bytes) -> Remains:
    kind = _OPERATION.match(line)
    operation = kind[1].decode() if kind else "unknown"
    if line == codec.header:
        return Remains(operation, None)
    try:
        if operation == "commit":
            return Remains(operation, None, commit=as_commit(line))
        change = codec.opened(line)
        return Remains(operation, change.id, change)
    except (BrokenSealError, ShreddedError):
        return Remains(operation, _readable_id(line), is_whole=False)


def _readable_id(line: bytes) -> str | None:
    if (match := _ID.match(line)) is None:
        return None
    try:
        id: str = orjson.loads(b'"%b"' % match[2])
    except orjson.JSONDecodeError:
        return None
    return id
