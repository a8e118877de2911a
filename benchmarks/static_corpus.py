"""Build the corpus and the pairs that the shipped static encoder is distilled with.

Reads local clones of five public repositories at fixed commits (their licences stand beside them below), and writes
``corpus.txt`` (one passage per line) and ``pairs.jsonl`` (``[text, text]`` per line).
Nothing of them is in the package.

    python benchmarks/static_corpus.py CLONES OUT

``CLONES`` holds one clone per repository, named ``owner+name``. Needs git and PyYAML.
"""

from __future__ import annotations

import argparse
import html
import json
import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

BOOKS = {  # OpenStax textbooks, CC BY 4.0 at these commits
    "openstax+osbooks-anatomy-physiology": "b0058a743bdd2cc08196abaaa7d5469970c0d80c",
    "openstax+osbooks-microbiology": "ecf34dad129d686703780e87ab5aa2e59c577a6a",
    "openstax+osbooks-psychology": "e061043bf2f9e86ace51c4e8dc9555160f60a99d",
}
WORDNET = {"globalwordnet+english-wordnet": "d94538ad0df3d7a4c77837bde6af69d7a6592c32"}  # CC BY 4.0, WordNet License
ONTOLOGIES = {  # CC0 1.0
    "DiseaseOntology+HumanDiseaseOntology": "9fbefd6651b79526165453395d06c8fd4bfe4247",
    "DiseaseOntology+SymptomOntology": "7a295d9856d8ce1af613e5b53b6af84940260605",
}
QUESTIONS = (
    "What is {}?",
    "What are the symptoms of {}?",
    "What causes {}?",
    "How is {} treated?",
    "signs of {}",
    "{}",
)
PASSAGES = 40_000
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
    args = parser.parse_args()
    chooser = random.Random(0)
    paragraphs = [text for name, commit in BOOKS.items() for text in book(args.clones / name, commit)]
    senses = [sense for name, commit in WORDNET.items() for sense in wordnet(args.clones / name, commit)]
    terms = {term[0]: term for name, commit in ONTOLOGIES.items() for term in ontology(args.clones / name, commit)}
    passages = list(dict.fromkeys(corpus(paragraphs, senses, list(terms.values()), chooser)))
    pairs = list(related(paragraphs, senses, list(terms.values()), chooser))
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "corpus.txt").write_text("".join(text + "\n" for text in passages[:PASSAGES]), "utf-8")
    (args.out / "pairs.jsonl").write_text(
        "".join(json.dumps(pair, ensure_ascii=False) + "\n" for pair in pairs), "utf-8"
    )
    print(f"{min(len(passages), PASSAGES)} of {len(passages)} passages, {len(pairs)} pairs")


def corpus(
    paragraphs: list[str],
    senses: list[tuple[str, str, list[str]]],
    terms: list[tuple[str, list[str], str]],
    chooser: random.Random,
) -> list[str]:
    """Short passages, what reads medical first, the rest mixed in."""
    texts = [" ".join(part) for text in paragraphs for part in _parts(text, 260)]
    for members, meaning, examples in senses:
        texts += [f"{members}: {meaning}", *examples]
    for term, synonyms, meaning in terms:
        texts += [term, *synonyms[:2], *([f"{term}: {meaning}"] if meaning else [])]
    ranks = [
        (chooser.random() * (0.45 if _MEDICAL.search(text) else 1.0) + 0.15 * (len(text) > 220), text) for text in texts
    ]
    return [text for _, text in sorted(ranks) if len(text) > 3]


def related(
    paragraphs: list[str],
    senses: list[tuple[str, str, list[str]]],
    terms: list[tuple[str, list[str], str]],
    chooser: random.Random,
) -> Iterator[tuple[str, str]]:
    """A sentence and the rest of its paragraph (Lee et al. 2019), a term and its meaning, a term and its synonym."""
    for text in paragraphs:
        parts = [sentence for sentence in _sentences(text) if len(sentence) > 25]
        for i in chooser.sample(range(len(parts)), min(2, len(parts))) if len(parts) > 1 else []:
            rest = parts if chooser.random() < 0.2 else parts[:i] + parts[i + 1 :]
            yield parts[i], " ".join(rest)
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


def book(clone: Path, commit: str) -> Iterator[str]:
    """Paragraphs, list items and definitions of a textbook in CNXML; no references."""
    for file in _files(clone, commit, r".*\.cnxml"):
        text = re.sub(r"<(m:math|metadata).*?</\1>", " ", _show(clone, commit, file), flags=re.DOTALL)
        for found in re.findall(
            r"<(?:para|item|meaning|caption)\b[^>]*>(.*?)</(?:para|item|meaning|caption)>", text, re.DOTALL
        ):
            plain = html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", found))).strip()
            plain = re.sub(r" ([,.;:)])", r"\1", plain)
            if len(plain) > 20 and not re.search(r"http|Retrieved from|\(\d{4}\)\.", plain):
                yield plain


def wordnet(clone: Path, commit: str) -> Iterator[tuple[str, str, list[str]]]:
    """Synonyms, meaning and examples of each sense; one in eight of plants, animals, places and things."""
    import yaml  # stubs would be one more dependency

    chooser = random.Random(1)
    for file in _files(clone, commit, r"src/yaml/(noun|verb|adj|adv)\..*\.yaml"):
        rare = re.search(r"plant|animal|location|artifact|object", file)
        for sense in yaml.load(_show(clone, commit, file), Loader=yaml.CSafeLoader).values():
            meaning = sense["definition"][0]
            if rare and not _MEDICAL.search(meaning) and chooser.random() > 0.125:
                continue
            examples = [e if isinstance(e, str) else e.get("text", "") for e in sense.get("example", [])]
            yield ", ".join(sense["members"][:4]).replace("_", " "), meaning, [e for e in examples if len(e) > 15]


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
