"""How errors are told in a shell: remedies as this command's options and as other commands, never as Python."""

from __future__ import annotations

import inspect
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar, get_type_hints

from typer.models import ArgumentInfo, OptionInfo

from bedside.cli.keys import KEY_FILE_VARIABLE, KEY_VARIABLE
from bedside.cli.lines import fail
from bedside.errors import BedsideError
from bedside.remedies import Act, Call, Give, GiveEach, Remedy, Words, as_json, speaking

P = ParamSpec("P")
R = TypeVar("R")
_ABOUT = re.compile(r"(\w+)(?:\[\d+\])?(?:: |\.(?=\S))")
_READ_LINES = {"add"}
"""Commands whose input has a line for each document."""


def spoken(command: Callable[P, R], commands: Iterable[str]) -> Callable[P, R]:
    """Return a command whose errors are told in its own words.

    Args:
        command: A function whose parameters typer makes into options; they have the library's names.
        commands: What ``bedside`` has.
    """
    words, options = words_of(command, frozenset(commands)), options_of(command)

    @wraps(command)
    def speaks(*arguments: P.args, **named: P.kwargs) -> R:
        with speaking(words):
            try:
                return command(*arguments, **named)
            except BedsideError as error:
                fail(error, partial(named_in_shell, options))

    return speaks


def words_of(command: Callable[..., Any], commands: frozenset[str]) -> Words:
    """Return the words of one command."""
    options = options_of(command)

    def words(remedy: Remedy) -> tuple[str, str] | None:
        if isinstance(remedy, Act):
            return "give", "bedside --actor NAME --purpose WHY before the command"
        if isinstance(remedy, Give) and remedy.argument == "key":
            return "give", f"bedside --key-file FILE before the command (or set {KEY_FILE_VARIABLE} or {KEY_VARIABLE})"
        if isinstance(remedy, Call):
            verb = remedy.verb.replace("_", "-")
            return ("run", f"bedside {verb}") if verb.partition(" ")[0] in commands else None
        if isinstance(remedy, GiveEach):
            return ("give", f"a {remedy.field} in each line") if command.__name__ in _READ_LINES else None
        option = options.get(remedy.argument)
        return None if option is None or remedy.value is False else ("give", _given(option, remedy))

    return words


def options_of(command: Callable[..., Any]) -> Mapping[str, str]:
    """Return what each parameter is called in a shell: ``{"top_k": "--top-k", "ids": "--id", "path": "PATH"}``."""
    hints = get_type_hints(command, include_extras=True)
    found = {}
    for name, parameter in inspect.signature(command).parameters.items():
        # A command whose parameters are made from settings has them in its signature alone.
        for info in getattr(hints.get(name, parameter.annotation), "__metadata__", ()):
            if isinstance(info, ArgumentInfo):
                found[name] = str(info.metavar or name.upper())
            elif isinstance(info, OptionInfo):
                spelled = [text for text in (info.default, *(info.param_decls or ())) if isinstance(text, str)]
                named = (text.partition("/")[0] for text in spelled if text.startswith("--"))
                found[name] = next(named, f"--{name.replace('_', '-')}")  # typer keeps the first name as the default
    return found


def named_in_shell(options: Mapping[str, str], message: str) -> str:
    """Return a message that begins with the argument it is about as one that begins with the option.

    Example:
        >>> named_in_shell({"ids": "--id"}, "ids[0]: expected a non-empty str, got an empty str")
        '--id: expected a non-empty str, got an empty str'
    """
    if (about := _ABOUT.match(message)) is None:
        return message
    name = about[1]
    option = options.get(name) or options.get(name.removesuffix("s"))  # what is a list in Python may be repeated here
    return message if option is None else f"{option}: {message[about.end() :]}"


def _given(option: str, remedy: Give) -> str:
    if remedy.argument == "scope":
        return " ".join(f"{option} {key}={value}" for key, value in remedy.value.items())
    if remedy.value is ... or remedy.value is True:
        return option
    value = remedy.value if isinstance(remedy.value, str) else as_json(remedy.value)
    return f"{option} {shlex.quote(value)}"
