"""Records out of a collection and in again: one file for each format, one registry.

:meth:`bedside.Collection.export` writes and :meth:`bedside.Collection.import_from` reads; :data:`FORMATS` lists what
they know, and :func:`detect_format` tells what a file or folder is by its content.
"""

from bedside.formats.registry import FORMATS, Format, detect_format

__all__ = ["FORMATS", "Format", "detect_format"]
