"""The server's log: a line for each request, for people or as JSON for a collector; never a body, a query or an id."""

from __future__ import annotations

import logging
import sys
from datetime import datetime, timezone
from typing import Literal, TypeAlias

import orjson

Format: TypeAlias = Literal["text", "json"]
FIELDS = ("request", "caller", "method", "path", "operation", "status", "ms")
"""What a line about a request says beside time, level and message, each under its own key of the JSON."""


class JsonLines(logging.Formatter):
    """A log record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; an exception is named by its kind alone, since its message may hold text."""
        at = datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")
        line = {"at": at, "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
        line |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
        return orjson.dumps(line, default=str).decode()


def set_up(format: Format) -> None:
    """Write this process' log to standard error, one line a record."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if format == "json" else logging.Formatter("%(asctime)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
