"""Build the corpus and the pairs that the shipped static encoder is distilled with.

Reads local clones of eight public repositories at fixed commits (their licences stand beside them below), and writes
``corpus.txt`` (one passage per line) and ``pairs.jsonl`` (``[text, text]`` per line).
Nothing of them is in the package.

    python benchmarks/static_corpus.py CLONES OUT --without TESTS

``CLONES`` holds one clone per repository, named ``owner+name``. Every text that shares eight words in a row with a
document or a query of the test sets in the folder ``TESTS`` is left out, and counted. Needs git and PyYAML.
"""

from __future__ import annotations

import argparse
import html
import json
import random
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

BOOKS = {  # OpenStax textbooks, CC BY 4.0 at these commits
    "openstax+osbooks-anatomy-physiology": "b0058a743bdd2cc08196abaaa7d5469970c0d80c",
    "openstax+osbooks-microbiology": "ecf34dad129d686703780e87ab5aa2e59c577a6a",
    "openstax+osbooks-psychology": "e061043bf2f9e86ace51c4e8dc9555160f60a99d",
    "openstax+osbooks-nursing-external-bundle": "7876f90a3dbdc0756e21a374d4a46526d0ac453b",
}
WORDNET = {"globalwordnet+english-wordnet": "d94538ad0df3d7a4c77837bde6af69d7a6592c32"}  # CC BY 4.0, WordNet License
ONTOLOGIES = {  # CC0 1.0
    "DiseaseOntology+HumanDiseaseOntology": "9fbefd6651b79526165453395d06c8fd4bfe4247",
    "DiseaseOntology+SymptomOntology": "7a295d9856d8ce1af613e5b53b6af84940260605",
}
# Trial reports from PubMed Central; only those are read whose own licence is CC BY, without "non-commercial".
ARTICLES = {"jayded+evidence-inference": "b9831b6c59b52ac2d277f757d413ececf0949a8d"}
QUESTIONS = (
    "What is {}?",
    "What are the symptoms of {}?",
    "What causes {}?",
    "How is {} treated?",
    "signs of {}",
    "{}",
)
PASSAGES = 40_000
RUN = 8  # words in a row that no text may share with a test set
_MEDICAL = re.compile(
    r"medic|disease|drug|patient|blood|surg|tissue|bone|muscle|infect|pain|skin|heart|brain|treat|syndrome|itis\b|oma\b"
    r"|osis\b|symptom|cell|therap|diagnos|chronic|acute|lung|liver|kidney|renal|vein|arter|hormone|gland|virus|bacteri"
    r"|cancer|tumor|health|doctor|pregnan|injur|nerve|disorder|fever|immun|child|diet|stomach|bleed",
    re.IGNORECASE,
)


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("clones", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--without", type=Path, help="folder of test sets whose runs of words must not occur")
    args = parser.parse_args()
    chooser = random.Random(0)
    clean = Clean(args.without)
    books = [section for name, commit in BOOKS.items() for section in book(args.clones / name, commit, clean)]
    senses = [sense for name, commit in WORDNET.items() for sense in wordnet(args.clones / name, commit, clean)]
    terms = {term[0]: term for name, commit in ONTOLOGIES.items() for term in ontology(args.clones / name, commit)}
    known = [term for term in terms.values() if clean(term[2])]
    articles = [a for name, commit in ARTICLES.items() for a in journal(args.clones / name, commit, clean)]
    passages = list(dict.fromkeys(corpus(books, senses, known, articles, chooser)))
    pairs = [*related(books, senses, known, chooser), *reported(articles, chooser)]
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "corpus.txt").write_text("".join(text + "\n" for text in passages[:PASSAGES]), "utf-8")
    (args.out / "pairs.jsonl").write_text(
        "".join(json.dumps(pair, ensure_ascii=False) + "\n" for pair in pairs), "utf-8"
    )
    print(f"{min(len(passages), PASSAGES)} of {len(passages)} passages, {len(pairs)} pairs, {len(articles)} articles")
    print(f"{clean.refused} of {clean.seen} texts share {RUN} words in a row with a test set and were left out")


class Clean:
    """Whether a text shares no run of words with the test sets of a folder; counts what it is asked and refuses."""

    def __init__(self, folder: Path | None) -> None:
        self.seen = self.refused = 0
        files = [] if folder is None else sorted([*folder.glob("*/corpus.jsonl"), *folder.glob("*/queries.jsonl")])
        self._runs = {
            run for file in files for line in file.read_text("utf-8").splitlines() for run in _runs(_fields(line))
        }

    def __call__(self, text: str) -> bool:
        """Whether the text may be used."""
        self.seen += 1
        shared = not self._runs.isdisjoint(_runs(text))
        self.refused += shared
        return not shared


def _fields(line: str) -> str:
    found = json.loads(line)
    return f"{found.get('title') or ''} {found['text']}"


def _runs(text: str) -> Iterator[int]:
    words = re.findall(r"[a-z0-9]+", text.lower())
    return (hash(" ".join(words[i : i + RUN])) for i in range(len(words) - RUN + 1))


Section = tuple[str, str, list[str]]  # title of the page, heading, paragraphs
Article = tuple[str, list[str], list[Section]]  # title, sections of the abstract, sections of the body


def corpus(
    books: list[Section],
    senses: list[tuple[str, str, list[str]]],
    terms: list[tuple[str, list[str], str]],
    articles: list[Article],
    chooser: random.Random,
) -> list[str]:
    """Short passages, what reads medical first, the rest mixed in."""
    texts = [" ".join(part) for _, _, paragraphs in books for text in paragraphs for part in _parts(text, 260)]
    for members, meaning, examples in senses:
        texts += [f"{members}: {meaning}", *examples]
    for term, synonyms, meaning in terms:
        texts += [term, *synonyms[:2], *([f"{term}: {meaning}"] if meaning else [])]
    for title, abstract, _ in articles:
        texts += [title, *(" ".join(part) for text in abstract for part in _parts(text, 260))]
    ranks = [(chooser.random() * (0.3 if _MEDICAL.search(text) else 1.0), text) for text in texts]
    return [text for _, text in sorted(ranks) if len(text) > 3]


def related(
    books: list[Section],
    senses: list[tuple[str, str, list[str]]],
    terms: list[tuple[str, list[str], str]],
    chooser: random.Random,
) -> Iterator[tuple[str, str]]:
    """A heading and its text, a sentence and its paragraph, a term and its meaning, a term and its synonym."""
    for title, heading, paragraphs in books:
        for text in paragraphs:
            yield from cloze(text, chooser)
        if heading and len(" ".join(paragraphs)) > 80:
            yield chooser.choice([heading, f"{title}: {heading}", f"{title} {heading}?"]), " ".join(paragraphs[:4])
    for members, meaning, examples in senses:
        yield members, meaning
        if examples and chooser.random() < 0.3:
            yield members.partition(",")[0], examples[0]
    for term, synonyms, meaning in terms:
        if meaning:
            yield chooser.choice(QUESTIONS).format(term), meaning
            yield chooser.choice(QUESTIONS).format(chooser.choice([term, *synonyms])), f"{term}: {meaning}"
        for synonym in synonyms[:3]:
            yield chooser.choice(QUESTIONS).format(synonym), term


def reported(articles: list[Article], chooser: random.Random) -> Iterator[tuple[str, str]]:
    """A title and each part of its abstract, the conclusion and what leads to it, paragraphs of the body."""
    for title, abstract, body in articles:
        for text in abstract:
            yield title, text
        if len(abstract) > 1:
            yield abstract[-1], " ".join(abstract[:-1])
            yield abstract[0], " ".join(abstract[1:])
        paragraphs = [text for _, _, texts in body for text in texts if len(text) > 200]
        for text in chooser.sample(paragraphs, min(6, len(paragraphs))):
            yield title, text
        for text in chooser.sample(paragraphs, min(6, len(paragraphs))):
            yield from cloze(text, chooser, 1)


def cloze(text: str, chooser: random.Random, count: int = 2) -> Iterator[tuple[str, str]]:
    """A sentence and the rest of its paragraph (Lee et al. 2019)."""
    parts = [sentence for sentence in _sentences(text) if len(sentence) > 25]
    for i in chooser.sample(range(len(parts)), min(count, len(parts))) if len(parts) > 1 else []:
        rest = parts if chooser.random() < 0.2 else parts[:i] + parts[i + 1 :]
        yield parts[i], " ".join(rest)


def book(clone: Path, commit: str, clean: Clean) -> Iterator[Section]:
    """Sections of a textbook in CNXML: paragraphs, list items and definitions; no references."""
    for file in _files(clone, commit, r".*\.cnxml"):
        text = re.sub(r"<(m:math|metadata).*?</\1>", " ", _show(clone, commit, file), flags=re.DOTALL)
        title = _plain(text.partition("</title>")[0])
        for part in re.split(r"<section\b[^>]*>", text):
            heading = re.match(r"\s*<title>(.*?)</title>", part, re.DOTALL)
            found = re.findall(r"<(para|item|meaning|caption)\b[^>]*>(.*?)</\1>", part, re.DOTALL)
            paragraphs = [_plain(inner) for _, inner in found]
            kept = [
                p
                for p in paragraphs
                if len(p) > 20 and not re.search(r"http|Retrieved from|\(\d{4}\)\.", p) and clean(p)
            ]
            yield title, _plain(heading[1]) if heading else "", kept


def journal(clone: Path, commit: str, clean: Clean) -> Iterator[Article]:
    """Articles in JATS whose own licence is CC BY."""
    for file in _files(clone, commit, r"annotations/xml_files/.*\.nxml"):
        text = _show(clone, commit, file)
        front = text.partition("</front>")[0]
        if not re.search(r"creativecommons\.org/licenses/by/\d", front) or re.search(
            r"by-n|non-?commercial", front, re.I
        ):
            continue
        root = ElementTree.fromstring(re.sub(r"<!DOCTYPE[^>]*>", "", text))  # noqa: S314 - no entities without it
        title = " ".join(_text(e) for e in root.findall("./front/article-meta/title-group/article-title"))
        abstracts = root.findall("./front/article-meta/abstract")
        abstract = [part for _, parts in _headed(abstracts[:1]) if (part := " ".join(parts)) and clean(part)]
        body = [(title, heading, [p for p in parts if clean(p)]) for heading, parts in _headed(root.findall("./body"))]
        if title and abstract and clean(title):
            yield title, abstract, body


def _headed(parents: Sequence[ElementTree.Element]) -> Iterator[tuple[str, list[str]]]:
    """Heading and paragraphs of each section, and those outside of any."""
    for parent in parents:
        for section in [parent, *parent.iter("sec")]:
            paragraphs = [_text(p) for p in section.findall("p")]
            yield " ".join(_text(e) for e in section.findall("title")), [p for p in paragraphs if len(p) > 20]


def _text(element: ElementTree.Element) -> str:
    """The text of an element without references, tables and formulas."""
    dropped = {"xref", "table-wrap", "fig", "disp-formula", "inline-formula", "supplementary-material"}
    parts = [element.text or ""]
    for child in element:
        parts += ["" if child.tag in dropped else _text(child), child.tail or ""]
    return re.sub(r"\s*\[[\s,;\u2013-]*\]|\(\s*[,;]*\s*\)", "", re.sub(r"\s+", " ", "".join(parts))).strip()


def _plain(markup: str) -> str:
    plain = html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", markup))).strip()
    return re.sub(r" ([,.;:)])", r"\1", plain)


def wordnet(clone: Path, commit: str, clean: Clean) -> Iterator[tuple[str, str, list[str]]]:
    """Synonyms, meaning and examples of each sense; one in eight of plants, animals, places and things."""
    import yaml  # stubs would be one more dependency

    chooser = random.Random(1)
    for file in _files(clone, commit, r"src/yaml/(noun|verb|adj|adv)\..*\.yaml"):
        rare = re.search(r"plant|animal|location|artifact|object", file)
        for sense in yaml.load(_show(clone, commit, file), Loader=yaml.CSafeLoader).values():
            meaning = sense["definition"][0]
            if (rare and not _MEDICAL.search(meaning) and chooser.random() > 0.125) or not clean(meaning):
                continue
            examples = [e if isinstance(e, str) else e.get("text", "") for e in sense.get("example", [])]
            yield (
                ", ".join(sense["members"][:4]).replace("_", " "),
                meaning,
                [e for e in examples if len(e) > 15 and clean(e)],
            )


def ontology(clone: Path, commit: str) -> Iterator[tuple[str, list[str], str]]:
    """Name, exact synonyms and definition of each term of the OBO files."""
    for file in _files(clone, commit, r"src/ontology/(subsets/.*|symp)\.obo"):
        for entry in _show(clone, commit, file).split("[Term]")[1:]:
            name = re.search(r"^name: (.*)$", entry, re.MULTILINE)
            meaning = re.search(r'^def: "((?:[^"\\]|\\.)*)"', entry, re.MULTILINE)
            synonyms = re.findall(r'^synonym: "((?:[^"\\]|\\.)*)" EXACT', entry, re.MULTILINE)
            if name:
                yield name[1], synonyms, meaning[1].replace("_", " ").replace("\\", "") if meaning else ""


def _sentences(text: str) -> list[str]:
    return re.split(r"(?<=[.?!])\s+(?=[A-Z(])", text)


def _parts(text: str, size: int) -> Iterator[list[str]]:
    """Runs of sentences of at most ``size`` characters; a longer sentence goes alone."""
    part: list[str] = []
    for sentence in _sentences(text):
        if part and len(" ".join(part)) + len(sentence) > size:
            yield part
            part = []
        part.append(sentence)
    yield part


def _files(clone: Path, commit: str, pattern: str) -> list[str]:
    names = _git(clone, "ls-tree", "-r", "--name-only", commit).split("\n")
    return sorted(name for name in names if re.fullmatch(pattern, name))


def _show(clone: Path, commit: str, file: str) -> str:
    return _git(clone, "show", f"{commit}:{file}")


def _git(clone: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(clone), *words], capture_output=True, check=True)  # noqa: S603, S607
    return done.stdout.decode("utf-8", "replace")


if __name__ == "__main__":
    main()
