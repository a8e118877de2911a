"""What may be stored: every check of a record, made before anything is encoded or written."""

from __future__ import annotations

import hashlib
import math
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
import orjson

from bedside.errors import (
    BedsideError,
    DuplicateIdError,
    InvalidDocumentError,
    InvalidVectorError,
    NotANumberError,
    ScopeMismatch,
    ScopeRequired,
)
from bedside.skipping import Skipped
from bedside.support.checks import builtin_of
from bedside.support.turns import taking_turns
from bedside.types import Document, Matrix, Metadata, Vector, VectorLike

MAX_DEPTH = 64
"""Levels of lists and objects in metadata: far more than notes need, far fewer than a JSON parser allows."""
ScopeKey: TypeAlias = tuple[str | int, ...]
"""The values of a collection's scope keys, in their order; ``()`` in a collection without scope keys."""
Rule: TypeAlias = "Callable[[Any, str], None]"
"""A further check of a document, given it and its place."""
_INT64 = 2**63
_E = TypeVar("_E", bound=BedsideError)


class Record(NamedTuple):
    """A document that was checked: it has an id and a scope, and its metadata is JSON."""

    id: str
    text: str
    metadata: Metadata
    scope: ScopeKey
    vector: Vector | None


class Checked(NamedTuple):
    """Documents that were checked: their records, equal ones once, and the ids of all, in the order given."""

    records: list[Record]
    ids: list[str]


class Delete(NamedTuple):
    """A record that is to be removed, or was."""

    id: str
    scope: ScopeKey


class Checker:
    """Checks the documents of one call, batch after batch, and turns them into records.

    Args:
        scope_keys: Of the collection.
        scope: Of the view they are added through: it is filled in, and another one refused. ``None``: no view.
        skipped: Takes the bad documents, which are left out then; ``None``: a bad one is an error.
        rule: What else must hold of a document; it is given the document and its place, and raises.
    """

    def __init__(
        self,
        scope_keys: Sequence[str],
        scope: ScopeKey | None,
        skipped: list[Skipped] | None = None,
        rule: Rule | None = None,
    ) -> None:
        self._scope_keys, self._scope = scope_keys, scope
        self._skipped = skipped
        self._rule = rule
        self._seen: dict[tuple[ScopeKey, str], bytes] = {}
        self._before = 0

    def __call__(self, documents: Iterable[Document | str]) -> Checked:
        """Return documents, or bare texts, as records; equal ones that are given twice are one.

        Raises:
            InvalidDocumentError: Wrong type, id, text or metadata.
            InvalidVectorError: A vector is not finite, zero, or not one-dimensional.
            DuplicateIdError: The same id twice within a scope, for what is not equal.
            ScopeRequired: A record lacks a scope key.
            ScopeMismatch: A record says another scope than the view.
        """
        given = _listed(documents)
        checked: dict[int, Record] = {}
        for i, document in enumerate(taking_turns(given)):
            try:
                if self._rule is not None:
                    self._rule(document, f"documents[{i}]")
                checked[i] = _check_document(document, f"documents[{i}]", self._scope_keys, self._scope)
            except BedsideError as error:
                self._refuse(error, i, getattr(document, "id", None))
        self._add_vectors(given, checked)
        records = [record for i, record in taking_turns(checked.items()) if self._is_new(record, i)]
        self._before += len(given)
        return Checked(records, [record.id for record in checked.values()])

    def _refuse(self, error: BedsideError, i: int, id: object) -> None:
        """Raise, or skip the document. What names another scope is not a bad document: the call is wrong."""
        if self._skipped is None or not isinstance(error, InvalidDocumentError | InvalidVectorError):
            raise with_id(error, id) from None
        reason = str(error).removeprefix(f"documents[{i}]").lstrip(".: ")
        self._skipped.append(Skipped(self._before + i, id if isinstance(id, str) and id else None, reason))

    def _add_vectors(self, given: Sequence[Document | str], checked: dict[int, Record]) -> None:
        """Check all vectors at once, which is several times faster, and one by one only where one is wrong."""
        vectors = {
            i: document.vector
            for i in checked
            if isinstance(document := given[i], Document) and document.vector is not None
        }
        try:
            right = check_vectors(list(vectors.values()), "documents") if vectors else ()
            for i, vector in zip(vectors, right, strict=True):
                checked[i] = checked[i]._replace(vector=vector)
        except InvalidVectorError:
            for i, vector in vectors.items():
                try:
                    checked[i] = checked[i]._replace(vector=check_vector(vector, f"documents[{i}].vector"))
                except InvalidVectorError as error:
                    self._refuse(error, i, checked.pop(i).id)

    def _is_new(self, record: Record, i: int) -> bool:
        """Tell whether this is the first of its id; a later one must be equal."""
        name, digest = (record.scope, record.id), _digest(record)
        if name not in self._seen:
            self._seen[name] = digest
            return True
        if self._seen[name] == digest:
            return False
        sentence = f"documents[{i}].id: given twice in one call, for what is not equal; ids must differ within a scope"
        raise with_id(DuplicateIdError(sentence), record.id)


def _listed(documents: object) -> list[Document | str]:
    if isinstance(documents, str | Document | Mapping):
        raise InvalidDocumentError(
            "documents: expected an iterable of Document or str, got one of them; wrap it in [ ]"
        )
    if not isinstance(documents, Iterable):
        raise InvalidDocumentError(f"documents: expected an iterable of Document or str, got {_kind(documents)}")
    return list(documents)


def _digest(record: Record) -> bytes:
    """Return what two records share only where text, metadata and vector are equal."""
    vector = b"" if record.vector is None else record.vector.tobytes()
    parts = (record.text.encode(), orjson.dumps(record.metadata, option=orjson.OPT_SORT_KEYS), vector)
    made = hashlib.blake2b(digest_size=16)
    for part in parts:
        made.update(len(part).to_bytes(8, "little") + part)
    return made.digest()


def with_id(error: _E, id: object) -> _E:
    """Return an error about ``documents[i]: …`` with the document's id behind the place, where it has a usable one."""
    if isinstance(id, str) and id:
        place, _, rest = error.args[0].partition(": ")
        error.args = (f"{place} (id {id!r}): {rest}",)
    return error


def check_scope(values: Mapping[str, Any], scope_keys: Sequence[str]) -> ScopeKey:
    """Return the scope that ``values`` name.

    Raises:
        ScopeRequired: A scope key is not among them.
        ScopeMismatch: They name a key that is not a scope key, or a value that cannot be one.
    """
    if unknown := sorted(set(values) - set(scope_keys)):
        allowed = ", ".join(scope_keys) if scope_keys else "none, it is not divided"
        raise ScopeMismatch(f"scope: {unknown[0]!r} is not a scope key of this collection; its scope keys: {allowed}")
    return _scope_of(values, scope_keys, "scope")


def check_id(value: object, where: str) -> str:
    """Return ``value`` if it can be an id, else raise :class:`InvalidDocumentError`."""
    if not isinstance(value, str) or not value:
        raise InvalidDocumentError(f"{where}: expected a non-empty str, got {_kind(value)}")
    _check_text(value, where)
    return value


def check_vector(values: VectorLike, where: str, dimension: int | None = None) -> Vector:
    """Return ``values`` as float32 ``[d]``.

    Raises:
        InvalidVectorError: Wrong shape or dimension, a number that is not finite in float32, or the zero vector.
    """
    vector: Vector = check_vectors([values], where, dimension)[0]
    return vector


def check_vectors(values: Sequence[VectorLike] | Matrix, where: str, dimension: int | None = None) -> Matrix:
    """Return ``values`` as float32 ``[n, d]``; raises as :func:`check_vector`."""
    try:
        with np.errstate(over="ignore"):
            matrix = np.array(values, dtype=np.float32)
    except (TypeError, ValueError):
        raise InvalidVectorError(f"{where}: expected numbers, all vectors of one length") from None
    if matrix.ndim != 2 or matrix.shape[1] == 0:
        raise InvalidVectorError(f"{where}: expected vectors of shape [d], got shape {list(matrix.shape[1:])}")
    if dimension is not None and matrix.shape[1] != dimension:
        raise InvalidVectorError(f"{where}: expected dimension {dimension}, got {matrix.shape[1]}")
    if not np.isfinite(matrix).all():
        raise InvalidVectorError(f"{where}: every number must be finite in float32")
    if not matrix.any(axis=1).all():
        raise InvalidVectorError(f"{where}: a zero vector has no direction and cannot be searched by cosine")
    return matrix


def _check_document(document: Document | str, where: str, scope_keys: Sequence[str], scope: ScopeKey | None) -> Record:
    if isinstance(document, str):
        document = Document(document)
    if not isinstance(document, Document):
        raise InvalidDocumentError(f"{where}: expected a Document or str, got {_kind(document)}")
    if not isinstance(document.text, str):
        raise InvalidDocumentError(f"{where}.text: expected a str, got {_kind(document.text)}")
    _check_text(document.text, f"{where}.text")
    if document.vector is None and not document.text.strip():
        raise InvalidDocumentError(f"{where}.text: empty; a document without a vector needs text to be found by")
    if not isinstance(document.metadata, Mapping):
        raise InvalidDocumentError(f"{where}.metadata: expected a mapping, got {_kind(document.metadata)}")
    metadata = dict(document.metadata)
    if scope is not None:
        _fill_in(metadata, scope_keys, scope, f"{where}.metadata")
    return Record(
        id=uuid.uuid4().hex if document.id is None else check_id(document.id, f"{where}.id"),
        text=document.text,
        metadata=_check_json(metadata, f"{where}.metadata", 0),
        scope=_scope_of(metadata, scope_keys, f"{where}.metadata"),
        vector=None,
    )


def check_one_by_one(
    vectors: Iterable[VectorLike], places: Iterable[tuple[str, str]], dimension: int | None = None
) -> list[Vector]:
    """Return vectors as :func:`check_vector` does; an error names the place and id of the first that is wrong."""
    checked = []
    for vector, (where, id) in zip(vectors, places, strict=True):
        try:
            checked.append(check_vector(vector, where, dimension))
        except InvalidVectorError as error:
            raise with_id(error, id) from None
    return checked


def _fill_in(metadata: dict[str, Any], scope_keys: Sequence[str], scope: ScopeKey, where: str) -> None:
    for key, value in zip(scope_keys, scope, strict=True):
        stored = metadata.setdefault(key, value)
        if stored != value or type(stored) is not type(value):
            raise ScopeMismatch(f"{where}.{key}: the record names another {key} than the scope it is added through")


def _scope_of(values: Mapping[str, Any], scope_keys: Sequence[str], where: str) -> ScopeKey:
    scope: list[str | int] = []
    for key in scope_keys:
        if key not in values:
            raise ScopeRequired(f"{where}: lacks the scope key {key!r}; every record and view must name it")
        value = builtin_of(values[key])
        if not isinstance(value, str | int) or isinstance(value, bool) or value == "":
            raise ScopeMismatch(f"{where}.{key}: a scope is a non-empty str or an int, got {_kind(value)}")
        scope.append(str.__str__(value) if isinstance(value, str) else int(value))  # as metadata hold it
    return tuple(scope)


def _check_json(value: Any, where: str, depth: int) -> Any:
    """Return a copy of ``value`` that shares nothing with it, or raise naming the place that is not JSON."""
    if depth > MAX_DEPTH:
        raise InvalidDocumentError(f"{where}: nested deeper than {MAX_DEPTH} levels")
    if value is None or value is True or value is False:
        return value
    # type() and not isinstance(): a str or int subclass (an Enum, numpy.str_) would come back as something else.
    kind = type(value)
    if kind is str:
        return _check_text(value, where)
    if kind is int:
        if not -_INT64 <= value < _INT64:
            raise InvalidDocumentError(f"{where}: an integer must fit 64 bits")
        return value
    if kind is float:
        if math.isnan(value):
            raise NotANumberError(
                f"{where}: is NaN, which JSON cannot say; null, None in Python, says that a value is missing"
            )
        if not math.isfinite(value):
            raise InvalidDocumentError(f"{where}: a float must be finite: JSON has no infinity")
        return value
    if kind is list:
        return [_check_json(item, f"{where}[{i}]", depth + 1) for i, item in enumerate(value)]
    if kind is dict:
        return {_check_key(key, where): _check_json(item, f"{where}.{key}", depth + 1) for key, item in value.items()}
    raise InvalidDocumentError(
        f"{where}: expected a JSON value (str, int, float, bool, None, list, dict), got {_kind(value)}"
    )


def _check_key(key: object, where: str) -> str:
    if type(key) is not str:
        raise InvalidDocumentError(f"{where}: keys must be str, got {_kind(key)}")
    return _check_text(key, f"{where} (a key)")


def _check_text(value: str, where: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidDocumentError(f"{where}: holds a lone surrogate, which UTF-8 cannot carry") from None
    return value


def _kind(value: object) -> str:
    return "an empty str" if isinstance(value, str) and not value else type(value).__name__
