"""Pickles of which only plain data and a few named classes are let in, and those as empty shells.

A pickle can name any function for Python to call. Here every name must be in a table, and each name in it stands for
:class:`Shell`, which takes the object's attributes and does nothing: no class of the store's is imported.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Collection
from typing import Any

from bedside.errors import InvalidInputError
from bedside.formats.foreign import refuse
from bedside.remedies import Give

_DAMAGES = (pickle.UnpicklingError, EOFError, AttributeError, TypeError, ValueError, LookupError, RecursionError)
"""What the unpickler raises for bytes that no pickler wrote."""


class Shell:
    """What is left of a pickled object: its attributes."""

    attributes: dict[str, Any]

    def __setstate__(self, state: Any) -> None:
        held = state.get("__dict__", state) if isinstance(state, dict) else None  # pydantic nests them
        if not isinstance(held, dict):
            raise pickle.UnpicklingError("an object's state is not a dict")
        self.attributes = held


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, classes: Collection[tuple[str, str]]) -> None:
        super().__init__(io.BytesIO(data))
        self._classes = classes

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._classes:
            raise pickle.UnpicklingError(f"names {module}.{name}, which is not let in")
        return Shell


def check_allowed(allow_pickle: bool, what: str) -> None:
    """Refuse to go on unless the caller said that pickles may be read."""
    if allow_pickle is not True:
        raise InvalidInputError(
            f"{what} is a pickle. A pickle from somebody else can be an attack; Bedside lets in plain data and the "
            "store's own record classes only",
            remedies=[Give("allow_pickle", True, "if you know where it comes from")],
        )


def loads(data: bytes, classes: Collection[tuple[str, str]], where: str) -> Any:
    """Unpickle ``data``; an object of one of ``classes``, given as (module, name), becomes a :class:`Shell`.

    Raises:
        UnreadableFileError: It is damaged, or names anything else.
    """
    try:
        _check_memo(data)
        return _Unpickler(data, classes).load()
    except _DAMAGES as error:
        refuse(where, f"not a pickle of plain data: {error}")


def _check_memo(data: bytes) -> None:
    """Refuse a place in the unpickler's table that is beyond the data: the table is allocated up to it."""
    for opcode, place, _ in pickletools.genops(data):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and not 0 <= int(str(place)) <= len(data):
            raise pickle.UnpicklingError("a place in the table that is beyond the data")


def attributes(value: Any, where: str) -> dict[str, Any]:
    """The attributes of a :class:`Shell`, or a refusal of anything else."""
    if not isinstance(value, Shell) or not hasattr(value, "attributes"):
        refuse(where, f"expected one of the store's own objects, got {type(value).__name__}")
    return value.attributes
