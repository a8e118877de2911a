"""Who acts, and what for: what runs inside of a block is recorded under a name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from bedside.errors import InvalidInputError

LONGEST = 200
"""Characters of a name or a purpose: it stands in every line of a trail."""


@dataclass(frozen=True)
class Acting:
    """Somebody who acts.

    Attributes:
        actor: Who: a login, a service's name.
        purpose: What for: ``"treatment"``, ``"audit"``, the number of a request; ``None`` where nobody said.

    Raises:
        InvalidInputError: One is empty, longer than 200 characters, or not printable.
    """

    actor: str
    purpose: str | None = None

    def __post_init__(self) -> None:
        _check("actor", self.actor)
        if self.purpose is not None:
            _check("purpose", self.purpose)


_acting: ContextVar[Acting | None] = ContextVar("bedside_acting", default=None)


@contextmanager
def acting_as(actor: str, *, purpose: str | None = None) -> Iterator[Acting]:
    """Record what runs inside of the block as done by ``actor``, for ``purpose``.

    The name is a context variable: tasks of asyncio and ``asyncio.to_thread`` take it along, and so do the executors
    of LangChain, LlamaIndex and the servers. A bare ``threading.Thread`` or ``ThreadPoolExecutor`` begins without one:
    give it ``contextvars.copy_context().run``.

    Args:
        actor: Who: a login, a service's name. It is written as it is, so it should not be a patient's.
        purpose: What for; a code or the number of a request rather than prose, for it is written as it is too. A block
            inside of another says its own.

    Raises:
        InvalidInputError: One is empty, longer than 200 characters, or not printable.

    Example:
        >>> with acting_as("dr.x", purpose="treatment"):
        ...     acting()
        Acting(actor='dr.x', purpose='treatment')
    """
    before = _acting.set(Acting(actor, purpose))
    try:
        yield Acting(actor, purpose)
    finally:
        _acting.reset(before)


def acting() -> Acting | None:
    """Return who acts here; ``None`` where nobody was named."""
    return _acting.get()


def _check(name: str, value: object) -> None:
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST or not value.isprintable():
        raise InvalidInputError(f"{name}: expected 1 to {LONGEST} printable characters")
