"""From hidden states to one vector, in operators that numpy, torch and JAX arrays share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

import numpy as np

from bedside.types import Matrix, Vector

Pooling: TypeAlias = Literal["mean", "cls", "max", "first-last-mean"]
POOLINGS: tuple[Pooling, ...] = ("mean", "cls", "max", "first-last-mean")


def pool(last: Any, mask: Any, pooling: Pooling, first: Any = None) -> Any:
    """Pool hidden states over the tokens that the mask keeps.

    Args:
        last: The last layer's hidden states ``[b, t, d]``, of any array library.
        mask: ``[b, t]`` of the same library and dtype as ``last``: 1 for a token, 0 for padding.
        pooling: ``"mean"``: average of all tokens, special ones included (as sentence-transformers does).
            ``"cls"``: the first token. ``"max"``: the largest value per dimension. ``"first-last-mean"``: the
            average of the first and the last layer, then ``"mean"`` (Su et al. 2021).
        first: The first layer's hidden states ``[b, t, d]``; only for ``"first-last-mean"``.

    Returns:
        ``[b, d]``, not normalised.
    """
    if pooling == "cls":
        return last[:, 0]
    weights = mask[:, :, None]
    if pooling == "max":
        found = (last * weights + (weights - 1.0) * 1e9).max(1)
        return getattr(found, "values", found)  # torch returns values and indices
    states = last if pooling == "mean" else (first + last) / 2
    return (states * weights).sum(1) / weights.sum(1)


def with_direction(vectors: Matrix, instead: Iterable[Vector]) -> int:
    """Put the first of ``instead`` that is not zero, else ones, into the zero rows of ``[n, d]``; say how many."""
    lost = ~vectors.any(axis=1)
    if lost.any():
        vectors[lost] = next((vector for vector in instead if vector.any()), np.ones(vectors.shape[1], np.float32))
    return int(lost.sum())


def unit(vectors: Matrix) -> Matrix:
    """Scale each row of ``[n, d]`` to length 1; an all-zero row stays as it is."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(norms > 0, norms, 1.0), dtype=np.float32)
