"""The audit trail of collections, as its keeper sees it: opened, verified, searched."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from bedside.audit.chain import Keys
from bedside.audit.trail import Trail
from bedside.errors import ActorRequired, BrokenTrailError, InvalidInputError
from bedside.remedies import Act
from bedside.support.acting import Acting, acting
from bedside.support.checks import check_int, check_number
from bedside.support.closing import Closing
from bedside.support.keys import KeySource, load_key
from bedside.support.paths import check_folder

_ANCHOR = re.compile(r"(\d+):([0-9a-f]{64})")


@dataclass(frozen=True)
class AuditReport:
    """What :meth:`AuditLog.verify` read.

    Attributes:
        files: How many.
        lines: How many, those that begin a file included.
        begun: Time of the first line: UTC, ISO 8601.
        ended: Time of the last one.
        anchor: The end, to be kept elsewhere: what is cut off behind it is found when it is given to ``verify``.
        torn_bytes: What a killed writer left behind the last line; the next one removes it and says so.
    """

    files: int
    lines: int
    begun: str
    ended: str
    anchor: str
    torn_bytes: int


class AuditLog(Closing):
    """A trail that a collection opened with ``audit=`` leaves: a line for each verb, chained by HMAC.

    A line says when, who, what for, which verb of which collection, how many records, and, each as an HMAC of its own,
    the scope, the question, the filter and the ids. It holds no text, no question, no id and no value of a scope. It is
    with the operating system before anything is answered or changed, so that nothing this process suffers can lose it,
    and on the disk within a second; lines of verbs that write are on the disk at once. Several collections, threads and
    processes may share one trail.

    Args:
        path: The trail's folder, readable by its owner only; it is made when a collection is opened with it.
        key: 32 bytes, a key file (:class:`pathlib.Path`), the name of an environment variable (``str``), or a
            function that returns 32 bytes. Whoever has it can write lines that fit: keep it from those who are watched
            where you can, and keep it as long as the trail.
        actor: Who acts where no :func:`~bedside.audit.acting_as` says so, such as a job's name. Without either, every
            verb is refused.
        purpose: What for, along with ``actor``.
        max_bytes: A file that has reached this size is followed by another, and the chain goes on.
        durable: Whether every line is on the disk before its verb answers (some milliseconds each), and not within a
            second: what a power cut may take otherwise.
        lock_timeout: Seconds to wait for another process that is writing.

    Raises:
        InvalidInputError: An argument is none of the above.

    Example:
        >>> import secrets, tempfile, bedside
        >>> from bedside.audit import AuditLog, acting_as
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     audit = AuditLog(folder + "/audit", key=secrets.token_bytes(32))
        ...     notes = bedside.Collection.open(audit=audit)
        ...     with acting_as("dr.x", purpose="treatment"):
        ...         ids = notes.add(["Denies chest pain."])
        ...         hits = notes.search("chest pain", mode="sparse")
        ...     audit.verify().lines, [(line["actor"], line["verb"]) for line in audit.entries()]
        (3, [('dr.x', 'add'), ('dr.x', 'search')])
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        key: KeySource,
        actor: str | None = None,
        purpose: str | None = None,
        max_bytes: int = 64 * 2**20,
        durable: bool = False,
        lock_timeout: float = 10.0,
    ) -> None:
        check_int("max_bytes", max_bytes, 1)
        check_number("lock_timeout", lock_timeout, 0)
        if purpose is not None and actor is None:
            raise InvalidInputError("purpose: is said along with an actor")
        self.names = Keys.of(load_key(key))
        self._otherwise = None if actor is None else Acting(actor, purpose)
        self._durable = durable
        self._trail = Trail(check_folder(path), self.names, max_bytes, lock_timeout)

    @property
    def path(self) -> Path:
        """The trail's folder."""
        return self._trail.folder

    def begin(self) -> None:
        """Make the folder and its first line where there is no trail yet; a collection does so when it is opened.

        Raises:
            WriteFailedError: The disk refused.
            BrokenTrailError: The end of the trail was edited, or the key is not the one it was begun with.
        """
        self._trail.begin()

    def who(self, verb: str, *, purpose: bool) -> Acting:
        """Return who acts.

        Args:
            verb: What is done, for the message.
            purpose: Whether it must be said what for.

        Raises:
            ActorRequired: Nobody said so.
        """
        found = acting() or self._otherwise
        if found is None:
            raise ActorRequired(f"{verb}: an audit trail is kept, and it is not said who acts", remedies=[Act()])
        if purpose and found.purpose is None:
            raise ActorRequired(f"{verb}: shows every scope, and it is not said what for", remedies=[Act()])
        return found

    def append(self, fields: Mapping[str, Any], *, durable: bool = False) -> int:
        """Write a line and return its number; see :meth:`bedside.audit.trail.Trail.append`."""
        return self._trail.append(fields, durable=durable or self._durable)

    def scope(self, scope: Mapping[str, str | int]) -> str:
        """Return what stands in the trail for a scope, such as ``{"patient_id": "A"}``."""
        return self.names.name("scope", orjson.dumps(scope, option=orjson.OPT_SORT_KEYS))

    def verify(self, *, anchor: str | None = None) -> AuditReport:
        """Read every line and check that it follows the one before it.

        The chain shows every line that was edited, removed or moved, but not that lines are missing at the end: give an
        anchor that an earlier call returned and that was kept where nobody who can write the trail can.

        Args:
            anchor: ``AuditReport.anchor`` of an earlier call.

        Raises:
            BrokenTrailError: A line is not what was written; names the first one.
            InvalidInputError: There is no trail, or ``anchor`` is none.
        """
        number, mac = _parsed(anchor)
        first = last = None
        files, lines = set(), 0
        for entry in self._trail.entries():
            first, last, lines = first or entry, entry, lines + 1
            files.add(entry.file)
            if entry.fields["seq"] == number and entry.mac != mac:
                raise BrokenTrailError(entry.file, entry.line, "it is not the line that the anchor names")
        if number is not None and (last is None or last.fields["seq"] < number):
            ends = "there is none" if last is None else f"it ends with line {last.fields['seq']}"
            name = self.path.name if last is None else last.file
            raise BrokenTrailError(
                name, None, f"the anchor names line {number} of the trail, and {ends}: it was cut off"
            )
        if first is None or last is None:
            raise InvalidInputError(f"{self.path} holds no audit trail")
        ended = f"{last.fields['seq']}:{last.mac}"
        return AuditReport(len(files), lines, first.fields["at"], last.fields["at"], ended, self._trail.torn_bytes())

    def entries(
        self,
        *,
        actor: str | None = None,
        verb: str | None = None,
        scope: Mapping[str, str | int] | None = None,
        id: str | None = None,
        since: str | None = None,
        until: str | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Yield what the lines say, the oldest first, each checked as :meth:`verify` does.

        Args:
            actor: Only lines of this actor.
            verb: Only lines of this verb, such as ``"search"``.
            scope: Only lines about this scope, such as ``{"patient_id": "A"}``; those that name none are about all.
            id: Only lines that name this id, of a record or of a note. Lines about more than 1,000 records name the
                first of them; ``count`` says how many there were.
            since: Only lines of this time or later, as ISO 8601 in UTC: ``"2026-03-01"``, ``"2026-03-01T09:12"``.
            until: Only lines before this time.

        Raises:
            BrokenTrailError: A line is not what was written.
        """
        scope_name = None if scope is None else self.scope(scope)
        id_name = None if id is None else self.names.name("id", id)
        for entry in self._trail.entries():
            line = entry.fields
            if (
                line["verb"] != "begin"
                and (actor is None or line["actor"] == actor)
                and (verb is None or line["verb"] == verb)
                and (scope_name is None or scope_name in line.get("scopes", [scope_name]))
                and (id_name is None or id_name in (*line.get("asked", ()), *line.get("ids", ())))
                and (since is None or line["at"] >= since)
                and (until is None or line["at"] < until)
            ):
                yield line

    def close(self) -> None:
        """Have the disk take what was written, and let go of the file; it is opened again when it is needed."""
        self._trail.close()

    def __repr__(self) -> str:
        return f"AuditLog({str(self.path)!r})"


def _parsed(anchor: object) -> tuple[int | None, str]:
    if anchor is None:
        return None, ""
    found = _ANCHOR.fullmatch(anchor) if isinstance(anchor, str) else None
    if found is None:
        raise InvalidInputError("anchor: expected NUMBER:HMAC, as an earlier verify returned it")
    return int(found[1]), found[2]
