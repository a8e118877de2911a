"""A map as a picture, drawn by matplotlib without a display."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from bedside.analysis.maps.colors import Shape, shapes_of
from bedside.support.extras import needs

if TYPE_CHECKING:
    from bedside.analysis.maps.make import Map

_NAMED = 60  # points; more would be names on names
_MARKERS: dict[Shape, str] = {
    "circle": "o", "square": "s", "triangle": "^", "diamond": "D", "cross": "x", "ring": "o"
}  # fmt: skip
_LABEL_LENGTH = 40  # characters in the legend


def render_picture(chart: Map, kind: str) -> bytes:
    """Draw a map as ``"png"`` or ``"svg"``: labels in the legend, ids beside the points of a small map of words."""
    with needs("plot"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    figure = Figure(figsize=(10, 7), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    labels = np.array(chart.labels)
    size = float(np.clip(6_000 / len(labels), 6, 60))
    shapes = shapes_of(chart.colors)
    for label, color in chart.colors.items():
        chosen, shape = chart.points[labels == label], shapes[label]
        look: dict[str, Any] = {"facecolors": "none", "edgecolors": color} if shape == "ring" else {"c": color}
        look |= {"marker": _MARKERS[shape], "linewidths": 1.2 if shape in ("ring", "cross") else 0}
        axes.scatter(chosen[:, 0], chosen[:, 1], s=size, alpha=0.75, label=_plain(label), **look)
    if chart.snippets is None and len(labels) <= _NAMED:
        for point, id in zip(chart.points, chart.ids, strict=True):
            axes.annotate(_plain(id), (point[0], point[1]), xytext=(4, 3), textcoords="offset points", fontsize=8)
    axes.set_title(_plain(chart.title, 100), fontsize=11)
    axes.set_xlabel(_plain(chart.note, 200), fontsize=8, wrap=True)
    axes.set_xticks([])
    axes.set_yticks([])
    if len(chart.colors) > 1:
        legend = axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9)
        for handle in legend.legend_handles:
            handle.set_sizes([40.0])  # type: ignore[union-attr]
    out = io.BytesIO()
    figure.savefig(out, format=kind, metadata={"Date": None} if kind == "svg" else {})
    return out.getvalue()


def _plain(text: str, length: int = _LABEL_LENGTH) -> str:
    """Cut short, and without the signs that matplotlib reads as mathematics or as "not in the legend"."""
    cut = text if len(text) <= length else text[: length - 1] + "…"
    return ("\u200b" if cut.startswith("_") else "") + cut.replace("$", r"\$")
