"""What a bulk load did, and what it left out: named by file, line and id, never by what was written."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bedside.bulk.shards import Shard
from bedside.errors import BedsideError, UnreadableFileError

MOST_NAMED = 1_000
"""Documents of one shard that are named; the others are counted."""
_PLACE = re.compile(r"^(?:documents|notes)\[\d+\]\.?")


@dataclass(frozen=True)
class Refused:
    """A document, or a note, that was left out.

    Attributes:
        file: Where it is.
        line: Its line, from 1.
        id: Its id, where it could be read.
        reason: Why, in words.
    """

    file: str
    line: int
    id: str | None
    reason: str

    def __str__(self) -> str:
        named = "" if self.id is None else f" (id {self.id!r})"
        return f"{self.file}, line {self.line}{named}: {self.reason}"


@dataclass(frozen=True)
class Failed:
    """Lines of a file of which nothing was loaded; what was loaded before stays, and loading again does the rest."""

    file: str
    first_line: int
    last_line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}, lines {self.first_line} to {self.last_line}: {self.reason}"


@dataclass(frozen=True)
class BulkReport:
    """What :func:`bedside.bulk.bulk_load` did.

    Attributes:
        documents: How many documents this run added, passages where notes were split.
        shards: How many shards this run loaded.
        skipped: How many shards an earlier run had loaded.
        left_out: How many documents or notes were refused, by earlier runs too.
        refused: Those that this run refused, at most 1,000 of a shard.
        failed: The shards of which nothing was loaded.
    """

    documents: int
    shards: int
    skipped: int
    left_out: int
    refused: tuple[Refused, ...]
    failed: tuple[Failed, ...]

    @property
    def is_complete(self) -> bool:
        """Whether everything in the files is loaded."""
        return not self.left_out and not self.failed


class Refusals:
    """Those of one shard; its length is how many there were.

    Args:
        shard: The shard.
    """

    def __init__(self, shard: Shard) -> None:
        self._file = shard.file
        self._lines: set[int] = set()
        self.named: list[Refused] = []

    def __len__(self) -> int:
        return len(self._lines)

    def __contains__(self, line: int) -> bool:
        return line in self._lines

    def add(self, line: int, id: str | None, error: BedsideError) -> None:
        """Note that a line was refused; of one that is refused twice, such as for two passages, the first counts."""
        if line not in self._lines and len(self.named) < MOST_NAMED:
            self.named.append(Refused(self._file, line, id, _reason(error, id)))
        self._lines.add(line)


def _reason(error: BedsideError, id: str | None) -> str:
    """Return what an error says of ``documents[i]``, without the place and the id, which are told apart."""
    said = error.reason if isinstance(error, UnreadableFileError) else str(error)
    if id is not None:
        said = said.replace(f" (id {id!r})", "", 1)
    return _PLACE.sub("", said).removeprefix(": ")
