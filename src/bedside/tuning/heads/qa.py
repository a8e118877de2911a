"""Extractive question answering: the span of a context that answers a question, or none."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, ClassVar

import numpy as np

from bedside.encoders.texts import checked_texts
from bedside.errors import InvalidInputError
from bedside.tuning.heads.examples import Answer, Kind, QaExample
from bedside.tuning.heads.settings import TaskSettings
from bedside.tuning.heads.task import Logits, Metrics, Spec, Task, refuse_options
from bedside.tuning.heads.tokens import Row, Tokens

NO_ANSWER = Answer("", 0, 0, 0.0)
_BEST = 20  # candidates among which a score is a probability, as in SQuAD's n-best lists


@dataclass(frozen=True)
class _Window:
    """A row, the example it belongs to, and the tokens of the context that it shows."""

    row: Row
    owner: int
    begin: int
    end: int


class QaTask(Task):
    """Questions and contexts to answers.

    A long context is read in overlapping windows, each with the question before it; the best span of all windows is the
    answer. A window without the answer is trained to point at its first token, and a span is only given where it scores
    above that, if the training data had unanswerable questions.
    """

    kind: ClassVar[Kind] = "qa"
    architecture = "QuestionAnswering"
    primary = "f1"

    @classmethod
    def spec_for(cls, examples: Sequence[QaExample], settings: TaskSettings) -> Spec:
        """Whether questions may have no answer."""
        return Spec.of(cls.kind, settings, unanswerable=any(not example.answers for example in examples))

    @classmethod
    def outputs(cls, spec: Spec) -> tuple[str, ...]:  # noqa: ARG003 - always the same two
        """Start and end."""
        return ("start", "end")

    def rows(self, examples: Sequence[QaExample]) -> list[Row]:
        """The first answer of each question is learnt."""
        contexts = self.tokenizer.read([example.context for example in examples])
        rows = []
        for window in self._windows([e.question for e in examples], contexts):
            rows.append(window.row.labelled(self._target(examples[window.owner], contexts[window.owner], window)))
        return rows

    def predict(self, texts: Sequence[str], **options: Any) -> list[Answer]:
        """The answer of each context to a question.

        Args:
            texts: Contexts of any length.
            **options: ``question=``: one for all contexts, or one for each.

        Returns:
            An :class:`Answer` for each context; ``found`` is false if there is none.

        Raises:
            InvalidInputError: no question, or another number than contexts.
        """
        texts, question = checked_texts(texts), options.pop("question", None)
        refuse_options(options)
        questions = [question] * len(texts) if isinstance(question, str) else list(question or ())
        if len(questions) != len(texts) or not all(isinstance(q, str) and q.strip() for q in questions):
            raise InvalidInputError(f"question: expected a text, or one for each of {len(texts)} contexts")
        contexts = self.tokenizer.read(texts)
        windows = self._windows(questions, contexts)
        logits = self.network.logits([window.row for window in windows])
        by_owner: list[list[tuple[_Window, Logits]]] = [[] for _ in texts]
        for window, scores in zip(windows, logits, strict=True):
            by_owner[window.owner].append((window, scores))
        return [self._answer(t, c, w) for t, c, w in zip(texts, contexts, by_owner, strict=True)]

    def measure(self, examples: Sequence[QaExample]) -> Metrics:
        """Exact match and F1 of words, as SQuAD defines them."""
        found = self.predict([e.context for e in examples], question=[e.question for e in examples])
        return answer_scores(examples, [answer.text for answer in found])

    def baseline(self, train: Sequence[QaExample], examples: Sequence[QaExample]) -> tuple[str, Metrics]:
        """The first words of each context, as many as answers have (median)."""
        size = int(median([len(a.text.split()) for e in train for a in e.answers[:1]] or [1]))
        return "first words of the context", answer_scores(
            examples, [" ".join(example.context.split()[:size]) for example in examples]
        )

    def as_metadata(self, result: Answer, key: str) -> dict[str, Any]:
        """The answer's text under ``key`` (null: none), its place and probability under ``key_span``."""
        span = {"start": result.start, "end": result.end, "score": result.score}
        return {key: result.text if result.found else None, f"{key}_span": span}

    def _windows(self, questions: Sequence[str], contexts: Sequence[Tokens]) -> list[_Window]:
        windows = []
        for owner, (question, context) in enumerate(zip(self.tokenizer.read(questions), contexts, strict=True)):
            asked = question.ids[: self.tokenizer.max_length // 2]
            for begin, end in self.tokenizer.windows(len(context), self.tokenizer.pair_room(len(asked))):
                windows.append(_Window(self.tokenizer.pair(asked, context.ids[begin:end]), owner, begin, end))
        return windows

    def _target(self, example: QaExample, context: Tokens, window: _Window) -> list[int]:
        """Start and end in the row; the first token where the answer is not wholly in the window."""
        if not example.answers:
            return [0, 0]
        answer = example.answers[0]
        first, last = context.within(answer.start, answer.start + len(answer.text))
        if not window.begin <= first < last <= window.end:
            return [0, 0]
        shift = window.row.offset - window.begin
        return [first + shift, last - 1 + shift]

    def _answer(self, text: str, context: Tokens, windows: Sequence[tuple[_Window, Logits]]) -> Answer:
        spans = [span for window, logits in windows for span in self._spans(window, logits)]
        if not spans:
            return NO_ANSWER
        spans = sorted(spans, key=lambda span: -span[0])[:_BEST]
        scores = np.array([score for score, _, _ in spans])
        # The window that is surest to hold an answer decides whether there is one.
        none = min(float(logits[0].sum()) for _, logits in windows) if self.spec.unanswerable else -np.inf
        highest = max(scores[0], none)
        total = np.exp(scores - highest).sum() + np.exp(none - highest)
        score = float(1 / total)
        if none > scores[0]:
            return Answer("", 0, 0, score)
        start, end = context.starts[spans[0][1]], context.ends[spans[0][2]]
        return Answer(text[start:end], start, end, score)

    def _spans(self, window: _Window, logits: Logits) -> list[tuple[float, int, int]]:
        """The best spans of one window: score, first and last token of the context."""
        size = window.end - window.begin
        inside = logits[window.row.offset : window.row.offset + size]
        sums = inside[:, 0][:, None] + inside[:, 1][None, :]
        ahead = np.arange(size)[None, :] - np.arange(size)[:, None]
        sums = np.where((ahead >= 0) & (ahead < self.spec.max_answer_tokens), sums, -np.inf)
        best = np.argsort(-sums, axis=None, kind="stable")[:_BEST]
        found = [(float(sums.flat[i]), int(i) // size, int(i) % size) for i in best if np.isfinite(sums.flat[i])]
        return [(score, window.begin + first, window.begin + last) for score, first, last in found]


def answer_scores(examples: Sequence[QaExample], predicted: Sequence[str]) -> Metrics:
    """Exact match and F1, each the best over a question's answers, averaged over questions (Rajpurkar et al. 2016)."""
    pairs = [([a.text for a in e.answers] or [""], text) for e, text in zip(examples, predicted, strict=True)]
    count = max(1, len(pairs))
    return {
        "exact_match": sum(max(float(_plain(a) == _plain(text)) for a in gold) for gold, text in pairs) / count,
        "f1": sum(max(word_f1(a, text) for a in gold) for gold, text in pairs) / count,
    }


def word_f1(gold: str, predicted: str) -> float:
    """Harmonic mean of the shares of words that two answers have in common; two empty answers agree.

    Example:
        >>> word_f1("The left arm", "left arm")
        1.0
        >>> word_f1("left arm", "right arm")
        0.5
    """
    a, b = _plain(gold).split(), _plain(predicted).split()
    if not a or not b:
        return float(a == b)
    shared = sum((Counter(a) & Counter(b)).values())
    return 2 * shared / (len(a) + len(b))


def _plain(text: str) -> str:
    """SQuAD's normal form: lower case, no punctuation, no articles, single blanks."""
    kept = "".join(c for c in text.lower() if c not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", kept).split())
