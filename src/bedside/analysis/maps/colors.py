"""What the points of a map are coloured by: categories, or ranges of numbers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal, TypeAlias

import numpy as np

NONE = "(none)"
EMPTY = "(empty)"
OTHER = "(other)"

# After Okabe and Ito's colours, which the colour-blind tell apart; each has a contrast of at least 3 to the white
# page and to the dark one. Colours that are near each other differ in shape.
PALETTE = (
    "#0072b2", "#d55e00", "#009e73", "#c0649a", "#b07a00", "#3d8fc6",
    "#8f6bb0", "#cc3f4f", "#6b8e23", "#9a6a3a", "#5f7f8f",
)  # fmt: skip
RAMP = ("#8455b5", "#3f75b8", "#1f8a80", "#4f9334", "#9a8420")
UNNAMED = {OTHER: "#707b86", NONE: "#8a8a8a"}
"""Greys for what is not a category of its own; their shapes tell them apart as well."""
Shape: TypeAlias = Literal["circle", "square", "triangle", "diamond", "cross", "ring"]
SHAPES: tuple[Shape, ...] = ("circle", "square", "triangle", "diamond")


def shapes_of(labels: Iterable[str]) -> dict[str, Shape]:
    """Return the shape that each label of a legend is drawn in: a colour alone is not seen by everybody.

    Example:
        >>> shapes_of(["HPI", "ROS", OTHER, NONE])
        {'HPI': 'circle', 'ROS': 'square', '(other)': 'cross', '(none)': 'ring'}
    """
    unnamed: dict[str, Shape] = {OTHER: "cross", NONE: "ring"}
    return {label: unnamed.get(label, SHAPES[at % len(SHAPES)]) for at, label in enumerate(labels)}


def value_at(metadata: Mapping[str, Any], key: str) -> Any:
    """The value of a key or a dotted path, a literal key with a dot first; ``None`` if there is none."""
    if key in metadata:
        return metadata[key]
    found: Any = metadata
    for part in key.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def label_values(values: Sequence[Any]) -> tuple[list[str], dict[str, str]]:
    """A label for each value, and a colour for each label in the order of a legend.

    Up to eleven values are categories, the most frequent first; beyond, the rest is one. Numbers of more values are
    cut into five ranges of like size.
    """
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v)]
    known = [v for v in values if v is not None]
    if len(numbers) == len(known) and len(set(numbers)) > len(PALETTE):
        return _ranges(values, np.array(numbers, dtype=np.float64))
    labels = [NONE if value is None else text_of(value) for value in values]
    counts = Counter(label for label in labels if label != NONE)
    kept = sorted(counts, key=lambda label: (-counts[label], label))[: len(PALETTE)]
    labels = [label if label in kept or label == NONE else OTHER for label in labels]
    colors = dict(zip(kept, PALETTE, strict=False))
    return labels, colors | {label: grey for label, grey in UNNAMED.items() if label in labels}


def text_of(value: Any) -> str:
    """A metadata value as a label."""
    if isinstance(value, list | tuple):
        return ", ".join(map(text_of, value))
    if isinstance(value, bool):
        return str(value).lower()
    return str(value).strip() or EMPTY


def _ranges(values: Sequence[Any], numbers: np.ndarray[Any, Any]) -> tuple[list[str], dict[str, str]]:
    edges = np.unique(np.quantile(numbers, np.linspace(0, 1, len(RAMP) + 1)))
    names = [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
    places = np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, len(names) - 1)
    found = iter(places.tolist())
    labels = [NONE if value is None else names[next(found)] for value in values]
    return labels, dict(zip(names, RAMP, strict=False)) | ({NONE: UNNAMED[NONE]} if NONE in labels else {})
