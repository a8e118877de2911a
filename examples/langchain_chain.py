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
    BedsideNoteRetriever,
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
            "Answer from these notes of one patient's record only. Put the numbers of the notes that an answer "
            "rests on behind it, like [1] or [2][3]. If they do not answer the question, say so.\n\n{context}",
        ),
        ("human", "{question}"),
    ]
)


def store_notes(path: str | None = None) -> BedsideVectorStore:
    """Store all patients' notes, each patient's in a scope of their own."""
    store = BedsideVectorStore(EMBEDDINGS, path, scope_keys=["patient_id"])
    for note in read_patients():
        record = store.scoped(patient_id=note.metadata["patient_id"])
        record.add_note(note.text, id=note.id, metadata=note.metadata)
    return store


def numbered(notes: Sequence[Document]) -> str:
    """Write notes for a prompt, each under its number, date and kind."""
    return "\n\n".join(
        f"[{number}] {note.metadata['date']}, {note.metadata['note_type']}\n{note.page_content.strip()}"
        for number, note in enumerate(notes, start=1)
    )


def cited(answer: str, notes: Sequence[Document]) -> dict[int, Document]:
    """Give the notes that an answer cites; a number that no note has is the model's invention and left out."""
    numbers = sorted({int(number) for number in re.findall(r"\[(\d+)\]", answer)})
    return {number: notes[number - 1] for number in numbers if 1 <= number <= len(notes)}


def build_chain(patient: BedsideVectorStore, model: BaseChatModel, k: int = 4) -> Runnable[str, dict[str, Any]]:
    """Build a chain from a question to its ``answer``, the ``notes`` found, the ``citations`` and a ``check``."""
    retriever = BedsideNoteRetriever(vectorstore=patient, k=k, max_tokens=400)  # the best passages of each note
    return (
        RunnableParallel(question=RunnablePassthrough(), notes=retriever)
        .assign(context=lambda found: numbered(found["notes"]))
        .assign(answer=PROMPT | model | StrOutputParser())
        .assign(citations=lambda found: cited(found["answer"], found["notes"]))
        .assign(check=BedsideAnswerChecker(context="notes"))
    )


def main(model: BaseChatModel, question: str = "Why was lisinopril stopped?") -> None:
    """Ask one question about one patient and print the answer with its sources."""
    chain = build_chain(store_notes().scoped(patient_id="P01"), model)
    found = chain.invoke(question)
    print(found["answer"])
    for number, note in found["citations"].items():
        print(f"[{number}] {note.id}, {note.metadata['date']}, {note.metadata['note_type']}")
    for problem in found["check"].problems:
        print(f"Not supported: {problem.kind} {problem.text!r}: {problem.why}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(init_chat_model(sys.argv[1]))
