"""Loading in bulk: what an engine offers to the processes that load one collection together; see :mod:`bedside.bulk`.

What is loaded comes in shards, each with a name that its content decides. A ledger beside the records knows every shard
that was planned or loaded, so a shard is loaded once, whoever tries it and how often.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from bedside.engines.facts import Batch
from bedside.records import Record
from bedside.types import FilterDict


@dataclass(frozen=True)
class Entry:
    """A shard in the ledger.

    Attributes:
        documents: How many records it gave; ``None`` before it is loaded.
        refused: How many were left out.
    """

    documents: int | None = None
    refused: int = 0


class Wholes(NamedTuple):
    """Records that are parts of wholes, such as passages of notes: a whole that is loaded takes another's place.

    Attributes:
        key: The metadata key that names the whole.
        parts_of: Returns the filter that selects the parts of some wholes.
    """

    key: str
    parts_of: Callable[[Sequence[str]], FilterDict]


class BulkLoading(Protocol):
    """What an engine that can be loaded in bulk offers; all of it may be called from several processes at a time."""

    def plan(self, sizes: Mapping[str, int], sample: Batch) -> dict[str, Entry]:
        """Enter shards into the ledger, and return what it says of each.

        Their order decides the order of their records, whichever is loaded first.

        Args:
            sizes: The most records that each shard may give.
            sample: One batch of what will be loaded: it decides or fits the collection's dimension and encoder.

        Raises:
            EncoderMismatch, EncoderRequired, InvalidVectorError: The sample does not fit the collection.
        """
        ...

    def check(self, records: Sequence[Record]) -> None:
        """Refuse records that the engine cannot hold, before anything is done with them."""
        ...

    def load(self, shard: str, batches: Iterable[Batch], refused: Sized, wholes: Wholes | None = None) -> Entry:
        """Load a planned shard, as one transaction; one that is loaded already is left as it is.

        A record takes the place of an earlier one with its id, and leaves a later one in its place: shards are as if
        they had been added in the order in which they were planned, at the time when they were.

        Args:
            shard: Its name.
            batches: Its records; taken only where it is to be loaded.
            refused: What was left out; counted once the batches have been taken.
            wholes: Where records are parts.

        Raises:
            InvalidDocumentError: Another record has an id that a part needs.
            EncoderMismatch: The collection was encoded anew meanwhile.
        """
        ...

    def finish(self) -> None:
        """Make the indexes that are missing, and renew what the planner of queries knows."""
        ...
