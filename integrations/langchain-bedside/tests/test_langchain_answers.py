"""Answers are checked at the end of a chain, whatever its keys are called."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_bedside import BedsideAnswerChecker, BedsideEmbeddings, BedsideRetriever, BedsideVectorStore
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableParallel, RunnablePassthrough

from bedside.errors import InvalidDocumentError, InvalidInputError

NOTES = [
    Document("Metformin 500 mg twice daily.", id="a#0", metadata={"source_id": "a", "date": "2024-05-06"}),
    Document("No pneumothorax.", id="b#0", metadata={"source_id": "b", "date": "2024-05-07"}),
]


def test_a_retrieval_chains_output_is_checked() -> None:
    """From the question through retrieval and a scripted answer to the check, sync."""
    store = BedsideVectorStore.from_documents(NOTES, DeterministicFakeEmbedding(size=8))
    chain = RunnableParallel(context=BedsideRetriever(vectorstore=store), question=RunnablePassthrough()).assign(
        answer=lambda _: AIMessage("Takes metformin 850 mg BID [a]. There is a pneumothorax [b]. Stable [c#1].")
    )
    checked = chain.assign(check=BedsideAnswerChecker()).invoke("metformin?")["check"]
    assert [(problem.kind, problem.text) for problem in checked.problems] == [
        ("dose", "850 mg"),
        ("finding", "pneumothorax"),
        ("citation", "c#1"),
    ]


async def test_keys_and_labels_can_be_ones_own_and_many_are_checked_at_once() -> None:
    checker = BedsideAnswerChecker("reply", "passages", label=lambda d: f"note of {d.metadata['date']}")
    asked: list[Any] = [
        {"reply": "No pneumothorax [note of 2024-05-07].", "passages": NOTES},
        {"reply": "No pneumothorax [note of 2024-05-08].", "passages": NOTES},
    ]
    assert [check.supported for check in checker.batch(asked)] == [True, False]
    assert (await checker.ainvoke(asked[0])).supported


def test_what_search_notes_found_is_a_context_too_and_called_by_the_notes_ids() -> None:
    store = BedsideVectorStore(BedsideEmbeddings(model="bedside/static"))
    store.add_note("HPI: Cough.\n\nPLAN: Metformin 500 mg twice daily.", id="visit-1")
    store.add_note("HPI: Fever.", id="visit-2")
    found = {"notes": store.search_notes("metformin"), "answer": "Takes metformin 500 mg BID [visit-2]."}
    problems = BedsideAnswerChecker(context="notes").invoke(found).problems
    assert [problem.kind for problem in problems] == ["dose", "dose", "citation"]
    assert problems[-1].why == "does not say this; 'visit-1' does"
    labelled = BedsideAnswerChecker(context="notes", label=lambda passage: f"letter {passage.metadata['source_id']}")
    assert labelled.invoke({**found, "answer": "Metformin 500 mg [letter visit-1]."}).supported


def test_what_is_no_chains_output_is_refused() -> None:
    checker = BedsideAnswerChecker()
    with pytest.raises(InvalidInputError, match="input: expected a dict with the keys 'answer' and 'context'"):
        checker.invoke({"answer": "x"})
    with pytest.raises(InvalidInputError, match="answer: expected a str, got int"):
        checker.invoke({"answer": 3, "context": NOTES})
    with pytest.raises(InvalidDocumentError, match="expected LangChain documents, got str"):
        checker.invoke({"answer": "x", "context": ["text"]})
