"""The arguments of the public verbs: what may be given, checked before anything is done."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from numbers import Integral
from pathlib import Path
from typing import TypedDict

from bedside.errors import InvalidInputError
from bedside.records import check_id
from bedside.remedies import Give
from bedside.types import Encoder, FilterDict, Fusion, Mode

_ENCODER = ("name", "dimension", "fingerprint", "encode_documents", "encode_queries")
_LONGEST_FILE = "log-000000000.jsonl"
"""A path must have room for the files in the folder."""


class SearchOptions(TypedDict, total=False):
    """The options of :meth:`Collection.search`."""

    top_k: int
    filter: FilterDict | None
    mode: Mode | None
    alpha: float | None
    fusion: Fusion
    fetch_k: int | None
    min_score: float | None
    diversity: float | None
    offset: int
    ids: Sequence[str] | None
    group_by: str | None
    explain: bool


def check_selection(verb: str, ids: Sequence[str] | None, filter: FilterDict | None) -> list[str] | None:
    """Return the ids, checked; one of ``ids`` and ``filter`` must be given."""
    if ids is None and filter is None:
        everything = Give("filter", {}, "for every document")
        raise InvalidInputError(f"{verb}: nothing is chosen", remedies=[Give("ids"), Give("filter"), everything])
    return None if ids is None else check_ids(ids)


def check_ids(ids: Iterable[object]) -> list[str]:
    """Return a list of ids that can be ids."""
    if isinstance(ids, str) or not isinstance(ids, Iterable):
        raise InvalidInputError(f"ids: expected a list of str, got {type(ids).__name__}; wrap one id in [ ]")
    return [check_id(id, f"ids[{i}]") for i, id in enumerate(ids)]


def check_count(name: str, value: object) -> None:
    """Refuse what is neither None nor a natural number."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, Integral) or value < 0):
        raise InvalidInputError(f"{name}: expected an int of at least 0, got {value!r}")


def check_texts(texts: object) -> list[str]:
    """Return query texts, none of them empty; any iterable of them, read once, and ``None`` is none."""
    given = [] if texts is None else list(texts) if isinstance(texts, Iterable) else [texts]
    checked = [text for text in given if isinstance(text, str) and text.strip()]
    if len(checked) < len(given):
        raise InvalidInputError("query: expected a text that is not empty, or a list of them")
    return checked


def check_scope_keys(keys: object) -> tuple[str, ...]:
    """Return the scope keys as a tuple."""
    if isinstance(keys, str) or not isinstance(keys, Iterable):
        raise InvalidInputError(f"scope_keys: expected a list of str, got {type(keys).__name__}; wrap one key in [ ]")
    checked = [check_id(key, f"scope_keys[{i}]") for i, key in enumerate(keys)]
    if len(set(checked)) < len(checked):
        raise InvalidInputError("scope_keys: the same key twice")
    return tuple(checked)


def check_path(name: str, value: object) -> None:
    """Refuse what is not a metadata key or a dotted path of them."""
    if not isinstance(value, str):
        raise InvalidInputError(f"{name}: expected a metadata key, got {type(value).__name__}")


def check_folder(path: object) -> Path:
    """Return the absolute path of a folder that the file system can have; it need not be there."""
    if not isinstance(path, str | os.PathLike) or not isinstance(name := os.fspath(path), str) or not name:
        found = "an empty str" if path == "" else type(path).__name__
        raise InvalidInputError(f"path: expected a folder, or None for memory, got {found}")
    folder = Path(name).absolute()
    try:
        # Each name on its own: under a folder that is missing, a name that is too long would be reported as missing.
        for place in (folder / _LONGEST_FILE, *(Path(folder.anchor, part) for part in folder.parts[1:])):
            with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                os.stat(place)  # noqa: PTH116 # Path.exists would hide some of what is wrong
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidInputError(f"path: no folder can have this name of {len(name)} characters: {reason}") from None
    return folder


def check_seconds(name: str, value: object) -> None:
    """Refuse what is not a number of seconds."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise InvalidInputError(f"{name}: expected a number of seconds of at least 0, got {value!r}")


def check_encoder(encoder: Encoder | None) -> None:
    """Refuse what has not the attributes of an :class:`~bedside.types.Encoder`; none of them is read."""
    missing = [name for name in _ENCODER if not hasattr(type(encoder), name) and not hasattr(encoder, name)]
    if encoder is not None and missing:
        raise InvalidInputError(
            f"encoder: expected what load_encoder returns, or an object like it, got {type(encoder).__name__} without "
            f"{', '.join(missing)}"
        )
