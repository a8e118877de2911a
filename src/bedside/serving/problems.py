"""Errors as answers: which status each has, and what it says, which is never what a document says."""

from collections.abc import Collection
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from bedside import errors
from bedside.remedies import in_json, speaking
from bedside.serving import models
from bedside.serving.guard import RETRY_AFTER
from bedside.serving.pool import TooBusyError, TooSlowError

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
PROBLEMS: dict[int | str, dict[str, Any]] = {
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


def problem(status: int, title: str, detail: str, headers: dict[str, str] | None = None) -> Response:
    """Return the answer that says what was wrong."""
    if status == 503:
        headers = {"Retry-After": RETRY_AFTER, **(headers or {})}
    return JSONResponse(models.Problem(title=title, status=status, detail=detail).model_dump(), status, headers)


def add_handlers(app: FastAPI) -> None:
    """Have an application answer errors so."""

    @app.exception_handler(RequestValidationError)
    async def not_as_the_schema_says(request: Request, error: RequestValidationError) -> Response:
        # Without the input, which pydantic would repeat: it may be a note.
        said = "; ".join(f"{'.'.join(map(str, found['loc']))}: {found['msg']}" for found in error.errors()[:5])
        if "json" not in request.headers.get("content-type", ""):
            said += "; give the header Content-Type: application/json"
        return problem(422, "ValidationError", said)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        if error.status_code == 405:  # the framework names the methods of one operation at the path, not of all
            headers["Allow"] = ", ".join(sorted(_methods(request)))
        return problem(error.status_code, "HTTPError", str(error.detail), headers)

    async def failed(request: Request, error: Exception) -> Response:
        status = next(status for kind, status in STATUS if isinstance(error, kind))
        with speaking(in_json(_fields(request), acting="the header Bedside-Purpose")):
            return problem(status, type(error).__name__, str(error))

    for kind, _ in STATUS:
        app.exception_handler(kind)(failed)


def _methods(request: Request) -> set[str]:
    """Return the methods that the path of this request may be asked by; what answers GET answers HEAD too."""
    routes = [route for route in request.app.routes if route.matches(request.scope)[0] != Match.NONE]
    methods = {method for route in routes for method in route.methods}
    return methods | {"HEAD"} if "GET" in methods else methods


def _fields(request: Request) -> Collection[str]:
    """Return the fields that the body of this request may have."""
    endpoint = getattr(request.scope.get("route"), "endpoint", None)
    body = {} if endpoint is None else endpoint.__annotations__
    return getattr(body.get("body"), "model_fields", {})
