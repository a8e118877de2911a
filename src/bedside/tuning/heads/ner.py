"""Named entities: words to BIO tags, tags to spans of characters."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from bedside.encoders.texts import checked_texts
from bedside.support.extras import needs
from bedside.tuning.heads.examples import Entity, Kind, NerExample, Span
from bedside.tuning.heads.settings import TaskSettings
from bedside.tuning.heads.task import Logits, Metrics, Spec, Task, refuse_options, softmax
from bedside.tuning.heads.tokens import Row, Tokens

IGNORED = -100
"""The label of tokens that have no part in the loss, as torch's cross-entropy has it."""


class NerTask(Task):
    """Texts to entities.

    Each word is tagged by its first token (each token, with ``whole_words=False``). A long text is read in overlapping
    windows, each tag taken from the window in which its token stands farthest from an edge, and the tags of the whole
    text are then decoded at once: an entity that crosses a window's edge stays one. Offsets are the tokens' own, exact
    in the text as given.
    """

    kind: ClassVar[Kind] = "ner"
    architecture = "TokenClassification"
    primary = "f1"

    @classmethod
    def spec_for(cls, examples: Sequence[NerExample], settings: TaskSettings) -> Spec:
        """Types are those that occur, in order of their names."""
        labels = tuple(sorted({entity.label for example in examples for entity in example.entities}))
        return Spec.of(cls.kind, settings, labels=labels)

    @classmethod
    def outputs(cls, spec: Spec) -> tuple[str, ...]:
        """BIO tags (IOB2)."""
        return ("O", *(f"{mark}-{label}" for label in spec.labels for mark in "BI"))

    def rows(self, examples: Sequence[NerExample]) -> list[Row]:
        """A window's tokens have the tags of the whole text, so that it may begin within an entity."""
        rows = []
        for tokens, example in zip(self.tokenizer.read([e.text for e in examples]), examples, strict=True):
            tags = self._tags(tokens, example.entities)
            for begin, end in self.tokenizer.windows(len(tokens)):
                row = self.tokenizer.single(tokens.ids[begin:end])
                before, after = [IGNORED] * row.offset, [IGNORED] * (len(row.ids) - row.offset - (end - begin))
                rows.append(row.labelled([*before, *tags[begin:end], *after]))
        return [row for row in rows if any(tag != IGNORED for tag in row.labels)]

    def predict(self, texts: Sequence[str], **options: Any) -> list[tuple[Entity, ...]]:
        """Entities of each text, in order of their places; they do not overlap."""
        refuse_options(options)
        texts = checked_texts(texts)
        read = self.tokenizer.read(texts)
        places = [self.tokenizer.windows(len(tokens)) for tokens in read]
        rows = [
            self.tokenizer.single(tokens.ids[begin:end])
            for tokens, windows in zip(read, places, strict=True)
            for begin, end in windows
        ]
        logits = iter(self.network.logits(rows))
        return [
            tuple(self._decoded(text, tokens, self._merged(len(tokens), windows, logits, rows)))
            for text, tokens, windows in zip(texts, read, places, strict=True)
        ]

    def measure(self, examples: Sequence[NerExample]) -> Metrics:
        """Precision, recall and F1 of whole entities: type and both offsets (seqeval, strict, IOB2)."""
        return entity_scores(examples, self.predict([example.text for example in examples]))

    def baseline(self, train: Sequence[NerExample], examples: Sequence[NerExample]) -> tuple[str, Metrics]:
        """The longest entities of the training data that stand in the text, each with its most frequent type."""
        known = dictionary(train)
        return "dictionary of the training entities", entity_scores(
            examples, [look_up(known, e.text) for e in examples]
        )

    def as_metadata(self, result: tuple[Entity, ...], key: str) -> dict[str, Any]:
        """The entities' texts by type under ``key`` and their places under ``key_spans``.

        ``{"findings.Problem": "chest pain"}`` filters by what was found, ``{"findings.Problem": {"$exists": True}}`` by
        its type.
        """
        by_type: dict[str, list[str]] = defaultdict(list)
        for entity in result:
            by_type[entity.label] += [entity.text] if entity.text not in by_type[entity.label] else []
        spans = [{"label": e.label, "start": e.start, "end": e.end, "score": e.score} for e in result]
        return {key: dict(by_type), f"{key}_spans": spans}

    def _units(self, tokens: Tokens) -> list[tuple[int, int]]:
        """The first and last token of each unit that has a tag of its own."""
        units: list[tuple[int, int]] = []
        for i in range(len(tokens)):
            if units and self.spec.whole_words and tokens.words[i] == tokens.words[i - 1]:
                units[-1] = (units[-1][0], i)
            else:
                units.append((i, i))
        return units

    def _tags(self, tokens: Tokens, entities: Sequence[Span]) -> list[int]:
        """The tag of each token; those that are not their unit's first are ignored."""
        names = {name: i for i, name in enumerate(self.outputs(self.spec))}
        tags = [IGNORED] * len(tokens)
        units = self._units(tokens)
        for first, _ in units:
            tags[first] = 0
        for entity in entities:
            inside = [a for a, b in units if tokens.starts[a] < entity.end and tokens.ends[b] > entity.start]
            for place, first in enumerate(inside):
                tags[first] = names[f"{'I' if place else 'B'}-{entity.label}"]
        return tags

    def _merged(
        self, count: int, windows: Sequence[tuple[int, int]], logits: Iterable[Logits], rows: Sequence[Row]
    ) -> Logits:
        """Probabilities ``[tokens, tags]``, each token's from the window that shows most of its surroundings."""
        merged = np.zeros((count, len(self.outputs(self.spec))), dtype=np.float32)
        best = np.full(count, -1)
        offset = rows[0].offset if rows else 0
        for (begin, end), scores in zip(windows, logits, strict=False):
            places = np.arange(begin, end)
            context = np.minimum(places - begin, end - 1 - places)
            better = context > best[begin:end]
            merged[places[better]] = softmax(scores[offset : offset + end - begin])[better]
            best[begin:end] = np.maximum(best[begin:end], context)
        return merged

    def _decoded(self, text: str, tokens: Tokens, probabilities: Logits) -> Iterable[Entity]:
        units = self._units(tokens)
        if not units:
            return
        scores = probabilities[[first for first, _ in units]]
        names = self.outputs(self.spec)
        path = best_tags(scores, names)
        begin = 0
        while begin < len(path):
            end = begin + 1
            if names[path[begin]] != "O":
                while end < len(path) and names[path[end]].startswith("I-"):
                    end += 1
                start, stop = tokens.starts[units[begin][0]], tokens.ends[units[end - 1][1]]
                score = float(np.mean([scores[i, path[i]] for i in range(begin, end)]))
                yield Entity(names[path[begin]].partition("-")[2], start, stop, text[start:stop], score)
            begin = end


def best_tags(probabilities: Logits, names: Sequence[str]) -> list[int]:
    """The most probable sequence of tags among those that BIO allows: ``I-X`` only after ``B-X`` or ``I-X`` (Viterbi).

    Args:
        probabilities: ``[units, tags]``.
        names: Of the tags.

    Returns:
        A tag for each unit.

    Example:
        >>> best_tags(np.array([[0.6, 0.3, 0.1], [0.1, 0.1, 0.8]]), ["O", "B-X", "I-X"])
        [1, 2]
    """
    scores = np.log(np.maximum(probabilities, 1e-12))
    allowed = np.array([[_follows(before, tag) for tag in names] for before in names])
    step = np.where(allowed, 0.0, -np.inf)
    best = np.where([_follows("O", tag) for tag in names], scores[0], -np.inf)
    back = []
    for row in scores[1:]:
        paths = best[:, None] + step
        back.append(paths.argmax(axis=0))
        best = paths.max(axis=0) + row
    path = [int(best.argmax())]
    for pointers in reversed(back):
        path.append(int(pointers[path[-1]]))
    return path[::-1]


def entity_scores(examples: Sequence[NerExample], predicted: Sequence[Sequence[Entity]]) -> Metrics:
    """Precision, recall and F1 over all texts by seqeval; exact type and offsets."""
    with needs("tuning"):
        from seqeval.metrics import f1_score, precision_score, recall_score
        from seqeval.scheme import IOB2
    gold, said = [], []
    for example, found in zip(examples, predicted, strict=True):
        spans: list[Span | Entity] = [*example.entities, *found]
        cuts = sorted({edge for span in spans for edge in (span.start, span.end)})
        gold.append(_segment_tags(cuts, example.entities))
        said.append(_segment_tags(cuts, found))
    strict: dict[str, Any] = {"mode": "strict", "scheme": IOB2, "zero_division": 0}
    if not any(tag != "O" for tags in gold for tag in tags):
        return {"precision": 0.0, "recall": 0.0, "f1": 0.0}
    return {
        "precision": float(precision_score(gold, said, **strict)),
        "recall": float(recall_score(gold, said, **strict)),
        "f1": float(f1_score(gold, said, **strict)),
    }


def dictionary(examples: Sequence[NerExample]) -> dict[tuple[str, ...], str]:
    """Every entity of the examples as folded words, with its most frequent type."""
    counts: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for example in examples:
        for entity in example.entities:
            counts[tuple(word for word, _, _ in _words(example.text[entity.start : entity.end]))][entity.label] += 1
    return {words: found.most_common(1)[0][0] for words, found in counts.items() if words}


def look_up(known: dict[tuple[str, ...], str], text: str) -> list[Entity]:
    """Dictionary entries that stand in the text, from left to right, the longest first."""
    words = _words(text)
    longest = max(map(len, known), default=0)
    found, i = [], 0
    while i < len(words):
        size = next((n for n in range(longest, 0, -1) if tuple(w for w, _, _ in words[i : i + n]) in known), 0)
        if size:
            start, end = words[i][1], words[min(i + size, len(words)) - 1][2]
            label = known[tuple(w for w, _, _ in words[i : i + size])]
            found.append(Entity(label, start, end, text[start:end]))
        i += max(1, size)
    return found


def _words(text: str) -> list[tuple[str, int, int]]:
    return [(m[0].casefold(), m.start(), m.end()) for m in re.finditer(r"\w+|[^\w\s]", text)]


def _follows(before: str, tag: str) -> bool:
    return not tag.startswith("I-") or before[2:] == tag[2:]


def _segment_tags(cuts: Sequence[int], spans: Iterable[Span | Entity]) -> list[str]:
    """BIO tags of the segments between neighbouring cuts: with all edges among the cuts, nothing is rounded."""
    tags = ["O"] * max(1, len(cuts) - 1)
    place = {cut: i for i, cut in enumerate(cuts)}
    for span in spans:
        for i in range(place[span.start], place[span.end]):
            tags[i] = f"{'B' if i == place[span.start] else 'I'}-{span.label}"
    return tags
