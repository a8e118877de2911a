"""The published schema: what clients in other languages are generated from."""

from __future__ import annotations

from collections.abc import Iterator
from tempfile import TemporaryDirectory
from typing import Any

from fastapi import FastAPI


def schema() -> dict[str, Any]:
    """Return the schema of this release, which is that of every server of it.

    Example:
        >>> schema()["info"]["title"]
        'Bedside'
    """
    from bedside.serving.http import create_app  # which publishes what is made here
    from bedside.serving.service import Service

    with TemporaryDirectory() as nothing:
        return create_app(Service(nothing)).openapi()


def publish(app: FastAPI) -> None:
    """Have an application publish its schema with what a request may leave out said in words.

    A field that has a default is optional. Generators such as openapi-typescript take the keyword ``default`` for
    something else, that the field is always there, and would ask for all twenty options in each search.
    """
    generate = app.openapi

    def made() -> dict[str, Any]:
        if app.openapi_schema is None:
            for field in _optional(generate()):
                _say_default(field)
        return generate()  # which keeps what it made

    app.openapi = made  # type: ignore[method-assign] # the way that FastAPI documents


def _optional(published: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the fields of every model that need not be given."""
    for model in published["components"]["schemas"].values():
        required = model.get("required", ())
        yield from (field for name, field in model.get("properties", {}).items() if name not in required)


def _say_default(field: dict[str, Any]) -> None:
    default = field.pop("default", None)
    if default not in (None, [], {}):
        value = default if isinstance(default, str) else str(default).lower()
        field["description"] = f"{field.get('description', '')} By default {value}.".strip()
