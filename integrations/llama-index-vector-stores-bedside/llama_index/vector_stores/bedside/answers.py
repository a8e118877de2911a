"""Checking a query engine's answers against the nodes that it retrieved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from llama_index.core.base.response.schema import (
    AsyncStreamingResponse,
    PydanticResponse,
    Response,
    StreamingResponse,
)
from llama_index.core.chat_engine.types import AgentChatResponse, StreamingAgentChatResponse
from llama_index.core.evaluation.base import BaseEvaluator, EvaluationResult
from llama_index.core.prompts.mixin import PromptDictType
from llama_index.core.schema import BaseNode, MetadataMode
from typing_extensions import override

from bedside import Document
from bedside.answers import AnswerCheck, check_answer
from bedside.errors import InvalidInputError

__all__ = ["BedsideAnswerEvaluator"]

Answered: TypeAlias = (
    Response
    | PydanticResponse
    | StreamingResponse
    | AsyncStreamingResponse
    | AgentChatResponse
    | StreamingAgentChatResponse
)
"""What query and chat engines answer with."""


class BedsideAnswerEvaluator(BaseEvaluator):
    """Says whether the retrieved nodes support an answer, and of what they do not support, why; it calls no model.

    ``passing`` is whether everything that can be looked up is supported, ``feedback`` one line for each thing that is
    not, ``score`` the share of statements that are. What is looked up, and how, says ``bedside.answers.check_answer``;
    :meth:`check` returns all of it.

    Args:
        label: How the prompt named a node, where that was not by its id or its number.

    Example:
        >>> evaluator = BedsideAnswerEvaluator()
        >>> result = evaluator.evaluate(response="Takes metformin 850 mg [1].", contexts=["Metformin 500 mg daily."])
        >>> result.passing, result.feedback
        (False, "dose '850 mg': not in what is cited; there: 'Metformin 500 mg daily'")
    """

    def __init__(self, label: Callable[[BaseNode], str] | None = None) -> None:
        self._label = label

    def check(self, response: Answered) -> AnswerCheck:
        """Check a query or chat engine's response against its source nodes, sentence by sentence.

        Raises:
            InvalidInputError: It is none, or a stream whose text is not there yet: ``get_response()`` of a query
                engine's gives a response, and a chat engine's has its text when it has been read to its end.
        """
        written = _text(response)
        nodes = {found.node.node_id: found.node for found in response.source_nodes}

        def named(document: Document) -> str:
            return self._label(nodes[str(document.id)]) if self._label else ""

        return check_answer(written, map(_document, nodes.values()), label=named)

    @override
    def evaluate(
        self,
        query: str | None = None,
        response: str | None = None,
        contexts: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> EvaluationResult:
        """Check a text against texts, which it may cite by their numbers from 1."""
        if response is None or contexts is None:
            return _invalid(query, response, contexts)
        return _result(check_answer(response, [Document(text) for text in contexts]), query, response, contexts)

    @override
    async def aevaluate(
        self,
        query: str | None = None,
        response: str | None = None,
        contexts: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> EvaluationResult:
        """Check a text against texts; it takes milliseconds and awaits nothing."""
        return self.evaluate(query, response, contexts, **kwargs)

    @override
    def evaluate_response(
        self, query: str | None = None, response: Answered | None = None, **kwargs: Any
    ) -> EvaluationResult:
        """Check a response against its source nodes, which it may cite by id, source id or number."""
        if response is None:
            return _invalid(query, None, None)
        contexts = [found.node.get_content() for found in response.source_nodes]
        return _result(self.check(response), query, _text(response), contexts)

    @override
    async def aevaluate_response(
        self, query: str | None = None, response: Answered | None = None, **kwargs: Any
    ) -> EvaluationResult:
        """Check a response against its source nodes; it takes milliseconds and awaits nothing."""
        return self.evaluate_response(query, response, **kwargs)

    def _get_prompts(self) -> PromptDictType:
        return {}

    def _update_prompts(self, prompts: PromptDictType) -> None:
        """There are none."""


def _text(response: object) -> str:
    """Give the text of a response: of a stream that nobody has read yet it is missing, and of an empty one all holds.

    A generator that was read elsewhere would give nothing more, so it is never read here.
    """
    match response:
        case Response() | AgentChatResponse():
            return response.response or ""
        case PydanticResponse():
            return str(response)
        case StreamingResponse() | AsyncStreamingResponse() if response.response_txt is not None:
            return response.response_txt
        case StreamingAgentChatResponse() if response.is_done or response.response:
            return response.response
        case StreamingResponse() | AsyncStreamingResponse() | StreamingAgentChatResponse():
            raise InvalidInputError(
                "response: is a stream without its text; check what get_response() of a query engine's stream returns, "
                "or a chat engine's when it has been read to its end"
            )
    raise InvalidInputError(f"response: expected a query or chat engine's response, got {type(response).__name__}")


def _document(node: BaseNode) -> Document:
    metadata = {"source_id": node.ref_doc_id, **node.metadata} if node.ref_doc_id else node.metadata
    return Document(node.get_content(MetadataMode.NONE), metadata, node.node_id)


def _result(check: AnswerCheck, query: str | None, response: str, contexts: Sequence[str]) -> EvaluationResult:
    statements = [statement.supported for sentence in check.sentences for statement in sentence.statements]
    return EvaluationResult(
        query=query,
        contexts=contexts,
        response=response,
        passing=check.supported,
        feedback=str(check),
        score=sum(statements) / len(statements) if statements else 1.0,
    )


def _invalid(query: str | None, response: str | None, contexts: Sequence[str] | None) -> EvaluationResult:
    return EvaluationResult(
        query=query,
        contexts=contexts,
        response=response,
        invalid_result=True,
        invalid_reason="expected a response, and the contexts that it was written from",
    )
