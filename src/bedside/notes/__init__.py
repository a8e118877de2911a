"""Whole notes over a collection: split into passages, found, given back whole, and rendered for a prompt."""

from bedside.notes.notes import (
    add_notes,
    default_splitter,
    delete_note,
    filtered_notes,
    get_note,
    passages_of,
    search_notes,
)
from bedside.notes.render import NoteHit, context, source_header

__all__ = [
    "NoteHit",
    "add_notes",
    "context",
    "default_splitter",
    "delete_note",
    "filtered_notes",
    "get_note",
    "passages_of",
    "search_notes",
    "source_header",
]
