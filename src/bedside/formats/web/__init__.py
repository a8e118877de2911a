"""One HTML file that searches without a server: written from records, and read back as records."""

from bedside.formats.web.read import detect, read
from bedside.formats.web.write import write

__all__ = ["detect", "read", "write"]
