"""Processes that are killed or refused by the disk while they work, and what is found afterwards."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import bedside
from bedside import Collection
from bedside.engines.embedded import repair
from bedside.engines.embedded import state as live
from bedside.engines.embedded.log import log
from bedside.errors import WriteFailedError
from store.children import Model, answers, changed, document, forked, main, model_of, report, said


def choose(rng: random.Random, model: Model) -> tuple[str, Model, Callable[[Collection], Any]]:
    """One call: its name, what the collection holds after it, and the call."""
    kind = rng.choices(["add", "delete", "compact", "erase"], [5, 2, 2, 2])[0]
    some = rng.sample(list(model), min(len(model), rng.randint(1, 3)))
    if kind == "add" or not some:
        ids = some + [f"n{rng.randrange(10**6)}" for _ in range(rng.randint(1, 4) if len(model) < 30 else 0)]
        puts = [(id, model.get(id, 0) + 1) for id in ids]
        return "add", changed(model, puts, []), lambda notes: notes.add(document(*put) for put in puts)
    if kind == "compact":
        return kind, model, lambda notes: notes.compact()
    return kind, changed(model, [], some), lambda notes: getattr(notes, kind)(some)


def churn(folder: Path, seed: int, model: Model, say: Callable[[Any], None]) -> None:
    """Change a collection for ever, saying before each call what it will lead to and after it that it returned."""
    live._CACHE_AFTER = 1
    rng = random.Random(seed)
    while True:
        say({"do": "open", "after": model})
        with Collection.open(folder) as notes:
            for _ in range(rng.randint(1, 8)):
                kind, model, call = choose(rng, model)
                say({"do": kind, "after": model})
                call(notes)
                say({"done": kind})


def settled(folder: Path, before: Model, after: Model) -> Model:
    """Open what a kill left, with and without its cache; it must be one of two states, and the same in both."""
    with Collection.open(folder, read_only=True) as notes:
        found, said_with_cache = model_of(notes), answers(notes)
        assert len(notes) == len(found)
        notes.verify()
    assert list(found.items()) in (list(before.items()), list(after.items())), (
        f"{found} is neither {before} nor {after}"
    )
    shutil.rmtree(folder.parent / "bare", ignore_errors=True)
    shutil.copytree(folder, folder.parent / "bare", ignore=shutil.ignore_patterns("cache"))
    with Collection.open(folder.parent / "bare", read_only=True) as notes:
        assert answers(notes) == said_with_cache, "the cache answers otherwise than the log"
    return found


def crash_rounds(folder: str, rounds: int, seed: int) -> None:
    """Kill a fork that changes a collection, look, and go on with what is there; reports what the kills hit."""
    path, rng, model = Path(folder), random.Random(seed), {}
    hit: dict[str, int] = {}
    for number in range(rounds):
        pid, source = forked(lambda say, n=number, m=model: churn(path, seed * 10_000 + n, m, say))
        time.sleep(rng.uniform(0.005, 0.15))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        heard = said(source)
        before = after = model
        for event in heard:
            before, after = (after, after) if "done" in event else (before, event["after"])
        last = heard[-1].get("do", "between") if heard else "start"
        hit[last] = hit.get(last, 0) + 1
        if (path / "manifest.json").exists():
            model = settled(path, before, after)
        else:
            assert not before, "the collection is gone"
    with Collection.open(path) as notes:
        notes.add([document("last", 1)])
        assert model_of(notes) == changed(model, [("last", 1)], [])
    report(hit)


def creations(folder: str, rounds: int, seed: int) -> None:
    """Kill forks that create a collection and add to it; whatever is left, the next one opens it."""
    rng = random.Random(seed)
    seen = {"created": 0, "not created": 0}

    def work(path: Path, say: Callable[[Any], None]) -> None:
        with Collection.open(path) as notes:
            notes.add([document("first", 1)])
            say("acknowledged")

    for number in range(rounds):
        path = Path(folder) / str(number)
        pid, source = forked(lambda say, path=path: work(path, say))
        time.sleep(rng.uniform(0, 0.02))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        acknowledged = bool(said(source))
        seen["created" if (path / "manifest.json").exists() else "not created"] += 1
        with Collection.open(path) as notes:
            found = model_of(notes)
            assert found in ([{"first": 1}] if acknowledged else [{}, {"first": 1}])
            notes.add([document("next", 1)])
            assert model_of(notes) == {**found, "next": 1}
    report(seen)


CALLS: dict[str, Callable[[Path, Collection | None], Any]] = {
    "create": lambda path, _: Collection.open(path),
    "open": lambda path, _: Collection.open(path),
    "add": lambda _, notes: notes.add([document("a", 2), document("d", 1)]),
    "delete": lambda _, notes: notes.delete(["a", "c"]),
    "replace": lambda _, notes: notes.replace([document("a", 2), document("d", 1)], ids=["a", "b"]),
    "compact": lambda _, notes: notes.compact(),
    "erase": lambda _, notes: notes.erase(["b"]),
    "copy_to": lambda path, notes: notes.copy_to(path.parent / "copy"),
}
START: Model = {"a": 1, "b": 1, "c": 1}
AFTER: dict[str, Model] = {
    "create": {},
    "open": START,
    "add": {"b": 1, "c": 1, "a": 2, "d": 1},
    "delete": {"b": 1},
    "replace": {"c": 1, "a": 2, "d": 1},
    "compact": START,
    "erase": {"a": 1, "c": 1},
    "copy_to": START,
}
SOURCE = str(Path(bedside.__file__).parent)


def moments(folder: str, call: str) -> None:
    """Take a copy of the folder whenever a line of code has changed it, and hold each copy to what a kill may leave.

    What a SIGKILL leaves is what is in the files at that moment, so these are all the states that one can leave.
    """
    live._CACHE_AFTER = 1
    log._CHUNK = 300  # log lines go to the disk in several writes
    root = Path(folder)
    path = watched = root / "c"
    if call == "copy_to":
        watched = root / "copy"
    notes = None
    if call != "create":
        with Collection.open(path) as notes:
            notes.add(document(id, 1) for id in [*START, "gone"])
            notes.delete(["gone"])
        if call == "open":
            (path / "log-000009.jsonl").write_text("what a killed compaction left")
            shutil.rmtree(path / "cache")
        else:
            notes = Collection.open(path)
    states = states_of(watched, lambda: CALLS[call](path, notes))
    before = {} if call in ("create", "copy_to") else START
    for number, state in enumerate(states):
        check_left(call, put_back(state, root / f"left-{number}"), before, AFTER[call])
    report({"states": len(states), "files": sorted({name for state in states for name in state})})


def states_of(folder: Path, call: Callable[[], Any]) -> list[dict[str, bytes]]:
    """Every state that the files of ``folder`` are in while ``call`` runs, from one line of code to the next."""
    states: list[dict[str, bytes]] = []

    def look(frame: Any, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.startswith(SOURCE):
            return None
        if (state := files(folder)) not in states[-1:]:
            states.append(state)
        return look

    sys.settrace(look)
    call()
    sys.settrace(None)
    return [*states, files(folder)]


def put_back(state: dict[str, bytes], folder: Path) -> Path:
    for name, content in state.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def killed_repairs(folder: str) -> None:
    """Repair a damaged log; from every state in between, a second repair must lead to the same."""
    root, path = Path(folder), Path(folder) / "c"
    with Collection.open(path) as notes:
        for version in (1, 2):
            notes.add(document(id, version) for id in START)
    damaged = (path / "log-000001.jsonl").read_bytes().replace(b"Note b in version 1", b"Note b in version !")
    damaged = damaged.replace(b"Note c in version 2", b"Note c in version !")
    (path / "log-000001.jsonl").write_bytes(damaged)
    log._CHUNK = 300
    states = states_of(path, lambda: repair(path))
    for number, state in enumerate(states):
        left = put_back(state, root / f"left-{number}")
        repair(left)
        with Collection.open(left) as notes:
            assert model_of(notes) == {"c": 1, "a": 2, "b": 2}, number
        names = sorted(files(left))
        assert names == ["damaged-log-000001.jsonl", "log-000002.jsonl", "manifest.json", "write.lock"], number
        assert (left / names[0]).read_bytes() == damaged, number
    report({"states": len(states)})


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def check_left(call: str, left: Path, before: Model, after: Model) -> None:
    """Open what a kill left, read only and then to write; nothing but one log may then be left."""
    found: Model = {}
    if (left / "manifest.json").exists():
        found = settled(left, before, after)
        assert call != "copy_to" or found == after, "a copy that is not whole passes for one"
    elif call == "copy_to":
        return  # it has no manifest, so it is no collection
    else:
        assert call == "create", f"{left.name}: the manifest is gone"
    with Collection.open(left) as notes:
        notes.add([document("new", 1)])
    with Collection.open(left) as notes:
        assert model_of(notes) == {**found, "new": 1}, left.name
    rest = {p.name for p in left.rglob("*") if p.suffix != ".bin"} - {"manifest.json", "write.lock", "cache"}
    assert len(rest) == 1, f"{left.name}: the next writer left {rest}"


def file_limit(folder: str, call: str, limits: int) -> None:
    """Make a call where no file may grow beyond a limit, for many limits: it succeeds whole, or is refused by name."""
    live._CACHE_AFTER = 1
    root = Path(folder)
    whole, path = root / "whole", root / "c"
    if call != "create":
        with Collection.open(whole) as notes:
            notes.add(document(id, 1) for id in START)
    outcomes = {"refused": 0, "without cache": 0, "whole": 0}
    largest = 600 if call == "create" else 4_000  # more than any of the files has
    for limit in np.linspace(0, largest, limits, dtype=int).tolist():
        shutil.rmtree(path, ignore_errors=True)
        if call != "create":
            shutil.copytree(whole, path)
        notes = None if call in ("create", "open") else Collection.open(path)
        shutil.rmtree(path / "cache", ignore_errors=True)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        try:
            result = CALLS[call](path, notes)
            notes = result if isinstance(result, Collection) else notes
            refused = False
        except WriteFailedError:
            refused = True
        outcome = "refused" if refused else "whole" if (path / "cache/log-000001-0.bin").exists() else "without cache"
        outcomes[outcome] += 1
        expected = START if refused and call != "create" else AFTER[call]
        if call == "create" and refused:
            assert not (path / "manifest.json").exists(), "half a collection"
        else:
            with Collection.open(path, read_only=True) as other:
                assert model_of(other) == expected, f"{call} with files of at most {limit} bytes"
        if notes is not None:
            assert model_of(notes) == expected, "the open collection says otherwise than the disk"
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        with notes or Collection.open(path) as notes:
            notes.add([document("later", 1)])
            assert model_of(notes) == {**expected, "later": 1}
        with Collection.open(path) as notes:
            assert model_of(notes) == {**expected, "later": 1}
            notes.verify()
    report(outcomes)


def full_disk(folder: str) -> None:
    """Fill a small file system with records until it refuses, free space, and go on; then the same with erasures."""
    root = Path(folder)
    filler = root / "filler"
    filler.write_bytes(bytes(50_000))
    notes, model = Collection.open(root / "c"), {}
    refused = dict.fromkeys(("add", "delete", "compact", "erase", "copy_to", "create"), 0)
    for round_ in range(3):
        while not refused["add"] > round_:
            id = f"r{round_}-{len(model)}"
            refused["add"] += not _tried(lambda id=id: notes.add([document(id, 1)]))
            if refused["add"] == round_:
                model[id] = 1
        filler.write_bytes(filler.read_bytes() + bytes(_free(root)))  # not a byte is left
        for call in ("delete", "compact", "erase", "copy_to", "create"):
            refused[call] += not _tried(lambda call=call: FULL[call](root, notes))
        assert model_of(notes) == model
        with Collection.open(root / "c", read_only=True) as other:
            assert model_of(other) == model
        filler.unlink()
        shutil.rmtree(root / "other", ignore_errors=True)
        notes.add([document(f"freed-{round_}", 1)])
        model[f"freed-{round_}"] = 1
        notes.erase(list(model)[:-2])
        model = dict(list(model.items())[-2:])
        filler.write_bytes(bytes(50_000))
    notes.close()
    with Collection.open(root / "c") as notes:
        assert model_of(notes) == model
    report(refused)


FULL: dict[str, Callable[[Path, Collection], Any]] = {
    "delete": lambda _, notes: notes.delete(filter={}),
    "compact": lambda _, notes: notes.compact(),
    "erase": lambda _, notes: notes.erase(filter={"tags": "r0-0"}),
    "copy_to": lambda root, notes: notes.copy_to(root / "copy"),
    "create": lambda root, _: Collection.open(root / "other"),
}


def no_inodes(folder: str) -> None:
    """Make every call that creates a file where no file can be created."""
    root = Path(folder)
    with Collection.open(root / "c") as notes:
        notes.add(document(id, 1) for id in START)
        (root / "c" / "write.lock").unlink()
        (root / "c" / "cache").mkdir(exist_ok=True)
        while _tried(lambda: (root / f"filler-{os.urandom(8).hex()}").touch(), OSError):
            pass
        refused = [call for call in FULL if not _tried(lambda call=call: FULL[call](root, notes))]
        assert model_of(notes) == START
        next(root.glob("filler-*")).unlink()  # for the lock
        _tried(lambda: notes.delete(["nobody"]))
        refused += [call for call in ("compact", "erase") if not _tried(lambda call=call: FULL[call](root, notes))]
        assert model_of(notes) == START
        for filler in root.glob("filler-*"):
            filler.unlink()
        notes.add([document("later", 1)])
    with Collection.open(root / "c") as notes:
        assert model_of(notes) == {**START, "later": 1}
    report(refused)


def _tried(call: Callable[[], Any], refusal: type[Exception] = WriteFailedError) -> bool:
    try:
        call()
    except refusal:
        return False
    return True


def _free(folder: Path) -> int:
    stat = os.statvfs(folder)
    return stat.f_bavail * stat.f_frsize


if __name__ == "__main__":
    main(globals())
