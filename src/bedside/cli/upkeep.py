"""Commands that look after a collection: verify, repair, compact, reembed, copy."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from bedside.cli.keys import given_key
from bedside.cli.lines import one_line
from bedside.cli.options import CollectionPath, Json, load, reading, say, writing
from bedside.cli.recording import trail
from bedside.engines import holds_collection, read_facts, shown, verify_without_key
from bedside.engines import repair as repair_place
from bedside.engines.reports import RepairReport, Writer
from bedside.errors import InvalidInputError


def verify(path: CollectionPath, json: Json = False) -> None:
    """Read every line of the log and check it."""
    if given_key() is None and holds_collection(path) and read_facts(path).sealed:
        report = verify_without_key(path)
        records = "encrypted records, of which checksums and chain were checked without a key"
    else:
        with reading(path) as collection:
            report = collection.verify()
        records = f"{report.records} records"
    lines = [f"{report.file} is whole: {records}, {report.lines} lines, {report.bytes} bytes"]
    if report.unfinished_bytes:
        lines.append(f"{report.unfinished_bytes} bytes behind the last commit; the next write removes them")
    if report.missing_indexes:
        lines.append(f"missing indexes, which compact makes: {', '.join(report.missing_indexes)}")
    lines += [
        one_line(f"version {each.id}{f' of {list(each.scope)}' if each.scope else ''}: {each.wrong}")
        for each in report.versions
    ]
    lines += [one_line(_wrote(each)) for each in report.writers if each.actor is not None]
    say("\n".join(lines), asdict(report), json=json)


def repair(path: CollectionPath, json: Json = False) -> None:
    """Save what is whole of a collection whose log is damaged; no process may have it open."""
    report = repair_place(path, key=given_key(), audit=trail())
    say("\n".join(_repaired(report)), asdict(report), json=json)


def compact(path: CollectionPath, json: Json = False) -> None:
    """Write a new log that holds only the living records."""
    with writing(path) as collection:
        collection.compact()
        records = len(collection)
    say(f"{records} records in the new log", {"records": records}, json=json)


def drop(
    path: CollectionPath,
    yes: Annotated[bool, typer.Option("--yes", help="Really remove it: it cannot be undone.")] = False,
    json: Json = False,
) -> None:
    """Remove a whole collection with all that it holds; only with --yes."""
    if not yes:
        raise typer.BadParameter("what was dropped cannot be brought back: confirm it with --yes")
    with writing(path) as collection:
        records = len(collection)
        collection.drop()
    say(f"{records} records removed with their collection", {"records": records}, json=json)


def reembed(
    path: CollectionPath,
    encoder: Annotated[str, typer.Option("--encoder", metavar="MODEL", help="Hub id or folder of the new encoder.")],
    json: Json = False,
) -> None:
    """Encode every text with another encoder, atomically."""
    with writing(path) as collection:
        if (loaded := load(encoder)) is None:
            raise InvalidInputError("--encoder: give a model")
        collection.reembed(loaded)
        records = len(collection)
    say(f"{records} records encoded with {loaded.name}", {"records": records, "encoder": loaded.name}, json=json)


def set_alpha(
    path: CollectionPath,
    alpha: Annotated[float, typer.Argument(metavar="ALPHA", min=0, max=1, help="0: BM25 alone, 1: vectors alone.")],
    json: Json = False,
) -> None:
    """Note the weight of vectors in hybrid searches that name none."""
    with writing(path) as collection:
        collection.set_alpha(alpha)
    say(f"vectors weigh {alpha:g} in hybrid searches", {"alpha": alpha}, json=json)


def copy(
    path: CollectionPath,
    target: Annotated[str, typer.Argument(metavar="TARGET", help="A new or empty folder, or a URL.")],
    json: Json = False,
) -> None:
    """Write all records, of every scope, into a new folder, or into a database."""
    with reading(path) as collection:
        collection.copy_to(target)
        records = len(collection)
    say(f"{records} records copied to {shown(target)}", {"records": records, "target": shown(target)}, json=json)


COMMANDS = {
    "verify": verify, "repair": repair, "compact": compact, "drop": drop, "reembed": reembed, "set-alpha": set_alpha,
    "copy": copy,
}  # fmt: skip


def _wrote(each: Writer) -> str:
    return f"{each.actor} wrote {each.changes} changes in {each.transactions} calls, {each.first} to {each.last}"


def _repaired(report: RepairReport) -> list[str]:
    if report.kept is None:
        return [f"nothing was damaged; {report.records} records"]
    lost = [f"lost line {loss.line}: {loss.operation} {'unknown id' if loss.id is None else one_line(loss.id)}"
            for loss in report.lost]  # fmt: skip
    return [
        f"{report.records} records saved; {len(report.lost)} lines lost",
        *lost,
        f"{report.kept} holds the damaged log, notes included: delete it once it is no longer needed",
    ]
