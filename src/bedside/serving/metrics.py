"""What a monitoring system asks for: counts and times of requests, the queues, memory; no name and no text."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST as CONTENT_TYPE
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

__all__ = ["CONTENT_TYPE", "SHARED_VARIABLE", "Metrics"]

SHARED_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""The folder in which processes that serve together count; prometheus-client reads it when it is imported."""

_MEMORY = "process_resident_memory_bytes"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """The metrics of one server, those of all its workers together.

    Labels are the operation's id (``search``, ``add``, …) and the status: nothing that a caller chose.

    Args:
        gauges: Further values by name, each with its help and a function that returns it now.
    """

    def __init__(self, gauges: Mapping[str, tuple[str, Callable[[], float]]]) -> None:
        self._registry = CollectorRegistry()
        self._together = SHARED_VARIABLE in os.environ
        if self._together:
            gauges = {**gauges, _MEMORY: ("Resident memory size in bytes.", _resident)}
        else:
            ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "bedside_requests", "Requests that were answered.", ["operation", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "bedside_request_seconds",
            "Seconds from a request's headers to its answer.",
            ["operation"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._gauges = {
            Gauge(name, help, registry=self._registry, multiprocess_mode="livesum"): value
            for name, (help, value) in gauges.items()
        }

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Keep the further values as the other workers know them no older than a second."""
        task = asyncio.create_task(self._keep())
        try:
            yield
        finally:
            task.cancel()

    async def _keep(self) -> None:
        while self._together:
            self._look()
            await asyncio.sleep(1)

    def _look(self) -> None:
        for gauge, value in self._gauges.items():
            gauge.set(value())

    def count(self, operation: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        self._requests.labels(operation, str(status)).inc()
        self._seconds.labels(operation).observe(seconds)

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        self._look()
        if not self._together:
            return generate_latest(self._registry)
        everybody = CollectorRegistry()
        MultiProcessCollector(everybody)  # type: ignore[no-untyped-call]
        return generate_latest(everybody)


def _resident() -> float:
    """Return the bytes of memory that this process has, where the system tells."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0.0
