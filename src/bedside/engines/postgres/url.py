"""Where a collection on PostgreSQL lives: ``postgresql://user@host:5432/database?collection=ward``.

``collection`` names the schema, ``approximate`` asks for approximate search; every other parameter goes to PostgreSQL's
own library, such as ``sslmode`` or ``target_session_attrs``. Passwords come by its usual ways (``PGPASSWORD``,
``~/.pgpass``, a service file). One in the URL works too; it is in no ``repr``, error or log.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from psycopg import Error
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Conninfo

from bedside.engines.postgres.nearest import MOST
from bedside.errors import InvalidInputError

DEFAULT_COLLECTION = "bedside"
_LONGEST_NAME = 63
"""Bytes of an identifier; the server cuts longer ones off without an error."""
_SECRET = b"*"
"""How PostgreSQL's library marks parameters that are not to be shown, such as the password."""
_UNWRITTEN = "path: in a URL's user and password, write %25 %2F %3A %3F %23 %40 for the signs % / : ? # @"


@dataclass(frozen=True)
class Place:
    """A parsed URL.

    Attributes:
        conninfo: What PostgreSQL's library connects with; it may hold a password.
        schema: The schema of the collection.
        name: For messages: the URL without the password and the other parameters.
        approximate: ``hnsw.ef_search`` where approximate search is wished for.
        again: The URL without what is secret; it opens the collection where the password comes by another way.
        secrets: What no message may hold.
    """

    conninfo: str = field(repr=False)
    schema: str
    name: str
    approximate: int | None = field(repr=False)
    again: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)

    def hidden(self, message: str) -> str:
        """Return a message of PostgreSQL's library without what is secret."""
        for secret in self.secrets:
            message = message.replace(secret, "…")
        return message


def parse(url: str) -> Place:
    """Return the place that a URL names.

    Raises:
        InvalidInputError: It is not a URL that PostgreSQL's library reads, or the collection cannot have this name.

    Example:
        >>> parse("postgresql://nurse:secret@db.ward/notes?collection=ward")
        Place(schema='ward', name='postgresql://nurse@db.ward/notes?collection=ward')
    """
    try:
        split = urlsplit(url)
        given = _parameters(split.query)
    except ValueError:
        raise InvalidInputError("path: expected postgresql://user@host/database?collection=name") from None
    if split.netloc.count("@") > 1 or split.fragment:
        raise InvalidInputError(_UNWRITTEN)
    names = [value for key, value in given if key == "collection"]
    if len(names) > 1:
        raise InvalidInputError("path: the URL names more than one collection")
    schema = _check_schema(names[0] if names else DEFAULT_COLLECTION)
    approximate = _approximate([value for key, value in given if key == "approximate"])
    ours = [(key, value) for key, value in given if key == "approximate"]
    rest = [(key, value) for key, value in given if key not in ("collection", "approximate")]
    known = {each.keyword.decode(): each.dispchar for each in Conninfo.get_defaults()}
    if unknown := sorted({key for key, _ in rest} - set(known)):
        raise InvalidInputError(
            f"path: {unknown[0]!r} is neither `collection` nor `approximate` nor a parameter of PostgreSQL's library"
        )
    try:
        parts = conninfo_to_dict(split._replace(query=_query(rest)).geturl())
    except Error:  # its message may hold the URL, and that the password
        raise InvalidInputError("path: PostgreSQL's library cannot read this URL") from None
    user, host, port = (parts.get(key) for key in ("user", "host", "port"))
    if not set(str(port or "")) <= set("0123456789,"):  # what follows a `/` in a password is taken for the path
        raise InvalidInputError(_UNWRITTEN)
    where = f"{f'{user}@' if user else ''}{host or ''}{f':{port}' if port else ''}/{parts.get('dbname') or ''}"
    shown = [(key, value) for key, value in rest if known[key] != _SECRET]
    userinfo, at, hosts = split.netloc.rpartition("@")
    bare = split._replace(netloc=f"{userinfo.partition(':')[0]}{at}{hosts}")
    again = bare._replace(query=_query([*shown, *ours, ("collection", schema)])).geturl()
    secrets = tuple(str(value) for key, value in parts.items() if value and known[key] == _SECRET)
    name = f"postgresql://{where}?collection={schema}"
    return Place(make_conninfo("", **parts), schema, name, approximate, again, secrets)


def _approximate(given: Sequence[str]) -> int | None:
    if not given:
        return None
    if len(given) > 1 or not given[0].isdecimal() or not 1 <= int(given[0][:9]) <= MOST:
        raise InvalidInputError(f"path: approximate: expected a whole number from 1 to {MOST}")
    return int(given[0])


def names_collection(url: str) -> bool:
    """Say whether a URL says which collection it means."""
    parse(url)
    return any(key == "collection" for key, _ in _parameters(urlsplit(url).query))


def with_collection(url: str, name: str) -> str:
    """Return the URL of a collection in the database that a URL without one names."""
    split = urlsplit(url)
    return split._replace(query=_query([*_parameters(split.query), ("collection", name)])).geturl()


def _parameters(query: str) -> list[tuple[str, str]]:
    """Return the parameters of a URL as PostgreSQL's library reads them: a plus sign is not a space.

    Raises:
        ValueError: They are not written as they should be.
    """
    return parse_qsl(query.replace("+", "%2B"), keep_blank_values=True, strict_parsing=bool(query))


def _query(parameters: Sequence[tuple[str, str]]) -> str:
    return urlencode(parameters, quote_via=quote)


def _check_schema(name: str) -> str:
    if not name or "\0" in name or not name.isprintable() or len(name.encode("utf-8", "replace")) > _LONGEST_NAME:
        raise InvalidInputError(f"path: a collection's name has 1 to {_LONGEST_NAME} bytes and none unprintable")
    if name.startswith("pg_") or name in ("information_schema", "public"):
        raise InvalidInputError(f"path: {name!r} belongs to PostgreSQL; give the collection another name")
    return name
