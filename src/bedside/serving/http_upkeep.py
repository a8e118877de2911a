"""The HTTP verbs that look after whole collections, for callers whose role is admin.

They take as long as they take and have one thread of their own: an answer means that it is done.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from fastapi import FastAPI, Response

from bedside.audit import acting_as
from bedside.serving import models
from bedside.serving.access import Access
from bedside.serving.parameters import Caller, Name
from bedside.serving.pool import Pool
from bedside.serving.upkeep import Upkeep


def add_upkeep_operations(app: FastAPI, upkeep: Upkeep, pool: Pool, tell: Callable[[str], Awaitable[None]]) -> None:
    """Add the operations.

    Args:
        app: Where to.
        upkeep: Whose verbs are run.
        pool: Where they are run.
        tell: Is awaited with the name of a collection that was changed, before the change is answered.
    """
    place = "/v1/collections/{name}"

    async def run(verb: Callable[..., Any], access: Access, *arguments: Any) -> Any:
        with acting_as(access.name, purpose=access.purpose):
            return await pool.run(partial(verb, access, *arguments))

    async def change(verb: Callable[..., Any], access: Access, name: str, *arguments: Any) -> Any:
        done = await run(verb, access, name, *arguments)
        await tell(name)
        return done

    @app.delete(place, operation_id="drop_collection", tags=["upkeep"], status_code=204, response_class=Response)
    async def drop(access: Caller, name: Name) -> None:
        """Remove a collection with all that it holds; backups keep theirs."""
        await change(upkeep.drop, access, name)

    @app.post(f"{place}/compact", operation_id="compact", tags=["upkeep"])
    async def compact(access: Caller, name: Name) -> models.StatsModel:
        """Give up the room of what was deleted and replaced."""
        return models.StatsModel.of(await change(upkeep.compact, access, name))

    @app.post(f"{place}/reembed", operation_id="reembed", tags=["upkeep"])
    async def reembed(access: Caller, name: Name) -> models.StatsModel:
        """Encode every text with the server's encoder and make it the collection's, atomically."""
        return models.StatsModel.of(await change(upkeep.reembed, access, name))

    @app.post(f"{place}/import", operation_id="import_file", tags=["upkeep"])
    async def import_file(access: Caller, name: Name, body: models.ImportRequest) -> models.Imported:
        """Add the records of a file in the server's folder of imports, as one transaction."""
        asked = (body.file, body.format, body.on_bad_document)
        count, skipped = await change(upkeep.import_file, access, name, *asked)
        return models.Imported(count=count, skipped=models.Imported.told(skipped))

    @app.get("/v1/backups", operation_id="list_backups", tags=["upkeep"])
    async def list_backups(access: Caller) -> models.Backups:
        """Return the names of the backups."""
        return models.Backups(backups=await run(upkeep.list_backups, access))

    @app.post(f"{place}/backup", operation_id="back_up", tags=["upkeep"])
    async def back_up(access: Caller, name: Name, body: models.BackupRequest) -> models.Backup:
        """Copy a collection to the server's place of backups; searches and writes go on meanwhile."""
        return models.Backup(backup=await run(upkeep.back_up, access, name, body.to))

    @app.post(f"{place}/restore", operation_id="restore", tags=["upkeep"])
    async def restore(access: Caller, name: Name, body: models.RestoreRequest) -> models.StatsModel:
        """Make a collection of a backup; there must be none of this name."""
        return models.StatsModel.of(await change(upkeep.restore, access, name, body.backup))
