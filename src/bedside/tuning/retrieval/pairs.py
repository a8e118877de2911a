"""Training pairs: read from files, checked before a minute is spent on training, and split without leakage.

Messages name rows and columns; they never carry the texts.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from bedside.encoders.texts import has_surrogate
from bedside.errors import BedsideWarning, InvalidInputError
from bedside.tuning.reading import file_records, folded

_COLUMNS = ("query", "positive", "negative")


@dataclass(frozen=True)
class Pair:
    """A question, a passage that answers it, and perhaps one that does not.

    Attributes:
        query: What is asked.
        positive: A passage that should be found.
        negative: One that should not, although it looks alike.
    """

    query: str
    positive: str
    negative: str | None = None


Pairs: TypeAlias = "str | os.PathLike[str] | Iterable[Pair | Sequence[str] | Mapping[str, str]]"
"""A JSONL or CSV file, or rows: :class:`Pair`, ``(query, positive[, negative])``, or mappings with these names."""


def read_pairs(source: Pairs, *, name: str = "pairs") -> list[Pair]:
    """Read and check pairs.

    Args:
        source: ``*.jsonl`` with the keys ``query``, ``positive`` and perhaps ``negative``; ``*.csv`` or ``*.tsv`` with
            these names in its first line; or rows.
        name: What messages call it.

    Returns:
        The pairs in their order, each once.

    Raises:
        InvalidInputError: A file or column is missing, an unknown column, an empty text, or a passage that is its own
            query or negative; the message names the row.

    Warns:
        BedsideWarning: Rows that come twice; the first of each is kept.

    Example:
        >>> read_pairs([("chest pain?", "Angina is chest pain on exertion.")])[0].query
        'chest pain?'
    """
    if isinstance(source, (str, os.PathLike)):
        file = Path(source)
        return check_pairs([_from_mapping(row, where) for where, row in file_records(file)], name=str(file))
    if not isinstance(source, Iterable):
        raise InvalidInputError(f"{name}: expected a file or rows, got {type(source).__name__}")
    return check_pairs([_pair(row, f"{name}[{i}]") for i, row in enumerate(source)], name=name)


def check_pairs(pairs: Sequence[Pair], *, name: str = "pairs") -> list[Pair]:
    """Refuse what cannot teach anything; return each pair once. See :func:`read_pairs`."""
    if not pairs:
        raise InvalidInputError(f"{name}: expected at least one pair")
    for i, pair in enumerate(pairs):
        for column, text in zip(_COLUMNS, astuple(pair), strict=True):
            _check_text(text, f"{name}[{i}]: {column}", optional=column == "negative")
        if pair.positive == pair.query:
            raise InvalidInputError(f"{name}[{i}]: query and positive are the same text")
        if pair.negative == pair.positive:
            raise InvalidInputError(f"{name}[{i}]: positive and negative are the same text")
    kept = list(dict.fromkeys(pairs))
    if len(kept) < len(pairs):
        seen: set[Pair] = set()
        first = next(i for i, pair in enumerate(pairs) if pair in seen or seen.add(pair))  # type: ignore[func-returns-value]
        warnings.warn(
            f"{name}: {len(pairs) - len(kept)} rows come twice, the first is {name}[{first}]; each is used once",
            BedsideWarning,
            stacklevel=3,
        )
    return kept


def check_leakage(train: Sequence[Pair], held_out: Sequence[Pair]) -> None:
    """Refuse held-out data that shares a text with the training data.

    Raises:
        InvalidInputError: The message names the first row on either side, and how many held-out rows are concerned.
    """
    where = {text: i for i, pair in reversed(list(enumerate(train))) for text in _texts(pair)}
    shared = [(i, where[text]) for i, pair in enumerate(held_out) for text in _texts(pair) if text in where]
    if shared:
        rows = len({i for i, _ in shared})
        raise InvalidInputError(
            f"leakage: {rows} of {len(held_out)} held-out rows share a text with the training data, the first is "
            f"held_out[{shared[0][0]}] with pairs[{shared[0][1]}]"
        )


def split_pairs(pairs: Sequence[Pair], share: float, seed: int) -> tuple[list[Pair], list[Pair]]:
    """Split pairs into training and held-out ones, so that no text is on both sides.

    Pairs that share a query or a positive, even through others, stay together. Groups are drawn at random until the
    held-out side has ``share`` of the pairs; a group larger than what is still wanted stays in training.

    Returns:
        Training pairs and held-out pairs, in their order.
    """
    groups = _connected(pairs)
    order = np.random.default_rng(seed).permutation(sorted(groups)).tolist()
    wanted = round(share * len(pairs))
    chosen: set[int] = set()
    for key in order:
        if len(groups[key]) <= wanted - len(chosen):
            chosen.update(groups[key])
    train = [pair for i, pair in enumerate(pairs) if i not in chosen]
    return train, [pair for i, pair in enumerate(pairs) if i in chosen]


def _texts(pair: Pair) -> tuple[str, str]:
    """What must not be on both sides: negatives are only passages that look alike."""
    return folded(pair.query), folded(pair.positive)


def _connected(pairs: Sequence[Pair]) -> dict[int, list[int]]:
    """Rows by the lowest row that they are connected with through shared texts."""
    parent = list(range(len(pairs)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = i = parent[parent[i]]
        return i

    first: dict[str, int] = {}
    for i, pair in enumerate(pairs):
        for text in _texts(pair):
            a, b = sorted((root(first.setdefault(text, i)), root(i)))
            parent[b] = a
    groups: dict[int, list[int]] = {}
    for i in range(len(pairs)):
        groups.setdefault(root(i), []).append(i)
    return groups


def _check_text(text: object, what: str, *, optional: bool) -> None:
    if text is None and optional:
        return
    if not isinstance(text, str):
        raise InvalidInputError(f"{what} is not a text")
    if not text.strip():
        raise InvalidInputError(f"{what} is empty")
    if has_surrogate(text):
        raise InvalidInputError(f"{what} is not valid Unicode (a lone surrogate)")


def _pair(row: object, where: str) -> Pair:
    if isinstance(row, Pair):
        return row
    if isinstance(row, Mapping):
        return _from_mapping(row, where)
    if isinstance(row, str) or not isinstance(row, Sequence) or len(row) not in (2, 3):
        raise InvalidInputError(f"{where}: expected a query, a positive and perhaps a negative, all texts")
    return Pair(*row)


def _from_mapping(row: Mapping[str, Any], where: str) -> Pair:
    unknown = sorted(str(key) for key in set(row) - set(_COLUMNS))
    missing = [column for column in _COLUMNS[:2] if column not in row]
    if unknown or missing:
        problem = f"unknown column {unknown[0]!r}" if unknown else f"column {missing[0]!r} is missing"
        raise InvalidInputError(f"{where}: {problem}; expected query, positive and perhaps negative")
    values: list[Any] = [row.get(column) for column in _COLUMNS]
    values[2] = values[2] or None  # an empty cell of a table
    for column, text in zip(_COLUMNS, values, strict=True):
        if not isinstance(text, str) and not (text is None and column == "negative"):
            raise InvalidInputError(f"{where}: {column} is not a text")
    return Pair(*values)
