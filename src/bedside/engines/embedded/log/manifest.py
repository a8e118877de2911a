"""``manifest.json``: what a collection is. One sealed line of JSON, replaced atomically."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import orjson

from bedside.engines.embedded.log.seal import BrokenSealError, seal, unseal
from bedside.errors import FormatVersionError, NotACollectionError
from bedside.types import Encoder

FORMAT = "bedside-collection"
VERSION = 1
NAME = "manifest.json"


@dataclass(frozen=True)
class EncoderRecord:
    """The encoder whose vectors a collection holds."""

    name: str
    fingerprint: str

    @classmethod
    def of(cls, encoder: Encoder | None) -> EncoderRecord | None:
        """Return the record of an encoder, or None for one that cannot name itself."""
        if encoder is None or encoder.fingerprint is None:
            return None
        return cls(encoder.name, encoder.fingerprint)


@dataclass(frozen=True)
class Manifest:
    """The facts that decide how a collection is read.

    Attributes:
        log: File name of the current log.
        sparse: Tokenizer and BM25 settings.
        scope_keys: Metadata keys that divide the collection, in order.
        dimension: Of its vectors; ``None`` before the first record, 0 for a collection of texts without vectors.
        encoder: ``None`` where vectors were given by hand or by an encoder that cannot name itself.
        id: Of this collection, for caches and receipts; it says nothing about its content.
    """

    log: str
    sparse: Mapping[str, Any]
    scope_keys: tuple[str, ...] = ()
    dimension: int | None = None
    encoder: EncoderRecord | None = None
    id: str = field(default_factory=lambda: new_id())

    def with_vectors(self, dimension: int, encoder: EncoderRecord | None) -> Manifest:
        """Return this manifest with what the first vectors decide."""
        return replace(self, dimension=dimension, encoder=self.encoder or encoder)

    def with_log(self, log: str) -> Manifest:
        """Return this manifest with another current log."""
        return replace(self, log=log)

    def next_log(self) -> str:
        """Return the name of the log that follows the current one."""
        return log_name(int(self.log.removeprefix("log-").removesuffix(".jsonl")) + 1)

    def to_bytes(self) -> bytes:
        """Return the content of the file."""
        return seal({"format": FORMAT, "version": VERSION, **asdict(self)})

    @classmethod
    def from_bytes(cls, content: bytes, where: str) -> Manifest:
        """Read the content of the file at ``where``.

        Raises:
            NotACollectionError: It is not a manifest, or it is damaged.
            FormatVersionError: It was written in a format this release does not read.
        """
        try:
            data = orjson.loads(content)
        except orjson.JSONDecodeError:
            data = None
        if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
            raise NotACollectionError(f"{where} is not the manifest of a Bedside collection, or it is damaged")
        if (version := data.pop("version", VERSION)) != VERSION:
            raise FormatVersionError(f"{where} has format version {version}; this release reads version {VERSION}")
        try:
            unseal(content)
        except BrokenSealError as error:
            raise NotACollectionError(f"{where} is damaged: {error}") from None
        del data["crc"]
        encoder = data.pop("encoder")
        return cls(
            **{**data, "scope_keys": tuple(data["scope_keys"])},
            encoder=None if encoder is None else EncoderRecord(**encoder),
        )


def new_id() -> str:
    """Return a random id for a collection."""
    return uuid.uuid4().hex


def log_name(number: int) -> str:
    """Return the file name of the ``number``-th log, counted from 1."""
    return f"log-{number:06d}.jsonl"
