"""Tests of a search on the user's own notes that need no judgments and no language model.

============  ==========================================================================================================
known-item    one sentence of a note is the query; the note itself must be found
split-half    the second half of a note is the query; its first half must be found among those of all notes
numbers       a sentence and its copy with another number; the query names one of the two numbers, and the sentence that
              has it must score higher
negation      sentences that deny a finding, among copies that affirm it; it is asked for as a clinician asks: alone, as
              "no …", and as "does the patient have …"
latest        a sentence with a value, twice more with other values and dates; the query is the sentence without its
              value, and with ``latest_by`` the newest must be the first
copies        a note, four copies of it, and one with a sentence of its own at the end, which is the query; with
              ``collapse="copies"`` that one must be found
============  ==========================================================================================================

A search that reads no numbers gets 0.5 in the third: each pair is asked both ways, and equal scores count as half. Of
the finding alone and of "no …" the **wrong share** is told: how many of the hits about the finding say the opposite,
about half where negation is not read, and 0 at best. "Does the patient have …" wants both; told is how often both are
among the ten.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bedside.collection import Collection
from bedside.errors import InvalidInputError
from bedside.evaluation.metrics import evaluate, search_run
from bedside.evaluation.significance import Interval, confidence_interval
from bedside.remedies import Give
from bedside.text.lexicon import NEGATIONS
from bedside.text.sentences import sentences
from bedside.types import Document, Encoder, Mode

PROBES = ("known-item", "split-half", "numbers", "negation", "latest", "copies")
"""The questions that can be made out of notes."""
_NUMBER = re.compile(r"(?<![\w./-])\d+(?:\.\d+)?(?![\w/-]|\.\d)")
_NEGATED = re.compile(rf"\b(?:{'|'.join(sorted(NEGATIONS - {'never', 'nor', 'neither', 'none', 'cannot'}))})\b", re.I)
_WORD = re.compile(r"\S+")
_FINDING_ENDS = re.compile(r"[,.;:()/]| (?:or|and|but|with|at|on|in|for|since|today|was|were|is|are|noted) ", re.I)
_BEFORE_FINDING = re.compile(r"^(?:(?:any|a|an|the|evidence|history|signs?|symptoms?|complaints?|of) )+", re.I)
_LONGEST_FINDING = 3  # words
_DEPTH = 10
_FEWEST_WORDS = 6  # of a sentence that serves as a query: shorter ones stand in many notes
_ASKED = ("X", "no X", "does the patient have X")


@dataclass(frozen=True)
class Probe:
    """What one test found.

    Attributes:
        name: One of :data:`PROBES`.
        mode: ``"hybrid"``, ``"dense"`` or ``"sparse"``.
        metric: ``"MRR@10"``; of copies ``"recall@10"``; of numbers ``"pairs right"``; of negation
            ``"wrong share@10, X"`` and ``"…, no X"``, where less is better, and
            ``"both found@10, does the patient have X"``.
        interval: Mean and 95 % bootstrap interval.
        queries: How many were asked.
        chance: What a search that sees no difference gets.
    """

    name: str
    mode: str
    metric: str
    interval: Interval
    queries: int
    chance: float


@dataclass(frozen=True)
class _Contrast:
    """Two sentences that differ in one place, and a query for each."""

    texts: tuple[str, str]
    queries: tuple[str, str]


@dataclass(frozen=True)
class _Finding:
    """A finding, and a sentence that denies it beside its copy that does not."""

    name: str
    denied: str
    affirmed: str


def probe(
    documents: Iterable[Document | str],
    encoder: Encoder | None = None,
    *,
    probes: Sequence[str] = PROBES,
    sample: int = 200,
    seed: int = 0,
) -> list[Probe]:
    """Test a search on notes that nobody has judged.

    Args:
        documents: Notes; a collection will do.
        encoder: Makes the vectors; without it only BM25 is tested.
        probes: Which tests.
        sample: At most so many notes or sentences for each.
        seed: Of the sample.

    Returns:
        One result for each test and mode; none for a test that the notes give no query for.

    Raises:
        InvalidInputError: No notes, or an unknown test.
        MissingExtraError: ir-measures is not installed (extra ``eval``).

    Example:
        >>> notes = ["Seen today. BP was 120 over 80 at rest.", "No fever, no cough or chest pain today."]
        >>> [(p.name, p.mode) for p in probe(notes, probes=["numbers"])]
        [('numbers', 'sparse')]
    """
    texts = _texts(documents)
    if unknown := sorted(set(probes) - set(PROBES)):
        raise InvalidInputError(f"probes: unknown {unknown[0]!r}; there are {', '.join(PROBES)}")
    _check_sample(sample)
    modes: tuple[Mode, ...] = ("sparse",) if encoder is None else ("hybrid", "dense", "sparse")
    makers: Mapping[str, Callable[[], Iterator[Probe]]] = {
        "known-item": lambda: _known_item(texts, encoder, modes, sample, seed),
        "split-half": lambda: _split_half(texts, encoder, modes, sample, seed),
        "numbers": lambda: _contrasts("numbers", _numbers(texts, seed), encoder, modes, sample, seed),
        "negation": lambda: _negation(list(_findings(texts)), encoder, modes, sample, seed),
        "latest": lambda: _latest(texts, encoder, modes, sample, seed),
        "copies": lambda: _copies(texts, encoder, modes, sample, seed),
    }
    return [result for name in probes for result in makers[name]()]


def _check_sample(sample: object) -> None:
    if not isinstance(sample, int) or sample < 1:
        raise InvalidInputError("expected a whole number from 1", about=Give("sample", sample))


def _texts(documents: object) -> list[str]:
    """The texts of documents, each once."""
    if isinstance(documents, str) or not isinstance(documents, Iterable):
        raise InvalidInputError(f"documents: expected documents or texts, got one {type(documents).__name__}")
    texts = list(dict.fromkeys(d.text if isinstance(d, Document) else d for d in documents))
    if not texts or not all(isinstance(text, str) for text in texts):
        raise InvalidInputError("documents: expected documents or texts, at least one")
    return texts


def _known_item(
    texts: Sequence[str], encoder: Encoder | None, modes: Sequence[Mode], sample: int, seed: int
) -> Iterator[Probe]:
    rng = np.random.default_rng(seed)
    asked: dict[str, tuple[str, str]] = {}
    for i in rng.permutation(len(texts))[:sample].tolist():
        whole = [text for text in _sentences(texts[i]) if len(text.split()) >= _FEWEST_WORDS]
        if whole:
            asked[f"q{i}"] = (whole[int(rng.integers(len(whole)))], str(i))
    yield from _found("known-item", _numbered(texts), asked, encoder, modes)


def _split_half(
    texts: Sequence[str], encoder: Encoder | None, modes: Sequence[Mode], sample: int, seed: int
) -> Iterator[Probe]:
    halves = [_halves(text) for text in texts]
    chosen = np.random.default_rng(seed).permutation(len(texts))[:sample].tolist()
    asked = {f"q{i}": (halves[i][1], str(i)) for i in chosen if halves[i][1]}
    yield from _found("split-half", _numbered(first for first, _ in halves), asked, encoder, modes)


def _latest(
    texts: Sequence[str], encoder: Encoder | None, modes: Sequence[Mode], sample: int, seed: int
) -> Iterator[Probe]:
    rng = np.random.default_rng(seed)
    asked: dict[str, tuple[str, str]] = {}
    series: list[Document] = []
    for i, (sentence, start, end) in enumerate(_with_numbers(texts, sample, rng)):
        values = [_another(sentence[start:end], rng) for _ in range(2)]
        made = [sentence, *(f"{sentence[:start]}{value}{sentence[end:]}" for value in values)]
        for year in rng.permutation(3).tolist():
            series.append(Document(made[year], {"series": i, "date": f"202{year}-06-01"}, f"{i}-{year}"))
        asked[f"q{i}"] = (f"{sentence[:start]}{sentence[end:]}", f"{i}-2")
    yield from _found("latest", [*_numbered(texts), *series], asked, encoder, modes, latest_by="series")


def _copies(
    texts: Sequence[str], encoder: Encoder | None, modes: Sequence[Mode], sample: int, seed: int
) -> Iterator[Probe]:
    rng = np.random.default_rng(seed)
    asked: dict[str, tuple[str, str]] = {}
    copies: list[Document] = []
    for i in rng.permutation(len(texts))[:sample].tolist():
        own = next((each for each in _with_numbers([texts[i]], 1, rng)), None)
        if own is None:
            continue
        sentence, start, end = own
        changed = f"{sentence[:start]}{_another(sentence[start:end], rng)}{sentence[end:]}"
        copies += [Document(texts[i], id=f"{i}-{number}") for number in range(4)]
        copies.append(Document(f"{texts[i].rstrip()}\n\n{changed}", id=f"{i}-own"))
        asked[f"q{i}"] = (changed, f"{i}-own")
    yield from _found("copies", [*_numbered(texts), *copies], asked, encoder, modes, "recall@10", collapse="copies")


def _with_numbers(texts: Sequence[str], count: int, rng: np.random.Generator) -> Iterator[tuple[str, int, int]]:
    """Some sentences, and where a number stands in each."""
    found = [(each, match) for each in _all_sentences(texts) if (match := _NUMBER.search(each))]
    for i in rng.permutation(len(found))[:count].tolist():
        sentence, match = found[i]
        yield sentence, match.start(), match.end()


def _numbered(texts: Iterable[str]) -> list[Document]:
    return [Document(text, id=str(i)) for i, text in enumerate(texts)]


def _found(
    name: str,
    documents: Sequence[Document],
    asked: Mapping[str, tuple[str, str]],
    encoder: Encoder | None,
    modes: Sequence[Mode],
    metric: str = "MRR@10",
    **options: Any,
) -> Iterator[Probe]:
    """A metric of queries that have one right text each."""
    if not asked:
        return
    queries = {id: query for id, (query, _) in asked.items()}
    with Collection.open(encoder=encoder) as collection:
        collection.add(documents)
        vectors = None if encoder is None else encoder.encode_queries(list(queries.values()))
        for mode in modes:
            given = None if mode == "sparse" else vectors
            run = search_run(collection, queries, top_k=10, mode=mode, vectors=given, **options)
            report = evaluate(run, {id: {right: 1} for id, (_, right) in asked.items()}, [metric])
            values = list(report.per_query[metric].values())
            yield Probe(name, mode, metric, confidence_interval(values), len(values), 0.0)


def _contrasts(
    name: str,
    contrasts: Iterable[_Contrast],
    encoder: Encoder | None,
    modes: Sequence[Mode],
    sample: int,
    seed: int,
) -> Iterator[Probe]:
    """The share of queries whose own sentence scores above its altered copy."""
    known = list(contrasts)
    chosen = [known[i] for i in np.random.default_rng(seed).permutation(len(known))[:sample].tolist()]
    if not chosen:
        return
    with Collection.open(encoder=encoder) as collection:
        collection.add(
            Document(text, id=f"{i}-{side}") for i, c in enumerate(chosen) for side, text in enumerate(c.texts)
        )
        for mode in modes:
            values = [_won(collection, i, side, c, mode) for i, c in enumerate(chosen) for side in (0, 1)]
            by_pair = np.asarray(values).reshape(-1, 2).mean(axis=1)
            yield Probe(name, mode, "pairs right", confidence_interval(by_pair), len(values), 0.5)


def _won(collection: Collection, i: int, side: int, contrast: _Contrast, mode: Mode) -> float:
    """1 where the right sentence scores higher, 0.5 where they score alike."""
    ids = [f"{i}-0", f"{i}-1"]
    hits = collection.search(contrast.queries[side], ids=ids, top_k=2, mode=mode)
    scores = {hit.id: hit.score for hit in hits}
    difference = scores.get(ids[side], 0.0) - scores.get(ids[1 - side], 0.0)
    return 0.5 if abs(difference) < 1e-7 else float(difference > 0)


def _numbers(texts: Sequence[str], seed: int) -> Iterator[_Contrast]:
    rng = np.random.default_rng(seed)
    for text in _all_sentences(texts):
        match = _NUMBER.search(text)
        if match is None:
            continue
        other = _another(match[0], rng)
        changed = f"{text[: match.start()]}{other}{text[match.end() :]}"
        queries = [_around(t, match.start(), match.start() + len(n)) for t, n in ((text, match[0]), (changed, other))]
        yield _Contrast((text, changed), (queries[0], queries[1]))


def _another(number: str, rng: np.random.Generator) -> str:
    """A number of the same form, with another value."""
    whole, point, part = number.partition(".")
    value = int(rng.integers(1, 9)) + int(whole)
    return f"{value}{point}{part}"


def _findings(texts: Sequence[str]) -> Iterator[_Finding]:
    """Findings that the notes deny, by the words after a negation up to where the list or the clause goes on."""
    for text in _all_sentences(texts):
        match = _NEGATED.search(text)
        if match is None:
            continue
        name = _FINDING_ENDS.split(_BEFORE_FINDING.sub("", f"{text[match.end() :].strip()} "))[0].strip()
        affirmed = " ".join(f"{text[: match.start()]}{text[match.end() :]}".split())
        if name and len(name.split()) <= _LONGEST_FINDING and not _NEGATED.search(affirmed):
            yield _Finding(name.lower(), text, affirmed)


def _negation(
    findings: Sequence[_Finding], encoder: Encoder | None, modes: Sequence[Mode], sample: int, seed: int
) -> Iterator[Probe]:
    """Ask for findings in the ways of :data:`_ASKED`, among all sentences that deny one and their copies."""
    names = sorted({finding.name for finding in findings})
    chosen = [names[i] for i in np.random.default_rng(seed).permutation(len(names))[:sample].tolist()]
    if not chosen:
        return
    about = {name: {n for n, finding in enumerate(findings) if finding.name == name} for name in chosen}
    with Collection.open(encoder=encoder) as collection:
        collection.add(Document(finding.denied, id=f"denied {n}") for n, finding in enumerate(findings))
        collection.add(Document(finding.affirmed, id=f"affirmed {n}") for n, finding in enumerate(findings))
        for mode in modes:
            for asked in _ASKED:
                said = [_said(collection, asked.replace("X", name), about[name], mode) for name in chosen]
                yield from _polarities(asked, mode, said)


def _said(collection: Collection, query: str, about: set[int], mode: Mode) -> list[str]:
    """What the ten best hits say of the finding, those that are about another left out."""
    found = [hit.id.split() for hit in collection.search(query, top_k=_DEPTH, mode=mode)]
    return [says for says, number in found if int(number) in about]


def _polarities(asked: str, mode: Mode, said: Sequence[Sequence[str]]) -> Iterator[Probe]:
    """Sum up what was said of each finding: of as many hits as there are right ones, how many are wrong."""
    if asked not in ("X", "no X"):
        values = [float({"denied", "affirmed"} <= set(each)) for each in said]
        yield Probe("negation", mode, f"both found@10, {asked}", confidence_interval(values), len(values), 0.0)
        return
    wrong = "denied" if asked == "X" else "affirmed"
    firsts = [each[: max(1, sum(1 for says in each if says != wrong))] for each in said if each]
    values = [each.count(wrong) / len(each) for each in firsts]
    if values:
        yield Probe("negation", mode, f"wrong share@10, {asked}", confidence_interval(values), len(values), 0.5)


def _around(text: str, start: int, end: int) -> str:
    """The number with the three words before it and the one after."""
    return " ".join([*text[:start].split()[-3:], text[start:end], *text[end:].split()[:1]])


def _all_sentences(texts: Sequence[str]) -> Iterator[str]:
    seen = dict.fromkeys(sentence for text in texts for sentence in _sentences(text))
    return (sentence for sentence in seen if len(_WORD.findall(sentence)) >= 4)


def _sentences(text: str) -> list[str]:
    found = (" ".join(text[start:end].split()) for start, end in sentences(text))
    return [sentence for sentence in found if sentence]


def _halves(text: str) -> tuple[str, str]:
    """A note cut between the sentences nearest to its middle; all in the first half where there is one sentence."""
    cuts = [start for start, _ in sentences(text) if start]
    if not cuts:
        return text, ""
    cut = min(cuts, key=lambda at: abs(at - len(text) / 2))
    first, second = text[:cut].strip(), text[cut:].strip()
    return (first, second) if first and second else (text, "")
