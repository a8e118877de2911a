"""Measure the store beside its peers: dense and filtered search, BM25, durable writes, bulk loading, opening, memory.

::

    python benchmarks/store.py                                  # every part with 10,000 rows, printed
    python benchmarks/store.py --only dense bm25 --sizes 10000 100000
    python benchmarks/store.py --sizes 10000 100000 --output docs/benchmarks.md      # writes its sections there

Needs ``benchmarks/requirements.txt``, and ``python benchmarks/corpora.py`` once before.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from bedside import Collection, Document
from bedside.engines.embedded.index.bm25 import SparseIndex
from bedside.search.rank import best
from bedside.text.analyzer import Analyzer
from bedside.text.tokenizer import ClinicalTokenizer
from bedside.types import FilterDict
from corpora import Rows, random_rows, real_rows
from peer import BUCKET, Peer, opened, recall
from peers import ON_DISK, SEARCHERS, Bedside, Chroma, LanceDB, LanceDBText, Matvec
from probe import in_new_process, opened_and_searched
from report import DATA, machine, table, today, versions, workplace, write_section
from timing import duration, interleaved, stopwatch

K = 10
COMPOUND: FilterDict = {
    "$and": [{"section": {"$in": ["S1", "S3"]}}, {"year": {"$gte": 2010}}, {"$not": {"bucket": {"$lt": 50}}}]
}
_PACKAGES = ("bedside", "numpy", "faiss-cpu", "chromadb", "lancedb", "qdrant-client", "llama-index-core",
             "langchain-core", "bm25s")  # fmt: skip


@dataclass(frozen=True)
class Options:
    """Sizes of the collections, and most rounds of one comparison."""

    sizes: tuple[int, ...]
    rounds: int

    @property
    def largest(self) -> int:
        """The size that single-size parts use."""
        return max(self.sizes)


def main() -> None:
    """Run the chosen parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS), help="parts to run")
    parser.add_argument("--sizes", nargs="*", type=int, default=[10_000], help="rows (default 10000)")
    parser.add_argument("--rounds", type=int, default=100, help="most rounds of one comparison")
    parser.add_argument("--output", type=Path, help="Markdown file whose sections are replaced")
    given = parser.parse_args()
    options = Options(tuple(given.sizes), given.rounds)
    for part in given.only:
        print(f"== {part}")
        text = PARTS[part](options)
        stamped = f"Measured {today()} on {machine()}; {versions(_PACKAGES)}.\n\n{text}"
        print(stamped, "\n")
        if given.output:
            write_section(f"store-{part}", stamped, given.output)


def alone(options: Options) -> str:
    """Bedside and the bare product taking turns, before any other library has started threads in this process."""
    rows = []
    for corpus in (random_rows(options.largest), real_rows(options.largest)):
        for size in options.sizes:
            some = corpus.head(size)
            with loaded((Matvec, Bedside), some) as (product, bedside):
                times = interleaved(
                    {
                        "product": _asking(product.search, product, some),
                        "whole": _asking(bedside.search, bedside, some),
                        "part": _asking(bedside.filtered, bedside, some),
                    },
                    rounds=2 * options.rounds,
                )
            base, whole, part = (times[name].p50 for name in ("product", "whole", "part"))
            found = [
                duration(base),
                duration(whole),
                f"{whole / base:.2f}",
                duration(part),
                f"{100 * part / whole:.0f} %",
            ]
            rows.append([some.name, f"{size:,}", *found])
    return table(["vectors", "rows", "bare product", "Bedside", "ratio", "1 % filter", "of the whole"], rows)


def dense(options: Options) -> str:
    """Exact top 10 by vector, each candidate in turn, beside a bare product."""
    rows = []
    for corpus in (random_rows(options.largest), real_rows(options.largest)):
        for size in options.sizes:
            rows += _searches(corpus.head(size), SEARCHERS, options.rounds)
    return table(["vectors", "rows", "candidate", "p50", "p95", "of a product", f"recall@{K}"], rows)


def _searches(corpus: Rows, kinds: Sequence[type[Peer]], rounds: int) -> list[list[str]]:
    with loaded(kinds, corpus) as candidates:
        times = interleaved({peer.name: _asking(peer.search, peer, corpus) for peer in candidates}, rounds)
        recalls = {peer.name: recall(peer, corpus, corpus.queries[:20], K) for peer in candidates}
    base = times[Matvec.name].p50
    return [
        [
            corpus.name, f"{len(corpus):,}", name, duration(found.p50), duration(found.p95), f"{found.p50 / base:.2f}",
            "–" if name == Matvec.name else f"{recalls[name]:.3f}",
        ]
        for name, found in times.items()
    ]  # fmt: skip


def filtered(options: Options) -> str:
    """The same search with a filter that leaves 1 %, and a compound filter counted."""
    corpus = random_rows(options.largest)
    kinds = [kind for kind in SEARCHERS if kind is not Matvec]
    with loaded(kinds, corpus) as candidates:
        calls = {f"{peer.name}, all": _asking(peer.search, peer, corpus) for peer in candidates}
        calls |= {f"{peer.name}, 1 %": _asking(peer.filtered, peer, corpus) for peer in candidates}
        bedside = next(peer for peer in candidates if isinstance(peer, Bedside))
        calls["compound"] = lambda _: _ignore(bedside.collection.count(COMPOUND))
        calls["one"] = lambda _: _ignore(bedside.collection.count({"bucket": BUCKET}))
        times = interleaved(calls, options.rounds)
        left = bedside.collection.count(COMPOUND)
    rows = []
    for peer in candidates:
        whole, part = times[f"{peer.name}, all"].p50, times[f"{peer.name}, 1 %"].p50
        rows.append([peer.name, duration(whole), duration(part), f"{part / whole:.2f}"])
    counted = (
        f"`count` took {duration(times['compound'].p50)} with three conditions ($in, $gte, $not; {left:,} rows "
        f"left), {duration(times['one'].p50)} with one condition."
    )
    return f"{_caption(corpus)}{table(['candidate', 'all rows', '1 % filter', 'ratio'], rows)}\n\n{counted}"


def bm25(options: Options) -> str:
    """One query at a time, text in, rows or documents out, tokenizing included; and what one more document costs."""
    return table(
        ["set", "documents", "candidate", "p50", "p95", "ratio", "build", "one more document"],
        [row for name in ("medquad", "notes") for row in _bm25_rows(name, options.rounds)],
    )


def _bm25_rows(name: str, rounds: int) -> list[list[str]]:
    import bm25s  # type: ignore[import-untyped]
    import Stemmer  # type: ignore[import-not-found]

    texts, queries = (_texts(name, file) for file in ("corpus.jsonl", "queries.jsonl"))
    stemmer = Stemmer.Stemmer("english")

    def cut(some: list[str]) -> Any:
        return bm25s.tokenize(some, stopwords="en", stemmer=stemmer, show_progress=False)

    reference = bm25s.BM25(method="lucene", k1=1.2, b=0.75, backend="numpy")
    with stopwatch() as build_reference:
        reference.index(cut(texts), show_progress=False)
    with workplace() as folder:
        reference.save(folder / "bm25s", corpus=texts)
        with_texts = bm25s.BM25.load(folder / "bm25s", load_corpus=True, mmap=True)
        collection = Collection.open(folder / "ours")
        with stopwatch() as build:
            collection.add(Document(text) for text in texts)

        tokenizer, index = ClinicalTokenizer(), SparseIndex()
        index.extend(Analyzer(tokenizer).terms(text, {}) for text in texts)

        def ranked(i: int) -> None:
            found = index.score(tokenizer.tokenize(queries[i % len(queries)]))
            found.rows[best(found.rows, found.scores, K)]

        def asked(model: Any) -> Callable[[int], None]:
            return lambda i: _ignore(model.retrieve(cut([queries[i % len(queries)]]), k=K, show_progress=False))

        times = interleaved(
            {
                "bm25s, row numbers": asked(reference),
                "Bedside, row numbers": ranked,
                "bm25s, texts from its files": asked(with_texts),
                "Bedside, documents": lambda i: _ignore(
                    collection.search(queries[i % len(queries)], mode="sparse", top_k=K)
                ),
            },
            rounds=max(rounds, 300),
        )
        one = interleaved({"add": lambda i: _ignore(collection.add([texts[i]]))}, rounds=50)["add"]
    again = (build_reference.seconds, build_reference.seconds)
    return [
        [name, f"{len(texts):,}", who, duration(found.p50), duration(found.p95),
         f"{found.p50 / times['bm25s, row numbers'].p50:.2f}",
         *map(duration, (build.seconds, one.p50) if who.startswith("Bedside") else again)]
        for who, found in times.items()
    ]  # fmt: skip


def writes(options: Options) -> str:
    """Documents with a vector added one by one, each durable when the call returns."""
    fresh = random_rows(1000)
    rows = []
    for size in options.sizes:
        with loaded(ON_DISK, random_rows(size)) as candidates:
            calls = {peer.name: _adding(peer, fresh, size) for peer in candidates}
            times = interleaved(calls, min(options.rounds, 100), budget=20.0)
        rows += [
            [f"{size:,}", name, duration(t.p50), duration(t.p95), f"{1 / t.p50:,.0f}"] for name, t in times.items()
        ]
    return table(["rows before", "candidate", "p50", "p95", "adds a second"], rows)


def bulk(options: Options) -> str:
    """Vectors and texts of 500 characters into an empty store on disk."""
    corpus = random_rows(options.largest)
    seconds = {kind.name: _loading(kind, corpus) for kind in (Bedside, LanceDBText, LanceDB, Chroma)}
    own = seconds[Bedside.name]
    rows = [[name, duration(s), f"{len(corpus) / s:,.0f}", f"{s / own:.2f}"] for name, s in seconds.items()]
    return _caption(corpus) + table(["candidate", "time", "rows a second", "of Bedside"], rows)


def _loading(kind: type[Peer], corpus: Rows) -> float:
    with workplace() as folder:
        peer = kind(folder)
        with stopwatch() as watch:
            peer.load(corpus)
        peer.close()
    return watch.seconds


def opening(options: Options) -> str:
    """Open and search in a fresh process: time, and memory beside what the vectors alone take."""
    corpus = random_rows(options.largest)
    rows = []
    for kind in (Bedside, Chroma, LanceDB):
        with workplace() as folder:
            for peer in opened([kind], corpus, folder):
                peer.close()
                rows += _probed(kind, folder / "0", corpus)
    header = ["candidate", "open", "first search", "p50", "resident", "of the vectors"]
    return f"{_caption(corpus)}{table(header, rows)}\n\nThe vectors alone take {corpus.vectors.nbytes / 2**20:.0f} MiB."


def _probed(kind: type[Peer], folder: Path, corpus: Rows) -> list[list[str]]:
    rows = []
    for label, cache in ((", no cache", False), (", cache", True)) if kind is Bedside else (("", True),):
        if not cache:
            shutil.rmtree(folder / "c" / "cache", ignore_errors=True)
        found = in_new_process(opened_and_searched, kind, folder, corpus.queries)
        times = (duration(seconds) for seconds in (found.open, found.first, found.search.p50))
        memory = f"{found.resident / 2**20:,.0f} MiB"
        rows.append([kind.name + label, *times, memory, f"{found.resident / corpus.vectors.nbytes:.2f}"])
    return rows


@contextmanager
def loaded(kinds: Sequence[type[Peer]], rows: Rows) -> Iterator[list[Peer]]:
    """Load candidates one after another and clean up behind them."""
    with workplace() as folder:
        candidates = list(opened(kinds, rows, folder))
        try:
            yield candidates
        finally:
            for peer in candidates:
                peer.close()


def _caption(corpus: Rows) -> str:
    return f"{corpus.name}, {len(corpus):,} rows:\n\n"


def _asking(search: Callable[..., Sequence[str]], peer: Peer, corpus: Rows) -> Callable[[int], float | None]:
    def ask(number: int) -> float | None:
        search(corpus.queries[number % len(corpus.queries)], K)
        return peer.last_seconds()

    return ask


def _adding(peer: Peer, fresh: Rows, first: int) -> Callable[[int], None]:
    count = iter(range(first, first + len(fresh)))

    def add(number: int) -> None:
        peer.add_one(f"d{next(count)}", fresh.texts[number], fresh.vectors[number])

    return add


def _texts(name: str, file: str) -> list[str]:
    return [orjson.loads(line)["text"] for line in (DATA / name / file).open("rb")]


def _ignore(value: object) -> None:
    """Turn a call's result into nothing: a timed call returns seconds or None."""
    del value


PARTS: Mapping[str, Callable[[Options], str]] = {
    "alone": alone, "dense": dense, "filtered": filtered, "bm25": bm25, "writes": writes, "bulk": bulk, "open": opening,
}  # fmt: skip

if __name__ == "__main__":
    main()
