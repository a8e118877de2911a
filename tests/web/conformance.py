"""Python's side of the conformance file: what the library answers, for the browser's modules to answer too."""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
from snowballstemmer.english_stemmer import EnglishStemmer

from bedside import Collection, Document, load_encoder
from bedside.errors import FilterError
from bedside.evaluation import RetrievalSet
from bedside.text.assertions import asked_polarity, marked_terms
from bedside.text.fold import fold
from bedside.text.tokenizer import ClinicalTokenizer

SIGNS = "aAbcdehmnpqtwxyzéÄßµμαβΩςσ'’`´.,;:-–/+<>=≤≥%×·0123456789½²³⁹  \t\n\x1c\x85\u200b\ufeff_()[]™ıİ①❶᧚٣५𝟎ﬁ中国א́"
PARTS = (
    *("mg", "kg", "q4h", "can't", "won't", "shan't", "o'neil", "n't", "IL-6", "CA-125", "b.i.d.", "s/p", "w/o"),
    "E11.9",
    *("4548-4", "1,200", "2x3cm", "37c", "t101.2f", "CD4+", "7.2", "120/80", "12:30", "10-20", "3rd", ".5", "..5"),
    *("HbA1c", "9p21.3", "xq28", "c12.a1", "-", "--", "<", "<=", ">", "'re", "'ve", "'s"),
)
ENDINGS = (
    *("ing", "ed", "edly", "ingly", "eed", "eedly", "ies", "ied", "ization", "ement", "ll", "ogi", "ogist", "li"),
    *("fulli", "lessli", "ative", "ional", "iviti", "y"),
)
CAMEL = {
    "top_k": "topK", "fetch_k": "fetchK", "min_score": "minScore", "group_by": "groupBy", "mode": "mode",
    "alpha": "alpha", "fusion": "fusion", "diversity": "diversity", "offset": "offset", "explain": "explain",
    "filter": "filter", "assertion": "assertion", "as_of": "asOf", "recency": "recency", "latest_by": "latestBy",
    "newest_first": "newestFirst", "date_key": "dateKey", "collapse": "collapse",
}  # fmt: skip
WAYS: tuple[dict[str, Any], ...] = (
    {"mode": "sparse"},
    {"mode": "dense"},
    {},
    {"alpha": 0.3, "explain": True},
    {"fusion": "rrf", "explain": True},
    {"fusion": "rrf", "alpha": 0.7, "fetch_k": 20, "offset": 3},
    {"diversity": 0.5, "top_k": 8},
    {"diversity": 1, "fetch_k": 30, "mode": "dense"},
    {"min_score": 0.45, "top_k": 40},
    {"group_by": "third", "top_k": 5},
    {"filter": {"n": {"$gte": 40}, "third": {"$ne": 1}}, "mode": "sparse", "explain": True},
    {"filter": {"third": {"$in": [0, 2]}}, "offset": 5},
    {"mode": "sparse", "group_by": "n", "top_k": 7},
    {"assertion": "any", "explain": True},
    {"assertion": "only", "top_k": 30},
    {"mode": "dense", "explain": True},
    {"mode": "sparse", "assertion": "only", "explain": True},
    {"fusion": "rrf", "group_by": "n", "top_k": 20, "explain": True},
    {"fusion": "rrf", "assertion": "only", "alpha": 0.3},
    {"diversity": 0.4, "group_by": "n", "top_k": 6},
)
TIMED: tuple[dict[str, Any], ...] = (
    {"as_of": "2022-06-15", "explain": True},
    {"as_of": "2021-03-01T09:30:00+02:00", "mode": "sparse", "explain": True},
    {"as_of": "2023-01-01", "recency": "1y:0.3", "explain": True},
    {"as_of": "2024-01-01", "recency": "issued:90d:1", "mode": "sparse", "explain": True},
    {"as_of": "2024-01-01", "recency": "26w:0.5", "fusion": "rrf"},
    {"as_of": "2024-01-01", "recency": "36h:0.7", "mode": "dense", "group_by": "third", "explain": True},
    {"latest_by": "n", "top_k": 20, "explain": True},
    {"latest_by": "third", "date_key": "issued", "mode": "sparse"},
    {"latest_by": "n", "group_by": "third", "mode": "dense"},
    {"latest_by": "tags", "fusion": "rrf", "offset": 2},
    {"newest_first": True, "top_k": 15},
    {"newest_first": True, "date_key": "issued", "mode": "sparse", "offset": 4},
    {"collapse": "copies", "explain": True},
    {"collapse": "copies", "mode": "sparse", "top_k": 25, "date_key": "issued"},
    {"collapse": "copies", "fetch_k": 30, "diversity": 0.3},
    {"collapse": "copies", "newest_first": True, "as_of": "2022-06-15", "group_by": "n"},
    {"collapse": "copies", "assertion": "only", "mode": "dense", "min_score": 0.2},
)
"""Options of time and copies. What fades is asked about at a moment that is given, so that both sides have one now."""
ASKED = ("", "", "no ", "denies ", "patient without ", "does he have ", "cannot rule out ", "absence of ")
"""What a part of the questions begins with, so that they want something present, absent, or have no preference."""
CUES = (
    *("denies", "no", "not", "without", "absence of", "negative for", "ruled out", "was ruled out", "cannot rule out"),
    *("none", "unlikely", "no cure for", "gram negative", "history of", "mother had", "if", "no evidence of", "nor"),
    *(
        "but",
        "except",
        "however",
        "and",
        "or",
        "patient",
        "has",
        "he",
        "with",
        "positive",
        "culture negative",
        "no longer",
    ),
)
FINDINGS = (
    "chest pain",
    "fever",
    "rash",
    "PE",
    "cough",
    "HIV test",
    "dyspnea",
    "murmur",
    "E. coli",
    "5 mg/kg",
    "Dr. Wu",
)
MARKS = (" ", " ", " ", ", ", "; ", ": ", ". ", ".\n", "\n\n", "\n- ", " (", ") ", " - ", "? ", "! ", "\n2. ", " vs. ")


def odd_texts(chance: random.Random, count: int) -> Iterator[str]:
    """Yield texts of the signs and words that the tokenizer has rules for, and of any characters."""
    for _ in range(count):
        if chance.random() < 0.7:
            pick = (chance.choice(SIGNS if chance.random() < 0.6 else PARTS) for _ in range(chance.randint(1, 25)))
        else:
            pick = (chr(chance.choice(_ANY)(chance)) for _ in range(chance.randint(1, 12)))
        text = "".join(pick)
        if not any(unicodedata.category(c) in ("Cn", "Cs") for c in text):
            yield text


_ANY = (
    lambda chance: chance.randrange(0x20, 0x7F),
    lambda chance: chance.randrange(0xA0, 0x3000),
    lambda chance: chance.randrange(0x3000, 0xD800),
    lambda chance: chance.randrange(0xE000, 0x1FFFF),
)


def token_cases(texts: Iterable[str]) -> list[list[Any]]:
    """Each text, folded, and its terms."""
    tokenizer = ClinicalTokenizer()
    return [[text, fold(text), tokenizer.tokenize(text)] for text in texts]


def mark_cases(texts: Iterable[str], chance: random.Random, count: int) -> list[list[Any]]:
    """Each text, a bit for each of its terms, and what it wants as a question; of cues and findings, and as given."""
    tokenizer = ClinicalTokenizer()
    parts = (CUES, FINDINGS, FINDINGS)
    made = (
        "".join(chance.choice(chance.choice(parts)) + chance.choice(MARKS) for _ in range(chance.randint(1, 14)))
        for _ in range(count)
    )
    return [
        [text, list(marked_terms(text, tokenizer).negated), asked_polarity(text, tokenizer)] for text in (*texts, *made)
    ]


def stem_cases(texts: Iterable[str], chance: random.Random, count: int) -> list[list[str]]:
    """Words of the texts, the same with other endings, and words that nobody has seen."""
    words = sorted({word for text in texts for word in re.findall("[a-z]+", text.lower())})
    made = (chance.choice(words) + chance.choice(ENDINGS) for _ in range(count))
    unseen = ("".join(chance.choices("aeiouysstlndgebpycmi", k=chance.randint(1, 9))) for _ in range(count // 3))
    stemmer = EnglishStemmer()
    found = sorted({*words[:count], *made, *unseen, "dying", "inning", "succeed", "pasted", "skies", "apologist"})
    return [[word, stemmer.stemWord(word)] for word in found]


VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**53, 2**53 + 1, -(2**63), 0.5, 1e300, "", "a", "A b", "straße", "STRASSE e", "ab%c",
    "a_b", "𝔘x", "\uffeex", "ı", "İ", "e\u0301", "1", [], ["a", "A b"], [1, None, "straße"], [[1]], {}, {"x": 1},
    {"x": {"y": "a b c"}, "x.y": 2}, {"y": [0.5, "A b"]}, "2024-05-06", "2024-05-06T09:00:00+02:00", "2024-05", "2024",
    "2024-05-06T24:00Z", "2023-02-29", "2024-05-06 07:00:00.123456789", "0000-01-01", "9999-12-31T23:00-05:00",
    "2024-W19-1", ["2024-05-07", "2024-05-06T06:59:59Z"], "2024-05-06T09:00:00+24:00", "0001-01-01",
)  # fmt: skip
PATHS = ("a", "b", "a.x", "a.x.y", "b.y", "c", "ß")
PATTERNS = ("%", "a%", "%b", "_", "__", "a\\%", "%\\%c", "A%", "%ss%", "%ß%", "_𝔘%", "", "\\", "a_b", "%a%b%")


def filter_cases(chance: random.Random, count: int) -> dict[str, Any]:
    """300 records, and filters of which some do not parse, with the ids that they leave or the error's message."""
    records = [
        Document(
            f"record {n}", {key: chance.choice(VALUES) for key in chance.sample("abcß", chance.randint(0, 3))}, f"r{n}"
        )
        for n in range(300)
    ]
    with Collection.open() as collection:
        collection.add(records)
        cases = []
        for _ in range(count):
            filter = _filter(chance, 0)
            try:
                cases.append([filter, [document.id for document in collection.get(filter=filter)]])
            except FilterError as error:
                cases.append([filter, str(error)])
    return {"records": [_record(record) for record in records], "cases": cases}


def _filter(chance: random.Random, depth: int) -> dict[str, Any]:
    return dict(_entry(chance, depth) for _ in range(chance.choice((1, 1, 1, 2))))


def _entry(chance: random.Random, depth: int) -> tuple[str, Any]:
    kind = chance.random()
    if kind < 0.15 and depth < 3:
        children = [_filter(chance, depth + 1) for _ in range(chance.choice((0, 1, 2, 2, 3)))]
        return chance.choice(("$and", "$or")), children
    if kind < 0.2 and depth < 3:
        return "$not", _filter(chance, depth + 1)
    if kind < 0.22:
        return chance.choice(("$eq", "$nor", "$text")), chance.choice(VALUES)
    path = chance.choice(PATHS)
    return path, chance.choice(VALUES) if kind < 0.35 else _operators(chance, depth)


def _operators(chance: random.Random, depth: int) -> dict[str, Any]:
    found = {}
    for _ in range(chance.choice((1, 1, 1, 2))):
        op = chance.choice((*_OPERANDS, "$not", "x", "$near"))
        found[op] = _operators(chance, depth + 1) if op == "$not" and depth < 3 else _operand(chance, op)
    return found


def _operand(chance: random.Random, op: str) -> Any:
    if chance.random() < 0.08 or op not in _OPERANDS:
        return chance.choice(VALUES)
    return _OPERANDS[op](chance)


def _value(chance: random.Random) -> Any:
    return chance.choice(VALUES)


def _values(chance: random.Random) -> Any:
    return [chance.choice((*VALUES[:25], *VALUES[-13:-2])) for _ in range(chance.randint(0, 3))]


def _pattern(chance: random.Random) -> Any:
    return chance.choice(PATTERNS)


def _flag(chance: random.Random) -> Any:
    return chance.choice((True, False))


_OPERANDS = {
    **dict.fromkeys(("$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$contains", "$prefix", "$text"), _value),
    **dict.fromkeys(("$in", "$nin", "$any", "$all", "$between"), _values),
    **dict.fromkeys(("$like", "$ilike"), _pattern),
    **dict.fromkeys(("$exists", "$empty"), _flag),
}


def search_case(judged: RetrievalSet, documents: int, queries: int) -> dict[str, Any]:
    """Answers over a part of a retrieval set with the static encoder, each query asked in one of :data:`WAYS`."""
    chosen = _some_with_titles(judged, documents)
    with Collection.open(encoder=load_encoder("bedside/static")) as collection:
        collection.add(chosen)
        return _asked(collection, chosen, (), list(judged.queries.values())[:queries])


def scoped_case(judged: RetrievalSet, documents: int, queries: int) -> dict[str, Any]:
    """The same over a collection of three scopes, after some of its records were replaced and deleted."""
    chosen = _some_with_titles(judged, documents)
    with Collection.open(encoder=load_encoder("bedside/static"), scope_keys=["third"]) as collection:
        collection.add(chosen)
        return _asked(collection, chosen, ("third",), list(judged.queries.values())[:queries])


DATES = (
    *("2021-05-06", "2022-06-15", "2022-06-15T09:00:00+02:00", "2023-11", "2020", "2021-05-06T00:00", "not a date"),
    *(None, 20230101, "2024-02-29", ["2021-01-01"], "2022-06"),
)


def timed_case(judged: RetrievalSet, documents: int, queries: int) -> dict[str, Any]:
    """Answers over documents with dates, versions and near copies, each query asked in one of :data:`TIMED`."""
    chosen = _dated(judged, documents, random.Random(len(judged.documents)))
    with Collection.open(encoder=load_encoder("bedside/static"), scope_keys=["third"]) as collection:
        collection.add(chosen)
        return _asked(collection, chosen, ("third",), list(judged.queries.values())[:queries], TIMED)


def _dated(judged: RetrievalSet, count: int, chance: random.Random) -> list[Document]:
    """Some documents and copies of them, a few words or a sentence apart, of which some supersede others."""
    chosen: list[Document] = []
    for n, document in enumerate(judged.documents[:count]):
        names = [f"t{n - chance.randint(0, 9)}", "t0", f"note {n % 7}"]
        given = {"valid_from": chance.choice(DATES), "valid_to": chance.choice(DATES), "date": chance.choice(DATES)}
        given |= {"issued": f"20{chance.randint(10, 30)}-{chance.randint(1, 12):02}", "tags": [n % 5, "x"]}
        given |= {"supersedes": chance.choice((names, names[0], names[0], 7))}
        metadata = {key: value for key, value in given.items() if chance.random() < 0.4}
        if n % 4 == 0:
            metadata |= {"source_id": f"note {n % 7}", "source_hash": "0"}
        words = document.text.split(" ")
        for copy in range(chance.choice((1, 1, 2, 4))):
            if copy and len(words) > 30:
                words[chance.randrange(len(words))] = chance.choice(("changed", "potassium 4.2.", "(𝔘nsure)"))
            date = {"date": chance.choice(DATES)} if copy else {}
            more = {"n": n % 60, "third": n % 3, "source": f"s{copy}"}
            chosen.append(
                Document(" ".join(words), {**metadata, **more, **date}, f"t{n}" if not copy else f"t{n}-{copy}")
            )
    return chosen


TITLES = (None, "Chest pain", " ", "What is diabetes?", 7, "\u00b5g of HbA1c")


def _some_with_titles(judged: RetrievalSet, count: int) -> list[Document]:
    """Some documents, of which half have a title, be it one that is none."""
    chosen = []
    for n, document in enumerate(judged.documents[:count]):
        title = {"title": TITLES[n // 2 % len(TITLES)]} if n % 2 else {}
        chosen.append(Document(document.text, {"n": n % 60, "third": n % 3, **title}, document.id))
    return chosen


def _asked(
    collection: Collection,
    documents: Sequence[Document],
    scope_keys: Sequence[str],
    queries: Sequence[str],
    ways: Sequence[dict[str, Any]] = WAYS,
) -> dict[str, Any]:
    questions = []
    for i, query in enumerate(queries):
        options = ways[i % len(ways)]
        scope = {"third": i % 3} if scope_keys else None
        query = ASKED[i % len(ASKED)] + query
        hits = (collection.scoped(**scope) if scope else collection).search(query, **options)
        questions.append(
            {
                "query": query,
                "scope": scope,
                "options": {CAMEL[name]: value for name, value in options.items()},
                "hits": [
                    [hit.id, hit.score, hit.dense, hit.sparse, hit.relevance, _parts(hit.explanation), hit.sightings]
                    for hit in hits
                ],
            }
        )
    return {"documents": [_record(d) for d in documents], "scopeKeys": list(scope_keys), "questions": questions}


def _parts(explanation: Any) -> dict[str, Any] | None:
    if explanation is None:
        return None
    named = {"dense": explanation.dense, "sparse": explanation.sparse, "negated": dict(explanation.negated)}
    return {**named, "terms": dict(explanation.terms), "signals": dict(explanation.signals)}


def _record(document: Document) -> dict[str, Any]:
    return {"id": document.id, "text": document.text, "metadata": dict(document.metadata)}


def write_task(path: Path, sets: Sequence[RetrievalSet], *, share: int) -> None:
    """Write the file; ``share`` 1 is what must hold, a larger one divides the sizes for a quick test."""
    chance = random.Random(20261130)
    texts = [document.text for judged in sets for document in judged.documents]
    odd = list(odd_texts(chance, 15_000 // share))
    task = {
        "tokens": token_cases([*texts[:: max(1, share * len(texts) // 9_000)], *odd]),
        "marks": mark_cases(
            [*texts[:: max(1, share * len(texts) // 3_000)], *odd[:: 10 * share]], chance, 12_000 // share
        ),
        "stems": stem_cases(texts[::share], chance, 25_000 // share),
        "filters": filter_cases(chance, 2_000 // share),
        "searches": [
            *(search_case(judged, 5_000 // share**2, 100 // share) for judged in sets),
            *(scoped_case(judged, 900 // share, 60 // share) for judged in sets[:1]),
            *(timed_case(judged, 900 // share, 100 // share) for judged in sets),
        ],
    }
    path.write_bytes(orjson.dumps(task))
