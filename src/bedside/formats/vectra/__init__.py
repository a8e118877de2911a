"""vectra folders: read into documents, and written for vectra to open. Everything follows vectra 0.15.0."""

from bedside.formats.vectra.hashing import content_hash
from bedside.formats.vectra.read import Source, read_documents, read_notes, read_sources
from bedside.formats.vectra.write import write_documents

__all__ = ["Source", "content_hash", "read_documents", "read_notes", "read_sources", "write_documents"]
