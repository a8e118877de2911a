"""The operations on whole notes and on scopes over HTTP."""

from typing import Any

from fastapi import FastAPI

from bedside.notes import context as rendered
from bedside.notes import source_header
from bedside.serving import note_models as models
from bedside.serving.parameters import Caller, Name
from bedside.serving.pool import Doors
from bedside.serving.service import Service


def add_note_operations(app: FastAPI, service: Service, doors: Doors) -> None:
    """Add them to the application; verbs of the service are run behind ``doors``."""
    place = "/v1/collections/{name}"
    run, find, write = doors.read, doors.search, doors.write

    @app.post(f"{place}/add_notes", operation_id="add_notes", tags=["notes"])
    async def add_notes(access: Caller, name: Name, body: models.AddNotesRequest) -> models.Changes:
        """Split notes into passages and add these, replacing notes that changed; all or none."""
        notes, skipped = [note.to_document() for note in body.notes], body.skipping()
        changes = await write(service.add_notes, access, name, body.scope, notes, skipped)
        return models.Changes(notes=changes, skipped=models.Changes.told(skipped))

    @app.post(f"{place}/get_note", operation_id="get_note", tags=["notes"])
    async def get_note(access: Caller, name: Name, body: models.NoteRequest) -> models.NoteAnswer:
        """Return a note as it was added, its text character for character."""
        note = await run(service.get_note, access, name, body.where, body.id)
        return models.NoteAnswer(note=None if note is None else models.NoteModel.of(note))

    @app.post(f"{place}/history", operation_id="history", tags=["notes"])
    async def history(access: Caller, name: Name, body: models.NoteRequest) -> models.Versions:
        """Return the versions that a note or record is linked with by `supersedes`, the newest first."""
        return models.Versions.of(await run(service.history, access, name, body.where, body.id))

    @app.post(f"{place}/delete_note", operation_id="delete_note", tags=["notes"])
    async def delete_note(access: Caller, name: Name, body: models.NoteRequest) -> models.Deleted:
        """Delete a note with all of its passages; their bytes stay in the log until it is compacted."""
        return models.Deleted(deleted=await write(service.delete_note, access, name, body.where, body.id))

    @app.post(f"{place}/search_notes", operation_id="search_notes", tags=["notes"], response_model=models.NoteHits)
    async def search_notes(access: Caller, name: Name, body: models.SearchNotesRequest) -> dict[str, Any]:
        """Return the best notes for a query, best first, each with its passages."""
        hits = await find(service.search_notes, access, name, body.where, body.query, body.vector, **body.options())
        return models.NoteHits.values(hits)

    @app.post(f"{place}/context", operation_id="context", tags=["notes"])
    async def context(access: Caller, name: Name, body: models.ContextRequest) -> models.ContextAnswer:
        """Return the best passages of the best notes as one text for a prompt."""
        hits = await find(service.search_notes, access, name, body.where, body.query, body.vector, **body.options())
        header = source_header if body.header else None
        return models.ContextAnswer(context=rendered(hits, max_tokens=body.max_tokens, header=header))

    @app.post(f"{place}/scopes", operation_id="scopes", tags=["collections"])
    async def scopes(access: Caller, name: Name, body: models.ScopesRequest) -> models.ScopeCounts:
        """Return the scopes that hold documents, and how many; for a token that is bound to none."""
        return models.ScopeCounts.of(await run(service.scopes, access, name, body.limit, body.offset))

    @app.post(f"{place}/cohort", operation_id="cohort", tags=["collections"])
    async def cohort(access: Caller, name: Name, body: models.CohortRequest) -> models.ScopeCounts:
        """Return which scopes hold documents about something, and how many; for a token that is bound to none."""
        found = await run(service.cohort, access, name, body.query, body.filter, body.limit, body.offset)
        return models.ScopeCounts.of(found)
