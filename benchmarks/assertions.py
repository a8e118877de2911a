"""Measure what denied findings do to a ranking, with ``assertion="any"`` and with ``"prefer"``.

::

    python benchmarks/assertions.py                              # prints both tables; needs BEDSIDE_DATA
    python benchmarks/assertions.py --output docs/benchmarks.md  # writes its section there
    python benchmarks/assertions.py --encoder MiniLM             # encodes 15 MB of text first, and keeps it

The first table asks for findings among labelled sentences (``negation/negex.jsonl``): each concept with at least two
affirmed and two negated sentences, as it stands and as "no …". The second says what it costs where nobody asks so, and
the lines after it what it takes: an add of 20,000 texts of 500 characters, a note, a search, and memory.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np

from bedside import Collection, Document, Encoder
from bedside.engines.embedded.index.bm25 import SparseIndex
from bedside.evaluation import compare, evaluate, load_retrieval_set, search_run
from bedside.text.analyzer import Analyzer
from bedside.text.assertions import asked_polarity
from bedside.text.tokenizer import ClinicalTokenizer
from corpora import chunks
from report import DATA, machine, table, test_sets, today, write_section
from retrieval import STATIC, cached, named_encoder
from timing import interleaved

_LEAST = 2
_TEXTS = 20_000
_NOTE = 480  # words
_NOTES = 200
_DEPTH = 10
_METRIC = "nDCG@10"
_POLARITIES = {"affirmed": "negated", "negated": "affirmed"}


class Finding(NamedTuple):
    """A question, the sentences that it wants, and those that say the opposite."""

    query: str
    right: frozenset[str]
    wrong: frozenset[str]


class Figures(NamedTuple):
    """Means over the findings: wrong ones among the hits about it, and how many of the right ones were found."""

    wrong: float
    recall: float


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", nargs="+", default=[STATIC])
    parser.add_argument("--output", type=Path, help="Markdown file whose section is replaced")
    options = parser.parse_args()
    encoders = {name: named_encoder(name, "window") for name in options.encoder}
    text = f"Measured {today()} on {machine()}.\n\n{_findings(encoders)}\n\n{_sets(encoders)}\n\n{_cost()}"
    if options.output:
        write_section("assertions", text, options.output)
    else:
        print(text)


def read_findings(file: Path, prefix: str = "", wanted: str = "affirmed") -> tuple[list[str], list[Finding]]:
    """Return the sentences, each once, and the questions that a file of labels allows."""
    labelled: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    sentences: dict[str, None] = {}
    for line in file.read_text("utf-8").splitlines():
        record = json.loads(line)
        sentences[record["sentence"]] = None
        labelled[record["concept"].lower()][record["negation"]].add(record["sentence"])
    findings = [
        Finding(prefix + concept, frozenset(found[wanted]), frozenset(found[_POLARITIES[wanted]]))
        for concept, found in labelled.items()
        if all(len(found[polarity]) >= _LEAST for polarity in _POLARITIES)
    ]
    return list(sentences), findings


def ask(records: Collection, findings: Sequence[Finding], **options: Any) -> Figures:
    """Ask for each finding; one that no hit is about has nothing wrong."""
    wrong, recall = [], []
    for finding in findings:
        hits = {hit.text for hit in records.search(finding.query, top_k=_DEPTH, **options)}
        about = hits & (finding.right | finding.wrong)
        wrong.append(len(about & finding.wrong) / max(1, len(about)))
        recall.append(len(about & finding.right) / len(finding.right))
    return Figures(fmean(wrong), fmean(recall))


def filtered(documents: Sequence[Document], findings: Sequence[Finding], encoder: Encoder | None) -> float:
    """The recall of a filter by the labels: of a collection that lacks the wrong sentences of the finding."""
    recalls = []
    for finding in findings:
        with Collection.open(encoder=encoder) as records:
            records.add(document for document in documents if document.text not in finding.wrong)
            recalls.append(ask(records, [finding], assertion="any").recall)
    return fmean(recalls)


def _documents(texts: Sequence[str], encoder: Encoder | None) -> list[Document]:
    """Texts with their vectors, which are made once for all the collections that hold them."""
    if encoder is None:
        return [Document(text) for text in texts]
    vectors = cached(encoder, "documents", encoder.encode_documents, texts)
    return [Document(text, vector=vector) for text, vector in zip(texts, vectors, strict=True)]


def _findings(encoders: Mapping[str, Encoder]) -> str:
    rows = []
    rankings: dict[str, Encoder | None] = {"BM25": None, **{f"hybrid, {name}": e for name, e in encoders.items()}}
    for label, prefix, wanted in (('"X"', "", "affirmed"), ('"no X"', "no ", "negated")):
        sentences, findings = read_findings(DATA / "negation" / "negex.jsonl", prefix, wanted)
        for name, encoder in rankings.items():
            documents = _documents(sentences, encoder)
            with Collection.open(encoder=encoder) as records:
                records.add(documents)
                found = {choice: ask(records, findings, assertion=choice) for choice in ("any", "prefer", "only")}
            shares = [f"{found[choice].wrong:.3f}" for choice in found]
            recalls = [f"{found[choice].recall:.3f}" for choice in found]
            rows.append([f"{label}, {name}", *shares, *recalls, f"{filtered(documents, findings, encoder):.3f}"])
    columns = [f"{what}, {choice}" for what in ("wrong share@10", "right recall@10") for choice in found]
    head = f"{len(findings)} findings in {len(sentences)} sentences:\n\n"
    return head + table(["question, ranking", *columns, "right recall@10, filter by the labels"], rows)


def _sets(encoders: Mapping[str, Encoder]) -> str:
    rows = []
    for folder in test_sets():
        judged = load_retrieval_set(folder)
        for name, encoder in {"": None, **encoders}.items():
            vectors, documents = None, list(judged.documents)
            if encoder is not None:
                stored = cached(encoder, "documents", encoder.encode_documents, [d.text for d in documents])
                vectors = cached(encoder, "queries", encoder.encode_queries, list(judged.queries.values()))
                documents = [replace(d, vector=v) for d, v in zip(documents, stored, strict=True)]
            rows.append([judged.name, f"hybrid, {name}" if name else "BM25", *_compared(documents, judged, vectors)])
    return table(["set", "ranking", f"{_METRIC}, any", "prefer", "difference", "p"], rows)


def _compared(documents: Sequence[Document], judged: Any, vectors: Any) -> list[str]:
    with Collection.open() as records:
        records.add(documents)
        any_, prefer = (
            evaluate(search_run(records, judged.queries, vectors=vectors, assertion=choice), judged.judgments)
            for choice in ("any", "prefer")
        )
    found = compare(any_, prefer, _METRIC)
    return [f"{found.first:.3f}", f"{found.second:.3f}", f"{found.difference.mean:+.4f}", f"{found.p_value:.3f}"]


def _cost() -> str:
    """Say what marks cost when texts are added, and polarity when they are searched."""
    texts, analyzer = chunks()[:_TEXTS], Analyzer(ClinicalTokenizer())
    index = SparseIndex()
    index.extend(analyzer.terms(text, {}) for text in texts)
    return "\n".join(
        [_cost_of_adding(texts, analyzer), _cost_of_a_note(texts, analyzer), _cost_of_asking(index, analyzer)]
    )


def _cost_of_adding(texts: Sequence[str], analyzer: Analyzer) -> str:
    def plain(_: int) -> None:
        terms = (analyzer.tokenizer.tokenize(text) for text in texts)
        SparseIndex().extend((found, bytes(len(found)), len(found)) for found in terms)

    def marked(_: int) -> None:
        SparseIndex().extend(analyzer.terms(text, {}) for text in texts)

    def added(_: int) -> None:
        with Collection.open() as records:
            records.add(texts)

    built = interleaved({"plain": plain, "marked": marked, "added": added}, rounds=5, warm_up=1, budget=60.0)
    least = {name: min(times.seconds) for name, times in built.items()}
    without = least["added"] - (least["marked"] - least["plain"])
    return (
        f"Postings of {len(texts)} texts: {least['plain']:.2f} s without marks and {least['marked']:.2f} s with them. "
        f"The whole `add` of the texts, in memory and without vectors: {least['added']:.2f} s, "
        f"{least['added'] / without:.2f} times what it is without marks."
    )


def _done(_: object) -> None:
    """Return nothing, as what is timed from outside does."""


def _cost_of_a_note(texts: Sequence[str], analyzer: Analyzer) -> str:
    words = " ".join(texts).split(" ")
    notes = [" ".join(words[at : at + _NOTE]) for at in range(0, _NOTES * _NOTE, _NOTE)]
    took = interleaved(
        {
            "plain": lambda number: _done(analyzer.tokenizer.tokenize(notes[number])),
            "marked": lambda number: _done(analyzer.terms(notes[number], {})),
        },
        rounds=_NOTES,
    )
    return (
        f"A note of {_NOTE} words: {1e3 * took['plain'].p50:.2f} ms for its terms, {1e3 * took['marked'].p50:.2f} ms "
        f"with marks (medians)."
    )


def _cost_of_asking(index: SparseIndex, analyzer: Analyzer) -> str:
    tokenizer = analyzer.tokenizer
    queries = [query for folder in test_sets() for query in load_retrieval_set(folder).queries.values()]

    def plain(number: int) -> None:
        index.score(tokenizer.tokenize(queries[number]))

    def with_polarity(number: int) -> None:
        asked = asked_polarity(queries[number], tokenizer)
        index.score(tokenizer.tokenize(queries[number]), asked=asked)

    took = interleaved({"any": plain, "prefer": with_polarity}, rounds=len(queries))
    more = np.median(np.subtract(took["prefer"].seconds, took["any"].seconds))
    _, arrays = index.to_state()
    negated, postings = (
        sum(
            values.nbytes if what == "negated" else values.size
            for name, values in arrays.items()
            if name.endswith(what)
        )
        for what in ("negated", "rows")
    )
    return (
        f'A BM25 search of {len(queries)}: {1e3 * took["any"].p50:.2f} ms with "any", '
        f'{1e3 * took["prefer"].p50:.2f} ms with "prefer" (medians), {1e3 * more:.2f} ms more for the same question; '
        f"{1e3 * took['any'].p95:.2f} and {1e3 * took['prefer'].p95:.2f} ms at the 95th percentile. Marks take "
        f"{negated / postings:.2f} bytes a posting."
    )


if __name__ == "__main__":
    main()
