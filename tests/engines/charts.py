"""Charts of daily notes of which most was copied from the day before, made from the example notes."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

from bedside import Document
from bedside.text.sentences import sentences

NOTES = Path(__file__).parents[2] / "examples" / "notes"
FINDINGS = ["WBC", "lactate", "creatinine", "hemoglobin", "sodium", "CRP", "troponin", "potassium", "platelets", "INR"]
EVENTS = [
    *("slept {n} hours", "walked {n} m with physiotherapy", "drank {n} ml", "drain gave {n} ml overnight"),
    *("pain {n} of 10 at rest", "room air SpO2 {n} %", "urine output {n} ml", "temperature {n} at six"),
]


def sections() -> list[tuple[str, list[str]]]:
    """The sections of the first example notes with their sentences, two hundred words at most."""
    found = []
    for path in sorted(NOTES.glob("P0[1-4].txt")):
        note = path.read_text(encoding="utf-8").split("\n=== ")[1]
        for title, body in re.findall(r"^([A-Z][A-Z ]+): (.*?)(?=\n\n|\Z)", note, re.MULTILINE | re.DOTALL):
            parts = [" ".join(body[a:b].split()) for a, b in sentences(body)]
            if len(parts) >= 3 and len(body) < 1400:
                found.append((title, parts))
    return found


def days(draw: random.Random, count: int, copied: float) -> Iterator[list[tuple[str, list[str]]]]:
    """Yield each day's sections: of some the sentences of the day before, of others new ones or one more."""
    chart = [(title, list(parts)) for title, parts in draw.sample(sections(), 8)]
    for day in range(count):
        if day:
            chart = [(title, parts if draw.random() < copied else changed(draw, parts)) for title, parts in chart]
        yield chart


def changed(draw: random.Random, parts: list[str]) -> list[str]:
    """A section with another value, one more sentence, or written anew."""
    event = draw.choice(EVENTS).format(n=draw.randrange(9999))
    value = f"{draw.choice(FINDINGS)} {draw.randrange(10, 999) / 10} today, {event}."
    match draw.randrange(3):
        case 0:
            return [*parts, value]
        case 1:
            at = draw.randrange(len(parts))
            return [*parts[:at], value, *parts[at + 1 :]]
    return [value, *(f"{e.format(n=draw.randrange(9999)).capitalize()}." for e in draw.sample(EVENTS, 3))]


def chart(draw: random.Random, count: int, copied: float) -> list[Document]:
    """Return a chart's sections as documents, day by day."""
    made = []
    for day, parts in enumerate(days(draw, count, copied)):
        when = (date(2024, 3, 1) + timedelta(days=day)).isoformat()
        for number, (title, said) in enumerate(parts):
            metadata = {"date": when, "section": title, "source": f"note-{day}"}
            made.append(Document(f"{title}: {' '.join(said)}", metadata, f"{day}.{number}"))
    return made


def said(document: Document) -> list[str]:
    """The sentences of a chart's document."""
    body = document.text.partition(": ")[2]
    return [body[a:b].strip() for a, b in sentences(body) if body[a:b].strip()]
