"""Query expansion that can be seen: what else the words of a query are called, from where, and with what weight.

Three sources: abbreviations and their long forms, everyday and professional synonyms, and near words of word vectors.
An abbreviation that may mean several things counts only where something decides what it means: the words beside it,
the section it stands in, or that the collection writes out only one of its meanings. Nothing here happens in a search
unless it is asked for.

Example:
    >>> expansion = expand("MI in a pt with RA")
    >>> [(offer.term, offer.text, offer.applied) for offer in expansion.offers][:2]
    [('MI', 'myocardial infarction', True), ('pt', 'physical therapy', False)]
    >>> expansion.choose("RA", "rheumatoid arthritis").queries[-1]
    ('MI in a pt with rheumatoid arthritis', 0.7)
"""

from bedside.expansion.offers import Expansion, Offer, expand
from bedside.expansion.search import search_expanded
from bedside.text.synonyms import Kind, Lexicon

__all__ = ["Expansion", "Kind", "Lexicon", "Offer", "expand", "search_expanded"]
