"""Predictions as metadata: labels and entities that filters find, written in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, cast

from bedside.errors import InvalidInputError
from bedside.types import Document, FilterDict

if TYPE_CHECKING:
    from bedside.collection import Collection


class Annotator(Protocol):
    """What predicts, such as what :func:`bedside.tuning.load_task` returns."""

    def predict(self, texts: Sequence[str], **options: Any) -> Sequence[Any]:
        """One result for each text."""
        ...

    def as_metadata(self, result: Any, key: str) -> Mapping[str, Any]:
        """The result as JSON values under ``key`` and keys that begin with it."""
        ...


def annotate(
    records: Collection,
    task: Annotator | Callable[..., Any],
    *,
    key: str,
    filter: FilterDict | None = None,
    **options: Any,
) -> int:
    """Predict on documents' texts and write the results into their metadata; see :meth:`bedside.Collection.annotate`.

    A function instead of a task is called with one text at a time (and the options); what it returns stands under
    ``key``. So any library that finds something in a text can annotate.
    """
    given: object = key
    if not isinstance(given, str) or not given:
        raise InvalidInputError(f"key={key!r}: expected a metadata key")
    task = _checked(task)
    documents = [d for d in records.get(filter={} if filter is None else filter) if d.text.strip()]
    if not documents:
        return 0
    results = task.predict([document.text for document in documents], **options)
    found: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for document, result in zip(documents, results, strict=True):
        found[str(document.id)] = (document.text, task.as_metadata(result, key))
    _check_scope_keys(found.values(), records.scope_keys)
    return write_back(records, found)


class _Function:
    """A function of a text as an annotator."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def predict(self, texts: Sequence[str], **options: Any) -> list[Any]:
        return [self._function(text, **options) for text in texts]

    def as_metadata(self, result: Any, key: str) -> dict[str, Any]:
        return {key: result}


def _checked(task: Annotator | Callable[..., Any]) -> Annotator:
    given: Any = task
    if not isinstance(given, type):
        if all(callable(getattr(given, verb, None)) for verb in ("predict", "as_metadata")):
            return cast("Annotator", given)
        if callable(given):
            return _Function(given)
    raise InvalidInputError(
        f"task: expected what load_task returns or a function of a text, got {type(given).__name__}"
    )


def write_back(records: Collection, found: Mapping[str, tuple[str, Mapping[str, Any]]]) -> int:
    """Add metadata to documents that still have the text it was found in, in one transaction: id -> text, metadata."""
    return records.update(list(found), _merger(found))


def _merger(found: Mapping[str, tuple[str, Mapping[str, Any]]]) -> Callable[[Document], Document | None]:
    def merge(document: Document) -> Document | None:
        text, added = found[str(document.id)]
        if document.text != text:  # another writer replaced it meanwhile: the prediction is not about this text
            return None
        return replace(document, metadata={**document.metadata, **added})

    return merge


def _check_scope_keys(found: Any, scope_keys: Sequence[str]) -> None:
    taken = sorted({name for _, added in found for name in added} & set(scope_keys))
    if taken:
        raise InvalidInputError(f"key: it would write {', '.join(taken)}, which divides the collection by scope")
