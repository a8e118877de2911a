"""The verbs that look after whole collections, for an access whose role is admin."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from bedside.collection import Collection
from bedside.engines import Place, below, holds_collection, list_collections, root_of
from bedside.errors import EncoderRequired, InvalidInputError, NotACollectionError
from bedside.serving.access import Access
from bedside.serving.shelf import Shelf, Stats, is_name
from bedside.skipping import OnBadDocument, Skipped


class Upkeep:
    """Removing, compacting, re-embedding, importing, backing up and restoring. Threads may share it.

    Args:
        shelf: The collections.
        backups: A folder or database for copies of collections; ``None``: nobody makes or restores any.
        imports: A folder of files that may be imported; ``None``: nobody imports any.

    Raises:
        OSError: There is no such folder.
    """

    def __init__(self, shelf: Shelf, *, backups: Place | None, imports: Path | None) -> None:
        self._shelf = shelf
        self._backups = None if backups is None else root_of(backups)
        self._imports = None if imports is None else imports.resolve(strict=True)

    def drop(self, access: Access, name: str) -> None:
        """Remove a collection with all that it holds."""
        self._tended(access, name, "drop")
        self._shelf.drop(access, name)

    def compact(self, access: Access, name: str) -> Stats:
        """Give up the room of what was deleted and replaced."""
        self._tended(access, name, "compact")
        self._shelf.collection(access, name).compact()
        return self._shelf.stats(access, name)

    def reembed(self, access: Access, name: str) -> Stats:
        """Encode every text with the server's encoder and make it the collection's."""
        self._tended(access, name, "reembed")
        if self._shelf.encoder is None:
            raise EncoderRequired("reembed: this server was started without an encoder")
        self._shelf.collection(access, name).reembed(self._shelf.encoder)
        return self._shelf.stats(access, name)

    def import_file(
        self, access: Access, name: str, file: str, format: str | None, on_bad_document: OnBadDocument
    ) -> tuple[int, list[Skipped]]:
        """Add the records of a file in the folder of imports; returns how many, and what was skipped."""
        self._tended(access, name, "import")
        if self._imports is None:
            raise InvalidInputError("import: this server was started without a folder of imports (--imports)")
        path = next((path for path in self._imports.iterdir() if path.name == file and not path.is_symlink()), None)
        if path is None:
            raise InvalidInputError("file: expected the name of a file in the server's folder of imports")
        skipped: list[Skipped] = []
        how: dict[str, Any] = {"format": format, "on_bad_document": on_bad_document, "skipped": skipped}
        return self._shelf.collection(access, name).import_from(path, **how), skipped

    def list_backups(self, access: Access) -> list[str]:
        """Return the names of the backups."""
        access.check_whole("backups")
        return [name for name in list_collections(self._copies()) if is_name(name)]

    def back_up(self, access: Access, name: str, to: str | None) -> str:
        """Copy a collection to the place of backups; returns the copy's name, which says when if it was not given."""
        access.check_whole("backup")
        self._shelf.place(access, name)
        made = to or f"{name[:40]}-{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}"
        self._shelf.collection(access, name).copy_to(self._copy(made))
        return made

    def restore(self, access: Access, name: str, source: str) -> Stats:
        """Make a collection of a backup; there must be none of this name."""
        place = self._tended(access, name, "restore")
        copy = self._copy(source)
        if not holds_collection(copy):
            raise NotACollectionError(f"there is no backup {source!r}")
        with self._shelf.door(name):
            if holds_collection(place):
                raise InvalidInputError(
                    f"restore: there is a collection {name!r}; drop it first, or choose another name"
                )
            with Collection.open(copy, read_only=True, audit=self._shelf.audit, key=self._shelf.key) as backup:
                backup.copy_to(place)
        return self._shelf.stats(access, name)

    def _tended(self, access: Access, name: str, verb: str) -> Place:
        self._shelf.check_writing(access)
        access.check_whole(verb)
        return self._shelf.place(access, name)

    def _copies(self) -> Place:
        if self._backups is None:
            raise InvalidInputError("backups: this server was started without a place for them (--backups)")
        return self._backups

    def _copy(self, name: str) -> Place:
        place = below(self._copies(), name) if is_name(name) else None
        if place is None:
            raise InvalidInputError("backup: expected a name as collections have")
        return place
