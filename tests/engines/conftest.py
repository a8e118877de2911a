"""The engines that the conformance suite runs on; what else it needs is the public ``Collection``."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from bedside import Collection

# Another engine is one line here: a function of a fresh folder and a number that returns a place not used before.
PLACES: dict[str, Callable[[Path, int], Any]] = {
    "memory": lambda folder, number: None,  # one signature
    "disk": lambda folder, number: folder / str(number),
}


class Open(Protocol):
    """Opens a new, empty collection at each call; all are closed when the test ends."""

    def __call__(self, **options: Any) -> Collection: ...


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Any]:
    """Returns another place at each call."""
    numbers = itertools.count()
    return lambda: PLACES[request.param](tmp_path, next(numbers))


@pytest.fixture
def open_(place: Callable[[], Any]) -> Iterator[Open]:
    opened: list[Collection] = []

    def new(**options: Any) -> Collection:
        opened.append(Collection.open(place(), **options))
        return opened[-1]

    yield new
    for collection in opened:
        collection.close()


@pytest.fixture
def reopened(place: Callable[[], Any]) -> Callable[..., Collection]:
    """Opens the place of a closed collection again."""
    where = place()
    if where is None:
        pytest.skip("this engine keeps nothing when it is closed")
    return lambda **options: Collection.open(where, **options)
