"""A parsed filter as SQL over ``doc.fields``, every value bound.

What an operator means is said in :mod:`bedside.filters.rules`. ``$ilike`` and ``$text`` go by Python's own case folding
and words, and dates by its calendar, which no server has: :func:`resolved` turns them into the strings that are there
and match.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import date
from typing import Any, NamedTuple

import orjson

from bedside.engines.postgres.rows import number
from bedside.filters.rules import NOTHING, rule
from bedside.filters.tree import And, Compare, Node, Not, Or

_INDEXED = 16
"""Values of one ``$in`` that are each looked up in the index; more are compared row by row."""
_ORDER = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}
_NEVER = ("false", ())


class Clause(NamedTuple):
    """A condition; where it is unknown (NULL) it does not hold."""

    sql: str
    values: tuple[Any, ...] = ()


def all_of(clauses: Iterable[Clause]) -> Clause:
    """Return the condition that all hold; there is at least one."""
    return _joined(" and ", clauses)


def _joined(word: str, clauses: Iterable[Clause]) -> Clause:
    given = list(clauses)
    return Clause(word.join(f"({each.sql})" for each in given), tuple(value for each in given for value in each.values))


def resolved(node: Node, strings: Callable[[str], Collection[str]]) -> Node:
    """Return the filter without ``$ilike``, ``$text`` and dates.

    Args:
        node: The filter.
        strings: Returns the distinct strings that stand at a path, in lists too.
    """
    match node:
        case And(children):
            return And(tuple(resolved(child, strings) for child in children))
        case Or(children):
            return Or(tuple(resolved(child, strings) for child in children))
        case Not(child):
            return Not(resolved(child, strings))
        case Compare(path, "$ilike" | "$text" | "$during") | Compare(path, operand=date()):
            meant = rule(node)
            found = Compare(path, "$in", tuple(each for each in strings(path) if meant.value(each)))
            # ``$in`` looks into lists as well; what is at least the empty string is a string itself.
            return And((Compare(path, "$gte", ""), found)) if meant.element is NOTHING else found
    return node


def match(node: Node) -> Clause:
    """Return the condition on a row of ``doc`` that a filter is.

    Example:
        >>> match(Not(Compare("age", "$gt", 65))).values
        ('65', 'age')
    """
    match node:
        case And(children):
            return _joined(" and ", map(match, children))
        case Or(children):
            return _joined(" or ", map(match, children))
        case Not(child):
            inner = match(child)
            return Clause(f"({inner.sql}) is not true", inner.values)
        case Compare(path, "$empty") if not storable(path):
            return Clause("true")
        case Compare(path) if not storable(path):
            return Clause(*_NEVER)
        case Compare():
            return _compare(node)


def _compare(node: Compare) -> Clause:
    operand: Any = node.operand
    match node.op:
        case "$exists":
            return Clause("fields ? %s::text", (node.path,))
        case "$empty":
            empty = _value(node.path, """f in ('""', 'null', '[]', '{}')""")
            return Clause(f"not fields ? %s::text or {empty.sql}", (node.path, *empty.values))
        case "$in":
            return _in(node.path, [each for each in operand if not isinstance(each, str) or storable(each)])
        case "$gt" | "$gte" | "$lt" | "$lte" if isinstance(operand, str):
            sign, bound = _bound(_ORDER[node.op], operand)
            return _value(node.path, f"""{_is("f", "string")} and {_text("f")} {sign} %s""", bound)
        case "$gt" | "$gte" | "$lt" | "$lte":
            return _value(node.path, f"{_is('f', 'number')} and f {_ORDER[node.op]} %s::jsonb", _json(operand))
        case _ if isinstance(operand, str) and not storable(operand):
            return Clause(*_NEVER)
        case "$contains" if isinstance(operand, str):
            return _value(
                node.path,
                f"case jsonb_typeof(f) when 'array' then {_some('e = %s::jsonb')} "
                f"when 'string' then strpos({_text('f')}, %s) > 0 end",
                _json(operand),
                operand,
            )
        case "$contains":
            return _value(
                node.path, f"case jsonb_typeof(f) when 'array' then {_some('e = %s::jsonb')} end", _json(operand)
            )
        case "$prefix":
            return _either(node.path, "starts_with({0}, %s)", operand)
        case "$like":
            return _either(node.path, "{0} like %s", operand)
    raise ValueError(f"{node.op} was not resolved")


def _in(path: str, operands: list[Any]) -> Clause:
    if not operands:
        return Clause(*_NEVER)
    if len(operands) <= _INDEXED:
        held = [number(each) for each in operands]
        pairs = [(_json({path: each}), _json({path: [each]})) for each in held]
        return _joined(" or ", [Clause("fields @> %s::jsonb or fields @> %s::jsonb", pair) for pair in pairs])
    values = [_json(each) for each in operands]
    test = "{0} = any(%s::jsonb[])"
    return _value(
        path,
        f"case jsonb_typeof(f) when 'array' then {_some(test.format('e'))} else {test.format('f')} end",
        values,
        values,
    )


def _either(path: str, test: str, operand: str) -> Clause:
    """Return a condition that the string at a path, or one in the list at it, satisfies a test."""
    inner = f"{_is('e', 'string')} and {test.format(_text('e'))}"
    return _value(
        path,
        f"case jsonb_typeof(f) when 'array' then {_some(inner)} when 'string' then {test.format(_text('f'))} end",
        operand,
        operand,
    )


def _value(path: str, test: str, *values: Any) -> Clause:
    """Return a condition on ``f``, the value at a path. Values are bound in the order of the text: the path's last."""
    sql = f"(select {test} from (select fields -> %s::text as f) as at)"  # noqa: S608 - tests are of this file
    return Clause(sql, (*values, path))


def _some(test: str) -> str:
    return f"exists (select from jsonb_array_elements(f) as e where {test})"


def _is(name: str, kind: str) -> str:
    return f"jsonb_typeof({name}) = '{kind}'"


def _text(name: str) -> str:
    """Return the string of a jsonb string, compared by code points."""
    return f"""({name} #>> '{{}}') collate "C\""""


def _json(value: Any) -> str:
    return orjson.dumps(number(value)).decode()


def storable(text: str) -> bool:
    """Say whether a stored string can hold this: neither U+0000 nor a lone surrogate is ever stored."""
    return _bad(text) is None


def _bad(text: str) -> int | None:
    return next((i for i, sign in enumerate(text) if sign == "\0" or "\ud800" <= sign <= "\udfff"), None)


def _bound(sign: str, operand: str) -> tuple[str, str]:
    """Return a bound that can be sent: no stored string lies between it and the operand."""
    at = _bad(operand)
    if at is None:
        return sign, operand
    following = "\x01" if operand[at] == "\0" else "\ue000"
    return {">": ">=", "<=": "<"}.get(sign, sign), operand[:at] + following
