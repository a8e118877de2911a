"""``manifest.json``: what a collection is. One sealed line of JSON, replaced atomically."""

from __future__ import annotations

from dataclasses import asdict, astuple, dataclass, fields, replace

import orjson

from bedside.engines.embedded.log.keyring import Keyring
from bedside.engines.embedded.log.log import Position
from bedside.engines.embedded.log.seal import BrokenSealError, seal, unseal
from bedside.engines.facts import Facts, known_facts
from bedside.errors import FormatVersionError, NotACollectionError

FORMAT = "bedside-collection"
VERSION, SEALED_VERSION = 1, 2
"""Of a plain collection, and of an encrypted one: what cannot read that must not try."""
NAME = "manifest.json"


@dataclass(frozen=True, kw_only=True)
class Manifest(Facts):
    """The facts of a collection in a folder, and where its log is.

    Attributes:
        log: File name of the current log.
        committed: How far the log had been committed when the collection was last closed or compacted: a log that ends
            before it is damaged. ``None`` in a collection that was never closed since it was created.
    """

    log: str
    committed: Position | None = None

    @classmethod
    def new(cls, facts: Facts) -> Manifest:
        """Return the manifest of a new collection."""
        return cls(log=log_name(1), **{each.name: getattr(facts, each.name) for each in fields(Facts)})

    def with_facts(self, facts: Facts) -> Manifest:
        """Return this manifest with other facts."""
        changed = ("dimension", "encoder", "alpha", "min_scores")
        return replace(self, **{name: getattr(facts, name) for name in changed})

    def next_log(self) -> str:
        """Return the name of the log that follows the current one."""
        return log_name(int(self.log.removeprefix("log-").removesuffix(".jsonl")) + 1)

    def to_bytes(self, keyring: Keyring | None = None) -> bytes:
        """Return the content of the file, signed where the collection is encrypted."""
        known = {**asdict(self), "committed": None if self.committed is None else astuple(self.committed)}
        del known["sealed"]
        said = {"format": FORMAT, "version": SEALED_VERSION if self.sealed else VERSION, **known}
        return seal(said if keyring is None else keyring.signed(said, NAME))

    @classmethod
    def from_bytes(cls, content: bytes, where: str) -> Manifest:
        """Read the content of the file at ``where``; keys that this release does not know are ignored.

        Raises:
            NotACollectionError: It is not a manifest, or it is damaged.
            FormatVersionError: It was written in a format this release does not read.
        """
        try:
            data = orjson.loads(content)
        except orjson.JSONDecodeError:
            data = None
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise NotACollectionError(f"{where} is not the manifest of a Bedside collection, or it is damaged")
        if (version := data.get("version", VERSION)) not in (VERSION, SEALED_VERSION):
            raise FormatVersionError(
                f"{where} has format version {version}; this release reads versions {VERSION} and {SEALED_VERSION}"
            )
        try:
            unseal(content)
        except BrokenSealError as error:
            raise NotACollectionError(f"{where} is damaged: {error}") from None
        committed = data.get("committed")
        return cls(
            **known_facts(data),
            log=data["log"],
            sealed=version == SEALED_VERSION,
            committed=None if committed is None else Position(*committed),
        )


def check_signature(content: bytes, where: str, keyring: Keyring) -> None:
    """Refuse the content of a manifest that was written without the key.

    Raises:
        NotACollectionError: It was.
    """
    try:
        keyring.check_signed(unseal(content), NAME)
    except BrokenSealError as error:
        raise NotACollectionError(f"{where} was changed: {error}") from None


def log_name(number: int) -> str:
    """Return the file name of the ``number``-th log, counted from 1."""
    return f"log-{number:06d}.jsonl"
