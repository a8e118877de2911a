"""Encrypted collections whose writer is killed: the files show nothing, and hold what was before or what is after."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bedside import Collection
from bedside.engines.embedded import state as live
from bedside.engines.embedded.log import log
from bedside.errors import ShreddedError, StoreError, WrongKeyError
from store.children import forked, has_begun, main, report, said
from store.crashes import put_back, states_of
from store.sealed_notes import JANE, KEY, NOTES, OTHER, PATIENTS, holding, note, plain_forms

Found = dict[str, list[str] | None]
"""The ids of each patient, in order; None where their key is gone."""


def opened(path: Path, **options: Any) -> Collection:
    """Open with whichever key there is by now; encrypting and rekeying change it."""
    for key in (KEY, OTHER, None):
        try:
            return Collection.open(path, key=key, **options)
        except WrongKeyError:
            continue
        except StoreError:
            if key is None:
                raise
    raise AssertionError("unreachable")


def ids_in(notes: Collection) -> Found:
    found: Found = {}
    for patient in PATIENTS:
        view = notes.scoped(patient_id=patient)
        try:
            documents = view.get(filter={}, include_vectors=True)
        except ShreddedError:
            found[patient] = None
            continue
        for each in documents:
            right = note(patient, each.metadata["episode"])
            assert each == right
            assert each.vector.tobytes() == right.vector.tobytes()
        found[patient] = [each.id for each in documents]
        assert view.count() == len(documents)
    return found


def changes(kind: str, path: Path, notes: Collection | None) -> Any:
    """One call that changes how or what is kept."""
    if kind == "create":
        return Collection.open(path, key=KEY, scope_keys=["patient_id"])
    assert notes is not None
    if kind == "add":
        return notes.add([note("Poe-Ann", 1), note(JANE, 9)])
    if kind == "shred":
        return notes.scoped(patient_id=JANE).shred()
    if kind == "rekey":
        return notes.rekey(OTHER)
    return notes.encrypt(KEY) if kind == "encrypt" else notes.compact()


def after(kind: str, found: Found) -> Found:
    if kind == "add":
        return {**found, "Poe-Ann": [note("Poe-Ann", 1).id], JANE: [*(found[JANE] or []), note(JANE, 9).id]}
    return {**found, JANE: []} if kind == "shred" else found


def check_left(kind: str, path: Path, before: Found, then: Found) -> str:
    """Hold what is in a folder to what a kill may leave, and say which of the two it is."""
    if kind != "encrypt":
        assert holding(path, plain_forms(NOTES)) == []
    if not (path / "manifest.json").exists():
        assert kind == "create"
        found: Found = {}
    else:
        with opened(path, read_only=True) as notes:
            found = ids_in(notes)
    halves = {"before": before, "after": then, "key gone": {**then, JANE: None} if kind == "shred" else then}
    outcome = next((name for name, state in halves.items() if state == found), None)
    assert outcome is not None, f"{kind}: {found} is neither {before} nor {then}"
    with opened(path) if found else Collection.open(path, key=KEY, scope_keys=["patient_id"]) as notes:
        if outcome == "key gone":
            notes.compact()
        notes.add([note("Last-One", 1)])
        notes.verify()
        assert ids_in(notes)["Last-One"] == [note("Last-One", 1).id]
        sealed = notes.facts.sealed
    if sealed:
        assert holding(path, plain_forms(NOTES)) == [], "what a kill left in the clear stays"
    return outcome


def moments(folder: str, call: str) -> None:
    """Take a copy of the folder whenever a line of code has changed it, and hold each copy to what a kill may leave."""
    live._CACHE_AFTER = 1
    log._CHUNK = 700  # log lines go to the disk in several writes
    root = Path(folder)
    path, notes = root / "c", None
    before: Found = {}
    if call != "create":
        key = None if call == "encrypt" else KEY
        with Collection.open(path, key=key, scope_keys=["patient_id"]) as notes:
            notes.add(NOTES)
            before = ids_in(notes)
        notes = Collection.open(path, key=key)
    states = states_of(path, lambda: changes(call, path, notes))
    empty: Found = {patient: [] for patient in PATIENTS}
    then = after(call, before) if call != "create" else {}
    outcomes: dict[str, int] = {}
    for number, state in enumerate(states):
        left = put_back(state, root / f"left-{number}")
        if call == "create" and (left / "manifest.json").exists():
            outcome = check_left(call, left, empty, empty)
        else:
            outcome = check_left(call, left, before, then)
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    report({"outcomes": outcomes, "files": sorted({name for state in states for name in state})})


KINDS = ("add", "add", "compact", "rekey", "shred")


def churn(path: Path, seed: int, say: Callable[[Any], None]) -> None:
    """Change an encrypted collection for ever, saying before each call what it is and after it that it returned."""
    live._CACHE_AFTER = 1
    rng = random.Random(seed)
    while True:
        with opened(path) as notes:
            for _ in range(rng.randint(1, 6)):
                kind = rng.choice(KINDS)
                patient = rng.choice(PATIENTS)
                number = rng.randrange(10)
                say({"do": kind, "patient": patient, "id": note(patient, number).id})
                if kind == "add":
                    notes.add([note(patient, number)])
                elif kind == "rekey":
                    notes.rekey(rng.choice([KEY, OTHER]))
                elif kind == "shred":
                    notes.scoped(patient_id=patient).shred()
                else:
                    notes.compact()
                say({"done": kind})


def told(found: Found, event: dict[str, Any]) -> Found:
    """What a call leads to."""
    ids = [id for id in found[event["patient"]] or [] if id != event["id"]]
    if event["do"] == "add":
        return {**found, event["patient"]: [*ids, event["id"]]}
    return {**found, event["patient"]: []} if event["do"] == "shred" else found


def crash_rounds(folder: str, rounds: int, seed: int) -> None:
    """Kill a fork that changes an encrypted collection, scan its files, look, and go on with what is there."""
    path, rng = Path(folder) / "c", random.Random(seed)
    forms = plain_forms([note(patient, number) for patient in PATIENTS for number in range(10)])
    with Collection.open(path, key=KEY, scope_keys=["patient_id"]) as notes:
        found = ids_in(notes)
    hit: dict[str, int] = {}
    for number in range(rounds):
        pid, source = forked(lambda say, n=number: churn(path, seed * 10_000 + n, say))
        if number % 5:
            has_begun(source)
        time.sleep(rng.uniform(0.01, 0.25))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        heard = said(source)
        before = then = found
        for event in heard:
            before, then = (then, then) if "done" in event else (before, told(before, event))
        last = heard[-1] if heard else {}
        hit[last.get("do", "between")] = hit.get(last.get("do", "between"), 0) + 1
        assert holding(path, forms) == [], "a killed writer left something in the clear"
        with opened(path, read_only=True) as notes:
            found = ids_in(notes)
        gone = {**then, last["patient"]: None} if last.get("do") == "shred" else then
        assert found in (before, then, gone), f"{found} is neither {before} nor {then}: {last}"
        with opened(path) as notes:
            if None in found.values():
                notes.compact()
            notes.verify()
            found = ids_in(notes)
    report(hit)


def encrypt_rounds(folder: str, rounds: int, seed: int) -> None:
    """Kill forks that encrypt a plain collection, within the time that the first takes, which is not killed."""
    rng, seen, took = random.Random(seed), {"plain": 0, "encrypted": 0}, 0.0
    plain = Path(folder) / "plain"
    with Collection.open(plain, scope_keys=["patient_id"]) as notes:
        notes.add(NOTES)
        right = ids_in(notes)
    for number in range(rounds):
        path = Path(folder) / str(number)
        shutil.copytree(plain, path)

        def work(say: Callable[[Any], None], path: Path = path) -> None:
            with Collection.open(path) as notes:
                say("open")
                notes.encrypt(KEY)
                say("encrypted")

        pid, source = forked(work)
        if number % 5:
            has_begun(source)
        begun = time.monotonic()
        if number:
            time.sleep(rng.uniform(0, took))
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        took = took or time.monotonic() - begun
        acknowledged = "encrypted" in said(source)
        with opened(path) as notes:
            assert ids_in(notes) == right
            notes.verify()
            sealed = notes.facts.sealed
        assert sealed or not acknowledged
        if sealed:
            assert holding(path, plain_forms(NOTES)) == []
        seen["encrypted" if sealed else "plain"] += 1
    report(seen)


if __name__ == "__main__":
    main({f.__name__: f for f in (moments, crash_rounds, encrypt_rounds)})
