"""A clinical chatbot in the terminal: one patient's notes, follow-up questions, streamed answers, checked sources.

Run it with a chat model of your choice, local or remote (local: nothing leaves the machine)::

    python chatbot.py ollama:llama3.2 --patient P01
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from langchain.chat_models import init_chat_model
from langchain_bedside import BedsideEmbeddings, BedsideNoteSplitter, BedsideRecordManager, BedsideVectorStore
from langchain_core.documents import Document
from langchain_core.indexing import index
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from bedside.answers import check_answer
from bedside.notes import NoteHit
from clinical_notes import read_patients

EMBEDDINGS = BedsideEmbeddings(model="bedside/static")  # or a Hugging Face name, "emilyalsentzer/Bio_ClinicalBERT"
REMEMBERED = 8  # messages of the conversation that the model still reads
REWRITE = (
    "Rewrite the user's last message as one question that can be understood without the conversation before it. "
    "Give the question only."
)
ANSWER = (
    "You help a clinician to read one patient's record. Answer from these notes only, briefly, and put the ids of "
    "those that an answer rests on behind it in square brackets. If they do not answer, say so; never guess.\n\n"
)
MAX_TOKENS = 1500  # of notes in a prompt


def open_notes(path: Path) -> BedsideVectorStore:
    """Open the store and bring it up to date: what is new or changed is encoded, what is gone is deleted."""
    store = BedsideVectorStore(EMBEDDINGS, path, scope_keys=["patient_id"])
    notes = [Document(note.text, id=note.id, metadata=note.metadata) for note in read_patients()]
    known = {str(scope["patient_id"]) for scope, _ in store.scopes()}
    for patient_id in sorted(known | {note.metadata["patient_id"] for note in notes}):
        own = [note for note in notes if note.metadata["patient_id"] == patient_id]
        record = store.scoped(patient_id=patient_id)
        passages = BedsideNoteSplitter(EMBEDDINGS, as_notes=True).split_documents(own)
        index(passages, BedsideRecordManager(record), record, cleanup="full", key_encoder="blake2b")
    return store


class Chatbot:
    """A conversation about one patient.

    Args:
        notes: The store of all patients.
        model: Any LangChain chat model.
        patient_id: The patient whose notes answer.

    Raises:
        LookupError: There are no notes of this patient, so nothing that could answer.
    """

    def __init__(self, notes: BedsideVectorStore, model: BaseChatModel, patient_id: str) -> None:
        record = notes.scoped(patient_id=patient_id)
        if not record.count():
            raise LookupError(f"There are no notes of patient {patient_id}.")
        self.model, self.record = model, record
        self.history: list[BaseMessage] = []
        self.sources: list[NoteHit] = []
        self.problems: list[str] = []

    def ask(self, message: str) -> Iterator[str]:
        """Stream the answer; then ``sources`` are what it cites, and ``problems`` what they do not support of it."""
        found = self.record.search_notes(self._standalone(message), k=5)
        context = self.record.context(found, max_tokens=MAX_TOKENS)  # above each note its id, date, kind and author
        answer = ""
        for part in self.model.stream([SystemMessage(ANSWER + context), *self.history, HumanMessage(message)]):
            answer += part.text
            yield part.text
        self.sources = [note for note in found if f"[{note.label}]" in answer]
        checked = check_answer(answer, found)
        self.problems = [f"{problem.kind} {problem.text!r}: {problem.why}" for problem in checked.problems]
        self.history = [*self.history, HumanMessage(message), AIMessage(answer)][-REMEMBERED:]

    def _standalone(self, message: str) -> str:
        if not self.history:
            return message
        return self.model.invoke([SystemMessage(REWRITE), *self.history, HumanMessage(message)]).text


def talk(notes: BedsideVectorStore, model: BaseChatModel, patient_id: str, read: Callable[[str], str] = input) -> None:
    """Talk until an empty line; ``/patient P02`` opens another record and begins a new conversation."""
    bot = None
    message = f"/patient {patient_id}"
    while message:
        if message.startswith("/patient "):
            patient_id = message.split()[1]
            bot = None  # whatever happens, the next question is not answered from the record before
            try:
                bot = Chatbot(notes, model, patient_id)
            except LookupError as error:
                print(error)
        elif bot is None:
            print("Open a record first, with /patient and its number.")
        else:
            answer(bot, message)
        message = read(f"\n{patient_id}> ").strip()


def answer(bot: Chatbot, message: str) -> None:
    """Print the answer as it comes, then its sources, and what they do not support."""
    for part in bot.ask(message):
        print(part, end="", flush=True)
    print()
    for note in bot.sources:
        print(f"  [{note.label}] {note.date}, {note.kind}")
    for problem in bot.problems:
        print(f"  Not supported: {problem}")


def main() -> None:
    """Read the arguments and talk."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("model", help="provider:model, as LangChain's init_chat_model takes it")
    arguments.add_argument("--patient", default="P01")
    arguments.add_argument("--store", type=Path, default=Path("chatbot.bedside"))
    given = arguments.parse_args()
    with suppress(EOFError, KeyboardInterrupt):
        talk(open_notes(given.store), init_chat_model(given.model), given.patient)


if __name__ == "__main__":
    main()
