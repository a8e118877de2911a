"""Keep transformers from reporting what is expected here: a head that is not used, a pooler that nobody needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bedside.support.extras import needs


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence transformers' loading reports and bars inside the block; errors are raised as ever."""
    with needs("transformers"):
        import transformers
    logs: Any = transformers.logging
    level, bars = logs.get_verbosity(), logs.is_progress_bar_enabled()
    logs.set_verbosity_error()
    logs.disable_progress_bar()
    try:
        yield
    finally:
        logs.set_verbosity(level)
        if bars:
            logs.enable_progress_bar()
