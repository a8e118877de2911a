"""Who may do what: bearer tokens, each with the role, collections and scope that it opens, and until when."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import stat
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal, TypeAlias

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, ValidationError

from bedside.errors import InvalidInputError, ReadOnlyError, RoleRequired, ScopeMismatch

log = logging.getLogger(__name__)

SHORTEST = 16
"""Characters of a token at least: 16 random ones of base 64 are 96 bits."""
RELOAD_SECONDS = 1.0
"""How long a changed token file may go unseen."""

Role: TypeAlias = Literal["read", "write", "admin"]
"""``read`` searches and reads, ``write`` also adds and deletes, ``admin`` also looks after whole collections."""


@dataclass(frozen=True)
class Access:
    """What one caller may do.

    Attributes:
        name: Who it is, for the log.
        collections: The only ones it sees; ``None``: all.
        scope: Values that are part of every one of its scopes, and that it cannot choose otherwise. A collection that
            is not divided by these keys is closed to it.
        role: What kind of verbs it may call.
        purpose: What it acts for in this request, for an audit trail.
    """

    name: str = "local"
    collections: frozenset[str] | None = None
    scope: Mapping[str, str | int] = field(default_factory=dict)
    role: Role = "admin"
    purpose: str | None = None

    def sees(self, collection: str) -> bool:
        """Whether it may know of a collection."""
        return self.collections is None or collection in self.collections

    @property
    def writes(self) -> bool:
        """Whether it may change anything."""
        return self.role != "read"

    def check_writing(self) -> None:
        """Raise :class:`ReadOnlyError` unless it may write."""
        if not self.writes:
            raise ReadOnlyError("this access is read-only")

    def check_whole(self, verb: str) -> None:
        """Raise unless it may look after whole collections: with the role for it, and bound to no scope.

        Raises:
            RoleRequired: Its role is another.
            ScopeMismatch: It is bound to a scope.
        """
        if self.role != "admin":
            raise RoleRequired(f"{verb}: needs an access whose role is admin; this one's is {self.role}")
        self.check_unbound(verb)

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
    """A bearer token, of which only the SHA-256 is kept, what it opens, and until when."""

    digest: bytes
    access: Access
    expires: datetime | None = None

    @classmethod
    def of(cls, secret: str, access: Access, expires: datetime | None = None) -> Token:
        """Keep the digest of a secret.

        Raises:
            InvalidInputError: It is shorter than :data:`SHORTEST`, or not plain ASCII.
        """
        if len(secret) < SHORTEST or not secret.isascii() or not secret.isprintable():
            raise InvalidInputError(
                f"token of {access.name!r}: expected at least {SHORTEST} printable ASCII characters; "
                "make one with: openssl rand -base64 32"
            )
        return cls(hashlib.sha256(secret.encode()).digest(), access, expires)


def access_of(presented: str, tokens: Sequence[Token]) -> Access | None:
    """Return what a presented secret opens now; every token is compared, each in constant time."""
    digest = hashlib.sha256(presented.encode()).digest()
    found = None
    for token in tokens:
        if hmac.compare_digest(digest, token.digest):
            found = token
    if found is None or (found.expires is not None and found.expires <= datetime.now(timezone.utc)):
        return None
    return found.access


class TokenFile:
    """A file of tokens that is read again when it changes, so that a token is given or taken without a restart.

    Args:
        path: The file, see :func:`load_tokens`.

    Raises:
        InvalidInputError: As :func:`load_tokens`. A file that becomes wrong later is said in the log, and what it held
            before goes on to hold.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tokens = load_tokens(path)
        self._seen = self._version()
        self._next = time.monotonic() + RELOAD_SECONDS

    def __call__(self, presented: str) -> Access | None:
        """Return what a presented secret opens now."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + RELOAD_SECONDS
            self._reload()
        return access_of(presented, self._tokens)

    def _reload(self) -> None:
        version = self._version()
        if version == self._seen:
            return
        self._seen = version
        try:
            self._tokens = load_tokens(self._path)
            log.info("the tokens of %s were read again: %d", self._path.name, len(self._tokens))
        except (InvalidInputError, OSError) as error:
            said = str(error) if isinstance(error, InvalidInputError) else f"{self._path.name}: cannot be read"
            log.error("%s; the tokens that were known before still hold", said)  # noqa: TRY400 - no traceback

    def _version(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


class _Entry(BaseModel):
    """A token as the file has it."""

    model_config = ConfigDict(extra="forbid")

    name: StrictStr = Field(min_length=1)
    token: StrictStr
    collections: list[StrictStr] | None = None
    scope: dict[str, StrictStr | StrictInt] = Field(default_factory=dict)
    role: Role | None = None
    read_only: StrictBool = False
    expires: AwareDatetime | None = None

    def to_token(self) -> Token:
        """Return the token; raises :class:`InvalidInputError` for one that says two things."""
        if self.read_only and self.role not in (None, "read"):
            raise InvalidInputError(
                f"token of {self.name!r}: read_only and the role {self.role} contradict one another"
            )
        if "" in self.scope.values():
            raise InvalidInputError(f"token of {self.name!r}: scope: a value is empty")
        role = "read" if self.read_only else self.role or "admin"
        collections = None if self.collections is None else frozenset(self.collections)
        return Token.of(self.token, Access(self.name, collections, self.scope, role), self.expires)


def load_tokens(path: Path) -> list[Token]:
    """Read a file of tokens.

    The file is JSON: ``[{"name": "ward 3", "token": "…", "role": "read", "collections": ["ward"],
    "scope": {"patient_id": "A"}, "expires": "2027-01-31T00:00:00Z"}]``; all but name and token may be left out. Without
    a role it is ``admin``; ``"read_only": true`` is another way to say ``read``.

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
    try:
        return _Entry.model_validate(entry).to_token()
    except ValidationError as error:
        # Without the input, which pydantic would repeat: it may be a token.
        said = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'it'}: {each['msg']}" for each in error.errors())
        raise InvalidInputError(f"{where}: {said}; allowed are {', '.join(_Entry.model_fields)}") from None
    except InvalidInputError as error:
        raise InvalidInputError(f"{where}: {error}") from None
