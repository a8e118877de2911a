"""Starting the HTTP server: who may reach it is settled before a socket is opened."""

from __future__ import annotations

import errno
import ipaddress
import math
import os
import socket
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from threadpoolctl import ThreadpoolController

from bedside.errors import InvalidInputError
from bedside.serving.access import Access, Token, TokenFile
from bedside.serving.http import Tokens, create_app
from bedside.serving.service import Service
from bedside.serving.siblings import Siblings
from bedside.serving.workers import Worker, supervise
from bedside.support.processors import processors

TOKEN_VARIABLE = "BEDSIDE_TOKEN"  # noqa: S105 - the name of a variable
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


def tokens_of(file: Path | None) -> TokenFile | list[Token]:
    """Return the tokens of a file, or the one of the environment variable ``BEDSIDE_TOKEN``, which opens everything."""
    if file is not None:
        return TokenFile(file)
    secret = os.environ.get(TOKEN_VARIABLE)
    return [] if secret is None else [Token.of(secret, Access(TOKEN_VARIABLE))]


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def serve(
    service: Service,
    *,
    host: str,
    port: int,
    tokens: Tokens,
    allow_hosts: Collection[str] = (),
    allow_origins: Collection[str] = (),
    ready: Callable[[str], None],
    worker: Worker | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM; requests that have begun are answered.

    Args:
        service: The collections.
        host: Address to listen at.
        port: 0 takes a free one.
        tokens: Who may call.
        allow_hosts: More names by which the server may be addressed, such as a reverse proxy's.
        allow_origins: Web pages of other servers that may ask, such as ``https://notes.hospital.example``.
        ready: Is called with the address once it listens.
        worker: What this process was given where it is one of several.

    Raises:
        InvalidInputError: Others could reach the server, and there is no token.
        OSError: It cannot listen there.
    """
    names = _names(host, tokens, allow_hosts)
    siblings = None if worker is None else Siblings(worker.folder, service.limits.seconds)
    app = create_app(service, tokens=tokens, hosts=names or None, origins=allow_origins, siblings=siblings)
    longest = (
        math.ceil(service.limits.seconds) + 1
    )  # by then each request has its answer, if only that it takes too long
    config = uvicorn.Config(
        app,
        http="h11",  # httptools, which uvicorn would take where it is installed, keeps headers of any size in memory
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=longest,
    )
    with short_turns(), bounded_products(service.limits.running * service.limits.workers):
        _Server(config, ready).run(sockets=listening(host, port) if worker is None else worker.sockets)


def serve_by_workers(
    count: int,
    *,
    host: str,
    port: int,
    tokens: Tokens,
    allow_hosts: Collection[str] = (),
    ready: Callable[[str], None],
) -> bool:
    """Have several processes serve, each of which runs this process' command and finds itself to be a worker.

    Args:
        count: How many.
        host: Address to listen at.
        port: 0 takes a free one.
        tokens: Who may call.
        allow_hosts: As for :func:`serve`.
        ready: Is called with the address once all of them serve.

    Returns:
        False where a worker could not be started; it said why.

    Raises:
        InvalidInputError: Others could reach the server, and there is no token.
        OSError: It cannot listen there.
    """
    _names(host, tokens, allow_hosts)
    sockets = listening(host, port)
    return supervise(count, sockets, lambda: ready(_address(sockets[0])))


def _names(host: str, tokens: Tokens, allow_hosts: Collection[str]) -> frozenset[str]:
    """Return the names by which a server may be addressed, none for any.

    Raises:
        InvalidInputError: Others could reach it, and there is no token.
    """
    reached = [host] * (not is_loopback(host)) + [f"{name}, an allowed host" for name in allow_hosts]
    if reached and not tokens:
        raise InvalidInputError(
            f"host {reached[0]}: other machines can reach it, so tokens are needed: --tokens FILE or {TOKEN_VARIABLE}"
        )
    local = LOOPBACK_NAMES | {host} if is_loopback(host) else frozenset()
    return local | {name.lower() for name in allow_hosts}


@contextmanager
def short_turns() -> Iterator[None]:
    """Have a thread that encodes or indexes let others go on ten times as often as Python's 5 ms.

    A search takes up the interpreter again and again, each time behind such a thread: beside two threads that added, on
    2 busy processors, 95 % of the searches were answered in half the time.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.0005)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@contextmanager
def bounded_products(running: int) -> Iterator[None]:
    """Share the processors among the matrix products of so many requests at once; fewer threads stay fewer.

    Otherwise each product takes every processor, and all wait for one another: 8 clients that search 20,000 vectors of
    384 dimensions on 2 busy processors got 10 answers a second, and 102 with one thread each (benchmarks/serving.py).
    """
    blas = ThreadpoolController().select(user_api="blas")
    now = max((library["num_threads"] for library in blas.info()), default=1)
    with blas.limit(limits=min(now, max(1, processors() // running))):
        yield


def listening(host: str, port: int) -> list[socket.socket]:
    """Return a socket for each address of a host, all at one port.

    Raises:
        OSError: There is no such host, or the port is taken. The server would end without a word to its caller.
    """
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise OSError(f"host {host}: {error.strerror}") from None
    sockets: list[socket.socket] = []
    for family, address in dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found):
        at = port or (sockets[0].getsockname()[1] if sockets else 0)
        try:
            sockets.append(socket.create_server((address, at), family=family, backlog=2048))
        except OSError as error:  # a container may name ::1 localhost and have no IPv6
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                raise
    if not sockets:
        raise OSError(f"host {host}: not an address of this machine")
    return sockets


def _address(listens: socket.socket) -> str:
    """Return the URL of a socket that listens."""
    name, port, *_ = listens.getsockname()
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


class _Server(uvicorn.Server):
    """Says where it listens once it does."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[str], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready(_address(self.servers[0].sockets[0]))
