"""Maps: documents or words as points in the plane, near where their vectors are near.

A map of notes is made of notes: each of its files is written for its owner's eyes only, and ``snippets=False`` leaves
text out. The page is one file that calls no network.

Example:
    >>> from bedside import Collection, Document
    >>> notes = Collection.open()
    >>> _ = notes.add([Document("chest pain", {"s": "HPI"}, vector=[1, 0]), Document("afebrile", vector=[0, 1])])
    >>> map_documents(notes, color_by="s").labels
    ('HPI', '(none)')
"""

from bedside.analysis.maps.make import Map, map_documents, map_words
from bedside.analysis.maps.project import Projection, project

__all__ = ["Map", "Projection", "map_documents", "map_words", "project"]
