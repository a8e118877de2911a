"""Notes that repeat each other: near-duplicates, and text that was copied forward into longer notes.

What sameness is, is said in :mod:`bedside.text.copies`. MinHash signatures (``datasketch``) find candidate
pairs without comparing every pair; every candidate is then compared exactly, so no reported number is an estimate.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from bedside.collection import Collection
from bedside.errors import InvalidInputError
from bedside.support.extras import needs
from bedside.text.copies import SAME, SIZE, Shingles, jaccard, shingles
from bedside.types import FilterDict

__all__ = ["DuplicateGroup", "DuplicatePair", "duplicates"]

Measure: TypeAlias = Literal["jaccard", "containment"]

_PERMUTATIONS = 128
_SEED = 1
_MISS = 1e-3  # how often a pair exactly at the threshold may be missed
_PARTITIONS = 16  # of lengths, for containment
_MARGIN = 0.8  # of the threshold: where candidates for containment are looked for; they have no bound for a miss


@dataclass(frozen=True)
class DuplicatePair:
    """Two documents and how much they share.

    Attributes:
        first: The id of the earlier one, by insertion.
        second: The id of the later one.
        jaccard: Shared shingles by all shingles of both.
        containment: Shared shingles by those of the shorter one: 1.0 where it stands wholly in the other.
    """

    first: str
    second: str
    jaccard: float
    containment: float


@dataclass(frozen=True)
class DuplicateGroup:
    """Documents that are linked by pairs above the threshold.

    Attributes:
        ids: In insertion order: the first is the one to keep, or the source of what was copied.
        pairs: The pairs, in the same order.
    """

    ids: tuple[str, ...]
    pairs: tuple[DuplicatePair, ...]


def duplicates(
    records: Collection,
    *,
    threshold: float = SAME,
    measure: Measure = "jaccard",
    shingle: int = SIZE,
    filter: FilterDict | None = None,
) -> list[DuplicateGroup]:
    """Group documents that repeat each other.

    Case, punctuation and spacing do not count. A pair at the threshold is found with a probability over 99.9 % for
    ``"jaccard"``; for ``"containment"`` recall falls where one text is many times longer than the other.

    Args:
        records: A collection or a scoped view: only its documents are read and compared.
        threshold: Above 0, at most 1. 0.8 of 5-word shingles is a note with a few words changed.
        measure: ``"jaccard"`` for near-duplicates; ``"containment"`` also finds a note that was copied forward into a
            longer one.
        shingle: Words in a shingle. A shorter text is one shingle.
        filter: Only documents that satisfy it.

    Returns:
        Groups of two or more, the largest first. The same documents give the same groups.

    Raises:
        InvalidInputError: An argument is out of its range.
        MissingExtraError: ``datasketch`` is not installed.
        ScopeRequired: The collection has scope keys and this is not a scoped view.

    Example:
        >>> from bedside import Collection, Document
        >>> from bedside.analysis.duplicates import duplicates
        >>> notes = Collection.open()
        >>> text = "seen today for follow up of hypertension, no new complaints, continue lisinopril"
        >>> _ = notes.add([Document(text, id="mon"), Document(text.upper() + ".", id="tue"), Document("flu", id="wed")])
        >>> duplicates(notes)[0].ids
        ('mon', 'tue')
    """
    _check_threshold(threshold)
    _check_shingle(shingle)
    if measure not in get_args(Measure):
        raise InvalidInputError(f"measure={measure!r}: expected one of {', '.join(get_args(Measure))}")
    documents = records.get(filter={} if filter is None else filter)
    sets = [shingles(document.text, shingle) for document in documents]
    ids = [str(document.id) for document in documents]
    filled = [i for i, found in enumerate(sets) if found]
    find = _near if measure == "jaccard" else _contained
    links = []
    for a, b in sorted(find([sets[i] for i in filled], threshold)):
        first, second = filled[a], filled[b]
        pair = _compared(ids[first], ids[second], sets[first], sets[second])
        if getattr(pair, measure) >= threshold:
            links.append((first, second, pair))
    return _grouped(links, ids)


def _check_threshold(value: object) -> None:
    if not isinstance(value, int | float) or not 0 < value <= 1:
        raise InvalidInputError(f"threshold: expected a number above 0, at most 1, got {value!r}")


def _check_shingle(value: object) -> None:
    if not isinstance(value, int) or value < 1:
        raise InvalidInputError(f"shingle: expected an int of at least 1, got {value!r}")


def _compared(first: str, second: str, a: Shingles, b: Shingles) -> DuplicatePair:
    shared = len(a & b)
    return DuplicatePair(first, second, jaccard(a, b), shared / min(len(a), len(b)))


def _near(sets: Sequence[Shingles], threshold: float) -> set[tuple[int, int]]:
    """Pairs of positions that may have that Jaccard similarity."""
    with needs("cluster"):
        from datasketch import MinHashLSH
    index = MinHashLSH(num_perm=_PERMUTATIONS, params=_bands(threshold))
    found = set()
    for i, sketch in enumerate(_sketches(sets)):
        found |= {(j, i) for j in index.query(sketch)}
        index.insert(i, sketch)
    return found


def _contained(sets: Sequence[Shingles], threshold: float) -> set[tuple[int, int]]:
    """Pairs of positions of which one may contain that share of the other."""
    with needs("cluster"):
        from datasketch import MinHashLSHEnsemble
    sketches = _sketches(sets)
    if not sketches:
        return set()
    index = MinHashLSHEnsemble(threshold=threshold * _MARGIN, num_perm=_PERMUTATIONS, num_part=_PARTITIONS)
    index.index((i, sketch, len(found)) for i, (sketch, found) in enumerate(zip(sketches, sets, strict=True)))
    pairs = _near(sets, threshold)
    for i, sketch in enumerate(sketches):
        pairs |= {(min(i, j), max(i, j)) for j in index.query(sketch, len(sets[i])) if j != i}
    return pairs


def _bands(threshold: float) -> tuple[int, int]:
    """Bands and rows: the longest rows whose bands miss a pair at the threshold less often than ``_MISS``."""
    fitting = [r for r in range(1, 33) if (1 - threshold**r) ** (_PERMUTATIONS // r) < _MISS]
    rows = max(fitting, default=1)
    return _PERMUTATIONS // rows, rows


def _sketches(sets: Iterable[Shingles]) -> list[Any]:
    from datasketch import MinHash

    encoded = ([shingle.encode() for shingle in found] for found in sets)
    return list(MinHash.bulk(encoded, num_perm=_PERMUTATIONS, seed=_SEED))


def _grouped(links: Sequence[tuple[int, int, DuplicatePair]], ids: Sequence[str]) -> list[DuplicateGroup]:
    root = np.arange(len(ids))

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = int(root[i])
        return i

    for a, b, _ in links:
        low, high = sorted((find(a), find(b)))
        root[high] = low
    groups: dict[int, list[DuplicatePair]] = {}
    members: dict[int, set[int]] = {}
    for a, b, pair in links:
        groups.setdefault(find(a), []).append(pair)
        members.setdefault(find(a), set()).update((a, b))
    made = [DuplicateGroup(tuple(ids[i] for i in sorted(members[r])), tuple(groups[r])) for r in groups]
    return sorted(made, key=lambda group: -len(group.ids))
