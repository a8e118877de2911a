"""Optional dependencies: imported where they are used, named when they are missing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec

from bedside.errors import MissingExtraError


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Turn a failed import inside the block into the line that installs what is missing.

    Args:
        extra: The extra of the ``bedside`` distribution that brings the package.

    Raises:
        MissingExtraError: a module imported inside the block is not installed, or lacks what is imported from it; then
            the message names the release that is there and the one that is needed.

    Example:
        >>> with needs("transformers"):
        ...     import json
    """
    try:
        yield
    except MissingExtraError:
        raise
    except ImportError as error:
        package = (error.name or "a dependency").partition(".")[0]
        if isinstance(error, ModuleNotFoundError) and sys.modules.get(package) is None:
            raise MissingExtraError(package, extra) from error
        raise MissingExtraError(package, extra, _another_release(package, extra)) from error


def is_installed(module: str) -> bool:
    """Tell whether a module can be imported, without importing it.

    Example:
        >>> is_installed("json"), is_installed("no_such_module")
        (True, False)
    """
    if module in sys.modules:
        return sys.modules[module] is not None  # None: somebody forbids it
    return find_spec(module) is not None


def _another_release(package: str, extra: str) -> str:
    """Say which release is there and which is asked for, as far as their metadata tell."""
    try:
        found = version(package)
    except PackageNotFoundError:
        found = "of an unknown release"
    listed = [line.replace(" ", "") for line in requires("bedside") or []]
    needed = [line.partition(";")[0] for line in listed if line.endswith(f"extra=='{extra}'")]
    asked = next((name for name in needed if name.startswith((f"{package}>", f"{package}="))), "another release")
    return f"{found} is installed, and {asked} is needed"
