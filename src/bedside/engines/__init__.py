"""Where a collection lives: the protocols that an engine answers, and a table of the engines there are.

Nothing of an engine is imported before a place of its kind is opened.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from bedside.engines.protocol import Engine

_ENGINES: Mapping[str, str] = {
    "": "bedside.engines.embedded",
    "postgres": "bedside.engines.postgres",
    "postgresql": "bedside.engines.postgres",
}
"""The module that opens a place, by the scheme of its URL; without a scheme it is a folder, or memory."""


def open_engine(place: str | os.PathLike[str] | None, **how: Any) -> Engine:
    """Open the engine of a place, creating what is not there.

    Args:
        place: A folder or a URL; ``None`` is memory.
        **how: ``facts`` (those of a new collection, made when one is needed), ``read_only`` and ``lock_timeout``.

    Raises:
        BedsideError: Those of :meth:`bedside.Collection.open`.
    """
    scheme = place.partition("://")[0] if isinstance(place, str) and "://" in place else ""
    module = import_module(_ENGINES.get(scheme, _ENGINES[""]))
    opened: Callable[..., Engine] = module.open_engine
    return opened(place, **how)
