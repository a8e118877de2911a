"""From many dimensions to two."""

from __future__ import annotations

import logging
import warnings
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from bedside.encoders.pooling import unit
from bedside.errors import InvalidInputError
from bedside.remedies import Give
from bedside.support.extras import is_installed, needs
from bedside.types import Matrix

log = logging.getLogger(__name__)

Projection: TypeAlias = Literal["auto", "pca", "tsne", "umap"]
"""How vectors are put on a plane."""
PROJECTIONS: tuple[Projection, ...] = get_args(Projection)

_SLOW = 10_000  # points, beyond which t-SNE takes minutes
_PCA_BEFORE = 50  # dimensions that t-SNE and UMAP are given: distances hardly change, time does
_FEWEST = 5  # points; below, t-SNE and UMAP have no neighbourhoods to keep


def project(vectors: Matrix, method: Projection = "auto", *, seed: int = 0, **settings: Any) -> Matrix:
    """Lay vectors out in the plane; the same vectors, arguments and seed give the same points.

    Args:
        vectors: float32 ``[n, d]``; they are scaled to length 1 first.
        method: ``"auto"`` is what :func:`chosen_method` chooses. ``"pca"`` (numpy alone): the two directions of most
            variance; distances mean something. ``"tsne"`` (scikit-learn): neighbourhoods; distances between groups
            mean nothing. ``"umap"`` (umap-learn): likewise. Fewer than five points are always laid out by PCA.
        seed: Of t-SNE and UMAP.
        **settings: More arguments for scikit-learn's ``TSNE`` or ``umap.UMAP``.

    Returns:
        float32 ``[n, 2]``.

    Raises:
        InvalidInputError: ``method`` is unknown, or there is no vector.
        MissingExtraError: The library is not installed.
    """
    if not len(vectors):
        raise InvalidInputError("there is no vector to lay out")
    method = chosen_method(method, len(vectors))
    rows = unit(np.asarray(vectors, dtype=np.float32))
    if method == "pca":
        return _pca(rows, 2)
    reduced = _pca(rows, min(_PCA_BEFORE, *rows.shape))
    points = _tsne(reduced, seed, settings) if method == "tsne" else _umap(reduced, seed, settings)
    return np.ascontiguousarray(points, dtype=np.float32)


def chosen_method(method: Projection, points: int) -> Projection:
    """Return the method that lays out so many points.

    ``"auto"`` is UMAP where umap-learn is installed, else t-SNE where scikit-learn is and there are at most 10,000
    points, else PCA: neighbourhoods are what a map is read for, and they keep them. Fewer than five points have none.

    Raises:
        InvalidInputError: ``method`` is unknown.
    """
    if method not in PROJECTIONS:
        raise InvalidInputError(f"expected one of {', '.join(PROJECTIONS)}", about=Give("method", method))
    if points < _FEWEST:
        return "pca"
    if method != "auto":
        return method
    if is_installed("umap"):
        return "umap"
    return "tsne" if points <= _SLOW and is_installed("sklearn") else "pca"


def _pca(rows: Matrix, count: int) -> Matrix:
    centred = rows.astype(np.float64) - rows.mean(axis=0, dtype=np.float64)
    values, axes = np.linalg.eigh(centred.T @ centred)
    axes = axes[:, np.argsort(-values, kind="stable")[:count]]
    axes = axes * np.where(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])] < 0, -1, 1)  # one sign for all
    points = centred @ axes
    return np.ascontiguousarray(np.pad(points, ((0, 0), (0, count - points.shape[1]))), dtype=np.float32)


def _tsne(rows: Matrix, seed: int, settings: dict[str, Any]) -> Matrix:
    with needs("plot"):
        from sklearn.manifold import TSNE
    perplexity = min(30.0, (len(rows) - 1) / 3)
    model = TSNE(**{"random_state": seed, "init": "pca", "perplexity": perplexity} | settings)
    return np.asarray(model.fit_transform(rows))


def _umap(rows: Matrix, seed: int, settings: dict[str, Any]) -> Matrix:
    with needs("umap"):
        import umap
    neighbours = min(15, len(rows) - 1)
    start = "spectral" if len(rows) > neighbours + 2 else "random"
    options = {"random_state": seed, "n_neighbors": neighbours, "init": start, "n_jobs": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about its own threads and sparse graphs; nothing a caller could change
        return np.asarray(umap.UMAP(**options | settings).fit_transform(rows))
