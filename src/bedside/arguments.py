"""The arguments of the public verbs: what may be given, checked before anything is done."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bedside.errors import InvalidInputError
from bedside.records import check_id
from bedside.remedies import Give
from bedside.search.options import check_ids
from bedside.types import Encoder, FilterDict

_ENCODER = ("name", "dimension", "fingerprint", "encode_documents", "encode_queries")


def check_selection(verb: str, ids: Sequence[str] | None, filter: FilterDict | None) -> tuple[str, ...] | None:
    """Return the ids, checked; one of ``ids`` and ``filter`` must be given."""
    if ids is None and filter is None:
        everything = Give("filter", {}, "for every document")
        raise InvalidInputError(f"{verb}: nothing is chosen", remedies=[Give("ids"), Give("filter"), everything])
    return None if ids is None else tuple(check_ids(ids))


def check_texts(texts: object) -> list[str]:
    """Return query texts, none of them empty; any iterable of them, read once, and ``None`` means no texts."""
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


def check_encoder(encoder: Encoder | None) -> None:
    """Refuse what has not the attributes of an :class:`~bedside.types.Encoder`; none of them is read."""
    missing = [name for name in _ENCODER if not hasattr(type(encoder), name) and not hasattr(encoder, name)]
    if encoder is not None and missing:
        raise InvalidInputError(
            f"encoder: expected what load_encoder returns, or an object like it, got {type(encoder).__name__} without "
            f"{', '.join(missing)}"
        )
