"""Assertion status: whether a text says that a finding is there, denies it, supposes it, or means someone else.

Rules over lists of cues (``data/assertions.json``) mark it; nothing is learned and nothing is looked up elsewhere.
"""

from bedside.text.assertions.annotator import AssertionAnnotator
from bedside.text.assertions.cues import RULES_VERSION, Status
from bedside.text.assertions.marks import Mark, mark
from bedside.text.assertions.terms import MarkedTerms, Polarity, asked_polarity, marked_terms

__all__ = [
    "RULES_VERSION",
    "AssertionAnnotator",
    "Mark",
    "MarkedTerms",
    "Polarity",
    "Status",
    "asked_polarity",
    "mark",
    "marked_terms",
]
