"""Collections for other programs: an HTTP server and a Model Context Protocol server over one :class:`Service`.

``bedside serve`` and ``bedside mcp`` start them. What may be reached is decided in one place, :mod:`.access` and
:mod:`.service`; the two servers translate.
"""

from bedside.serving.access import Access, Token, load_tokens
from bedside.serving.limits import Limits
from bedside.serving.service import Service

__all__ = ["Access", "Limits", "Service", "Token", "load_tokens"]
