"""Classification of texts, one label or several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from bedside.encoders.texts import checked_texts
from bedside.support.extras import needs
from bedside.tuning.heads.examples import Kind, Label, TextExample
from bedside.tuning.heads.settings import TaskSettings
from bedside.tuning.heads.task import Logits, Metrics, Spec, Task, refuse_options, softmax
from bedside.tuning.heads.tokens import Row


class ClassifierTask(Task):
    """Texts to labels.

    A long text is read in windows; its probabilities are those of the windows, averaged by their lengths.
    """

    kind: ClassVar[Kind] = "classification"
    architecture = "SequenceClassification"
    primary = "macro_f1"

    @classmethod
    def spec_for(cls, examples: Sequence[TextExample], settings: TaskSettings) -> Spec:
        """Classes are those that occur, in order of their names."""
        labels = tuple(sorted({label for example in examples for label in example.labels}))
        several = any(not isinstance(example.label, str) for example in examples)
        return Spec.of(cls.kind, settings, labels=labels, multi_label=several)

    @classmethod
    def outputs(cls, spec: Spec) -> tuple[str, ...]:
        """One for each class."""
        return spec.labels

    def rows(self, examples: Sequence[TextExample]) -> list[Row]:
        """Every window of a text has the text's labels."""
        found, owners = self._windows([example.text for example in examples])
        return [row.labelled(self._target(examples[i])) for row, i in zip(found, owners, strict=True)]

    def predict(self, texts: Sequence[str], **options: Any) -> list[tuple[Label, ...]]:
        """Labels of each text, the most probable first: one, or for a multi-label task all above the threshold."""
        refuse_options(options)
        return [self._chosen(row) for row in self.probabilities(texts)]

    def probabilities(self, texts: Sequence[str]) -> Logits:
        """Probability of each class: float32 ``[n, labels]``; rows sum to 1 unless the task is multi-label."""
        texts = checked_texts(texts)
        if not texts:
            return np.empty((0, len(self.labels)), dtype=np.float32)
        rows, owners = self._windows(texts)
        logits = np.stack(self.network.logits(rows))
        scores = 1 / (1 + np.exp(-logits)) if self.spec.multi_label else softmax(logits)
        weights = np.array([len(row.ids) for row in rows], dtype=np.float32)
        sums, totals = np.zeros((len(texts), scores.shape[1]), np.float32), np.zeros(len(texts), np.float32)
        np.add.at(sums, owners, scores * weights[:, None])
        np.add.at(totals, owners, weights)
        return sums / totals[:, None]

    def measure(self, examples: Sequence[TextExample]) -> Metrics:
        """Accuracy (multi-label: of whole sets) and F1, averaged over classes (macro) and over labels (micro)."""
        found = self.predict([example.text for example in examples])
        return self._compare(examples, [tuple(label.label for label in labels) for labels in found])

    def baseline(self, train: Sequence[TextExample], examples: Sequence[TextExample]) -> tuple[str, Metrics]:
        """Always the most frequent label (multi-label: set of labels)."""
        most = Counter(example.labels for example in train).most_common(1)[0][0]
        return "majority class", self._compare(examples, [most] * len(examples))

    def as_metadata(self, result: tuple[Label, ...], key: str) -> dict[str, Any]:
        """The label under ``key`` (multi-label: a list) and its probability under ``key_score`` (a list)."""
        if self.spec.multi_label:
            return {key: [label.label for label in result], f"{key}_score": [label.score for label in result]}
        return {key: result[0].label, f"{key}_score": result[0].score}

    def _compare(self, examples: Sequence[TextExample], predicted: Sequence[tuple[str, ...]]) -> Metrics:
        with needs("tuning"):
            from sklearn.metrics import accuracy_score, f1_score
        if self.spec.multi_label:
            gold, said = self._matrix([e.labels for e in examples]), self._matrix(predicted)
        else:
            gold, said = np.array([e.labels[0] for e in examples]), np.array([labels[0] for labels in predicted])
        return {
            "accuracy": float(accuracy_score(gold, said)),
            "macro_f1": float(f1_score(gold, said, average="macro", zero_division=0)),
            "micro_f1": float(f1_score(gold, said, average="micro", zero_division=0)),
        }

    def _matrix(self, labels: Sequence[Sequence[str]]) -> np.ndarray[Any, np.dtype[np.int64]]:
        return np.array([[int(name in given) for name in self.labels] for given in labels], dtype=np.int64)

    def _chosen(self, scores: Logits) -> tuple[Label, ...]:
        order = np.argsort(-scores, kind="stable")
        labels = [Label(self.labels[i], float(scores[i])) for i in order]
        if self.spec.multi_label:
            return tuple(label for label in labels if label.score >= self.spec.threshold)
        return (labels[0],)

    def _windows(self, texts: Sequence[str]) -> tuple[list[Row], list[int]]:
        rows, owners = [], []
        for i, tokens in enumerate(self.tokenizer.read(texts)):
            for begin, end in self.tokenizer.windows(len(tokens))[: self.spec.max_windows]:
                rows.append(self.tokenizer.single(tokens.ids[begin:end]))
                owners.append(i)
        return rows, owners

    def _target(self, example: TextExample) -> Any:
        if self.spec.multi_label:
            return [float(name in example.labels) for name in self.labels]
        return self.labels.index(example.labels[0])
