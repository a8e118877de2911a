"""Relations between two entities of a text: each pair is marked in the text and classified.

The marks name the entities' types in words of the vocabulary (``@ * drug * aspirin @ … # ^ problem ^ headache #``), the
"typed entity marker (punct)" of Zhou and Chen, An Improved Baseline for Sentence-level Relation Extraction (2022): no
new tokens, so the vocabulary stays the encoder's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar, TypeAlias

import numpy as np

from bedside.encoders.texts import checked_texts
from bedside.errors import InvalidInputError
from bedside.support.extras import needs
from bedside.tuning.heads.examples import Entity, Kind, Relation, RelationExample, Span
from bedside.tuning.heads.ner import NerTask
from bedside.tuning.heads.settings import TaskSettings
from bedside.tuning.heads.task import Metrics, Spec, Task, refuse_options, softmax
from bedside.tuning.heads.tokens import Row, Tokens

_Mark: TypeAlias = "tuple[int, list[int]]"


class RelationTask(Task):
    """Pairs of entities to relations.

    Asked about are the ordered pairs of those types between which the training data has relations. Of a text too long
    for one window, the tokens nearest to the two entities are read.
    """

    kind: ClassVar[Kind] = "relations"
    architecture = "SequenceClassification"
    primary = "f1"

    @classmethod
    def spec_for(cls, examples: Sequence[RelationExample], settings: TaskSettings) -> Spec:
        """Classes and pairs of types are those that occur; the class of no relation comes first."""
        labels = {link.label for example in examples for link in example.relations} - {settings.negative}
        if not labels:
            raise InvalidInputError(f"train: no relation but {settings.negative!r}, which is the name for none")
        pairs = {(e.entities[x.head].label, e.entities[x.tail].label) for e in examples for x in e.relations}
        found = {"labels": (settings.negative, *sorted(labels)), "pairs": tuple(sorted(pairs))}
        return Spec.of(cls.kind, settings, **found)

    @classmethod
    def outputs(cls, spec: Spec) -> tuple[str, ...]:
        """One for each relation, and one for none."""
        return spec.labels

    def rows(self, examples: Sequence[RelationExample]) -> list[Row]:
        """One for each pair; those that have no relation are the negative class."""
        rows = []
        for tokens, example in zip(self.tokenizer.read([e.text for e in examples]), examples, strict=True):
            gold = _gold(example, self.spec)
            for pair in self._pairs(example.entities):
                row = self._row(tokens, *(example.entities[i] for i in pair))
                rows.append(row.labelled(self.labels.index(gold.get(pair, self.spec.negative))))
        return rows

    def predict(self, texts: Sequence[str], **options: Any) -> list[tuple[Relation, ...]]:
        """Relations of each text, in order of their pairs; pairs without one are left out.

        Args:
            texts: Of any length.
            **options: ``entities=``: a sequence of :class:`Entity` (or :class:`Span`) for each text, or an
                :class:`NerTask` that finds them.

        Returns:
            A tuple of :class:`Relation` for each text.

        Raises:
            InvalidInputError: no entities, those of another number of texts, or one outside of its text.
        """
        texts = checked_texts(texts)
        entities = _entities(texts, options.pop("entities", None))
        refuse_options(options)
        results: list[tuple[Relation, ...]] = []
        for own, found in zip(entities, self._classified(texts, entities), strict=True):
            related = ((pair, *found[pair]) for pair in found)
            results.append(tuple(Relation(label, score, own[i], own[j]) for (i, j), label, score in related))
        return results

    def measure(self, examples: Sequence[RelationExample]) -> Metrics:
        """Precision, recall and F1 over all relations (the class of none is not one), and accuracy over pairs."""
        found = self._classified([e.text for e in examples], [e.entities for e in examples])
        return self._compare(examples, [{pair: label for pair, (label, _) in own.items()} for own in found])

    def baseline(self, train: Sequence[RelationExample], examples: Sequence[RelationExample]) -> tuple[str, Metrics]:
        """The most frequent relation (not none) for every pair of entities that is asked about."""
        most = Counter(link.label for e in train for link in e.relations if link.label != self.spec.negative)
        label = most.most_common(1)[0][0]
        said = [dict.fromkeys(self._pairs(example.entities), label) for example in examples]
        return "most frequent relation for every pair", self._compare(examples, said)

    def as_metadata(self, result: tuple[Relation, ...], key: str) -> dict[str, Any]:
        """The pairs as texts by relation under ``key`` (``"aspirin > headache"``), with places under ``key_spans``."""
        by_label: dict[str, list[str]] = {}
        for relation in result:
            pair = f"{relation.head.text} > {relation.tail.text}"
            listed = by_label.setdefault(relation.label, [])
            listed += [] if pair in listed else [pair]
        spans = [
            {"label": r.label, "score": r.score, "head": [r.head.start, r.head.end], "tail": [r.tail.start, r.tail.end]}
            for r in result
        ]
        return {key: by_label, f"{key}_spans": spans}

    def _classified(
        self, texts: Sequence[str], entities: Sequence[Sequence[Span | Entity]]
    ) -> list[dict[tuple[int, int], tuple[str, float]]]:
        """The label and probability of each pair of each text that has a relation."""
        read = self.tokenizer.read(texts)
        pairs = [(i, pair) for i, found in enumerate(entities) for pair in self._pairs(found)]
        rows = [self._row(read[i], entities[i][head], entities[i][tail]) for i, (head, tail) in pairs]
        results: list[dict[tuple[int, int], tuple[str, float]]] = [{} for _ in texts]
        for (i, pair), logits in zip(pairs, self.network.logits(rows), strict=True):
            scores = softmax(logits)
            best = int(scores.argmax())
            if self.labels[best] != self.spec.negative:
                results[i][pair] = (self.labels[best], float(scores[best]))
        return results

    def _compare(self, examples: Sequence[RelationExample], said: Sequence[dict[tuple[int, int], str]]) -> Metrics:
        with needs("tuning"):
            from sklearn.metrics import precision_recall_fscore_support
        none, gold, predicted = self.spec.negative, [], []
        for example, found in zip(examples, said, strict=True):
            truth = _gold(example, self.spec)
            for pair in dict.fromkeys([*self._pairs(example.entities), *truth]):
                gold.append(truth.get(pair, none))
                predicted.append(found.get(pair, none))
        if not gold:
            return {"precision": 0.0, "recall": 0.0, "f1": 0.0, "accuracy": 0.0}
        real = sorted({*gold, *predicted} - {none})
        scores = precision_recall_fscore_support(gold, predicted, labels=real, average="micro", zero_division=0)
        accuracy = float(np.mean([a == b for a, b in zip(gold, predicted, strict=True)]))
        return {**dict(zip(("precision", "recall", "f1"), map(float, scores[:3]), strict=True)), "accuracy": accuracy}

    def _pairs(self, entities: Sequence[Span | Entity]) -> list[tuple[int, int]]:
        asked = set(self.spec.pairs)
        places = range(len(entities))
        return [(i, j) for i in places for j in places if i != j and (entities[i].label, entities[j].label) in asked]

    def _row(self, tokens: Tokens, head: Span | Entity, tail: Span | Entity) -> Row:
        """One marked pair, cut to the tokens nearest to its entities where the text is too long."""
        (first, first_end), (second, second_end) = self._marks(tokens, head, "@*"), self._marks(tokens, tail, "#^")
        marks = (first_end, second_end, first, second)  # where one entity ends and the other begins, the end is first
        room = self.tokenizer.room - sum(len(ids) for _, ids in marks)
        spans = [tokens.within(span.start, span.end) for span in (head, tail)]
        kept = set(_nearest(len(tokens), spans, room))
        ids: list[int] = []
        for i in range(len(tokens) + 1):
            for place, mark in marks:
                ids += mark if place == i else []
            ids += tokens.ids[i : i + 1] if i in kept else []
        return self.tokenizer.single(ids)

    def _marks(self, tokens: Tokens, span: Span | Entity, signs: str) -> tuple[_Mark, _Mark]:
        first, last = tokens.within(span.start, span.end)
        kind = span.label.replace("_", " ").lower()
        opening, closing = self.tokenizer.read([f"{signs[0]} {signs[1]} {kind} {signs[1]}", signs[0]])
        return (first, opening.ids), (last, closing.ids)


def _nearest(count: int, spans: Sequence[tuple[int, int]], room: int) -> list[int]:
    """At most ``room`` of ``count`` tokens, those nearest to a span, in order."""
    if count <= room:
        return list(range(count))
    places = np.arange(count)
    distances = np.min([np.maximum(np.maximum(a - places, places - (b - 1)), 0) for a, b in spans], axis=0)
    return sorted(np.argsort(distances, kind="stable")[: max(0, room)].tolist())


def _gold(example: RelationExample, spec: Spec) -> dict[tuple[int, int], str]:
    return {(link.head, link.tail): link.label for link in example.relations if link.label != spec.negative}


def _as_entity(span: Span | Entity, text: str) -> Entity:
    if isinstance(span, Entity):
        return span
    return Entity(span.label, span.start, span.end, text[span.start : span.end])


def _entities(texts: Sequence[str], given: Any) -> list[list[Entity]]:
    if isinstance(given, NerTask):
        return [list(found) for found in given.predict(texts)]
    if given is None or len(given) != len(texts):
        raise InvalidInputError(
            f"entities: expected an NerTask, or a sequence of entities for each of {len(texts)} texts"
        )
    found = [[_as_entity(span, text) for span in spans] for spans, text in zip(given, texts, strict=True)]
    for i, (text, spans) in enumerate(zip(texts, found, strict=True)):
        for j, span in enumerate(spans):
            if not 0 <= span.start < span.end <= len(text):
                raise InvalidInputError(f"entities[{i}][{j}]: {span.start} to {span.end} is not within its text")
    return found
