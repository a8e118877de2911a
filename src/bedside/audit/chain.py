"""One line of a trail: a JSON object whose last key is an HMAC over the line and the one before it.

``{"seq":17,"at":"2026-03-01T09:12:33.401Z","actor":"dr.x","verb":"search",…,"count":3,"mac":"9f0c…"}``

Whoever has no key can neither write a line that fits nor take one away: the next would no longer follow.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from bedside.support.keys import derived, hmac_hex

START = ""
"""What the first line follows."""
_KEY = b',"mac":"'
_MAC = 64
_TAIL = len(_KEY) + _MAC + len(b'"}\n')
_NAME = 32


class BrokenChainError(ValueError):
    """A line is not what was written, or does not follow the one before it. Internal: the trail adds the place."""


@dataclass(frozen=True)
class Keys:
    """The keys of a trail, each derived of the one that was given.

    Attributes:
        chain: Of the HMACs that end the lines.
        names: Of the HMACs that stand in place of ids, scopes and questions.
        mark: Tells which key a trail was begun with; nothing of the key.
    """

    chain: bytes
    names: bytes
    mark: str

    @classmethod
    def of(cls, key: bytes) -> Keys:
        """Derive them of 32 bytes."""
        mark = hmac_hex(derived(key, "audit mark"))[:16]
        return cls(derived(key, "audit chain"), derived(key, "audit names"), mark)

    def name(self, kind: str, value: str | bytes) -> str:
        """Return what stands in the trail for a value: 128 bits of an HMAC, of its own for each kind of value."""
        data = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
        return hmac.digest(self.names, b"%b\0%b" % (kind.encode(), data), "sha256").hex()[:_NAME]

    def seal(self, previous: str, fields: Mapping[str, Any]) -> tuple[bytes, str]:
        """Return ``fields`` as a line that follows ``previous``, and its own HMAC."""
        body = orjson.dumps(fields)[:-1]
        mac = hmac_hex(self.chain, previous.encode(), body)
        return b'%b%b%b"}\n' % (body, _KEY, mac.encode()), mac

    def unseal(self, previous: str, line: bytes) -> tuple[dict[str, Any], str]:
        """Return the fields of a line that follows ``previous``, and its HMAC.

        Raises:
            BrokenChainError: It is another line, or an edited one.
        """
        body, mac = split(line)
        if not hmac.compare_digest(mac, hmac_hex(self.chain, previous.encode(), body)):
            raise BrokenChainError("it is not what was written after the line before it")
        fields: dict[str, Any] = orjson.loads(line)
        del fields["mac"]
        return fields, mac


def split(line: bytes) -> tuple[bytes, str]:
    """Return what an HMAC is over, and the HMAC that the line ends with."""
    body, key, mac = line[:-_TAIL], line[-_TAIL : -_TAIL + len(_KEY)], line[-_TAIL + len(_KEY) : -3]
    if len(line) <= _TAIL or key != _KEY or line[-3:] != b'"}\n' or not mac.isascii():
        raise BrokenChainError("it does not end with its HMAC")
    return body, mac.decode()
