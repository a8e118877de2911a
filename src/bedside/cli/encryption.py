"""Commands about keys: new-key, encrypt, rekey, shred."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from bedside.cli.keys import needed_key
from bedside.cli.options import CollectionPath, Json, Scope, opened, say, scoped, writing
from bedside.engines import shown
from bedside.support.keys import new_key_file

KeyFile = Annotated[Path, typer.Argument(metavar="FILE", help="A new file; only you can read it.")]


def new_key(file: KeyFile, json: Json = False) -> None:
    """Write a new random key; keep it where no backup of the collection is, or the backup is not encrypted."""
    new_key_file(file)
    say(f"wrote a key to {file}", {"file": str(file)}, json=json)


def encrypt(path: CollectionPath, json: Json = False) -> None:
    """Encrypt a collection with the key, atomically."""
    key = needed_key("encrypt")
    with opened(path, key=None) as collection:
        collection.encrypt(key)
    rest = "what was in the clear stays on the disk until it is overwritten, and in backups"
    say(f"{shown(path)} is encrypted; {rest}", {"encrypted": shown(path)}, json=json)


def rekey(
    path: CollectionPath,
    new_key_file: Annotated[
        Path,
        typer.Option("--new-key-file", exists=True, dir_okay=False, help="The file with the key to use from now on."),
    ],
    json: Json = False,
) -> None:
    """Change the master key; the log stays as it is."""
    needed_key("rekey")
    with writing(path) as collection:
        collection.rekey(new_key_file)
    say(f"{shown(path)} has another key", {"rekeyed": shown(path)}, json=json)


def shred(path: CollectionPath, scope: Scope = None, json: Json = False) -> None:
    """Destroy the key of one scope, then erase its documents: no backup without keys.json shows them any more."""
    needed_key("shred")
    with writing(path) as collection:
        receipt = scoped(collection, scope).shred()
    found = f"{len(receipt.ids)} documents shredded; {receipt.traces} traces looked for, none left"
    say(found, asdict(receipt), json=json)


COMMANDS = {"new-key": new_key, "encrypt": encrypt, "rekey": rekey, "shred": shred}
