"""The arguments of the public verbs: what may be given, checked before anything is done."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bedside.engines.facts import Facts
from bedside.errors import InvalidInputError, ScopeMismatch
from bedside.records import check_id, check_vectors
from bedside.remedies import Call, Give
from bedside.search.options import check_ids
from bedside.search.settings import SparseSettings
from bedside.types import Encoder, FilterDict, Matrix, Mode, VectorLike

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
        several = "" if len(given) == 1 and isinstance(given[0], str) else ", or a list of them"
        raise InvalidInputError(f"query: expected a text that is not empty{several}")
    return checked


@dataclass(frozen=True)
class Asked:
    """The questions of one call: texts, vectors, or both.

    Attributes:
        texts: None in a search by vectors alone.
        vectors: float32 ``[n, d]``, one for each text where there are texts; ``None`` where these are to be encoded.
        one: Whether it is one question, which has one answer and not a list of them.
    """

    texts: list[str]
    vectors: Matrix | None
    one: bool

    @classmethod
    def of(
        cls,
        query: str | Iterable[str] | None,
        vector: VectorLike | None,
        vectors: Matrix | Sequence[VectorLike] | None,
        dimension: int | None,
    ) -> Asked:
        """Return what a search was given, checked.

        Args:
            query: A text, or several.
            vector: Of the one query, or instead of it.
            vectors: Of several queries, or instead of them.
            dimension: What vectors must have, where it is known.

        Raises:
            InvalidInputError: They do not go together, or a text is empty.
            InvalidVectorError: A vector has the wrong dimension or shape, is not finite, or zero.
        """
        one = isinstance(query, str) or (query is None and vectors is None)
        texts = check_texts([query] if isinstance(query, str) else query)
        if (vectors if one else vector) is not None:
            raise InvalidInputError("search: a vector is for one query, vectors for a list of them or for none")
        given = _check_query_vectors(vector, vectors, dimension or None)
        if not one and query is not None and given is not None and len(given) != len(texts):
            raise InvalidInputError(f"vectors: expected one for each of {len(texts)} queries, got {len(given)}")
        return cls(texts, given, one)

    @property
    def is_empty(self) -> bool:
        """Whether it is a list of no questions, which has no answers."""
        return not self.one and not self.texts and (self.vectors is None or not len(self.vectors))

    def check_enough_for(self, mode: Mode) -> None:
        """Refuse a mode that needs what was not given."""
        if not self.texts and (self.vectors is None or mode != "dense"):
            needed = "a query or a vector" if mode == "dense" else f"a query, which mode {mode!r} needs"
            raise InvalidInputError(
                f"search: expected {needed}",
                remedies=[Give("query"), *([Give("vector")] if mode == "dense" else [])],
            )


def _check_query_vectors(
    vector: VectorLike | None, vectors: Matrix | Sequence[VectorLike] | None, dimension: int | None
) -> Matrix | None:
    """Return the query vectors as ``[n, d]``, one row for ``vector``; no vectors are no rows."""
    if vector is not None:
        return check_vectors([vector], "vector", dimension)
    if vectors is None:
        return None
    if isinstance(vectors, Sequence) and not vectors:
        return np.zeros((0, 1), dtype=np.float32)
    return check_vectors(vectors, "vectors", dimension)


def check_as_created(
    facts: Facts, scope_keys: tuple[str, ...], sparse: SparseSettings | None, alpha: float | None
) -> None:
    """Refuse to open a collection as another than it is; what is not given is as it was created.

    Raises:
        ScopeMismatch: It was created with other scope keys.
        InvalidInputError: It has other ``sparse`` settings or another ``alpha``.
    """
    if scope_keys and scope_keys != facts.scope_keys:
        raise ScopeMismatch(
            f"scope_keys: the collection was created with {list(facts.scope_keys)}, got {list(scope_keys)}"
        )
    if sparse is not None and not sparse.fits(facts.sparse):
        raise InvalidInputError(f"sparse: the collection was created with {facts.sparse}, got {sparse.to_json()}")
    if alpha is not None and alpha != facts.weight:
        raise InvalidInputError(
            f"alpha: the weight of this collection is {facts.weight:g}, got {alpha:g}",
            remedies=[Give("alpha", note="with each search"), Call("set_alpha", "to change it")],
        )


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
