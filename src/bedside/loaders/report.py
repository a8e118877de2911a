"""What loading took, and what it could not take."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from bedside.errors import UnreadableFileError
from bedside.remedies import told

Outcome: TypeAlias = Literal["refused", "left out", "guessed", "unlinked"]


@dataclass(frozen=True)
class Finding:
    """What there is to know of a file, or of a part of it, beside its notes.

    Attributes:
        file: The file's path, as in the notes' ``source``.
        part: The part, such as ``"page 3"`` or ``"DocumentReference/7"``; empty for the whole file.
        reason: Why, in words.
        outcome: ``"refused"``: it holds something that could not be read. ``"left out"``: it holds no text, or none
            that counts, such as a picture or what was entered in error. ``"guessed"``: it was read, in a way that is
            likely and not certain. ``"unlinked"``: it replaces a document that is not among the notes.
    """

    file: str
    part: str
    reason: str
    outcome: Outcome = "refused"

    def __str__(self) -> str:
        return f"{self.file}: {self.part}: {self.reason}" if self.part else f"{self.file}: {self.reason}"


@dataclass
class LoadReport:
    """Filled while notes are loaded: what was taken of each file, and what was not.

    Attributes:
        notes: The number of notes that each file gave, in the order in which the files were read.
        findings: What could not be taken, and what was guessed; a file that gave no note always has one.

    Example:
        >>> from bedside.loaders import LoadReport, read
        >>> report = LoadReport()
        >>> list(read(b"<html></html>", "visit.html", report=report))
        []
        >>> report.empty, str(report.findings[0])
        (['visit.html'], 'visit.html: no text in it')
    """

    notes: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def read(self) -> list[str]:
        """The files that gave notes; parts of them may have been refused."""
        return [file for file, count in self.notes.items() if count]

    @property
    def refused(self) -> list[str]:
        """The files that gave no note, since what they hold could not be read."""
        failed = {finding.file for finding in self.findings if finding.outcome == "refused"}
        return [file for file, count in self.notes.items() if not count and file in failed]

    @property
    def empty(self) -> list[str]:
        """The files that gave no note, since there is none in them."""
        refused = set(self.refused)
        return [file for file, count in self.notes.items() if not count and file not in refused]

    @property
    def is_complete(self) -> bool:
        """Whether every file gave notes, and nothing in any of them was refused."""
        return all(self.notes.values()) and all(finding.outcome != "refused" for finding in self.findings)

    def add(self, finding: Finding) -> None:
        """Take a finding in; called by the loaders."""
        self.findings.append(finding)


def reason_of(error: UnreadableFileError) -> str:
    """Return why a file or a part could not be read, and what to do about it in the words of the surface."""
    return f"{error.reason}{told(error.remedies)}"
