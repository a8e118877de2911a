"""What the operations of the HTTP server take beside their bodies: who calls, and which collection is meant."""

from dataclasses import replace
from typing import Annotated, TypeAlias

from fastapi import Depends, Header, Path, Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

from bedside.serving.access import Access
from bedside.serving.shelf import NAME_PATTERN

_Purpose: TypeAlias = Annotated[
    str | None, Header(alias="Bedside-Purpose", description="What the request is for, where an audit trail is kept.")
]


class _Bearer(SecurityBase):
    """Hands over what the guard found out about the caller, and says in the schema how that is proved."""

    def __init__(self) -> None:
        self.model = HTTPBearer(description="A token of the server's token file, where it has one.")
        self.scheme_name = "HTTPBearer"

    def __call__(self, request: Request, purpose: _Purpose = None) -> Access:
        access: Access = request.state.access
        return access if purpose is None else replace(access, purpose=purpose)


_bearer = _Bearer()


def caller(request: Request) -> Access:
    """Return what the caller of a request may do, and what for."""
    return _bearer(request, request.headers.get("bedside-purpose"))


Caller: TypeAlias = Annotated[Access, Depends(_bearer)]
"""What the caller may do, and what for."""
# The pattern is for the schema's readers: the service decides.
Name: TypeAlias = Annotated[
    str,
    Path(description="The collection's name.", examples=["ward"], json_schema_extra={"pattern": NAME_PATTERN}),
]
"""The collection's name in the path."""
