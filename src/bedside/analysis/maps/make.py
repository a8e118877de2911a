"""``Map``: points with labels, made of documents or words, saved as a picture or a page."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bedside.analysis.clusters import NOISE, Clustering, Words, documents_of
from bedside.analysis.maps.colors import label_values, value_at
from bedside.analysis.maps.page import render_page
from bedside.analysis.maps.picture import render_picture
from bedside.analysis.maps.project import Projection, chosen_method, project
from bedside.collection import Collection
from bedside.errors import InvalidInputError
from bedside.support.files import place_of, replace_file
from bedside.types import Document, FilterDict, Matrix

_NEIGHBOURS = "near points have near vectors; distances between far groups mean nothing, and the axes have no unit."
NOTES: Mapping[Projection, str] = {
    "umap": f"Laid out by UMAP: {_NEIGHBOURS}",
    "tsne": f"Laid out by t-SNE: {_NEIGHBOURS}",
    "pca": "Laid out by PCA, the two directions of most variance: far points have unlike vectors, and so may near "
    "ones. The axes have no unit.",
}
"""What a map says about how it was laid out."""
SNIPPET = 160
"""Characters of a text that a map keeps."""


@dataclass(frozen=True)
class Map:
    """Points in the plane, each with an id and a label.

    Attributes:
        points: float32 ``[n, 2]``.
        ids: Document ids, or words.
        labels: What each is coloured by.
        colors: Label -> ``#rrggbb``, in the order of the legend.
        snippets: The beginning of each text; ``None``: the map keeps no text.
        title: One line.
        note: How the points were laid out, and what distances mean.
    """

    points: Matrix
    ids: tuple[str, ...]
    labels: tuple[str, ...]
    colors: Mapping[str, str]
    snippets: tuple[str, ...] | None
    title: str
    note: str = ""

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write it, readable by its owner only: ``.html`` is one interactive page, ``.png`` and ``.svg`` a picture.

        The page pans, zooms, shows ids, labels and snippets under the pointer, and hides labels; it loads nothing.

        Raises:
            InvalidInputError: Another ending.
            MissingExtraError: A picture, and matplotlib is not installed; a page, and Jinja2 is not.
        """
        target = Path(path)
        kind = target.suffix.lower()
        if kind not in (".html", ".png", ".svg"):
            raise InvalidInputError(f"{target.name}: expected a name that ends in .html, .png or .svg")
        content = render_page(self) if kind == ".html" else render_picture(self, kind.removeprefix("."))
        replace_file(place_of(target), [content])
        return target


def map_documents(
    records: Collection,
    *,
    method: Projection = "auto",
    color_by: str | Clustering | None = None,
    filter: FilterDict | None = None,
    all_scopes: bool = False,
    snippets: bool = True,
    title: str | None = None,
    seed: int = 0,
    **settings: Any,
) -> Map:
    """Make a map of a collection, or of one scope.

    Args:
        records: A collection or a scoped view: nothing outside of it is on the map.
        method: ``"pca"``, ``"tsne"``, ``"umap"``, or ``"auto"``, which takes what is installed; the map says which. See
            :func:`bedside.analysis.maps.project`.
        color_by: A metadata key (dotted paths reach into objects), or what
            :func:`bedside.analysis.clusters.cluster_documents` returned.
        filter: Only documents that satisfy it.
        all_scopes: Every scope of a divided collection on one map, which is never done unasked.
        snippets: Keep the first 160 characters of each text for the page. Without it no text is in the files, but ids
            and labels still are.
        title: One line above the map.
        seed: Of t-SNE and UMAP.
        **settings: More arguments for the method.

    Raises:
        InvalidInputError: No document is left, or documents have no vectors.
        MissingExtraError: The method's library is not installed.
        ScopeRequired: The collection has scope keys and this is not a scoped view.
    """
    documents, vectors = documents_of(records, filter, all_scopes=all_scopes)
    if not documents:
        raise InvalidInputError("no document to put on a map")
    labels, colors = label_values(_values(documents, color_by))
    ids = tuple(str(document.id) for document in documents)
    texts = tuple(_snippet(document.text) for document in documents) if snippets else None
    method = chosen_method(method, len(ids))
    points = project(vectors, method, seed=seed, **settings)
    return Map(points, ids, tuple(labels), colors, texts, title or f"{len(ids)} documents", NOTES[method])


def map_words(
    vectors: Words,
    words: Sequence[str],
    *,
    method: Projection = "auto",
    color_by: Clustering | Mapping[str, str] | None = None,
    title: str | None = None,
    seed: int = 0,
    **settings: Any,
) -> Map:
    """Make a map of words; unknown ones are left out.

    Args:
        vectors: Word vectors.
        words: Which of them.
        method: As in :func:`map_documents`.
        color_by: What :func:`bedside.analysis.clusters.cluster_words` returned, or word -> label.
        title: One line above the map.
        seed: Of t-SNE and UMAP.
        **settings: More arguments for the method.

    Raises:
        InvalidInputError: None of the words is known.
        MissingExtraError: The method's library is not installed.
    """
    chosen = tuple(dict.fromkeys(word for word in words if word in vectors))
    if not chosen:
        raise InvalidInputError("none of the words is known")
    named = _cluster_names(color_by) if isinstance(color_by, Clustering) else color_by or {}
    labels, colors = label_values([named.get(word) for word in chosen])
    method = chosen_method(method, len(chosen))
    points = project(np.stack([vectors.vector(word) for word in chosen]), method, seed=seed, **settings)
    return Map(points, chosen, tuple(labels), colors, None, title or f"{len(chosen)} words", NOTES[method])


def _values(documents: Sequence[Document], color_by: object) -> list[Any]:
    if isinstance(color_by, str):
        return [value_at(document.metadata, color_by) for document in documents]
    if color_by is not None and not isinstance(color_by, Clustering):
        raise InvalidInputError(f"color_by: expected a metadata key or a Clustering, got {type(color_by).__name__}")
    named = {} if color_by is None else _cluster_names(color_by)
    return [named.get(str(document.id)) for document in documents]


def _cluster_names(clustering: Clustering) -> dict[str, str]:
    """Each member's cluster by name; what is in none is not in it, as it is coloured like what has no label."""
    return {m: cluster.name for cluster in clustering.clusters if cluster.label != NOISE for m in cluster.members}


def _snippet(text: str) -> str:
    line = " ".join(text[: 4 * SNIPPET].split())
    return line if len(line) <= SNIPPET and len(text) <= 4 * SNIPPET else line[: SNIPPET - 1].rstrip() + "…"
