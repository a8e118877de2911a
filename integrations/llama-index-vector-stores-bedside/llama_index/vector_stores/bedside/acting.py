"""Who acts, as LlamaIndex' instrumentation tags say it, for a collection that keeps an audit trail."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from llama_index_instrumentation.dispatcher import active_instrument_tags

from bedside.audit import acting, acting_as

__all__ = ["as_tagged"]

F = TypeVar("F", bound=Callable[..., Any])


def as_tagged(verb: F) -> F:
    """Record a verb as done by the ``actor``, for the ``purpose``, that the active tags name.

    They come from ``with instrument_tags({"actor": "dr.x", "purpose": "treatment"})``. Where they name none, the
    ``bedside.audit.acting_as`` around the call holds.
    """

    @wraps(verb)
    def tagged(*arguments: Any, **options: Any) -> Any:
        tags = active_instrument_tags.get()
        known = acting()
        actor = tags.get("actor", known and known.actor)
        if actor is None or not {"actor", "purpose"} & tags.keys():
            return verb(*arguments, **options)
        with acting_as(actor, purpose=tags.get("purpose")):
            return verb(*arguments, **options)

    return cast(F, tagged)
