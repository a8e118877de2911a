"""Who acts, as LangChain's config says it, for a collection that keeps an audit trail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from bedside.audit import acting, acting_as

__all__ = ["acting_as_configured"]


@contextmanager
def acting_as_configured(metadata: Mapping[str, Any] | None) -> Iterator[None]:
    """Record what runs inside as done by the ``actor``, for the ``purpose``, that a run's metadata names.

    Where it names none, the ``bedside.audit.acting_as`` around the run holds.
    """
    said = metadata or {}
    known = acting()
    actor = said.get("actor", known and known.actor)
    if actor is None or not {"actor", "purpose"} & said.keys():
        yield
        return
    with acting_as(actor, purpose=said.get("purpose")):
        yield
