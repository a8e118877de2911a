"""vectra folders: read into documents, written for vectra to open, and answered as vectra answers them.

:func:`read_documents` and :func:`read_sources` read, :func:`write_documents` writes; :class:`VectraIndex` and
:func:`matches` give vectra's own answers, to compare with. Everything follows vectra 0.15.0.
"""

from bedside.formats.vectra.documents import VectraChunk, VectraDocument, VectraSection
from bedside.formats.vectra.filter import matches
from bedside.formats.vectra.hashing import content_hash
from bedside.formats.vectra.index import VectraHit, VectraIndex
from bedside.formats.vectra.read import Source, read_documents, read_sources
from bedside.formats.vectra.write import write_documents

__all__ = [
    "Source",
    "VectraChunk",
    "VectraDocument",
    "VectraHit",
    "VectraIndex",
    "VectraSection",
    "content_hash",
    "matches",
    "read_documents",
    "read_sources",
    "write_documents",
]
