"""Where a collection on PostgreSQL lives: ``postgresql://user@host:5432/database?collection=ward``.

``collection`` names the schema; every other parameter goes to PostgreSQL's own library, such as ``sslmode`` or
``target_session_attrs``. Passwords come by its usual ways (``PGPASSWORD``, ``~/.pgpass``, a service file). One in the
URL works too; it is in no ``repr``, error or log.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit

from psycopg import Error
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Conninfo

from bedside.errors import InvalidInputError

DEFAULT_COLLECTION = "bedside"
_LONGEST_NAME = 63
"""Bytes of an identifier; the server cuts longer ones off without an error."""


@dataclass(frozen=True)
class Place:
    """A parsed URL.

    Attributes:
        conninfo: What PostgreSQL's library connects with; it may hold a password.
        schema: The schema of the collection.
        name: For messages: the URL without the password and the other parameters.
    """

    conninfo: str = field(repr=False)
    schema: str
    name: str


def parse(url: str) -> Place:
    """Return the place that a URL names.

    Raises:
        InvalidInputError: It is no URL that PostgreSQL's library reads, or the collection cannot have this name.

    Example:
        >>> parse("postgresql://nurse:secret@db.ward/notes?collection=ward")
        Place(schema='ward', name='postgresql://nurse@db.ward/notes?collection=ward')
    """
    try:
        split = urlsplit(url)
        given = parse_qsl(split.query, keep_blank_values=True, strict_parsing=bool(split.query))
    except ValueError:
        raise InvalidInputError("path: expected postgresql://user@host/database?collection=name") from None
    names = [value for key, value in given if key == "collection"]
    if len(names) > 1:
        raise InvalidInputError("path: the URL names more than one collection")
    schema = _check_schema(names[0] if names else DEFAULT_COLLECTION)
    rest = [(key, value) for key, value in given if key != "collection"]
    known = {each.keyword.decode() for each in Conninfo.get_defaults()}
    if unknown := sorted({key for key, _ in rest} - known):
        raise InvalidInputError(f"path: {unknown[0]!r} is neither `collection` nor a parameter of PostgreSQL's library")
    try:
        parts = conninfo_to_dict(split._replace(query=urlencode(rest)).geturl())
    except Error:  # its message may hold the URL, and that the password
        raise InvalidInputError("path: PostgreSQL's library cannot read this URL") from None
    user, host, port = (parts.get(key) for key in ("user", "host", "port"))
    where = f"{f'{user}@' if user else ''}{host or ''}{f':{port}' if port else ''}/{parts.get('dbname') or ''}"
    return Place(make_conninfo("", **parts), schema, f"postgresql://{where}?collection={schema}")


def _check_schema(name: str) -> str:
    if not name or "\0" in name or not name.isprintable() or len(name.encode("utf-8", "replace")) > _LONGEST_NAME:
        raise InvalidInputError(f"path: a collection's name has 1 to {_LONGEST_NAME} bytes and none unprintable")
    if name.startswith("pg_") or name in ("information_schema", "public"):
        raise InvalidInputError(f"path: {name!r} belongs to PostgreSQL; give the collection another name")
    return name
