"""Measure how well scores tell a question that a scope can answer from one that it cannot.

::

    python benchmarks/answerability.py                           # prints; the notes under BEDSIDE_DATA, static encoder
    python benchmarks/answerability.py --output docs/answers.md  # writes its section there

Each of the first 400 judged notes is a patient's whole record. Its question is asked there, and in 20 others, where
whatever is found is wrong: see :func:`bedside.evaluation.choose_threshold`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bedside import Collection, Encoder
from bedside.evaluation import RetrievalSet, choose_threshold, load_retrieval_set
from bedside.types import Mode
from report import DATA, table, write_section
from retrieval import STATIC, named_encoder

QUESTIONS = 400
MODES: tuple[Mode, ...] = ("dense", "hybrid", "sparse")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default=STATIC, help="model folder or hub id")
    parser.add_argument("--output", type=Path, help="Markdown file whose section is replaced")
    options = parser.parse_args()
    judged = load_retrieval_set(DATA / "notes")
    header = ["what is searched", "mode", "`auroc`", "kept at 5 % false answers"]
    text = table(header, [*rows(judged, named_encoder(options.encoder, "window"))])
    print(text)
    if options.output:
        write_section("answerability", text, options.output)


def rows(judged: RetrievalSet, encoder: Encoder) -> Iterator[list[str]]:
    """Measure whole notes as documents, their passages, and notes as ``search_notes`` ranks them, in each mode."""
    asked = questions(judged)
    for name, cut, notes in (("documents", False, False), ("passages", True, False), ("`search_notes`", True, True)):
        collection = records(judged, encoder, {patient for patient, _ in asked}, cut=cut)
        pairs = [({"patient": patient}, text) for patient, text in asked]
        for mode in MODES:
            found = choose_threshold(collection, pairs, mode=mode, notes=notes, store=False)
            yield [name, mode, f"{found.auroc:.3f}".lstrip("0"), f"{100 * found.kept:.1f} %"]


def questions(judged: RetrievalSet) -> list[tuple[str, str]]:
    """Return the first questions, each with the note that answers it, in the order of the judgments."""
    pairs = [(note, judged.queries[query]) for query, notes in judged.judgments.items() for note in notes]
    return pairs[:QUESTIONS]


def records(judged: RetrievalSet, encoder: Encoder, patients: set[str], *, cut: bool) -> Collection:
    """Return a collection in which each note is a patient's record: one document, or its passages."""
    collection = Collection.open(encoder=encoder, scope_keys=["patient"])
    for note in judged.documents:
        if note.id in patients:
            of_patient = replace(note, metadata={"patient": note.id})
            record = collection.scoped(patient=note.id)
            if cut:
                record.add_notes([of_patient])
            else:
                record.add([of_patient])
    return collection


if __name__ == "__main__":
    main()
