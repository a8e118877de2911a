"""Signatures that are made from a list, for libraries that read what a function takes from it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_type_hints

F = TypeVar("F", bound=Callable[..., Any])


def with_parameters(function: F, parameters: Mapping[str, tuple[Any, Any]]) -> F:
    """Show keyword arguments in place of a function's ``**options``; returns the function.

    Args:
        function: It takes ``**options``.
        parameters: Annotation and default of each, by name.

    Example:
        >>> def search(query: str, **options): ...
        >>> inspect.signature(with_parameters(search, {"top_k": (int, 10)}))
        <Signature (query: str, *, top_k: int = 10)>
    """
    hints = get_type_hints(function, include_extras=True)
    shown = inspect.signature(function)
    own = [
        each.replace(annotation=hints.get(name, each.annotation))
        for name, each in shown.parameters.items()
        if each.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in parameters.items()
    ]
    known = {name: hint for name, hint in hints.items() if name in shown.parameters or name == "return"}
    function.__annotations__ = {**known, **{each.name: each.annotation for each in added}}
    vars(function)["__signature__"] = shown.replace(
        parameters=[*own, *added], return_annotation=hints.get("return", shown.return_annotation)
    )
    return function
