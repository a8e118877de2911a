"""A PostgreSQL server for the tests of the library and of the adapters: one for the whole run, started when used."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest

from engines import postgres_server
from engines.postgres_server import Server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The server."""
    with postgres_server.running() as found:
        yield found


@pytest.fixture(scope="session")
def schemas(server: Server) -> Iterator[Callable[[], str]]:
    """Returns the URL of another collection at each call; all are dropped when the run ends."""
    names: list[str] = []

    def new() -> str:
        names.append(f"t{os.getpid()}_{time.monotonic_ns()}")
        return server.place(names[-1])

    yield new
    with psycopg.connect(server.url, autocommit=True) as connection:
        for name in names:
            connection.execute(f'drop schema if exists "{name}" cascade'.encode())


@pytest.fixture
def postgres(schemas: Callable[[], str]) -> Callable[[], str]:
    """Returns the URL of another collection at each call."""
    return schemas
