"""Who may do what: bearer tokens, each with the collections, scope and verbs that it opens."""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from bedside.errors import InvalidInputError, ReadOnlyError, ScopeMismatch

SHORTEST = 16
"""Characters of a token at least: 16 random ones of base 64 are 96 bits."""
_FIELDS = {"name", "token", "collections", "scope", "read_only"}


@dataclass(frozen=True)
class Access:
    """What one caller may do.

    Attributes:
        name: Who it is, for the log.
        collections: The only ones it sees; ``None``: all.
        scope: Values that are part of every one of its scopes, and that it cannot choose otherwise. A collection that
            is not divided by these keys is closed to it.
        read_only: Whether it may only read.
        purpose: What it acts for in this request, for an audit trail.
    """

    name: str = "local"
    collections: frozenset[str] | None = None
    scope: Mapping[str, str | int] = field(default_factory=dict)
    read_only: bool = False
    purpose: str | None = None

    def sees(self, collection: str) -> bool:
        """Whether it may know of a collection."""
        return self.collections is None or collection in self.collections

    def check_writing(self) -> None:
        """Raise :class:`ReadOnlyError` unless it may write."""
        if self.read_only:
            raise ReadOnlyError("this access is read-only")

    def check_unbound(self, verb: str) -> None:
        """Raise :class:`ScopeMismatch` where it is bound to a scope and ``verb`` is about a whole collection."""
        if self.scope:
            raise ScopeMismatch(f"{verb}: this access is bound to a scope, and {verb} is about the whole collection")

    def bound(self, asked: Mapping[str, str | int], keys: Sequence[str]) -> dict[str, str | int]:
        """Return the scope of a request: what was asked, with what this access is bound to.

        Raises:
            ScopeMismatch: Another value was asked, or the collection is not divided by the keys it is bound to.
        """
        if missing := [key for key in self.scope if key not in keys]:
            raise ScopeMismatch(f"this access is bound by {missing}, and the collection is divided by {list(keys)}")
        for key, value in self.scope.items():
            if key in asked and (asked[key] != value or type(asked[key]) is not type(value)):
                raise ScopeMismatch(f"scope: this access is bound to another value of {key!r}")
        return {**asked, **self.scope}


@dataclass(frozen=True)
class Token:
    """A bearer token, of which only the SHA-256 is kept, and what it opens."""

    digest: bytes
    access: Access

    @classmethod
    def of(cls, secret: str, access: Access) -> Token:
        """Keep the digest of a secret.

        Raises:
            InvalidInputError: It is shorter than :data:`SHORTEST`, or not plain ASCII.
        """
        if len(secret) < SHORTEST or not secret.isascii() or not secret.isprintable():
            raise InvalidInputError(
                f"token of {access.name!r}: expected at least {SHORTEST} printable ASCII characters; "
                "make one with: openssl rand -base64 32"
            )
        return cls(hashlib.sha256(secret.encode()).digest(), access)


def access_of(presented: str, tokens: Sequence[Token]) -> Access | None:
    """Return what a presented secret opens; every token is compared, each in constant time."""
    digest = hashlib.sha256(presented.encode()).digest()
    found = None
    for token in tokens:
        if hmac.compare_digest(digest, token.digest):
            found = token.access
    return found


def load_tokens(path: Path) -> list[Token]:
    """Read a file of tokens.

    The file is JSON: ``[{"name": "ward 3", "token": "…", "collections": ["ward"], "scope": {"patient_id": "A"},
    "read_only": true}]``; all but name and token may be left out.

    Raises:
        InvalidInputError: The file is readable by others than its owner, or not as described. No message holds a token.
    """
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:  # elsewhere the mode says nothing
        raise InvalidInputError(f"{path.name}: others than its owner may read it; run: chmod 600 {path.name}")
    try:
        entries = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError:
        raise InvalidInputError(f"{path.name}: not JSON") from None
    if not isinstance(entries, list) or not entries:
        raise InvalidInputError(f"{path.name}: expected a JSON list of at least one token")
    tokens = [_token(entry, f"{path.name}, token {number}") for number, entry in enumerate(entries, 1)]
    if len({token.digest for token in tokens}) < len(tokens):
        raise InvalidInputError(f"{path.name}: the same token twice")
    return tokens


def _token(entry: Any, where: str) -> Token:
    if not isinstance(entry, dict) or not set(entry) <= _FIELDS:
        raise InvalidInputError(f"{where}: expected an object with no other keys than {', '.join(sorted(_FIELDS))}")
    known = {"collections": None, "scope": {}, "read_only": False, **entry}
    right: dict[str, Callable[[Any], bool]] = {
        "name": lambda value: isinstance(value, str) and value != "",
        "token": lambda value: isinstance(value, str),
        "collections": lambda value: value is None or _is_texts(value),
        "scope": lambda value: isinstance(value, dict) and all(map(_is_scope_value, value.values())),
        "read_only": lambda value: isinstance(value, bool),
    }
    for key, holds in right.items():
        if not holds(known.get(key)):
            raise InvalidInputError(f"{where}: {key} is missing or of a wrong type")
    collections = None if known["collections"] is None else frozenset(known["collections"])
    return Token.of(known["token"], Access(known["name"], collections, known["scope"], known["read_only"]))


def _is_scope_value(value: object) -> bool:
    return type(value) in (str, int) and value != ""


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
