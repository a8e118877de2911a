"""Import runtimes that report their use to their makers without the reporting: nothing leaves the machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from bedside.support.extras import needs

_SWITCHES = ("ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED")  # onnxruntime 1.31; the name before its release
_REPORTER = "openvino_telemetry"


def untracked_import(module: str, extra: str) -> Any:
    """Import onnxruntime, openvino or nncf with their telemetry off.

    onnxruntime 1.31 writes a device identifier into the user's cache folder as it is imported and sends events to
    Microsoft; an environment variable, read once at that moment, prevents both. openvino and nncf report each import to
    Google Analytics through a package that they do without if it is missing. A program that imported them
    before has set them up its own way, and keeps it.

    Args:
        module: What to import.
        extra: The extra that brings it.

    Raises:
        MissingExtraError: it is not installed.
    """
    with needs(extra), _switched_off(), _hidden():
        return import_module(module)


@contextmanager
def _switched_off() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in _SWITCHES}
    os.environ.update(dict.fromkeys(_SWITCHES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _hidden() -> Iterator[None]:
    if _REPORTER in sys.modules:
        yield
        return
    sys.modules[_REPORTER] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[_REPORTER]
