"""Read the example notes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NOTES = Path(__file__).parent / "notes"


@dataclass(frozen=True)
class Note:
    """One clinical note: its id, its header as metadata, its text."""

    id: str
    metadata: dict[str, str]
    text: str


def read_notes(path: Path) -> Iterator[Note]:
    """Yield the notes of one file, in the order written; ``examples/notes/README.md`` gives the format."""
    for block in path.read_text(encoding="utf-8").split("\n=== ")[1:]:
        header, _, text = block.partition("\n\n")
        note_id, *fields = header.splitlines()
        yield Note(note_id, dict(field.split(": ", 1) for field in fields), text.strip())


def read_patients(folder: Path = NOTES) -> list[Note]:
    """All notes of all patients, patient by patient."""
    return [note for path in sorted(folder.glob("P*.txt")) for note in read_notes(path)]


def read_guidelines(folder: Path = NOTES) -> list[Note]:
    """The guideline excerpts: they belong to no patient and have no ``patient_id``."""
    return [*read_notes(folder / "guidelines.txt")]
