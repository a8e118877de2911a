"""What is decided before a body is read: host, origin, token; then the body's size and time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any

import orjson

from bedside.serving.access import Access
from bedside.serving.service import Limits

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
OPEN = frozenset({"/health", "/openapi.json"})
"""Paths that need no token."""
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


class Guard:
    """ASGI middleware that turns away what should not reach the application.

    A web page in somebody's browser can make it send requests to a server on the same machine. Such a request names the
    page's origin, or, with a name that was rebound to this machine, another host: both are refused.

    Args:
        app: What comes after.
        hosts: Names by which the server may be addressed, without ports; ``None``: any.
        identify: Returns what a bearer token opens, the empty one included, or ``None`` where it is unknown. The
            answer is put into the request's state as ``access``.
        limits: Of a body's bytes, whether or not it says how long it is, of seconds until it is there, and of requests
            at once: each may hold a body in memory.
    """

    def __init__(
        self, app: App, *, hosts: Collection[str] | None, identify: Callable[[str], Access | None], limits: Limits
    ) -> None:
        self.app = app
        self.hosts = hosts
        self.identify = identify
        self.body = limits.body
        self.seconds = limits.seconds
        self.most = limits.running + limits.waiting
        self._inside = 0

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Check a request and pass it on with its whole body."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif self._inside >= self.most:
            await _refuse(send, 503, "TooBusyError", "too many requests at once; try again later")
        else:
            self._inside += 1
            try:
                await self._checked(scope, receive, send)
            finally:
                self._inside -= 1

    async def _checked(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        if self.hosts is not None and without_port(host) not in self.hosts:
            await _refuse(send, 421, "HostNotAllowed", "the Host header names another machine than this server's")
            return
        if "origin" in headers and headers["origin"].partition("://")[2] != host:
            await _refuse(send, 403, "OriginNotAllowed", "requests from web pages of another origin are refused")
            return
        scheme, _, token = headers.get("authorization", "").partition(" ")
        access = self.identify(token.strip() if scheme.lower() == "bearer" else "")
        if access is None and scope["path"] not in OPEN:
            await _refuse(send, 401, "TokenRequired", "give a known token: Authorization: Bearer …")
            return
        scope.setdefault("state", {})["access"] = access
        too_large = f"the body is larger than {self.body} bytes"
        if headers.get("content-length", "0").isdecimal() and int(headers.get("content-length", "0")) > self.body:
            await _refuse(send, 413, "BodyTooLarge", too_large)
            return
        try:
            body = await asyncio.wait_for(self._whole(receive), self.seconds)
        except (TimeoutError, asyncio.TimeoutError):
            await _refuse(send, 408, "BodyTooSlow", f"the body was not there within {self.seconds:g} seconds")
            return
        if body is None:
            await _refuse(send, 413, "BodyTooLarge", too_large)
            return
        await self.app(scope, _once(body, receive), send)

    async def _whole(self, receive: Receive) -> bytes | None:
        """Return the body, or None as soon as it is too large."""
        parts, size, more = [], 0, True
        while more:
            message = await receive()
            part = message.get("body", b"")
            size += len(part)
            if size > self.body:
                return None
            parts.append(part)
            more = message.get("more_body", False)
        return b"".join(parts)


def without_port(host: str) -> str:
    """Return the name in a Host header: ``[::1]:80`` is ``[::1]``."""
    return host[: host.find("]") + 1] if host.startswith("[") else host.partition(":")[0].lower()


def _once(body: bytes, receive: Receive) -> Receive:
    """Give the body that was read, then whatever comes after it."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def _refuse(send: Send, status: int, title: str, detail: str) -> None:
    content = orjson.dumps({"title": title, "status": status, "detail": detail})
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
