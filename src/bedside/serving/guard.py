"""What is decided before a body is read: host, origin, token; then the body's size and time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any, TypeVar

import anyio
import orjson

from bedside.serving.access import Access
from bedside.serving.limits import Limits
from bedside.serving.pages import PATHS

T = TypeVar("T")
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
OPEN = frozenset({"/health", "/ready", "/openapi.json"}) | PATHS
"""Paths that need no token."""
RETRY_AFTER = "1"
"""Seconds after which one that was turned away may try again."""
# A body that needs no room: the searches never wait for large ones, and as many as may be inside take 17 MB.
_SMALL = 1 << 16
_DIGITS = 20  # more than any length that this server could ever take has
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


class _RefusedError(Exception):
    """A request that is turned away: status, title, detail."""


class _Room:
    """Bytes of memory that requests take before their bodies are read, each all it needs: none waits with half."""

    def __init__(self, free: int) -> None:
        self._free = free
        self._changed = asyncio.Event()

    async def take(self, size: int) -> None:
        """Wait until there is room."""
        while self._free < size:
            self._changed.clear()
            await self._changed.wait()
        self._free -= size

    def give_back(self, size: int) -> None:
        self._free += size
        self._changed.set()


class Guard:
    """ASGI middleware that turns away what should not reach the application.

    A web page in somebody's browser can make it send requests to a server on the same machine. Such a request names the
    page's origin, or, with a name that was rebound to this machine, another host: both are refused.

    Args:
        app: What comes after.
        hosts: Names by which the server may be addressed, without ports; ``None``: any.
        origins: Origins of other web pages that may ask, such as ``https://notes.hospital.example``.
        identify: Returns what a bearer token opens, the empty one included, or ``None`` where it is unknown. The
            answer is put into the request's state as ``access``.
        limits: Of a body's bytes, whether or not it says how long it is, of the bytes of all bodies that are in memory
            at once, of seconds until a body is there, and of requests at once.
    """

    def __init__(
        self,
        app: App,
        *,
        hosts: Collection[str] | None,
        origins: Collection[str] = (),
        identify: Callable[[str], Access | None],
        limits: Limits,
    ) -> None:
        self.app = app
        self.hosts, self.origins = hosts, frozenset(origins)
        self.identify = identify
        self.body = limits.body
        self._room = _Room(max(limits.bodies, limits.body))
        self.seconds = limits.seconds
        self.most = limits.running + limits.waiting + limits.writing + limits.writes_waiting
        self._inside = 0

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Check a request and pass it on with its whole body."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        taken = 0
        self._inside += 1
        try:
            size = self._checked(scope)
            if size:
                await self._in_time(self._room.take(size), 503, "TooBusyError", "there was no room for the body")
                taken = size
            body = await self._in_time(self._whole(receive), 408, "BodyTooSlow", "the body was not there")
        except _RefusedError as refused:
            await _refuse(send, *refused.args)
        else:
            if scope["method"] == "HEAD":  # as a load balancer asks; what is sent goes without the body
                scope = {**scope, "method": "GET"}
            await self.app(scope, _once(body, receive), send)
        finally:
            self._inside -= 1
            self._room.give_back(taken)

    async def _in_time(self, awaited: Awaitable[T], status: int, title: str, late: str) -> T:
        try:
            with anyio.fail_after(self.seconds):  # not asyncio.wait_for, which makes a task of each
                return await awaited
        except TimeoutError:
            raise _RefusedError(status, title, f"{late} within {self.seconds:g} seconds") from None

    def _checked(self, scope: MutableMapping[str, Any]) -> int:
        """Return the room that the body of a request needs, or raise where it may not go on."""
        if self._inside > self.most:
            raise _RefusedError(503, "TooBusyError", "too many requests at once; try again later")
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        if self.hosts is not None and without_port(host) not in self.hosts:
            raise _RefusedError(421, "HostNotAllowed", "the Host header names another machine than this server's")
        origin = headers.get("origin", "")
        if origin and origin.partition("://")[2] != host and origin not in self.origins:
            raise _RefusedError(403, "OriginNotAllowed", "requests from web pages of another origin are refused")
        scheme, _, token = headers.get("authorization", "").partition(" ")
        access = self.identify(token.strip() if scheme.lower() == "bearer" else "")
        preflight = scope["method"] == "OPTIONS" and origin in self.origins
        if access is None and scope["path"] not in OPEN and not preflight:
            raise _RefusedError(401, "TokenRequired", "give a known token: Authorization: Bearer …")
        scope.setdefault("state", {})["access"] = access
        length = headers.get("content-length", "0")
        # int() refuses thousands of digits; a body of so many bytes is too large, whatever they are.
        size = int(length.lstrip("0")[:_DIGITS] or 0) if length.isdecimal() else 0
        self._check_size(size)
        if "transfer-encoding" in headers:
            return self.body
        return size if size > _SMALL else 0

    def _check_size(self, size: int) -> None:
        if size > self.body:
            raise _RefusedError(413, "BodyTooLarge", f"the body is larger than {self.body} bytes")

    async def _whole(self, receive: Receive) -> bytes:
        """Return the body, or raise as soon as it is too large."""
        parts, size, more = [], 0, True
        while more:
            message = await receive()
            part = message.get("body", b"")
            size += len(part)
            self._check_size(size)
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
    if status == 503:
        headers.append((b"retry-after", RETRY_AFTER.encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
