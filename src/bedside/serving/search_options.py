"""The core's search options as fields of a request and arguments of a tool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool, StrictStr

from bedside.search.options import OPTIONS, Option, SearchOptions

OFFERED: Mapping[str, Option] = {name: option for name, option in OPTIONS.items() if option.surface}
"""The options that other programs than Python's can give, by name."""
OFFERED_FOR_NOTES: Mapping[str, Option] = {name: option for name, option in OFFERED.items() if option.notes}
"""Those of them that a search for whole notes takes."""
_TYPES: Mapping[str, Any] = {
    "int": int,
    "number": float,
    "key": StrictStr,
    "flag": StrictBool,
    "ids": list[StrictStr],
    "moment": StrictStr,
    "recency": StrictStr,
    "filter": dict[str, Any],
}


def described(options: Mapping[str, Option], **defaults: Any) -> dict[str, tuple[Any, Any]]:
    """Return the annotation of each option, with its range and help, and its default.

    Args:
        options: Options by name.
        **defaults: Defaults that are not the core's.
    """
    core = SearchOptions()
    return {name: (_annotation(option), defaults.get(name, getattr(core, name))) for name, option in options.items()}


def _annotation(option: Option) -> Any:
    kind = Literal[option.choices] if option.kind in ("choice", "rerank") else _TYPES[option.kind]
    if option.kind == "number" and option.choices:
        kind |= Literal[option.choices]  # words that stand for a number
    field: Any = Field(description=option.help, ge=option.least, le=option.most)
    return Annotated[kind | None if option.optional else kind, field]
