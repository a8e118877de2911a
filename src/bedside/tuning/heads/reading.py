"""Labelled data from files, data sets and memory, as typed examples; a wrong line is named."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from numbers import Integral
from pathlib import Path
from typing import Any, TypeAlias

from bedside.errors import InvalidInputError
from bedside.tuning.heads.examples import (
    KINDS,
    AnswerSpan,
    Example,
    Kind,
    Link,
    NerExample,
    QaExample,
    RelationExample,
    Span,
    TextExample,
)
from bedside.tuning.reading import JSON_FILES, TABLES, file_records

Source: TypeAlias = "str | os.PathLike[str] | Iterable[Example | Mapping[str, Any]]"
_CONLL = (".conll", ".bio", ".iob", ".iob2", ".txt")


def read_examples(source: Source, kind: Kind) -> list[Any]:
    """Read the examples of one task.

    Fields of a record (JSON Lines, CSV with a header line, a ``datasets.Dataset``, or dicts):

    - classification: ``text``; ``label``, or ``labels`` as a list (in CSV, separated by ``|``) for several;
    - ner: ``text`` and ``entities``, each with ``label``, ``start``, ``end`` and optionally ``text``; or ``tokens`` and
      ``tags`` (``ner_tags``) in BIO; CoNLL files hold the word in the first and the tag in the last column;
    - qa: ``question``, ``context`` and ``answers``, each with ``text`` and ``start`` (SQuAD's
      ``{"text": [...], "answer_start": [...]}`` too; none: unanswerable); CSV: ``answer`` and ``start``;
    - relations: ``text``, ``entities`` as above, and ``relations``, each with ``head``, ``tail`` (positions in
      ``entities``, or entities' ``id``) and ``label``.

    Args:
        source: A path, a data set, or any iterable of examples or dicts.
        kind: ``"classification"``, ``"ner"``, ``"qa"`` or ``"relations"``.

    Returns:
        :class:`TextExample`, :class:`NerExample`, :class:`QaExample` or :class:`RelationExample` objects.

    Raises:
        InvalidInputError: a line or field is not of that form; the message names it.
    """
    if kind not in KINDS:
        raise InvalidInputError(f"kind={kind!r}: expected one of {', '.join(KINDS)}")
    if isinstance(source, (str, os.PathLike)):
        return _read_file(Path(source).expanduser(), kind)
    if not isinstance(source, Iterable):
        raise InvalidInputError(f"expected a file, a data set or examples, got {type(source).__name__}")
    features = getattr(source, "features", None)
    records = (_named(record, features) for record in source)
    return [_example(record, kind, f"record {i}") for i, record in enumerate(records)]


def _read_file(path: Path, kind: Kind) -> list[Any]:
    if not path.is_file():
        raise InvalidInputError(f"{path} is missing")
    suffix = path.suffix.lower()
    if suffix in _CONLL:
        if kind != "ner":
            raise InvalidInputError(f"{path}: CoNLL files are for ner, not for {kind}")
        return list(_conll(path))
    if suffix in TABLES and kind in ("classification", "qa"):
        return [_example(_typed(record, where), kind, where) for where, record in file_records(path)]
    if suffix in JSON_FILES:
        return [_example(record, kind, where) for where, record in file_records(path)]
    raise InvalidInputError(f"{path}: expected .jsonl, .csv or .tsv (classification, qa), or .conll (ner)")


def _typed(record: dict[str, Any], where: str) -> dict[str, Any]:
    """What a table can say in text alone: several labels, and an answer with its start."""
    if "labels" in record:
        record["labels"] = [part.strip() for part in record["labels"].split("|") if part.strip()]
    if "question" in record:
        try:
            answers = [{"text": record["answer"], "start": int(record["start"])}] if record.get("answer") else []
        except (KeyError, ValueError):
            raise InvalidInputError(f"{where}: start: expected a whole number") from None
        record["answers"] = answers
    return record


def _conll(path: Path) -> Iterator[NerExample]:
    try:
        lines = path.read_text("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{path}: not UTF-8") from error
    rows: list[tuple[str, str]] = []
    first = 1
    for number, line in enumerate([*lines, ""], 1):
        fields = line.split("\t") if "\t" in line else line.split()
        if line.startswith("-DOCSTART-") or not line.strip():
            if rows:
                yield from_tags([r[0] for r in rows], [r[1] for r in rows], f"{path}, lines {first} to {number - 1}")
            rows, first = [], number + 1
        elif len(fields) < 2:
            raise InvalidInputError(f"{path}, line {number}: expected a word and its tag")
        else:
            rows.append((fields[0], fields[-1].strip()))


def from_tags(tokens: Sequence[str], tags: Sequence[str], where: str = "tags") -> NerExample:
    """Join words by single spaces and turn BIO tags (IOB2) into entities.

    Raises:
        InvalidInputError: a tag is not ``O``, ``B-X`` or ``I-X``; or ``I-X`` does not continue an ``X``.

    Example:
        >>> from_tags(["No", "chest", "pain"], ["O", "B-Problem", "I-Problem"]).entities
        (Span(label='Problem', start=3, end=13, text=None),)
    """
    if len(tokens) != len(tags):
        raise InvalidInputError(f"{where}: {len(tokens)} words and {len(tags)} tags")
    found: list[Span] = []
    place, before = 0, "O"
    for i, (token, tag) in enumerate(zip(tokens, tags, strict=True)):
        mark, _, label = tag.partition("-")
        if tag != "O" and (mark not in ("B", "I") or not label):
            raise InvalidInputError(f"{where}: tag {i + 1} is {tag!r}, expected O, B-LABEL or I-LABEL")
        if mark == "I" and before not in (f"B-{label}", f"I-{label}"):
            raise InvalidInputError(f"{where}: BIO violation: tag {i + 1} is {tag!r} after {before!r}")
        end = place + len(token)
        if mark == "B":
            found.append(Span(label, place, end))
        elif mark == "I":
            found[-1] = Span(label, found[-1].start, end)
        place, before = end + 1, tag
    return NerExample(" ".join(tokens), tuple(found))


def _example(record: Any, kind: Kind, where: str) -> Any:
    expected: Any
    expected, build = _BUILDERS[kind]
    if isinstance(record, expected):
        record = asdict(record)
    if not isinstance(record, Mapping):
        raise InvalidInputError(f"{where}: expected {expected.__name__} or a dict, got {type(record).__name__}")
    return build(record, where)


def _classified(record: Mapping[str, Any], where: str) -> TextExample:
    given: Any = record["labels"] if "labels" in record else record.get("label")
    label = tuple(given) if isinstance(given, (list, tuple)) else given
    if not all(isinstance(name, str) and name for name in (label if isinstance(label, tuple) else (label,))):
        raise InvalidInputError(f"{where}: label: expected a name, or a list of names")
    return TextExample(_text(record, "text", where), label)


def _tagged(record: Mapping[str, Any], where: str) -> NerExample:
    if "tokens" in record:
        tags = record.get("tags", record.get("ner_tags"))
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            raise InvalidInputError(f"{where}: tags: expected a list of BIO tags")
        tokens = record["tokens"]
        if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
            raise InvalidInputError(f"{where}: tokens: expected a list of words")
        return from_tags(tokens, tags, where)
    return NerExample(_text(record, "text", where), _spans(record, where))


def _asked(record: Mapping[str, Any], where: str) -> QaExample:
    given = record.get("answers")
    if isinstance(given, Mapping):
        found, starts = given.get("text"), given.get("answer_start", given.get("start"))
        if not isinstance(found, list) or not isinstance(starts, list) or len(found) != len(starts):
            raise InvalidInputError(f"{where}: answers: expected as many starts as texts, in two lists")
        given = [{"text": text, "start": start} for text, start in zip(found, starts, strict=True)]
    if not isinstance(given, (list, tuple)):
        raise InvalidInputError(f"{where}: answers: expected a list; an empty one for an unanswerable question")
    answers = tuple(
        AnswerSpan(_text(answer, "text", where), _whole(answer, "start", f"{where}: answers[{i}]"))
        for i, answer in enumerate(given)
    )
    return QaExample(_text(record, "question", where), _text(record, "context", where), answers)


def _related(record: Mapping[str, Any], where: str) -> RelationExample:
    entities = _spans(record, where)
    ids = {_id(entity, f"{where}: entities[{i}]"): i for i, entity in enumerate(record["entities"]) if "id" in entity}
    links = []
    given = record.get("relations") or ()
    if not isinstance(given, (list, tuple)):
        raise InvalidInputError(f"{where}: relations: expected a list of objects with head, tail and label")
    for i, link in enumerate(given):
        place = f"{where}: relations[{i}]"
        if not isinstance(link, Mapping):
            raise InvalidInputError(f"{place}: expected an object with head, tail and label")
        ends = {name: ids.get(end, end) if isinstance(end := link.get(name), (str, int)) else end
                for name in ("head", "tail")}  # fmt: skip
        links.append(Link(_whole(ends, "head", place), _whole(ends, "tail", place), _text(link, "label", place)))
    return RelationExample(_text(record, "text", where), entities, tuple(links))


def _spans(record: Mapping[str, Any], where: str) -> tuple[Span, ...]:
    given = record.get("entities")
    if not isinstance(given, (list, tuple)) or not all(isinstance(entity, Mapping) for entity in given):
        raise InvalidInputError(f"{where}: entities: expected a list of objects with label, start and end")
    return tuple(
        Span(_text(e, "label", place), _whole(e, "start", place), _whole(e, "end", place), e.get("text"))
        for e, place in ((entity, f"{where}: entities[{i}]") for i, entity in enumerate(given))
    )


def _text(record: Any, field: str, where: str) -> str:
    value = record.get(field) if isinstance(record, Mapping) else None
    if not isinstance(value, str):
        raise InvalidInputError(f"{where}: {field}: expected a text, got {type(value).__name__}")
    return value


def _whole(record: Mapping[str, Any], field: str, where: str) -> int:
    value: Any = record.get(field)
    if isinstance(value, bool) or not isinstance(value, Integral):  # numpy's numbers too
        raise InvalidInputError(f"{where}: {field}: expected a whole number, got {type(value).__name__}")
    return int(value)


def _id(entity: Mapping[str, Any], where: str) -> str | int:
    if not isinstance(entity["id"], (str, int)):
        raise InvalidInputError(f"{where}: id: expected a text or a number, got {type(entity['id']).__name__}")
    found: str | int = entity["id"]
    return found


def _named(record: Any, features: Any) -> Any:
    """Replace the class numbers of a ``datasets`` record by their names."""
    if features is None or not isinstance(record, Mapping):
        return record
    return {field: _named_value(value, features.get(field)) for field, value in record.items()}


def _named_value(value: Any, feature: Any) -> Any:
    inner = getattr(feature, "feature", None)
    if isinstance(value, list) and inner is not None:
        return [_named_value(part, inner) for part in value]
    return feature.int2str(value) if hasattr(feature, "int2str") and isinstance(value, int) else value


_BUILDERS: dict[Kind, tuple[type, Callable[[Mapping[str, Any], str], Any]]] = {
    "classification": (TextExample, _classified),
    "ner": (NerExample, _tagged),
    "qa": (QaExample, _asked),
    "relations": (RelationExample, _related),
}
