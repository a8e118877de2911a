"""What a child process writes while others look on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bedside import Collection, Document
from bedside.engines.embedded import state
from store.children import document, main, model_of, report, told

SMALL = 2**14


def fill(notes: Collection, count: int, start: int = 0) -> None:
    """Add, replace and delete, one call each."""
    for i in range(start, start + count):
        notes.add([document(f"d{i}", 1), document(f"e{i // 2}", i)])
        if i % 5 == 4:
            notes.delete([f"d{i - 1}"])


def fill_until_killed(folder: str, count: int) -> None:
    """Write checkpoints often, and say how far the log and they have come."""
    state.CHECKPOINT_BYTES = SMALL
    notes = Collection.open(folder)
    fill(notes, count)
    engine: Any = notes._engine
    report([model_of(notes), engine._position.line, engine._checkpoints.end.line])
    told()


def batches(count: int) -> Iterator[list[Document]]:
    """Lists of a hundred documents each."""
    for number in range(count):
        yield [document(f"b{number}-{i}", 1) for i in range(100)]


def write_in_bulk(folder: str, count: int) -> None:
    """Write ``count`` batches as one transaction; wait for the parent before it is committed, and at the end."""

    def slowly() -> Iterator[list[Document]]:
        yield from batches(count)
        report("written")
        told()

    with Collection.open(folder) as notes:
        report(notes.add_batches(slowly()))
        told()


if __name__ == "__main__":
    main({"fill_until_killed": fill_until_killed, "write_in_bulk": write_in_bulk})
