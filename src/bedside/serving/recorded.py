"""A line of the log and a count for each request: who asked for what, and how it ended."""

import logging
import re
import time
import uuid
from typing import Any

from starlette.requests import Request

from bedside.serving.guard import App, Message, Receive, Send
from bedside.serving.metrics import Metrics
from bedside.serving.problems import problem
from bedside.serving.shelf import is_name

log = logging.getLogger("bedside.serving.http")
# What a caller may call a request, so that its own log and this one can be read together.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Recorded:
    """ASGI middleware that records requests, never a body, a query or an id, and answers an unexpected error.

    Args:
        app: What comes after.
        metrics: Where requests are counted.
    """

    def __init__(self, app: App, *, metrics: Metrics) -> None:
        self.app = app
        self._metrics = metrics

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Pass a request on and record it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, request, status = time.perf_counter(), Request(scope), 0
        given = request.headers.get("x-request-id", "")
        number = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex

        async def numbered(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", number.encode())]
            await send(message)

        try:
            await self.app(scope, receive, numbered)
        except Exception as error:  # the outermost place: nothing of it may reach the caller
            kind = type(error).__name__  # without the traceback, whose message may hold text
            log.error("%s %s failed: %s", request.method, _place(request), kind, extra={"request": number})  # noqa: TRY400
            if status:
                raise  # half of an answer is there
            failed = problem(500, "InternalError", "the server failed; its log names the kind of error")
            await failed(scope, receive, numbered)
        self._record(request, number, status, time.perf_counter() - start)

    def _record(self, request: Request, number: str, status: int, took: float) -> None:
        access = getattr(request.state, "access", None)
        operation = getattr(request.scope.get("route"), "operation_id", None) or "-"
        self._metrics.count(operation, status, took)
        line = {
            "caller": "-" if access is None else access.name,
            "method": request.method,
            "path": _place(request),
            "status": status,
            "ms": round(1000 * took, 1),
            "request": number,
        }
        log.info("%s %s %s %d %.1f ms %s", *line.values(), extra={**line, "operation": operation})


def _place(request: Request) -> str:
    """Return the path as far as it is one of the server's: the rest may be an id, or a name somebody typed there."""
    path: str = getattr(request.scope.get("route"), "path", "-")
    name = request.path_params.get("name", "")
    return path.replace("{name}", name) if is_name(name) else path
