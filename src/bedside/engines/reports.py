"""What the verbs of an engine tell of what they did: receipts and reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bedside.search.versions import VersionProblem


@dataclass(frozen=True)
class Written:
    """What a write did.

    Attributes:
        added: How many records were put.
        removed: How many were removed, those that were replaced by id left out.
    """

    added: int
    removed: int


@dataclass(frozen=True)
class EraseReceipt:
    """What :meth:`bedside.Collection.erase` removed, and where it looked for traces afterwards.

    Attributes:
        ids: Of the erased records, those included that were asked for by id and had been deleted before.
        files: Every file of the collection, all of which were scanned, with its size in bytes. Empty in memory.
        traces: How many byte strings of ids, texts, vectors and metadata were looked for, of earlier versions in the
            log too; none was found. What is shorter than 8 bytes is not looked for: it occurs by chance.
        shared: How many more were not looked for, because a surviving record, or the format itself, holds the same.
        beyond: Where a copy may be that this erasure cannot reach, in words; an engine on a server has such places.
    """

    ids: tuple[str, ...]
    files: Mapping[str, int]
    traces: int
    shared: int
    beyond: tuple[str, ...] = ()


@dataclass(frozen=True)
class Writer:
    """What somebody wrote of what a log holds.

    Attributes:
        actor: The name that :func:`bedside.audit.acting_as` gave; ``None``: nobody was named.
        transactions: Calls that wrote.
        changes: Records that they put or removed.
        first: When the first of these calls was committed, ISO 8601 in UTC; ``None`` in a log of release 0.1.
        last: When the last was.
    """

    actor: str | None
    transactions: int
    changes: int
    first: str | None
    last: str | None


@dataclass(frozen=True)
class VerifyReport:
    """What :meth:`bedside.Collection.verify` read.

    Attributes:
        file: The log's name.
        bytes: Its size, an unfinished transaction left out.
        lines: Lines in it, each with its checksum.
        records: Living records; ``None`` where they are encrypted and no key was given.
        unfinished_bytes: What a killed writer left behind the last commit; the next write removes it.
        versions: What is wrong with ``supersedes``, ``valid_from`` and ``valid_to``: no damage, but searches with
            ``as_of`` cannot go by it.
        missing_indexes: Those of a server that are not there: no damage, but searches are slow until ``compact`` makes
            them.
        writers: Who wrote what the log holds, in the order of their first calls. ``compact``, ``erase`` and what else
            writes a log anew begin another, written by whoever called them. None of a server, whose transactions do not
            say, and none where no key was given.
    """

    file: str
    bytes: int
    lines: int
    records: int | None
    unfinished_bytes: int
    versions: tuple[VersionProblem, ...] = ()
    missing_indexes: tuple[str, ...] = ()
    writers: tuple[Writer, ...] = ()


@dataclass(frozen=True)
class Loss:
    """A line that could not be saved.

    Attributes:
        line: Its number, from 1.
        operation: ``"put"``, ``"delete"``, or ``"unknown"`` where that could not be read: a lost delete brings the
            record back. ``"open"`` and ``"commit"`` are lines that hold no record.
        id: Of its record, where it could still be read.
    """

    line: int
    operation: str
    id: str | None


@dataclass(frozen=True)
class RepairReport:
    """What :func:`bedside.engines.repair` saved and lost.

    Attributes:
        records: Living records in the new log.
        lost: The damaged lines, and those that are missing, at the commit line that counted them.
        kept: Name of the file that holds the damaged log; ``None`` where nothing was damaged.
    """

    records: int
    lost: tuple[Loss, ...]
    kept: str | None


@dataclass(frozen=True)
class Check:
    """What :func:`bedside.engines.examine` found about one thing.

    Attributes:
        what: What was looked at.
        state: ``"ok"``, ``"note"`` where somebody should know, ``"wrong"`` where notes can be lost, seen or not found.
        found: How it is.
        advice: What to do; empty where all is well.
    """

    what: str
    state: Literal["ok", "note", "wrong"]
    found: str
    advice: str = ""
