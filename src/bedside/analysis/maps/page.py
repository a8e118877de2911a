"""A map as one HTML file: its data, its style and its script are in it, and its policy forbids all else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bedside.analysis.maps.colors import shapes_of
from bedside.pages import render

if TYPE_CHECKING:
    from bedside.analysis.maps.make import Map


def render_page(chart: Map) -> bytes:
    """Fill in the page; no text of the collection becomes markup or script."""
    names = list(chart.colors)
    data = {
        "x": [round(float(x), 5) for x in chart.points[:, 0]],
        "y": [round(float(y), 5) for y in chart.points[:, 1]],
        "label": [names.index(label) for label in chart.labels],
        "id": chart.ids,
        "text": chart.snippets,
        "names": names,
        "colors": list(chart.colors.values()),
        "shapes": list(shapes_of(names).values()),
    }
    return render("map.html", title=chart.title, note=chart.note, data=data).encode("utf-8", "replace")
