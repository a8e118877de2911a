"""Answers that can be checked: the sentence behind a hit, and whether an answer stands in what it cites.

Nothing here needs a model. :func:`citation` narrows a passage to one sentence of its note; :func:`check_answer` reads
an answer sentence by sentence and says of each number, dose, date, quotation and finding whether the sources say so.
"""

from bedside.answers.check import check_answer
from bedside.answers.citations import Citation, citation
from bedside.answers.report import AnswerCheck, SentenceCheck, Statement

__all__ = ["AnswerCheck", "Citation", "SentenceCheck", "Statement", "check_answer", "citation"]
