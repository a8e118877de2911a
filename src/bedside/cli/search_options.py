"""The core's search options as options of a command, and how a command asks its question."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal, TypeVar

import orjson
import typer

from bedside.cli.options import Filter, Ids, asking, parse_filter, scoped
from bedside.collection import Collection
from bedside.errors import InvalidInputError
from bedside.search.options import OPTIONS, Option, SearchOptions
from bedside.support.signatures import with_parameters

Command = TypeVar("Command", bound=Callable[..., None])
Query = Annotated[str | None, typer.Argument(metavar="QUERY", help="The question; may be left out with --vector.")]
NoteQuery = Annotated[str, typer.Argument(metavar="QUERY", help="The question.")]
_BESIDE_OPTIONS: dict[str, tuple[Any, Any]] = {
    "vector": (
        Annotated[
            str | None,
            typer.Option(
                "--vector", metavar="JSON", help="The query's vector, instead of encoding its text: [0.1, 0.2, …]."
            ),
        ],
        None,
    ),
    "must_exist": (
        Annotated[
            bool,
            typer.Option(
                "--must-exist", help="An error where the scope holds no document, instead of finding nothing."
            ),
        ],
        False,
    ),
}
"""What a question has on other surfaces too that is no search option."""


def with_search_options(*without: str, **defaults: Any) -> Callable[[Command], Command]:
    """Return a decorator that gives a command all that a question has, which reaches it as ``**options``.

    Args:
        *without: Options that this command lacks.
        **defaults: Defaults that are not the core's.
    """
    core = SearchOptions()
    parameters = {
        name: (_annotation(name, option), defaults.get(name, getattr(core, name)))
        for name, option in OPTIONS.items()
        if option.surface and name not in without
    }
    return lambda command: with_parameters(command, parameters | _BESIDE_OPTIONS)


@contextmanager
def question(
    path: str, encoder: str | None, scope: list[str] | None, options: dict[str, Any]
) -> Iterator[tuple[Collection, dict[str, Any]]]:
    """Open what a question is about; wrong usage, before anything is opened, for options that no search has.

    Args:
        path: The collection.
        encoder: The model that was named, if any.
        scope: What ``--scope`` holds.
        options: What :func:`with_search_options` gave the command.

    Yields:
        The collection or the scope, and the keyword arguments of its search.
    """
    must_exist, vector = options.pop("must_exist"), _vector(options.pop("vector"))
    asked = {**options, "filter": parse_filter(options["filter"]), "ids": options["ids"] or None}
    try:
        SearchOptions.of(asked)
    except InvalidInputError as error:
        name, _, wrong = str(error).partition(": ")
        raise typer.BadParameter(wrong, param_hint=_spelled(name.partition("[")[0])) from None
    with asking(path, encoder) as collection:
        view = scoped(collection, scope, must_exist=must_exist)
        yield view, asked if vector is None else {**asked, "vector": vector}


def _vector(text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        numbers = orjson.loads(text)
    except orjson.JSONDecodeError:
        numbers = None
    if not isinstance(numbers, list) or not all(type(number) in (int, float) for number in numbers):
        raise typer.BadParameter("expected a JSON list of numbers", param_hint="--vector")
    return numbers


def _spelled(name: str) -> str:
    return "--id" if name == "ids" else f"--{name.replace('_', '-')}"


def _annotation(name: str, option: Option) -> Any:
    """Return what typer makes an option from; a value out of its range is wrong usage."""
    if option.kind in ("filter", "ids"):
        return Filter if option.kind == "filter" else Ids
    if option.kind == "number" and option.choices:
        return _number_or_word(name, option)
    kinds: dict[str, Any] = {"int": int, "number": float, "key": str, "flag": bool, "moment": str, "recency": str}
    kind = Literal[option.choices] if option.kind in ("choice", "rerank") else kinds[option.kind]
    spelled = typer.Option(_spelled(name), help=option.help, min=option.least, max=option.most)
    return Annotated[kind | None if option.optional else kind, spelled]


def _number_or_word(name: str, option: Option) -> Any:
    def parse(text: str) -> Any:
        if text in option.choices:
            return text
        try:
            option.check(name, number := float(text))
        except ValueError:
            raise typer.BadParameter(f"expected a number, or {' or '.join(option.choices)}; got {text!r}") from None
        return number

    metavar = f"<{'|'.join(('float', *option.choices))}>"
    named = f"--{name.replace('_', '-')}"
    return Annotated[Any, typer.Option(named, help=option.help, parser=parse, metavar=metavar)]
