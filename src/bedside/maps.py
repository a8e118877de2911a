"""``bedside.maps``: where release 0.1 had what is now in :mod:`bedside.analysis.maps`."""

from bedside.analysis.maps import (
    Map,
    Projection,
    map_documents,
    map_words,
    project,
)

__all__ = ["Map", "Projection", "map_documents", "map_words", "project"]
