"""A map as one HTML file: its data, its style and its script are in it, and its policy forbids all else."""

from __future__ import annotations

import html
import json
from importlib import resources
from typing import TYPE_CHECKING

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
    }
    # "<" cannot stand in the data: "</script>" would end it.
    content = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    page = resources.files("bedside.analysis.maps").joinpath("map.html").read_text("utf-8")
    before, after = page.split("/*DATA*/")
    title = html.escape(chart.title)
    whole = before.replace("/*TITLE*/", title) + content + after.replace("/*TITLE*/", title)
    return whole.encode("utf-8", "replace")
