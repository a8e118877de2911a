"""How much one request, and all of them together, may ask of a server."""

from __future__ import annotations

from dataclasses import dataclass

from bedside.errors import InvalidInputError


@dataclass(frozen=True)
class Limits:
    """How much one request may ask.

    Attributes:
        body: Bytes of a request's body.
        bodies: Bytes of all bodies that are in memory at once, at least one of the largest; others wait unread.
        documents: Documents that one request adds or returns, and ids it names.
        top_k: Hits, skipped ones included.
        seconds: Until a request is answered with an error; work that has begun goes on.
        running: Requests that read and work at once.
        searching: Searches at work at once; ``None``: as many as there are processors, at least 2 and at most
            ``running``, which it is where a search waits for a database or an encoder's server. 8 at once on two
            processors answer no more than 2 do, and each takes longer: 95 % within 95 ms, and not 59.
        waiting: Requests that wait for either; more are turned away.
        writing: Requests that encode and write and work at once: beside two, a search on two processors waits for its
            turn and no longer.
        writes_waiting: Requests that wait for them; more are turned away.
        workers: Processes that serve together, each with these limits, and share the processors.
    """

    body: int = 32 * 2**20
    bodies: int = 128 * 2**20
    documents: int = 1_000
    top_k: int = 1_000
    seconds: float = 60.0
    running: int = 8
    searching: int | None = None
    waiting: int = 256
    writing: int = 2
    writes_waiting: int = 64
    workers: int = 1

    def check(self, name: str, value: int, most: int) -> None:
        """Raise :class:`InvalidInputError` where ``value`` is above ``most``."""
        if value > most:
            raise InvalidInputError(f"{name}: at most {most} here, got {value}")
