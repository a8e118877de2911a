"""Answer questions about one patient, and check what the answers cite: a LangChain chain in the expression language.

Run it with a chat model of your choice: ``python langchain_chain.py ollama:llama3.2``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Any

from langchain.chat_models import init_chat_model
from langchain_bedside import (
    BedsideAnswerChecker,
    BedsideEmbeddings,
    BedsideNoteSplitter,
    BedsideRetriever,
    BedsideVectorStore,
)
from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableParallel, RunnablePassthrough

from clinical_notes import read_patients

EMBEDDINGS = BedsideEmbeddings(model="bedside/static")  # or a Hugging Face name, "emilyalsentzer/Bio_ClinicalBERT"
PROMPT = ChatPromptTemplate.from_messages(
    [
        (
            "system",
            "Answer from these passages of one patient's record only. Put the numbers of the passages that an answer "
            "rests on behind it, like [1] or [2][3]. If they do not answer the question, say so.\n\n{context}",
        ),
        ("human", "{question}"),
    ]
)


def store_notes(path: str | None = None) -> BedsideVectorStore:
    """Cut all patients' notes into passages and store them, each patient in a scope of their own."""
    notes = [Document(note.text, id=note.id, metadata=note.metadata) for note in read_patients()]
    passages = BedsideNoteSplitter(EMBEDDINGS).split_documents(notes)
    return BedsideVectorStore.from_documents(passages, EMBEDDINGS, path=path, scope_keys=["patient_id"])


def numbered(passages: Sequence[Document]) -> str:
    """Write passages for a prompt, each under its number, date and kind of note."""
    return "\n\n".join(
        f"[{number}] {passage.metadata['date']}, {passage.metadata['note_type']}\n{passage.page_content.strip()}"
        for number, passage in enumerate(passages, start=1)
    )


def cited(answer: str, passages: Sequence[Document]) -> dict[int, Document]:
    """Give the passages that an answer cites; a number that no passage has is the model's invention and left out."""
    numbers = sorted({int(number) for number in re.findall(r"\[(\d+)\]", answer)})
    return {number: passages[number - 1] for number in numbers if 1 <= number <= len(passages)}


def build_chain(patient: BedsideVectorStore, model: BaseChatModel, k: int = 4) -> Runnable[str, dict[str, Any]]:
    """Build a chain from a question to its ``answer``, the ``passages`` found, the ``citations`` and a ``check``."""
    return (
        RunnableParallel(question=RunnablePassthrough(), passages=BedsideRetriever(vectorstore=patient, k=k))
        .assign(context=lambda found: numbered(found["passages"]))
        .assign(answer=PROMPT | model | StrOutputParser())
        .assign(citations=lambda found: cited(found["answer"], found["passages"]))
        .assign(check=BedsideAnswerChecker(context="passages"))
    )


def main(model: BaseChatModel, question: str = "Why was lisinopril stopped?") -> None:
    """Ask one question about one patient and print the answer with its sources."""
    chain = build_chain(store_notes().scoped(patient_id="P01"), model)
    found = chain.invoke(question)
    print(found["answer"])
    for number, passage in found["citations"].items():
        print(f"[{number}] {passage.id}, {passage.metadata['date']}, {passage.metadata.get('section')}")
    for problem in found["check"].problems:
        print(f"Not supported: {problem.kind} {problem.text!r}: {problem.why}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(init_chat_model(sys.argv[1]))
