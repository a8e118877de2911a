"""Options that come from a dataclass of settings: a new field is a new option, with the words of its docstring."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import fields
from types import NoneType
from typing import Annotated, Any, Literal, Optional, TypeVar, get_args, get_origin, get_type_hints

import typer

C = TypeVar("C", bound=Callable[..., None])
_ATTRIBUTE = re.compile(r"^    (\w+): (.+(?:\n {8}.+)*)", re.MULTILINE)
_SENTENCE = re.compile(r".*?[.;](?= |$)")


def with_settings(command: C, kind: type) -> C:
    """Give a command, which takes settings as ``**settings``, an option for each field; ``None``: not given.

    What a shell has no form for, such as a mapping, has no option: it stands in a configuration file.
    """
    own = inspect.signature(command, eval_str=True).parameters.values()
    kept = [parameter for parameter in own if parameter.kind is not inspect.Parameter.VAR_KEYWORD]
    command.__signature__ = inspect.Signature([*kept, *_options(kind)])  # type: ignore[attr-defined]
    return command


def _options(kind: type) -> list[inspect.Parameter]:
    said, hints = documented(kind), get_type_hints(kind)
    shown = {field.name: _shown(hints[field.name]) for field in fields(kind)}
    return [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[Optional[type_], typer.Option(help=said.get(name))],  # noqa: UP045 - a type at run time
        )
        for name, type_ in shown.items()
        if type_ is not None
    ]


def documented(kind: type) -> dict[str, str]:
    """What the docstrings of a class and of those it is made of say of each attribute, in a sentence."""
    found: dict[str, str] = {}
    for part in reversed(kind.__mro__):
        for name, text in _ATTRIBUTE.findall(inspect.getdoc(part) or ""):
            sentence = _SENTENCE.match(" ".join(text.split()))
            found[name] = (sentence[0] if sentence else text).rstrip(";").replace("``", "")
    return found


def _shown(hint: Any) -> Any:
    """The type of an option: that of a field; ``None`` where a shell has no form for it."""
    if get_origin(hint) is Literal:
        return hint
    if get_origin(hint) is tuple:
        return list[str]
    if hint in (int, float, bool, str):
        return hint
    rest = [part for part in get_args(hint) if part is not NoneType]
    return _shown(rest[0]) if len(rest) == 1 else None
