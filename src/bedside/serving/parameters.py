"""What the operations of the HTTP server take beside their bodies: who calls, and which collection is meant."""

from dataclasses import replace
from typing import Annotated, TypeAlias

from fastapi import Depends, Header, Path, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from bedside.serving.access import Access
from bedside.serving.shelf import NAME_PATTERN

_BEARER = HTTPBearer(auto_error=False, description="A token of the server's token file, where it has one.")
_Purpose: TypeAlias = Annotated[
    str | None, Header(alias="Bedside-Purpose", description="What the request is for, where an audit trail is kept.")
]


async def _caller(
    request: Request, _: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)], purpose: _Purpose = None
) -> Access:
    """Hand over what the guard found out; the second argument says in the schema how it is proved."""
    access: Access = request.state.access
    return replace(access, purpose=purpose)


Caller: TypeAlias = Annotated[Access, Depends(_caller)]
"""What the caller may do, and what for."""
# The pattern is for the schema's readers: the service decides.
Name: TypeAlias = Annotated[
    str,
    Path(description="The collection's name.", examples=["ward"], json_schema_extra={"pattern": NAME_PATTERN}),
]
"""The collection's name in the path."""
