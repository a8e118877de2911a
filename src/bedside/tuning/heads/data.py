"""The splits of one run: read, checked, and a share held out where no validation data is given."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bedside.errors import InvalidInputError
from bedside.tuning.heads.checks import Problem, check_examples, group_key, label_counts
from bedside.tuning.heads.examples import Kind
from bedside.tuning.heads.reading import Source, read_examples
from bedside.tuning.heads.settings import TaskSettings
from bedside.tuning.reading import digest


@dataclass(frozen=True)
class Data:
    """What is trained and measured on.

    Attributes:
        kind: The task.
        train: Examples to train on.
        valid: Examples that the best weights are chosen by; empty where there are none.
        test: Examples that nothing is chosen by; empty where there are none.
        problems: What is wrong with them.
        held_out: Whether ``valid`` was taken out of the training data.
    """

    kind: Kind
    train: list[Any]
    valid: list[Any] = field(default_factory=list)
    test: list[Any] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    held_out: bool = False

    @property
    def splits(self) -> dict[str, list[Any]]:
        """Those that have examples."""
        return {name: found for name in ("train", "valid", "test") if (found := getattr(self, name))}

    @property
    def measured_on(self) -> str | None:
        """The split that results are reported on: test, else validation, else none."""
        return "test" if self.test else "valid" if self.valid else None

    def facts(self) -> dict[str, dict[str, Any]]:
        """Examples, label counts and SHA-256 of each split."""
        return {
            name: {"examples": len(found), "labels": label_counts(self.kind, found), "sha256": digest(found)}
            for name, found in self.splits.items()
        }


def gather(kind: Kind, train: Source, valid: Source | None, test: Source | None, settings: TaskSettings) -> Data:
    """Read the splits and list what is wrong with them; see :func:`bedside.tuning.heads.check_examples`.

    Raises:
        InvalidInputError: a file cannot be read as examples.
    """
    given = {"valid": valid, "test": test}
    splits = {"train": read_examples(train, kind)}
    splits |= {name: read_examples(source, kind) for name, source in given.items() if source is not None}
    problems = check_examples(kind, splits)
    held_out = valid is None and settings.holdout > 0 and len(splits["train"]) > 1
    if held_out:
        splits["train"], splits["valid"] = hold_out(splits["train"], kind, settings.holdout, settings.seed)
    return Data(kind, problems=problems, held_out=held_out, **splits)


def hold_out(examples: Sequence[Any], kind: Kind, share: float, seed: int) -> tuple[list[Any], list[Any]]:
    """Split off a share of the texts; examples of one text (of one context) stay together.

    Classes are not balanced over the halves, but none is taken away from the training data: with few examples of a
    class, give a validation set.

    Raises:
        InvalidInputError: there are not two different texts, or each one is all that a class has.
    """
    groups: dict[str, list[Any]] = {}
    for example in examples:
        groups.setdefault(group_key(example), []).append(example)
    order = sorted(groups)
    random.Random(seed).shuffle(order)  # noqa: S311 - not a secret
    left, kept_back = Counter(label_counts(kind, examples)), set[str]()
    for key in order:
        own = label_counts(kind, groups[key])
        if len(kept_back) == max(1, round(share * len(groups))) or len(kept_back) == len(groups) - 1:
            break
        if all(left[label] > count for label, count in own.items()):
            kept_back.add(key)
            left -= Counter(own)
    if not kept_back:
        raise InvalidInputError("holdout: the training data has no text to spare; give valid=, or holdout=0")
    train = [example for example in examples if group_key(example) not in kept_back]
    return train, [example for example in examples if group_key(example) in kept_back]
