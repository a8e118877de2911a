"""The verbs of a collection as lines of a trail: one line for each call from outside, none for its inner steps.

A verb runs on a twin of its collection that has the line in place of the log. So what it calls of the same collection
belongs to its line, and what a caller's own function or iterator calls meanwhile is recorded by itself.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from itertools import chain, islice
from typing import Any, Protocol, TypeVar, cast

import orjson

from bedside.audit.log import AuditLog
from bedside.audit.trail import now
from bedside.errors import InvalidInputError
from bedside.types import Document, Hit

F = TypeVar("F", bound=Callable[..., Any])
MOST = 1_000
"""Ids and scopes that a line names; of a verb about more, ``count`` says how many there were."""


class Line:
    """What one verb leaves: one line, written before anything is answered or changed, and another where it then fails.

    Args:
        log: Where it goes.
        verb: Its name.
        asked: What is known when the verb begins.
        purpose: Whether it must be said what for.

    Raises:
        ActorRequired: It is not said who acts, or what for.
    """

    def __init__(self, log: AuditLog, verb: str, asked: Mapping[str, Any], *, purpose: bool = False) -> None:
        who = log.who(verb, purpose=purpose)
        self._log = log
        self._written: int | None = None
        self._said = {"actor": who.actor, "purpose": who.purpose, "verb": verb, **asked}
        self._ids: dict[str, None] = {}
        self._scopes: dict[str, None] = {}
        self._counts: dict[str, int] = {}

    def about(self, collection: str) -> None:
        """Name the collection, where it was not known when the verb began."""
        self._said["collection"] = collection

    def tells(
        self, what: str, count: int | None, ids: Iterable[str] = (), scopes: Iterable[Mapping[str, str | int]] = ()
    ) -> None:
        """Add to what the line will say.

        Args:
            what: ``"count"`` of what is answered or put, or ``"removed"``.
            count: How many there are; ``None`` where that cannot be said.
            ids: Theirs, as far as there is room for them.
            scopes: Those that are written to, where the verb is not about one.
        """
        if count is not None:
            self._counts[what] = self._counts.get(what, 0) + count
        self._ids.update(dict.fromkeys(islice(ids, MOST)))
        self._scopes.update((self._log.scope(scope), None) for scope in islice(scopes, MOST))

    def write(self, *, durable: bool = False) -> None:
        """Write the line, unless it was.

        Args:
            durable: Whether it must be on the disk before what it tells of is.

        Raises:
            BedsideError: It cannot be recorded, so it must not happen.
        """
        if self._written is None:
            ids = [self._log.names.name("id", id) for id in islice(self._ids, MOST)]
            found = {"ids": ids or None, "scopes": list(islice(self._scopes, MOST)) or self._said.get("scopes")}
            self._written = self._append({**found, **self._counts}, durable=durable)

    def failed(self, error: BaseException) -> None:
        """Write that the verb failed, and how; where the line was written already, to which one that belongs."""
        self._append({"error": type(error).__name__, "of": self._written})

    def _append(self, found: Mapping[str, Any], *, durable: bool = False) -> int:
        fields = {"at": now(), **self._said, **found}
        return self._log.append({name: value for name, value in fields.items() if value is not None}, durable=durable)


def begin_trail(audit: object) -> None:
    """Make the trail that an ``audit=`` argument names, where there is none yet.

    Raises:
        InvalidInputError: It is no :class:`~bedside.audit.AuditLog`.
        BedsideError: It cannot be written.
    """
    if not isinstance(audit, AuditLog):
        raise InvalidInputError(f"audit: expected an AuditLog, got {type(audit).__name__}")
    audit.begin()


@contextmanager
def beside(audit: AuditLog | None, verb: str) -> Iterator[Line | None]:
    """Have work that is no verb of an open collection leave a line, written in the block or else after it.

    Yields ``None`` where there is no log.
    """
    if audit is None:
        yield None
        return
    begin_trail(audit)
    line = Line(audit, verb, {})
    try:
        yield line
        line.write()
    except BaseException as error:
        line.failed(error)
        raise


class Recorded(Protocol):
    """What a collection must have for its verbs to be recorded."""

    @property
    def scope(self) -> Mapping[str, str | int]: ...  # noqa: D102
    @property
    def scope_keys(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def facts(self) -> Any: ...  # noqa: D102

    _audit: AuditLog | None

    def _within(self, line: Line) -> Any: ...

    def _how_many(self, filter: Any, *, all_scopes: bool) -> int: ...


def recorded(name: str = "", *, ahead: bool = False, all_scopes: bool = False) -> Callable[[F], F]:
    """Have a verb of a collection leave a line in its audit log, where it has one.

    Args:
        name: The verb in the trail; by default the method's own name.
        ahead: Whether the line is written before the verb begins, because it shows what it finds one by one.
        all_scopes: Whether the verb of a whole collection shows every scope, for which a purpose must be said.
    """

    def of(verb: F) -> F:
        called, parameters = name or verb.__name__, inspect.signature(verb)

        @wraps(verb)
        def records(self: Recorded, *arguments: Any, **options: Any) -> Any:
            if self._audit is None:
                return verb(self, *arguments, **options)
            given = parameters.bind(self, *arguments, **options).arguments
            given.update(given.pop("options", {}))
            every = not self.scope and bool(self.scope_keys) and (all_scopes or given.get("all_scopes") is True)
            line = Line(self._audit, called, _asked(self, self._audit, given), purpose=every)
            try:
                if ahead:
                    line.tells("count", self._how_many(given.get("filter"), all_scopes=every))
                    line.write()
                answer = verb(self._within(line), *arguments, **options)
                line.tells("count", _count(answer), _ids(answer))
                line.write()
            except BaseException as error:
                line.failed(error)
                raise
            return answer

        return cast(F, records)

    return of


def _asked(records: Recorded, log: AuditLog, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a call says before it is answered, each value as its HMAC."""
    name = log.names.name
    ids, query, filter = given.get("ids", given.get("id")), given.get("query"), given.get("filter")
    return {
        "collection": records.facts.id,
        "scopes": [log.scope(records.scope)] if records.scope else None,
        "query": [name("query", text) for text in _texts(query)] or None,
        "filter": name("filter", _bytes(filter)) if filter else None,
        "asked": [name("id", text) for text in _texts(ids)[:MOST]] or None,
    }


def _texts(value: Any) -> list[str]:
    """Return a text, or the texts of a list of them; of what a verb will refuse, nothing."""
    listed = [value] if isinstance(value, str) else value if isinstance(value, list | tuple) else []
    return [text for text in listed if isinstance(text, str)]


def _bytes(filter: Any) -> bytes:
    try:
        return orjson.dumps(filter, default=repr, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    except TypeError:  # such as an int of more than 64 bits
        return repr(filter).encode("utf-8", "surrogatepass")


def _ids(answer: Any) -> Iterator[str]:
    """Yield the ids of what a verb answers: of records, and of the notes that they are passages of."""
    if isinstance(answer, Hit | Document):
        yield str(answer.id)
        if isinstance(note := answer.metadata.get("source_id"), str):
            yield note
        yield from _of_copies(answer)
    elif isinstance(answer, list):
        yield from chain.from_iterable(map(_ids, answer))
    elif isinstance(answer, str):
        yield answer
    elif isinstance(answer, Mapping):  # note ids, with what became of each
        yield from answer
    elif isinstance(passages := getattr(answer, "passages", None), tuple):  # of a note that was found
        yield from chain([str(getattr(answer, "id", ""))], chain.from_iterable(map(_ids, passages)))
        yield from _of_copies(answer)
    elif isinstance(id := getattr(answer, "id", None), str):  # of a version
        yield id
    else:  # of an erasure, of copies of one text
        yield from getattr(answer, "ids", ())


def _of_copies(hit: Any) -> Iterator[str]:
    """Yield the ids of the copies that a hit tells of, and of the notes that they are passages of."""
    for copy in getattr(hit, "copies", ()):
        yield from filter(None, (copy.id, copy.source))


def _count(answer: Any) -> int | None:
    """Return how many records or values a verb answers."""
    if isinstance(answer, int):
        return int(answer)
    if isinstance(answer, Document):
        return 1
    if isinstance(answer, list) and answer and isinstance(answer[0], list):
        return sum(map(len, answer))
    return len(answer) if isinstance(answer, list | Mapping) else None
