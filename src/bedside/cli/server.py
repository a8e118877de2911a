"""Commands about the server of a collection: doctor, grant, revoke."""

from __future__ import annotations

from dataclasses import asdict, astuple
from typing import Annotated

import typer

from bedside.cli.options import CollectionPath, Json, Scope, print_json, print_rows, say, scoped, writing
from bedside.engines import examine

Server = Annotated[
    str, typer.Argument(metavar="URL", help="Of a collection on a server: postgresql://…?collection=NAME.")
]
Role = Annotated[str, typer.Argument(metavar="ROLE", help="A login role of the database, or one that others are in.")]


def doctor(url: Server, json: Json = False) -> None:
    """Examine a server, its settings, the role and the collection: what is wrong, and what to do.

    Exits with 1 where something is wrong: where notes can be lost, seen by others, or not found.
    """
    checks = examine(url)
    if json:
        for check in checks:
            print_json(asdict(check))
    else:
        print_rows(("what", "state", "found", "what to do"), [astuple(check) for check in checks])
    if any(check.state == "wrong" for check in checks):
        raise typer.Exit(1)


def index(path: CollectionPath, json: Json = False) -> None:
    """Make the index of approximate search; only URLs with approximate=… use it."""
    with writing(path) as collection:
        collection.index()
    say("indexed; ?approximate=400 in the URL asks for it", {"indexed": True}, json=json)


def grant(path: CollectionPath, role: Role, scope: Scope = None, json: Json = False) -> None:
    """Let a role of the database read one scope of a collection made with --row-security."""
    with writing(path) as collection:
        scoped(collection, scope).grant(role)
    say(f"{role} may read this scope", {"granted": role}, json=json)


def revoke(path: CollectionPath, role: Role, scope: Scope = None, json: Json = False) -> None:
    """Let a role of the database no longer read one scope of a collection."""
    with writing(path) as collection:
        scoped(collection, scope).revoke(role)
    say(f"{role} may not read this scope", {"revoked": role}, json=json)


COMMANDS = {"doctor": doctor, "index": index, "grant": grant, "revoke": revoke}
