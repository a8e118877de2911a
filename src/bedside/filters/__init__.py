"""The filter language: a Mongo/Pinecone dict, parsed once into frozen nodes that each target reads.

:func:`parse` is the only entry. :mod:`~bedside.filters.rules` says what each comparison accepts,
:mod:`~bedside.filters.dates` how dates compare; each engine answers a tree by one ``match`` of its own. Nothing here
needs numpy.
"""

from bedside.filters.parse import parse
from bedside.filters.tree import And, Compare, Node, Not, Or

__all__ = ["And", "Compare", "Node", "Not", "Or", "parse"]
