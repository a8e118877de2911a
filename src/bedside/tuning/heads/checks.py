"""What is wrong with labelled data, each problem by name and place, before a minute is spent on training.

Messages name labels, splits and positions; they never carry the texts.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from bedside.errors import BedsideWarning, InvalidInputError
from bedside.tuning.heads.examples import Kind, NerExample, QaExample, RelationExample, Span, TextExample
from bedside.tuning.reading import folded

ALLOWABLE = ("leakage", "conflict", "empty-class", "one-example-class")
"""Kinds of problems that a caller may accept; every other kind has no meaning that could be learnt."""
WARNED = ("shared-context",)
"""Kinds that are warned of and never refused."""
_SHOWN = 10


@dataclass(frozen=True)
class Problem:
    """One problem of the data.

    Attributes:
        kind: ``"no-examples"``, ``"empty-text"``, ``"label"``, ``"span-outside"``, ``"span-text"``, ``"overlap"``,
            ``"link"``, ``"one-class"``, or one of those that can be allowed: ``"leakage"`` (a text of another split),
            ``"conflict"`` (a text twice in the training data, labelled differently), ``"empty-class"`` (a class that
            has no training example), ``"one-example-class"``; or one that is only warned of, ``"shared-context"`` (a
            context of another split, under another question).
        where: Split and position, such as ``train[3].entities[0]``.
        message: What is wrong there.
    """

    kind: str
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message} ({self.kind})"


def check_examples(kind: Kind, splits: Mapping[str, Sequence[Any]], labels: Sequence[str] = ()) -> list[Problem]:
    """List what is wrong with the splits of a data set.

    Args:
        kind: The task.
        splits: ``train`` and optionally ``valid`` and ``test``.
        labels: Classes that are expected, where they are known beforehand.

    Returns:
        The problems, an empty list where there are none.

    Example:
        >>> check_examples("ner", {"train": [NerExample("No fever.", (Span("Problem", 3, 80),))]})[0].kind
        'span-outside'
    """
    found = [
        problem
        for split, examples in splits.items()
        for i, example in enumerate(examples)
        for problem in _example_problems(example, f"{split}[{i}]")
    ]
    found += [Problem("no-examples", split, "there are no examples") for split, given in splits.items() if not given]
    if kind != "qa":
        found += _class_problems(kind, splits, labels)
    return found + list(_repeated(splits))


def refuse(problems: Sequence[Problem], allowed: Sequence[str]) -> None:
    """Warn of the problems whose kind is allowed or only ever warned of, and raise for the rest.

    Raises:
        InvalidInputError: the first problems of each kind, and how many there are.
    """
    allowed = [*allowed, *WARNED]
    for kind in dict.fromkeys(p.kind for p in problems if p.kind in allowed):
        warnings.warn(summary([p for p in problems if p.kind == kind]), BedsideWarning, stacklevel=3)
    left = [problem for problem in problems if problem.kind not in allowed]
    if left:
        kinds = sorted({problem.kind for problem in left} & set(ALLOWABLE))
        hint = f". What is meant to be so can be allowed: allow={kinds}" if kinds else ""
        raise InvalidInputError(f"the data has {len(left)} problems: {summary(left)}{hint}")


def summary(problems: Sequence[Problem]) -> str:
    """The first problems in one line, each kind among them, and how many more there are."""
    firsts = {problem.kind: problem for problem in reversed(problems)}
    order = [*reversed(firsts.values()), *(p for p in problems if p is not firsts[p.kind])]
    more = f"; and {len(order) - _SHOWN} more" if len(order) > _SHOWN else ""
    return "; ".join(map(str, order[:_SHOWN])) + more


def label_counts(kind: Kind, examples: Sequence[Any]) -> dict[str, int]:
    """How many examples, entities, questions or relations each class has, the most frequent first."""
    return dict(Counter(label for example in examples for label in _labels(example, kind)).most_common())


def text_key(example: Any) -> str:
    """What makes two examples the same text: blanks and case aside."""
    return folded(example.text)


def group_key(example: Any) -> str:
    """What makes two examples belong together: their text, or their context under whatever question."""
    return folded(example.context) if isinstance(example, QaExample) else text_key(example)


def _labels(example: Any, kind: Kind) -> tuple[str, ...]:
    if kind == "classification":
        return tuple(example.labels)
    if kind == "qa":
        return ("answer" if example.answers else "no answer",)
    return tuple(item.label for item in (example.entities if kind == "ner" else example.relations))


def _example_problems(example: Any, where: str) -> Iterator[Problem]:
    if not example.text.strip() or (isinstance(example, QaExample) and not example.context.strip()):
        yield Problem("empty-text", where, "the text is empty")
    if isinstance(example, TextExample) and len(set(example.labels)) < len(example.labels):
        yield Problem("label", where, "a label is given twice")
    if isinstance(example, QaExample):
        yield from _answer_problems(example, where)
    if isinstance(example, (NerExample, RelationExample)):
        for i, span in enumerate(example.entities):
            yield from _span_problems(span, example.text, f"{where}.entities[{i}]")
    if isinstance(example, NerExample):
        yield from _overlaps(example.entities, where)
    if isinstance(example, RelationExample):
        yield from _link_problems(example, where)


def _span_problems(span: Span, text: str, where: str) -> Iterator[Problem]:
    if not span.label:
        yield Problem("label", where, "the label is empty")
    if not 0 <= span.start < span.end <= len(text):
        yield Problem("span-outside", where, f"{span.start} to {span.end} is not within the text of {len(text)}")
    elif span.text is not None and text[span.start : span.end] != span.text:
        yield Problem("span-text", where, f"what stands at {span.start} to {span.end} is not the text given")
    elif not text[span.start : span.end].strip():
        yield Problem("span-text", where, f"there are only blanks at {span.start} to {span.end}")


def _answer_problems(example: QaExample, where: str) -> Iterator[Problem]:
    if not example.question.strip():
        yield Problem("empty-text", where, "the question is empty")
    for i, answer in enumerate(example.answers):
        span = Span("answer", answer.start, answer.start + len(answer.text), answer.text)
        yield from _span_problems(span, example.context, f"{where}.answers[{i}]")


def _overlaps(spans: Sequence[Span], where: str) -> Iterator[Problem]:
    ordered = sorted(range(len(spans)), key=lambda i: (spans[i].start, spans[i].end))
    for a, b in pairwise(ordered):
        if spans[b].start < spans[a].end:
            yield Problem("overlap", f"{where}.entities[{b}]", f"it overlaps entities[{a}]")


def _link_problems(example: RelationExample, where: str) -> Iterator[Problem]:
    seen = set()
    for i, link in enumerate(example.relations):
        place = f"{where}.relations[{i}]"
        if not all(0 <= end < len(example.entities) for end in (link.head, link.tail)) or link.head == link.tail:
            yield Problem("link", place, f"head and tail must be two of {len(example.entities)} entities")
        elif (link.head, link.tail) in seen:
            yield Problem("link", place, "the same pair has another relation already")
        if not link.label:
            yield Problem("label", place, "the label is empty")
        seen.add((link.head, link.tail))


def _class_problems(kind: Kind, splits: Mapping[str, Sequence[Any]], labels: Sequence[str]) -> list[Problem]:
    counts = {split: label_counts(kind, examples) for split, examples in splits.items()}
    train = counts.get("train", {})
    found = [
        Problem("empty-class", "train", f"class {label!r} has no example") for label in labels if label not in train
    ]
    for split, others in counts.items():
        unseen = [label for label in others if label not in train and label not in labels]
        found += [Problem("empty-class", split, f"class {label!r} has no example in train") for label in unseen]
        found += [
            Problem("label", split, f"class {label!r} is not among the labels given")
            for label in (others if labels else ())
            if label not in labels
        ]
    found += [
        Problem("one-example-class", "train", f"class {label!r} has one example")
        for label, n in train.items()
        if n == 1
    ]
    examples = splits.get("train", ())
    single = kind == "classification" and all(isinstance(e.label, str) for e in examples)
    if examples and len(train) < (2 if single else 1):
        found.append(Problem("one-class", "train", f"{len(train)} classes leave nothing to tell apart"))
    mixed = {isinstance(e.label, str) for e in examples} if kind == "classification" else set()
    if len(mixed) > 1:
        found.append(Problem("label", "train", "some examples have one label and some a list of labels"))
    return found


def _repeated(splits: Mapping[str, Sequence[Any]]) -> Iterator[Problem]:
    seen: dict[str, tuple[str, int, Any]] = {}
    groups: dict[str, tuple[str, int]] = {}
    for split, examples in splits.items():
        for i, example in enumerate(examples):
            first = seen.setdefault(text_key(example), (split, i, example))
            group = groups.setdefault(group_key(example), (split, i))
            if group[0] != split == first[0]:
                place = f"{group[0]}[{group[1]}]"
                yield Problem("shared-context", f"{split}[{i}]", f"the same context as {place}, under another question")
            if first[2] is example and first[:2] == (split, i):
                continue
            place = f"{first[0]}[{first[1]}]"
            if first[0] != split:
                yield Problem("leakage", f"{split}[{i}]", f"the same text as {place}")
            elif split == "train" and first[2] != example:
                yield Problem("conflict", f"{split}[{i}]", f"the same text as {place}, labelled differently")
