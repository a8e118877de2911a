"""The HTTP server: the verbs as JSON over FastAPI, with the schema that clients are generated from."""

import logging
import math
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from functools import partial
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from bedside import __version__, errors
from bedside.remedies import in_json, speaking
from bedside.serving import models
from bedside.serving.access import Access, Token, access_of
from bedside.serving.bodies import BodyRoute
from bedside.serving.guard import RETRY_AFTER, Guard
from bedside.serving.http_notes import add_note_operations
from bedside.serving.http_upkeep import add_upkeep_operations
from bedside.serving.metrics import CONTENT_TYPE, Metrics
from bedside.serving.openapi import publish
from bedside.serving.pages import add_pages
from bedside.serving.parameters import Caller, Name
from bedside.serving.pool import Doors, Pool, TooBusyError, TooSlowError
from bedside.serving.service import Service
from bedside.serving.shelf import is_name

log = logging.getLogger(__name__)

# The first class that an error is an instance of decides.
STATUS: tuple[tuple[type[Exception], int], ...] = (
    (errors.ScopeMismatch, 403),
    (errors.ActorRequired, 403),
    (errors.AuditError, 503),
    (errors.ReadOnlyError, 403),
    (errors.RoleRequired, 403),
    (errors.NotACollectionError, 404),
    (errors.ShreddedError, 410),
    (errors.UnknownScope, 404),
    (errors.EncoderMismatch, 409),
    (errors.InvalidInputError, 400),
    (errors.ScopeError, 400),
    (errors.EncoderRequired, 400),
    (errors.TextTooLongError, 400),
    (errors.LockTimeoutError, 503),
    (errors.ProviderError, 502),
    (errors.WriteFailedError, 507),
    (TooBusyError, 503),
    (TooSlowError, 504),
)
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": models.Problem, "description": "The request cannot be answered as it is."},
    401: {"model": models.Problem, "description": "No token, or an unknown one."},
    403: {
        "model": models.Problem,
        "description": "Another scope or role than the token's, another origin than the server's, or an audit trail "
        "needs to know what the request is for.",
    },
    404: {
        "model": models.Problem,
        "description": "There is no such collection, or no document in a scope that must exist.",
    },
    408: {"model": models.Problem, "description": "The body was not there in time."},
    409: {
        "model": models.Problem,
        "description": "The server's encoder is not the collection's, or would not be used: it holds texts alone.",
    },
    410: {"model": models.Problem, "description": "The key of these records was destroyed; nobody can read them."},
    413: {"model": models.Problem, "description": "The body is too large."},
    421: {"model": models.Problem, "description": "The Host header names another machine."},
    422: {"model": models.Problem, "description": "The body is not as the schema says."},
    500: {"model": models.Problem, "description": "The server failed."},
    502: {"model": models.Problem, "description": "The encoder's own server failed."},
    503: {
        "model": models.Problem,
        "description": "Too many requests at once, another process writes, or nothing can be recorded.",
    },
    504: {"model": models.Problem, "description": "No answer in time."},
    507: {"model": models.Problem, "description": "The disk did not take the documents; none was added."},
}
# What a caller may call a request, so that its own log and this one can be read together.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
Tokens = Sequence[Token] | Callable[[str], Access | None]


def create_app(
    service: Service, *, tokens: Tokens = (), hosts: Collection[str] | None = None, origins: Collection[str] = ()
) -> FastAPI:
    """Return the application.

    Args:
        service: The collections.
        tokens: Who may call, as tokens or as what returns the access of a presented one, such as a
            :class:`~bedside.serving.access.TokenFile`; without any, everybody who reaches the server may do everything.
        hosts: Names by which it may be addressed; ``None``: any.
        origins: Origins of web pages of other servers that may ask it (CORS).
    """
    limits = service.limits
    reading = Pool.of(limits)
    writing = Pool(limits.writing, limits.writes_waiting, limits.seconds)
    tending = Pool(1, limits.writing, math.inf)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        tending.close()
        writing.close()
        reading.close()
        service.close()

    app = FastAPI(
        title="Bedside",
        version=__version__,
        summary="Clinical retrieval: documents in, ranked documents out.",
        lifespan=lifespan,
        responses=_PROBLEMS,
        docs_url=None,  # its page would load scripts from elsewhere
        redoc_url=None,
    )
    app.router.route_class = BodyRoute
    metrics = Metrics(
        {
            "reads_running": ("Reading requests at work.", lambda: reading.at_work),
            "reads_waiting": ("Reading requests that wait for a thread.", lambda: reading.queued),
            "writes_running": ("Writing requests at work.", lambda: writing.at_work),
            "writes_waiting": ("Writing requests that wait for a thread.", lambda: writing.queued),
            "collections_open": ("Collections that are open.", lambda: service.shelf.opened),
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
    app.middleware("http")(partial(_logged, metrics))
    _add_handlers(app)
    add_pages(app)
    _add_server(app, service, reading, metrics)
    _add_operations(app, service, reading, Doors(reading, writing, service))
    add_upkeep_operations(app, service.upkeep, tending)
    publish(app)
    return app


def _identify(tokens: Sequence[Token], presented: str) -> Access | None:
    """Return what a presented token opens; where there are no tokens, everything is open."""
    return access_of(presented, tokens) if tokens else Access()


def _add_server(app: FastAPI, service: Service, pool: Pool, metrics: Metrics) -> None:

    @app.get("/health", operation_id="health", tags=["server"])
    async def health() -> dict[str, str]:
        """Say that the process answers, and which release it is; see `/ready` for what is behind it."""
        return {"status": "ok", "version": __version__}

    @app.get("/ready", operation_id="ready", tags=["server"], responses={503: _PROBLEMS[503]})
    async def ready() -> Response:
        """Say whether the folder or database is there and what is open of it answers."""
        try:
            await pool.run(service.shelf.check_ready)
        except (errors.BedsideError, OSError, TooSlowError) as error:
            return _problem(503, "NotReady", f"the collections cannot be reached: {type(error).__name__}")
        return JSONResponse({"status": "ready", "version": __version__})

    @app.get("/metrics", operation_id="metrics", tags=["server"], response_class=PlainTextResponse)
    async def counted(access: Caller) -> Response:
        """Return counts and times of requests, the queues and memory, in Prometheus' text format."""
        access.check_unbound("metrics")
        return Response(metrics.text(), media_type=CONTENT_TYPE)


def _add_operations(app: FastAPI, service: Service, pool: Pool, doors: Doors) -> None:
    place = "/v1/collections/{name}"
    run, write = doors.read, doors.write

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

    @app.post(f"{place}/search", operation_id="search", tags=["documents"])
    async def search(access: Caller, name: Name, body: models.SearchRequest) -> models.Hits:
        """Return the best documents for a query, best first."""
        hits = await run(service.search, access, name, body.where, body.query, body.vector, **body.options())
        return models.Hits(hits=[models.HitModel.of(hit) for hit in hits])

    @app.post(f"{place}/count", operation_id="count", tags=["documents"])
    async def count(access: Caller, name: Name, body: models.CountRequest) -> models.Count:
        """Count documents."""
        asked = run(service.count, access, name, body.where, body.filter, all_scopes=body.all_scopes)
        return models.Count(count=await asked)

    @app.post(f"{place}/facets", operation_id="facets", tags=["documents"])
    async def facets(access: Caller, name: Name, body: models.FacetsRequest) -> models.Facets:
        """Count documents by the values of a metadata key, the most frequent first."""
        options = {"all_scopes": body.all_scopes}
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

    add_note_operations(app, service, run, write)


def _add_handlers(app: FastAPI) -> None:
    @app.exception_handler(RequestValidationError)
    async def not_as_the_schema_says(request: Request, error: RequestValidationError) -> Response:
        # Without the input, which pydantic would repeat: it may be a note.
        said = "; ".join(f"{'.'.join(map(str, found['loc']))}: {found['msg']}" for found in error.errors()[:5])
        if "json" not in request.headers.get("content-type", ""):
            said += "; give the header Content-Type: application/json"
        return _problem(422, "ValidationError", said)

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> Response:
        return _problem(error.status_code, "HTTPError", str(error.detail), dict(error.headers or {}))

    async def failed(request: Request, error: Exception) -> Response:
        status = next(status for kind, status in STATUS if isinstance(error, kind))
        with speaking(in_json(_fields(request), acting="the header Bedside-Purpose")):
            return _problem(status, type(error).__name__, str(error))

    for kind, _ in STATUS:
        app.exception_handler(kind)(failed)


def _fields(request: Request) -> Collection[str]:
    """Return the fields that the body of this request may have."""
    endpoint = getattr(request.scope.get("route"), "endpoint", None)
    body = {} if endpoint is None else endpoint.__annotations__
    return getattr(body.get("body"), "model_fields", {})


def _problem(status: int, title: str, detail: str, headers: dict[str, str] | None = None) -> Response:
    if status == 503:
        headers = {"Retry-After": RETRY_AFTER, **(headers or {})}
    return JSONResponse(models.Problem(title=title, status=status, detail=detail).model_dump(), status, headers)


async def _logged(metrics: Metrics, request: Request, following: Callable[[Request], Awaitable[Response]]) -> Response:
    """Log who asked for what and how it ended: never a body, a query or an id. An unexpected error is answered here."""
    start = time.perf_counter()
    given = request.headers.get("x-request-id", "")
    number = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
    try:
        response = await following(request)
    except Exception as error:  # noqa: BLE001 - the outermost place: nothing of it may reach the caller
        kind = type(error).__name__  # without the traceback, whose message may hold text
        log.error("%s %s failed: %s", request.method, _place(request), kind, extra={"request": number})  # noqa: TRY400
        response = _problem(500, "InternalError", "the server failed; its log names the kind of error")
    response.headers["X-Request-ID"] = number
    access, took = getattr(request.state, "access", None), time.perf_counter() - start
    operation = getattr(request.scope.get("route"), "operation_id", None) or "-"
    metrics.count(operation, response.status_code, took)
    line = {
        "caller": "-" if access is None else access.name,
        "method": request.method,
        "path": _place(request),
        "status": response.status_code,
        "ms": round(1000 * took, 1),
        "request": number,
    }
    log.info("%s %s %s %d %.1f ms %s", *line.values(), extra={**line, "operation": operation})
    return response


def _place(request: Request) -> str:
    """Return the path as far as it is one of the server's: the rest may be an id, or a name somebody typed there."""
    path: str = getattr(request.scope.get("route"), "path", "-")
    name = request.path_params.get("name", "")
    return path.replace("{name}", name) if is_name(name) else path
