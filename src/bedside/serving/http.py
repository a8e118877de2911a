"""The HTTP server: the verbs as JSON over FastAPI, with the schema that clients are generated from."""

import math
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import asdict
from functools import partial
from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.middleware.cors import CORSMiddleware

from bedside import __version__, errors
from bedside.serving import models
from bedside.serving.access import Access, Token, access_of
from bedside.serving.guard import Guard
from bedside.serving.http_notes import add_note_operations
from bedside.serving.http_upkeep import add_upkeep_operations
from bedside.serving.metrics import CONTENT_TYPE, Metrics
from bedside.serving.openapi import publish
from bedside.serving.pages import add_pages
from bedside.serving.parameters import Caller, Name
from bedside.serving.pool import Doors, Pool, TooSlowError
from bedside.serving.problems import PROBLEMS, add_handlers, problem
from bedside.serving.recorded import Recorded
from bedside.serving.routes import Route
from bedside.serving.service import Service
from bedside.serving.siblings import Siblings

Tokens = Sequence[Token] | Callable[[str], Access | None]


def create_app(
    service: Service,
    *,
    tokens: Tokens = (),
    hosts: Collection[str] | None = None,
    origins: Collection[str] = (),
    siblings: Siblings | None = None,
) -> FastAPI:
    """Return the application.

    Args:
        service: The collections.
        tokens: Who may call, as tokens or as what returns the access of a presented one, such as a
            :class:`~bedside.serving.access.TokenFile`; without any, everybody who reaches the server may do everything.
        hosts: Names by which it may be addressed; ``None``: any.
        origins: Origins of web pages of other servers that may ask it (CORS).
        siblings: The other workers, where this process is one of several that serve the same collections.
    """
    limits = service.limits
    reading = Pool.of(limits)
    searching = Pool(service.searching, limits.waiting, limits.seconds)
    writing = Pool(limits.writing, limits.writes_waiting, limits.seconds)
    tending = Pool(1, limits.writing, math.inf)
    tell = siblings.tell if siblings else _nobody

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with siblings.listening(service.shelf.read_along) if siblings else nullcontext(), metrics.kept():
            yield
        tending.close()
        writing.close()
        searching.close()
        reading.close()
        service.close()

    app = FastAPI(
        title="Bedside",
        version=__version__,
        summary="Clinical retrieval: documents in, ranked documents out.",
        lifespan=lifespan,
        responses=PROBLEMS,
        docs_url=None,  # its page would load scripts from elsewhere
        redoc_url=None,
    )
    metrics = Metrics(
        {
            "bedside_reads_running": ("Reading requests at work but searches.", lambda: reading.at_work),
            "bedside_reads_waiting": ("Reading requests that wait for a thread but searches.", lambda: reading.queued),
            "bedside_searches_running": ("Searches at work.", lambda: searching.at_work),
            "bedside_searches_waiting": ("Searches that wait for a thread.", lambda: searching.queued),
            "bedside_writes_running": ("Writing requests at work.", lambda: writing.at_work),
            "bedside_writes_waiting": ("Writing requests that wait for a thread.", lambda: writing.queued),
            "bedside_collections_open": ("Collections that are open.", lambda: service.shelf.opened),
        }
    )
    identify = tokens if callable(tokens) else partial(_identify, tokens)
    if origins:  # inside of the guard, which knows the same origins
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "X-Request-ID"],
            expose_headers=["X-Request-ID", "Retry-After"],
        )
    app.add_middleware(Guard, hosts=hosts, origins=origins, identify=identify, limits=limits)
    app.add_middleware(Recorded, metrics=metrics)
    add_handlers(app)
    add_pages(app)
    app.router.route_class = Route
    _add_server(app, service, reading, metrics)
    _add_operations(app, service, reading, Doors(reading, searching, writing, service, tell))
    add_upkeep_operations(app, service.upkeep, tending, tell)
    publish(app)
    return app


async def _nobody(_: str) -> None:
    """Tell nobody: this process serves alone."""


def _identify(tokens: Sequence[Token], presented: str) -> Access | None:
    """Return what a presented token opens; where there are no tokens, everything is open."""
    return access_of(presented, tokens) if tokens else Access()


def _add_server(app: FastAPI, service: Service, pool: Pool, metrics: Metrics) -> None:

    @app.get("/health", operation_id="health", tags=["server"])
    async def health() -> dict[str, str]:
        """Say that the process answers, and which release it is; see `/ready` for what is behind it."""
        return {"status": "ok", "version": __version__}

    @app.get("/ready", operation_id="ready", tags=["server"], responses={503: PROBLEMS[503]})
    async def ready() -> Response:
        """Say whether the folder or database is there and what is open of it answers."""
        try:
            await pool.run(service.shelf.check_ready)
        except (errors.BedsideError, OSError, TooSlowError) as error:
            return problem(503, "NotReady", f"the collections cannot be reached: {type(error).__name__}")
        return JSONResponse({"status": "ready", "version": __version__})

    @app.get("/metrics", operation_id="metrics", tags=["server"], response_class=PlainTextResponse)
    async def counted(access: Caller) -> Response:
        """Return counts and times of requests, the queues and memory, in Prometheus' text format."""
        access.check_unbound("metrics")
        return Response(metrics.text(), media_type=CONTENT_TYPE)


def _add_operations(app: FastAPI, service: Service, pool: Pool, doors: Doors) -> None:
    place = "/v1/collections/{name}"
    run, find, write = doors.read, doors.search, doors.write

    @app.get("/v1/collections", operation_id="list_collections", tags=["collections"])
    async def list_collections(access: Caller) -> models.Collections:
        """Return the names of the collections that the caller may see."""
        return models.Collections(collections=await pool.run(partial(service.list_collections, access)))

    @app.put(place, operation_id="create_collection", tags=["collections"])
    async def create(access: Caller, name: Name, body: models.CreateRequest) -> models.StatsModel:
        """Create an empty collection; nothing happens where it is there with the same scope keys."""
        return models.StatsModel.of(await write(service.create, access, name, body.scope_keys))

    @app.get(place, operation_id="stats", tags=["collections"])
    async def stats(access: Caller, name: Name) -> models.StatsModel:
        """Say what a collection is."""
        return models.StatsModel.of(await run(service.stats, access, name))

    @app.post(f"{place}/verify", operation_id="verify", tags=["collections"])
    async def verify(access: Caller, name: Name) -> models.Verified:
        """Read every line of the collection's log and compare checksums."""
        return models.Verified(**asdict(await run(service.verify, access, name)))

    @app.post(f"{place}/add", operation_id="add", tags=["documents"])
    async def add(access: Caller, name: Name, body: models.AddRequest) -> models.Ids:
        """Add documents, replacing those with the same id; all or none. When this answers, they are on the disk."""
        documents, skipped = [document.to_document() for document in body.documents], body.skipping()
        ids = await write(service.add, access, name, body.scope, documents, skipped)
        return models.Ids(ids=ids, skipped=models.Ids.told(skipped))

    @app.post(f"{place}/get", operation_id="get", tags=["documents"])
    async def get(access: Caller, name: Name, body: models.GetRequest) -> models.Documents:
        """Return documents by id, by filter, or those that satisfy both."""
        options = body.model_dump(exclude={"scope", "must_exist"})
        found = await run(service.get, access, name, body.where, **options)
        return models.Documents(documents=[models.DocumentModel.of(document) for document in found])

    @app.post(f"{place}/search", operation_id="search", tags=["documents"], response_model=models.Hits)
    async def search(access: Caller, name: Name, body: models.SearchRequest) -> dict[str, Any]:
        """Return the best documents for a query, best first."""
        hits = await find(service.search, access, name, body.where, body.query, body.vector, **body.options())
        return models.Hits.values(hits)

    @app.post(f"{place}/count", operation_id="count", tags=["documents"])
    async def count(access: Caller, name: Name, body: models.CountRequest) -> models.Count:
        """Count documents."""
        options = {"as_of": body.as_of, "all_scopes": body.all_scopes}
        return models.Count(count=await run(service.count, access, name, body.where, body.filter, **options))

    @app.post(f"{place}/facets", operation_id="facets", tags=["documents"])
    async def facets(access: Caller, name: Name, body: models.FacetsRequest) -> models.Facets:
        """Count documents by the values of a metadata key, the most frequent first."""
        options = {"as_of": body.as_of, "all_scopes": body.all_scopes}
        found = await run(service.facets, access, name, body.where, body.key, body.filter, **options)
        return models.Facets(facets=[models.Facet(value=value, count=number) for value, number in found])

    @app.post(f"{place}/delete", operation_id="delete", tags=["documents"])
    async def delete(access: Caller, name: Name, body: models.Selection) -> models.Count:
        """Delete documents; their bytes stay in the log until it is compacted."""
        return models.Count(count=await write(service.delete, access, name, body.scope, body.ids, body.filter))

    @app.post(f"{place}/erase", operation_id="erase", tags=["documents"])
    async def erase(access: Caller, name: Name, body: models.Selection) -> models.Receipt:
        """Delete documents and leave no byte of them in any file of the collection."""
        return models.Receipt(**asdict(await write(service.erase, access, name, body.scope, body.ids, body.filter)))

    add_note_operations(app, service, doors)
