"""The core's search options as options of a command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

import typer

from bedside.cli.options import Filter, Ids, parse_filter
from bedside.search.options import OPTIONS, Option, SearchOptions
from bedside.support.signatures import with_parameters

Command = TypeVar("Command", bound=Callable[..., None])


def with_search_options(*without: str, **defaults: Any) -> Callable[[Command], Command]:
    """Return a decorator that gives a command the core's search options, which reach it as ``**options``.

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
    return lambda command: with_parameters(command, parameters)


def arguments(options: dict[str, Any]) -> dict[str, Any]:
    """Return a command's options as keyword arguments of ``Collection.search``; wrong usage for a wrong filter."""
    return {**options, "filter": parse_filter(options["filter"]), "ids": options["ids"] or None}


def _annotation(name: str, option: Option) -> Any:
    """Return what typer makes an option from; a value out of its range is wrong usage."""
    if option.kind in ("filter", "ids"):
        return Filter if option.kind == "filter" else Ids
    if option.kind == "number" and option.choices:
        return _number_or_word(name, option)
    kinds: dict[str, Any] = {"int": int, "number": float, "key": str, "flag": bool, "moment": str, "recency": str}
    kind = Literal[option.choices] if option.kind in ("choice", "rerank") else kinds[option.kind]
    spelled = typer.Option(f"--{name.replace('_', '-')}", help=option.help, min=option.least, max=option.most)
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
