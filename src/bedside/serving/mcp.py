"""The Model Context Protocol server: a chatbot's tools for searching notes and citing them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial, wraps
from inspect import signature
from typing import Annotated, Any, ParamSpec, TypeVar

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from mcp_types import ToolAnnotations
from pydantic import Field

from bedside import __version__
from bedside.audit import Acting, acting, acting_as
from bedside.errors import BedsideError
from bedside.remedies import in_json, speaking
from bedside.serving import models, note_models
from bedside.serving.access import Access
from bedside.serving.pool import Pool, TooBusyError, TooSlowError
from bedside.serving.search_options import OFFERED, described
from bedside.serving.service import Left, Service, Where
from bedside.skipping import OnBadDocument
from bedside.support.acting import LONGEST
from bedside.support.signatures import with_parameters

P = ParamSpec("P")
R = TypeVar("R")

INSTRUCTIONS = (
    "Search clinical notes and cite them. Call list_collections, then search_notes (or search, for documents that are "
    "no notes); quote what a hit's text says and name its label or id as the source; read_note gives a whole note. "
    "Fewer hits, or none, is a valid answer: do not fill gaps from memory. A collection that is divided by scope keys "
    "(see stats) needs a value for each in scope, such as the patient's id."
)
Collection = Annotated[str, Field(description="The collection's name, from list_collections.")]
Scope = Annotated[dict[str, str | int] | None, Field(description='A value for each scope key: {"patient_id": "A"}.')]
FILTER = 'Conditions on metadata: {"section": "HPI", "year": {"$gte": 2020}}; $and, $or, $not, $in, $nin.'
Filter = Annotated[dict[str, Any] | None, Field(description=FILTER)]
AsOf = Annotated[str | None, Field(description=OFFERED["as_of"].help)]
Ids = Annotated[list[str] | None, Field(description="Ids of documents.")]
OnBad = Annotated[OnBadDocument, Field(description=models.SKIP)]
_CONTEXT = "context"
"""The argument by which the library hands over the session; it is none of the tool's."""
_LONGEST_CLIENT = 60
_NOT_FOR_CHATBOTS = ("alpha", "fusion", "fetch_k", "explain")
"""Options that a chatbot does not get: it cannot measure which value is better, and it cites texts, not arithmetic."""
_SEARCH = {name: option for name, option in OFFERED.items() if name not in _NOT_FOR_CHATBOTS} | {
    "top_k": replace(OFFERED["top_k"], most=50),
    "filter": replace(OFFERED["filter"], help=FILTER),
    "mode": replace(OFFERED["mode"], help="sparse for exact words and numbers, dense for meaning; both by default."),
}
_SEARCH_NOTES = {name: option for name, option in _SEARCH.items() if option.notes}
Most = Annotated[int, Field(ge=1, le=1_000, description="At most so many.")]
Skipped = Annotated[int, Field(ge=0, description="Skip so many, for paging.")]


def create_server(service: Service, access: Access) -> MCPServer:
    """Return the server.

    Args:
        service: The collections.
        access: What the chatbot may do. Without writing rights, tools that write are not offered.
    """
    tools, pool = Tools(service, access), Pool.of(service.limits)
    reading, adding, deleting = (
        ToolAnnotations(read_only_hint=True, open_world_hint=False),
        ToolAnnotations(destructive_hint=False, open_world_hint=False),
        ToolAnnotations(destructive_hint=True, open_world_hint=False),
    )
    verbs: list[Callable[..., Any]] = [
        *(tools.list_collections, tools.stats, tools.search_notes, tools.read_note, tools.history),
        *(tools.search, tools.get, tools.count, tools.facets),
    ]
    if not access.scope:  # who is bound to a scope is told of no other
        verbs += [tools.scopes, tools.cohort]
    hidden = ["scope"] if service.is_bound(access) else []
    offered = [_tool(pool, verb, reading, hidden) for verb in verbs]
    if access.writes and not service.shelf.read_only:
        offered += [_tool(pool, verb, adding, hidden) for verb in (tools.add, tools.add_notes)]
        offered += [_tool(pool, verb, deleting, hidden) for verb in (tools.delete, tools.delete_note)]
    return MCPServer("bedside", title="Bedside", version=__version__, instructions=INSTRUCTIONS, tools=offered)


def _tool(pool: Pool, verb: Callable[..., Any], annotations: ToolAnnotations, hidden: Sequence[str]) -> Tool:
    """Return a verb as a tool that refuses unknown arguments: a misspelt filter must not be an absent one."""
    tool = Tool.from_function(
        _off_the_loop(pool, verb, hidden), name=verb.__name__, context_kwarg=_CONTEXT, annotations=annotations
    )
    arguments = tool.fn_metadata.arg_model
    arguments.model_config["extra"] = "forbid"
    arguments.model_rebuild(force=True)
    tool.parameters = arguments.model_json_schema(by_alias=True)
    return tool


def _known(scope: Scope) -> Where:
    """Return where a chatbot reads: in a scope that must exist, lest it takes a mistyped number for an empty record."""
    return Where(scope or {}, must_exist=True)


class Tools:
    """The verbs with one caller's access; each docstring is what the chatbot reads."""

    def __init__(self, service: Service, access: Access) -> None:
        self._service = service
        self._access = access

    def list_collections(self) -> models.Collections:
        """List the collections of notes that can be searched."""
        return models.Collections(collections=self._service.list_collections(self._access))

    def stats(self, collection: Collection) -> models.StatsModel:
        """Say how many documents a collection holds, and which scope keys it needs."""
        return models.StatsModel(**asdict(self._service.stats(self._access, collection)))

    @partial(with_parameters, parameters=described(_SEARCH_NOTES, top_k=5))
    def search_notes(
        self,
        collection: Collection,
        query: Annotated[str, Field(description="What to look for, in the words of a note.")],
        scope: Scope = None,
        max_tokens: Annotated[int, Field(ge=1, le=20_000, description="Of all texts together.")] = 2_000,
        **options: Any,
    ) -> note_models.FoundNotes:
        """Find the notes that answer a question best, each with its best passages. Cite a note by its label."""
        hits = self._service.search_notes(self._access, collection, _known(scope), query, **options)
        return note_models.FoundNotes.of(hits, max_tokens)

    def read_note(
        self,
        collection: Collection,
        id: Annotated[str, Field(description="A label that search_notes gave.")],
        scope: Scope = None,
    ) -> note_models.NoteAnswer:
        """Return a whole note."""
        note = self._service.get_note(self._access, collection, _known(scope), id)
        return note_models.NoteAnswer(note=None if note is None else note_models.NoteModel.of(note))

    def history(
        self,
        collection: Collection,
        id: Annotated[str, Field(description="The id of a note or document.")],
        scope: Scope = None,
    ) -> note_models.Versions:
        """List the versions of a note or document, the newest first: what replaced it, and what it replaced."""
        return note_models.Versions.of(self._service.history(self._access, collection, _known(scope), id))

    @partial(with_parameters, parameters=described(_SEARCH, top_k=5))
    def search(
        self,
        collection: Collection,
        query: Annotated[str, Field(description="What to look for, in the words of a note.")],
        scope: Scope = None,
        **options: Any,
    ) -> models.Hits:
        """Find the passages that answer a question best. Each hit has id, text, metadata and score: cite by id."""
        hits = self._service.search(self._access, collection, _known(scope), query, **options)
        return models.Hits(**models.Hits.values(hits))

    def get(
        self,
        collection: Collection,
        ids: Ids = None,
        filter: Filter = None,
        scope: Scope = None,
        as_of: AsOf = None,
        limit: Annotated[int, Field(ge=1, le=100, description="Documents at most.")] = 20,
    ) -> models.Documents:
        """Return documents by id or by filter, whole."""
        found = self._service.get(
            self._access,
            collection,
            _known(scope),
            ids=ids,
            filter=filter,
            as_of=as_of,
            limit=limit,
            offset=0,
            include_vectors=False,
        )
        return models.Documents(documents=[models.DocumentModel.of(document) for document in found])

    def count(
        self, collection: Collection, filter: Filter = None, scope: Scope = None, as_of: AsOf = None
    ) -> models.Count:
        """Count documents, of those that satisfy a filter if one is given."""
        return models.Count(count=self._service.count(self._access, collection, _known(scope), filter, as_of=as_of))

    def facets(
        self,
        collection: Collection,
        key: Annotated[str, Field(description="A metadata key, such as section.")],
        filter: Filter = None,
        scope: Scope = None,
        as_of: AsOf = None,
    ) -> models.Facets:
        """Count documents by the values of a metadata key: what there is to filter by."""
        found = self._service.facets(self._access, collection, _known(scope), key, filter, as_of=as_of)
        return models.Facets(facets=[models.Facet(value=value, count=number) for value, number in found])

    def scopes(self, collection: Collection, limit: Most = 100, offset: Skipped = 0) -> note_models.ScopeCounts:
        """List the scopes of a divided collection, such as its patients, and how many documents each holds."""
        return note_models.ScopeCounts.of(self._service.scopes(self._access, collection, limit, offset))

    def cohort(
        self,
        collection: Collection,
        query: Annotated[str | None, Field(description="Words that a document must hold and not deny.")] = None,
        filter: Filter = None,
        limit: Most = 100,
        offset: Skipped = 0,
    ) -> note_models.ScopeCounts:
        """Say which scopes of a divided collection, such as its patients, hold documents about something, in counts."""
        return note_models.ScopeCounts.of(self._service.cohort(self._access, collection, query, filter, limit, offset))

    def add_notes(
        self,
        collection: Collection,
        notes: list[note_models.NoteModel],
        scope: Scope = None,
        on_bad_document: OnBad = "raise",
    ) -> note_models.Changes:
        """Add whole notes, replacing those with the same id that changed."""
        added, skipped = [note.to_document() for note in notes], _skipping(on_bad_document)
        changes = self._service.add_notes(self._access, collection, scope or {}, added, skipped)
        return note_models.Changes(notes=changes, skipped=note_models.Changes.told(skipped))

    def delete_note(
        self, collection: Collection, id: Annotated[str, Field(description="The note's id.")], scope: Scope = None
    ) -> note_models.Deleted:
        """Delete a note with all of its passages."""
        return note_models.Deleted(deleted=self._service.delete_note(self._access, collection, _known(scope), id))

    def add(
        self,
        collection: Collection,
        documents: list[models.DocumentModel],
        scope: Scope = None,
        on_bad_document: OnBad = "raise",
    ) -> models.Ids:
        """Add documents, replacing those with the same id."""
        added, skipped = [document.to_document() for document in documents], _skipping(on_bad_document)
        ids = self._service.add(self._access, collection, scope or {}, added, skipped)
        return models.Ids(ids=ids, skipped=models.Ids.told(skipped))

    def delete(
        self, collection: Collection, ids: Ids = None, filter: Filter = None, scope: Scope = None
    ) -> models.Count:
        """Delete documents by id or by filter."""
        return models.Count(count=self._service.delete(self._access, collection, scope or {}, ids, filter))


def _skipping(on_bad_document: OnBadDocument) -> Left:
    return [] if on_bad_document == "skip" else None


def _off_the_loop(pool: Pool, tool: Callable[P, R], hidden: Sequence[str]) -> Callable[P, Any]:
    """Run a tool in a thread; what Bedside refuses is told to the chatbot, anything else is not."""
    whole = signature(tool)
    shown = whole.replace(parameters=[each for name, each in whole.parameters.items() if name not in hidden])
    words = in_json(shown.parameters, acting="--purpose to the command that starts this server")

    @wraps(tool)
    async def called(*arguments: P.args, **named: P.kwargs) -> R:
        try:
            with _in_the_name_of(named.pop(_CONTEXT)):
                return await pool.run(partial(tool, *arguments, **named))
        except (BedsideError, TooBusyError, TooSlowError) as error:
            with speaking(words):
                raise ToolError(f"{type(error).__name__}: {error}") from None
        except Exception as error:  # noqa: BLE001 - what else went wrong is not for the chatbot
            raise ToolError(f"the server failed: {type(error).__name__}") from None

    vars(called)["__signature__"] = shown  # that of a method, without self
    return called


@contextmanager
def _in_the_name_of(context: Any) -> Iterator[None]:
    """Have an audit trail name whoever started the server, and the chatbot that asks through it."""
    client = context.session.client_params
    name = "" if client is None else "".join(filter(str.isprintable, client.client_info.name))[:_LONGEST_CLIENT]
    known = acting() or Acting("mcp")
    actor = f"{known.actor[: LONGEST - _LONGEST_CLIENT - 3]} ({name})" if name.strip() else known.actor
    with acting_as(actor, purpose=known.purpose):
        yield
