"""Assertion status: whether a text says that a finding is there, denies it, supposes it, or means someone else."""

from bedside.text.assertions.cues import RULES_VERSION, Status
from bedside.text.assertions.marks import Mark, mark
from bedside.text.assertions.terms import MarkedTerms, Polarity, asked_polarity, marked_terms

__all__ = ["RULES_VERSION", "Mark", "MarkedTerms", "Polarity", "Status", "asked_polarity", "mark", "marked_terms"]
