"""The engines that the conformance suite runs on; what else it needs is the public ``Collection``."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from bedside import Collection

# Another engine is one more function that returns a place not used before at each call, made by a fixture of its name;
# that of PostgreSQL stands in the conftest of the project.
PLACES = ("memory", "disk", "sealed", "postgres")
KEYS = {"sealed": bytes(range(32))}
"""The master keys of the engines that have one."""


@pytest.fixture
def memory() -> Callable[[], Any]:
    return lambda: None


@pytest.fixture
def disk(tmp_path: Path) -> Callable[[], Any]:
    numbers = itertools.count()
    return lambda: tmp_path / str(next(numbers))


@pytest.fixture
def sealed(disk: Callable[[], Any]) -> Callable[[], Any]:
    return disk


class Open(Protocol):
    """Opens a new, empty collection at each call; all are closed when the test ends."""

    def __call__(self, **options: Any) -> Collection: ...


@pytest.fixture(params=PLACES)
def engine(request: pytest.FixtureRequest) -> str:
    """The name of the engine."""
    return str(request.param)


@pytest.fixture
def place(request: pytest.FixtureRequest, engine: str) -> Callable[[], Any]:
    """Returns another place at each call."""
    found: Callable[[], Any] = request.getfixturevalue(engine)
    return found


@pytest.fixture
def open_(place: Callable[[], Any], engine: str) -> Iterator[Open]:
    opened: list[Collection] = []

    def new(**options: Any) -> Collection:
        opened.append(Collection.open(place(), key=KEYS.get(engine), **options))
        return opened[-1]

    yield new
    for collection in opened:
        collection.close()


@pytest.fixture
def reopened(place: Callable[[], Any], engine: str) -> Callable[..., Collection]:
    """Opens the place of a closed collection again."""
    where = place()
    if where is None:
        pytest.skip("this engine keeps nothing when it is closed")
    return lambda **options: Collection.open(where, key=KEYS.get(engine), **options)


_LONG = (  # two thirds of the time of the suite on the encrypted engine, which has the plain one's index
    "test_a_view_is_as_a_collection_that_holds_its_scope_alone",
    "test_a_filter_selects_what_the_predicate_selects_for_every_verb",
    "test_pages_of_groups_are_the_whole_ranking_with_each_group_once",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.name.startswith(_LONG) and "[sealed" in item.name:
            item.add_marker(pytest.mark.slow)
