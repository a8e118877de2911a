"""Optional dependencies: imported where they are used, named when they are missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bedside.errors import MissingExtraError


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Turn a failed import inside the block into the line that installs what is missing.

    Args:
        extra: The extra of the ``bedside`` distribution that brings the package.

    Raises:
        MissingExtraError: a module imported inside the block is not installed.

    Example:
        >>> with needs("transformers"):
        ...     import json
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError((error.name or "a dependency").partition(".")[0], extra) from error
