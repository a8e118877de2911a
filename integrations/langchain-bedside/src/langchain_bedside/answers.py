"""Checking a chain's answers against the documents that it retrieved."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from langchain_core.documents import Document
from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig
from typing_extensions import override

import bedside
from bedside.answers import AnswerCheck, check_answer
from bedside.errors import InvalidInputError
from bedside.notes import NoteHit
from langchain_bedside.convert import to_core, to_langchain

__all__ = ["BedsideAnswerChecker"]


class BedsideAnswerChecker(Runnable[Mapping[str, Any], AnswerCheck]):
    """A runnable from a chain's output to what of its answer the retrieved documents support; it calls no model.

    It reads the keys that ``create_retrieval_chain`` writes, or those that you name. What it looks up, and how, says
    ``bedside.answers.check_answer``.

    Args:
        answer: The key of the answer: text, or a message.
        context: The key of the documents, or of what ``search_notes`` found, in the order of the prompt.
        label: How the prompt named a document, where that was not by its id or its number.

    Example:
        >>> note = Document("Metformin 500 mg twice daily.", id="visit-1")
        >>> found = {"context": [note], "answer": "Takes metformin 850 mg BID [visit-1]."}
        >>> print(BedsideAnswerChecker().invoke(found))
        dose '850 mg': not in what is cited; there: 'Metformin 500 mg twice daily'
    """

    def __init__(
        self, answer: str = "answer", context: str = "context", label: Callable[[Document], str] | None = None
    ) -> None:
        self._answer, self._context, self._label = answer, context, label

    @override
    def invoke(self, input: Mapping[str, Any], config: RunnableConfig | None = None, **kwargs: Any) -> AnswerCheck:
        """Check one answer.

        Raises:
            InvalidInputError: The input lacks a key, or the answer is not a text.
            InvalidDocumentError: The documents are neither LangChain's nor notes that were found.
        """
        return self._call_with_config(self._check, input, config, **kwargs)

    def _check(self, input: Any) -> AnswerCheck:
        if not isinstance(input, Mapping) or not {self._answer, self._context} <= input.keys():
            raise InvalidInputError(f"input: expected a dict with the keys {self._answer!r} and {self._context!r}")
        answer = input[self._answer]
        written = answer.text if isinstance(answer, BaseMessage) else answer
        return check_answer(written, _sources(input[self._context]), label=self._named if self._label else None)

    def _named(self, document: bedside.Document) -> str:
        return self._label(to_langchain(document)) if self._label else ""


def _sources(context: Any) -> list[bedside.Document] | list[NoteHit]:
    """Give what an answer was written from: documents, or notes as ``search_notes`` gives them."""
    if isinstance(context, list | tuple) and context and all(isinstance(each, NoteHit) for each in context):
        return list(context)
    return to_core(context)
