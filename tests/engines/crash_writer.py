"""A writer that may be killed at any moment, and what must then be there.

Its calls follow from a seed, and after each that returned it appends one byte to a file. So whoever killed it knows
what was acknowledged, and what at most one more call would have made of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from bedside import Collection, Document
from bedside.errors import DatabaseError

IDS = [f"d{i}" for i in range(12)]
WORDS = ["chest", "pain", "denies", "fever", "cough", "metoprolol"]
State = dict[str, str]


def calls(seed: str) -> Iterator[tuple[str, Any]]:
    """Yield calls without end: adds, replacements and deletions of a few ids."""
    draw = Random(seed)
    while True:
        some = draw.sample(IDS, draw.randrange(1, 6))
        texts = {id: f"{' '.join(draw.choices(WORDS, k=6))} {draw.random()}" for id in some}
        kind = draw.choice(["add", "add", "replace", "delete"])
        yield kind, (texts if kind == "add" else (some[:2], texts) if kind == "replace" else some)


def after(state: State, call: tuple[str, Any]) -> State:
    """Return what a call makes of a state."""
    kind, what = call
    if kind == "add":
        return {**state, **what}
    gone, texts = (what, {}) if kind == "delete" else what
    return {**{id: text for id, text in state.items() if id not in gone}, **texts}


def states(state: State, seed: str, acknowledged: int) -> list[State]:
    """Return the two states that may be there: after the acknowledged calls, and after one more."""
    for call in islice(calls(seed), acknowledged):
        state = after(state, call)
    return [state, after(state, next(islice(calls(seed), acknowledged, None)))]


def write(url: str, patient: str, seed: str, file: Path) -> None:
    """Call until killed, or until the server is lost."""
    acknowledgements = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    with Collection.open(f"{url}&application_name=writer-{patient}") as notes:
        view = notes.scoped(patient=patient)
        for kind, what in calls(seed):
            try:
                if kind == "add":
                    view.add(documents(what))
                elif kind == "replace":
                    view.replace(documents(what[1]), ids=what[0])
                else:
                    view.delete(what)
            except DatabaseError:
                return  # not acknowledged, as if it had been killed
            os.write(acknowledgements, b".")


def documents(texts: State) -> list[Document]:
    return [Document(text, {}, id, [1.0, 1.0 + len(text)]) for id, text in texts.items()]


def upsert(url: str, number: int, times: int) -> None:
    """Add documents of a few ids that all writers write, in any order, and one of its own each time."""
    draw = Random(number)
    with Collection.open(url) as notes:
        for i in range(times):
            shared = dict.fromkeys(draw.sample(IDS, 5), f"{number} {i}")
            notes.scoped(patient=draw.choice("AB")).add(documents(shared))
            notes.scoped(patient="all").add(documents({**shared, f"own-{number}-{i}": "mine"}))


def keep_adding(url: str, number: int, file: Path) -> None:
    """Add one document after the other until killed, trying again what was not acknowledged."""
    acknowledgements = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    with Collection.open(url) as notes:
        i = 0
        while True:
            try:
                notes.scoped(patient=str(number)).add(documents({f"d{i}": f"note {i}"}))
            except DatabaseError:
                continue
            os.write(acknowledgements, b".")
            i += 1
