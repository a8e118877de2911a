"""Answers of query engines are checked against their source nodes by LlamaIndex' own evaluator protocol."""

from __future__ import annotations

import asyncio

import pytest
from llama_index.core import SummaryIndex
from llama_index.core.base.response.schema import Response
from llama_index.core.chat_engine import ContextChatEngine
from llama_index.core.evaluation import BatchEvalRunner
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import NodeRelationship, NodeWithScore, RelatedNodeInfo, TextNode
from llama_index.vector_stores.bedside import BedsideAnswerEvaluator

from bedside.errors import InvalidInputError

SOURCES = [
    NodeWithScore(
        node=TextNode(
            id_="a-1",
            text="Metformin 500 mg twice daily.",
            metadata={"date": "2024-05-06"},
            relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id="visit-a")},
        ),
        score=0.9,
    ),
    NodeWithScore(node=TextNode(id_="b-1", text="No pneumothorax.", metadata={"date": "2024-05-07"}), score=0.8),
]


def answered(text: str) -> Response:
    return Response(response=text, source_nodes=SOURCES)


def test_what_the_source_nodes_do_not_say_fails_with_the_reasons() -> None:
    response = answered("Takes metformin 850 mg BID [visit-a]. There is a pneumothorax [2]. Stable [c-1].")
    result = BedsideAnswerEvaluator().evaluate_response("What does he take?", response)
    assert result.passing is False
    assert result.feedback is not None
    assert [line.split(":")[0] for line in result.feedback.splitlines()] == [
        "dose '850 mg'",
        "finding 'pneumothorax'",
        "citation 'c-1'",
    ]
    assert result.score is not None
    assert 0 < result.score < 1
    assert result.contexts == ["Metformin 500 mg twice daily.", "No pneumothorax."]


def test_what_they_say_in_other_words_passes_in_a_batch_too() -> None:
    evaluator = BedsideAnswerEvaluator()
    response = answered("On May 6, 2024 metformin 0.5 g BID [a-1]. There was no pneumothorax [b-1].")
    runner = BatchEvalRunner({"support": evaluator}, workers=2)
    results = asyncio.run(runner.aevaluate_responses(queries=["?"], responses=[response]))
    assert [(result.passing, result.score, result.feedback) for result in results["support"]] == [
        (True, 1.0, "supported")
    ]
    assert [sentence.cites for sentence in evaluator.check(response).sentences] == [("a-1",), ("b-1",)]


def test_texts_are_cited_by_number_and_nodes_by_a_label_of_ones_own() -> None:
    result = asyncio.run(
        BedsideAnswerEvaluator().aevaluate(response="No pneumothorax [2].", contexts=["x", "No pneumothorax."])
    )
    assert result.passing
    labelled = BedsideAnswerEvaluator(label=lambda node: f"film of {node.metadata['date']}")
    assert labelled.check(answered("No pneumothorax [film of 2024-05-07].")).supported
    assert not labelled.check(answered("No pneumothorax [film of 2024-05-08].")).supported


def test_a_streamed_answer_is_checked_when_its_text_is_there_and_never_passes_before() -> None:
    """An engine that streams: refused by name until the text was read, then checked as any other answer is."""
    node = TextNode(id_="a-1", text="Metformin 500 mg twice daily.")
    engine = SummaryIndex([node]).as_query_engine(llm=MockLLM(), streaming=True)
    evaluator = BedsideAnswerEvaluator()
    streamed = engine.query("Which dose?")
    for check in (evaluator.check, lambda response: evaluator.evaluate_response(response=response)):
        with pytest.raises(InvalidInputError, match=r"is a stream without its text; check what get_response\(\)"):
            check(streamed)  # type: ignore[arg-type, no-untyped-call]
    assert evaluator.check(streamed.get_response()).sentences  # type: ignore[union-attr]
    assert evaluator.check(streamed).sentences  # type: ignore[arg-type]


async def test_a_streamed_answer_is_checked_the_same_in_async_engines_and_chats() -> None:
    retriever = SummaryIndex([TextNode(id_="a-1", text="Metformin 500 mg twice daily.")]).as_retriever()
    evaluator = BedsideAnswerEvaluator()
    engine = RetrieverQueryEngine.from_args(retriever, llm=MockLLM(), streaming=True)
    streamed = await engine.aquery("Which dose?")
    with pytest.raises(InvalidInputError, match="is a stream without its text"):
        evaluator.check(streamed)  # type: ignore[arg-type]
    assert evaluator.check(await streamed.get_response()).sentences  # type: ignore[union-attr, misc]
    chat = ContextChatEngine.from_defaults(retriever=retriever, llm=MockLLM())
    reply = chat.stream_chat("Takes 850 mg?")
    "".join(reply.response_gen)
    assert [problem.text for problem in evaluator.check(reply).problems] == ["850 mg"]


def test_what_is_no_response_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="response: expected a query or chat engine's response, got str"):
        BedsideAnswerEvaluator().check("Stable.")  # type: ignore[arg-type]


def test_without_an_answer_or_contexts_the_result_is_invalid() -> None:
    evaluator = BedsideAnswerEvaluator()
    assert evaluator.evaluate(response="x").invalid_result
    assert evaluator.evaluate_response(response=None).invalid_result
    assert evaluator.get_prompts() == {}
