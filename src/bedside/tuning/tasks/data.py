"""The splits of one run: read, checked, and a share held out where no validation data is given."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bedside.errors import InvalidInputError
from bedside.tuning.tasks.checks import Problem, check_examples, label_counts, text_key
from bedside.tuning.tasks.examples import Kind
from bedside.tuning.tasks.reading import Source, read_examples
from bedside.tuning.tasks.settings import TaskSettings


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
    """Read the splits and list what is wrong with them; see :func:`bedside.tuning.tasks.check_examples`.

    Raises:
        InvalidInputError: a file cannot be read as examples.
    """
    given = {"train": train, "valid": valid, "test": test}
    splits = {name: read_examples(source, kind) for name, source in given.items() if source is not None}
    problems = check_examples(kind, splits)
    held_out = valid is None and settings.holdout > 0 and len(splits["train"]) > 1
    if held_out:
        splits["train"], splits["valid"] = hold_out(splits["train"], settings.holdout, settings.seed)
    return Data(kind, problems=problems, held_out=held_out, **splits)


def hold_out(examples: Sequence[Any], share: float, seed: int) -> tuple[list[Any], list[Any]]:
    """Split off a share of the texts; examples of one text (of one context) stay together.

    Classes are not balanced over the halves: with few examples of a class, give a validation set.

    Raises:
        InvalidInputError: there are not two different texts.
    """
    keys = [_group(example) for example in examples]
    groups = sorted(set(keys))
    if len(groups) < 2:
        raise InvalidInputError("holdout: the training data has one text; give valid=, or holdout=0")
    random.Random(seed).shuffle(groups)  # noqa: S311 - not a secret
    kept_back = set(groups[: max(1, round(share * len(groups)))])
    pairs = list(zip(examples, keys, strict=True))
    return [e for e, key in pairs if key not in kept_back], [e for e, key in pairs if key in kept_back]


def digest(examples: Sequence[Any]) -> str:
    """SHA-256 over the examples as JSON."""
    hashed = hashlib.sha256()
    for example in examples:
        hashed.update(json.dumps(asdict(example), sort_keys=True).encode() + b"\n")
    return hashed.hexdigest()


def _group(example: Any) -> str:
    return " ".join(example.context.casefold().split()) if hasattr(example, "context") else text_key(example)
