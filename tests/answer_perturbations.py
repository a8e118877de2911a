"""Answers made of a note's own sentences, reworded without changing anything, and with one thing changed."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from bedside import Document
from bedside.answers import check_answer
from bedside.text.sentences import sentences
from bedside.text.split import NoteSplitter

INVENTED = "Z99-88"
DOSE_UNITS = r"(?:mg|mcg|micrograms?|milligrams?|grams?|units|mL|tablets?|puffs?)"
MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October"]
MONTHS += ["November", "December"]


@dataclass(frozen=True)
class Sentence:
    """A sentence of a note and the label of the passage that it stands in."""

    text: str
    label: str

    def cited(self, text: str | None = None, label: str | None = None) -> str:
        """As an answer has it: with its citation before the full stop."""
        written = (self.text if text is None else text).rstrip(" .;:")
        return f"{written} [{label or self.label}]."


def passages(id: str, text: str, metadata: dict[str, str]) -> list[Document]:
    """A note as a search would find it: a few of its passages."""
    return [
        Document(
            p.text, {**metadata, "source_id": id, "start": p.start, "end": p.end, "source_hash": "0" * 32}, f"{id}#{n}"
        )
        for n, p in enumerate(NoteSplitter(128).split(text))
    ]


def sentences_of(passage: Document) -> Iterator[Sentence]:
    """The sentences of a passage that an answer may give: not too short, on one line, without brackets."""
    for start, end in sentences(passage.text):
        text = " ".join(passage.text[start:end].split())
        text = re.sub(r"^(?:[-•*]|\d{1,2}[.)])\s+", "", text)
        if 25 < len(text) < 260 and not re.search(r"[\[\]]", text):
            yield Sentence(text, str(passage.id))


Change = Callable[[str, random.Random], "str | None"]


def change_number(text: str, draw: random.Random) -> str | None:
    """Another digit in one number that has no dose's unit."""
    return _change_digits(text, draw, rf"(?<![\w.,/:-])\d+(?:\.\d+)?(?![\w:/]|[.,]\d|-\d|\s?{DOSE_UNITS}\b)")


def change_dose(text: str, draw: random.Random) -> str | None:
    """Another amount of a drug, or another frequency."""
    frequencies = [
        (r"\bBID\b|\bb\.i\.d\.|\btwice daily\b|\btwice a day\b", "three times daily"),
        (r"\bTID\b|\bt\.i\.d\.", "twice daily"),
        (r"\bonce (?:daily|a day)\b|(?<!twice )(?<!times )\bdaily\b", "twice daily"),
        (r"\bonce weekly\b", "once daily"),
    ]
    options = [(m.span(), new) for pattern, new in frequencies for m in re.finditer(pattern, text)]
    if options and draw.random() < 0.5:
        (start, end), new = draw.choice(options)
        return text[:start] + new + text[end:]
    return _change_digits(text, draw, rf"(?<![\w.,/-])\d+(?:\.\d+)?(?=[\s-]?{DOSE_UNITS}\b(?!/))")


def change_unit(text: str, draw: random.Random) -> str | None:
    """Another unit behind the same number."""
    units = {"mg": "mcg", "mcg": "mg", "kg": "lb", "pounds": "kg", "mg/dL": "mmol/L", "mmol/L": "mg/dL", "%": "mg"}
    units |= {
        "weeks": "days",
        "days": "weeks",
        "months": "weeks",
        "years": "months",
        "hours": "minutes",
        "cm": "mm",
        "mm": "cm",
    }
    written = "|".join(sorted(units, key=len, reverse=True))
    found = list(re.finditer(rf"(?<=\d)(\s?)({written})(?![\w/])", text))
    if not found:
        return None
    match = draw.choice(found)
    return text[: match.start()] + f" {units[match[2]]}" + text[match.end() :]


def change_date(text: str, draw: random.Random) -> str | None:
    """Another day, month or year."""
    found = list(re.finditer(r"\b(\d{4})-(\d\d)-(\d\d)\b|\b(\d\d?)/(\d\d?)/(\d{4}|\d\d)\b", text))
    named = list(re.finditer(rf"\b({'|'.join(MONTHS)})(?= \d)", text))
    if not found and not named:
        return None
    match = draw.choice(found + named)
    if match.re.groups == 1:
        other = MONTHS[(MONTHS.index(match[1]) + draw.randrange(1, 12)) % 12]
        return text[: match.start()] + other + text[match.end() :]
    group = draw.choice([g for g in range(1, 7) if match[g]])
    width = len(match[group])
    new = int(match[group]) + 1 if width == 4 or match[group] in ("9", "09") else int(match[group]) % 28 + 1
    start, end = match.span(group)
    changed = text[:start] + str(new).zfill(width) + text[end:]
    return changed if sorted(re.findall(r"\d+", changed)) != sorted(re.findall(r"\d+", text)) else None


NEGATIONS = [
    (r"\b[Dd]enies (?:any )?", "reports "),
    (r"^No ", "Has "),
    (r"\bno evidence of\b", "clear evidence of"),
    (r"\b[Nn]egative for\b", "positive for"),
    (r"\bwithout\b", "with"),
    (r"\bhas no\b", "has"),
    (r"\bThere (?:is|was|are|were) no\b", "There is"),
    (r"\b(?:[Ee]ndorses|[Rr]eports|[Cc]omplains of)\b(?! (?:no|that|being|he|she))", "denies"),
    (r"\b[Pp]ositive for\b", "negative for"),
    (r"\bhas (?:a|an)\b", "has no"),
]


def change_negation(text: str, draw: random.Random) -> str | None:
    """A finding turned round."""
    options = [(m.span(), new) for pattern, new in NEGATIONS for m in re.finditer(pattern, text)]
    if not options:
        return None
    (start, end), new = draw.choice(options)
    return text[:start] + new + text[end:]


def change_quotation(text: str, draw: random.Random) -> str | None:
    """Quoted words of which one is another."""
    words = text.rstrip(" .;:").split()
    if len(words) < 6 or '"' in text:
        return None
    first = draw.randrange(len(words) - 4)
    quoted = words[first : first + 5]
    quoted[draw.randrange(5)] = "otherwise"
    return f'The note says "{" ".join(quoted)}"'


def quote(text: str, draw: random.Random) -> str | None:
    """Quoted words as they stand."""
    words = text.rstrip(" .;:").split()
    if len(words) < 6 or '"' in text:
        return None
    return f'The note says "{" ".join(words[: draw.randrange(5, len(words) + 1)])}"'


FAULTS: dict[str, Change] = {
    "number": change_number,
    "unit": change_unit,
    "dose": change_dose,
    "date": change_date,
    "quotation": change_quotation,
    "negation": change_negation,
}
WORDS = {
    2: "two",
    3: "three",
    4: "four",
    5: "five",
    6: "six",
    7: "seven",
    8: "eight",
    9: "nine",
    10: "ten",
    12: "twelve",
}
REWORDINGS: list[tuple[str, str | Callable[[re.Match[str]], str]]] = [
    (r"(?<=\d) mg\b(?!/)", "mg"),
    (r"(?<=\d)\s?mg\b(?!/)", " milligrams"),
    (r"(?<=\d)\s?mcg\b(?!/)", " micrograms"),
    (r"(?<=\d)\s?%", " percent"),
    (r"(?<=\d) %", "%"),
    (r"\bBID\b|\bb\.i\.d\.", "twice daily"),
    (r"\bTID\b|\bt\.i\.d\.", "three times a day"),
    (r"\btwice (?:a day|daily)\b", "BID"),
    (r"\bonce (?:a day|daily)\b", "every day"),
    (r"(?<!twice )(?<!times )(?<!once )\bdaily\b", "once daily"),
    (r"\b(\d{4})-(\d\d)-(\d\d)\b", lambda m: f"{MONTHS[int(m[2]) - 1]} {int(m[3])}, {m[1]}"),
    (r"\b(\d{4})-(\d\d)-(\d\d)\b", lambda m: f"{int(m[2])}/{int(m[3])}/{m[1]}"),
    (r"\b(\d{1,2}) (?=weeks|days|months|hours)", lambda m: f"{WORDS.get(int(m[1]), m[1])} "),
    (
        r"\b(two|three|four|five|six) (?=weeks|days|months|hours|years)",
        lambda m: f"{next(n for n, w in WORDS.items() if w == m[1])} ",
    ),
    (r"-year-old\b", " years old,"),
    (r"\b(\d)(\d{3})(?= mg| mL)", r"\1,\2"),
    (r"\b[Dd]enies (?:any )?", "reports no "),
    (r"^No (?=\w)", "There is no "),
    (r"\b[Nn]egative for\b", "there is no"),
    (r"\b[Tt]he patient\b", "He"),
    (r"\bwithout\b", "with no"),
    (r"^", "According to the record, "),
    (r"^", "The note of this visit says that "),
    (r"\band\b", "&"),
    (r"\bw/o\b", "without"),
    (r"\bkg\b", "kilograms"),
    (r"\bmmHg\b", "mm Hg"),
]


def reword(text: str, draw: random.Random) -> str | None:
    """One to three rewordings that change nothing."""
    fitting = [(p, n) for p, n in REWORDINGS if re.search(p, text)]
    if not fitting:
        return None
    for pattern, new in draw.sample(fitting, min(len(fitting), draw.randrange(1, 4))):
        text = re.sub(pattern, new, text)
    return text


def _change_digits(text: str, draw: random.Random, pattern: str) -> str | None:
    found = [m for m in re.finditer(pattern, text) if not (m.start() == 0 and text[m.end() : m.end() + 1] in ".)")]
    if not found:
        return None
    match = draw.choice(found)
    at = match.start() + draw.choice([i for i, c in enumerate(match.group()) if c.isdigit()])
    low = 1 if at == match.start() else 0
    new = draw.choice([d for d in "0123456789"[low:] if d != text[at]])
    return text[:at] + new + text[at + 1 :]


KINDS: dict[str, set[str]] = {
    "number": {"number", "dose", "date"},
    "unit": {"number", "dose"},
    "dose": {"number", "dose"},
    "date": {"number", "date"},
    "quotation": {"quotation"},
    "negation": {"finding"},
    "citation": {"citation", "number", "dose", "date", "quotation", "finding"},
}
"""For each fault the kinds of statements in which it may be reported."""


@dataclass
class Tally:
    """In how many of some answers a check reported something."""

    reported: int = 0
    asked: int = 0

    @property
    def share(self) -> float:
        return self.reported / self.asked


def measure(notes: Iterable[Document], seed: int = 1) -> dict[str, Tally]:
    """Check answers of two sentences each: as they stand, reworded, quoted, and with one fault in the first sentence.

    Returns:
        By fault the share that was found; under ``unchanged``, ``reworded`` and ``quoted`` the share of false alarms.
    """
    draw, tallies = random.Random(seed), defaultdict(Tally)

    def ask(name: str, text: str | None, sentence: Sentence, other: Sentence, label: str | None = None) -> None:
        if text is not None:
            problems = check_answer(f"{sentence.cited(text, label)} {other.cited()}", hits).problems
            tallies[name].asked += 1
            tallies[name].reported += any(p.kind in KINDS.get(name, KINDS["citation"]) for p in problems)

    for note in notes:
        hits = passages(str(note.id), note.text, dict(note.metadata))[:6]
        pool = [sentence for hit in hits for sentence in sentences_of(hit)]
        if len(pool) < 2:
            continue
        for sentence, other in (draw.sample(pool, 2) for _ in range(3)):
            ask("unchanged", sentence.text, sentence, other)
            ask("reworded", reword(sentence.text, draw), sentence, other)
            ask("quoted", quote(sentence.text, draw), sentence, other)
            elsewhere = [str(hit.id) for hit in hits if sentence.text not in " ".join(hit.text.split())]
            ask("citation", sentence.text, sentence, other, draw.choice([INVENTED, *elsewhere]))
        for name, change in FAULTS.items():
            fitting = [sentence for sentence in pool if change(sentence.text, random.Random(0))]
            for sentence in draw.sample(fitting, min(2, len(fitting))):
                changed = change(sentence.text, draw)
                ask(name, changed if changed != sentence.text else None, sentence, draw.choice(pool))
    return dict(tallies)
