"""Masked prediction: what the model was trained for, filling gaps and judging sentences."""

from __future__ import annotations

import asyncio
import math
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bedside.encoders.checkpoint import BIO_CLINICALBERT, check_tokens, resolve
from bedside.encoders.prepare import prepared
from bedside.encoders.settings import folder_settings, positions, whole_number
from bedside.encoders.texts import checked_texts
from bedside.encoders.tokenizer import TextTokenizer, load_tokenizer
from bedside.encoders.windows import batches, padded
from bedside.errors import InvalidInputError, InvalidModelError
from bedside.remedies import Give
from bedside.support.fork import in_each_process
from bedside.support.progress import progress
from bedside.types import Matrix

if TYPE_CHECKING:
    from bedside.encoders.backends.torch_masked import TorchMasked

_BATCH_TOKENS = 1024  # as for encoding; the vocabulary's logits of so many rows stay below 120 MB
_MASKS = ("[MASK]", "<mask>")


@dataclass(frozen=True)
class Prediction:
    """One way to fill a gap.

    Attributes:
        word: The candidate as it was given, or the vocabulary's entry.
        score: Its probability. Of a word of several pieces: the product of each piece's, filled in from left to right.
        pieces: Its entries in the vocabulary.
    """

    word: str
    score: float
    pieces: tuple[str, ...]


@dataclass(frozen=True)
class _Question:
    """The probability of one vocabulary entry at one place of a row of ids."""

    row: tuple[int, ...]
    place: int
    wanted: int


class MaskedLanguageModel:
    """A checkpoint with its language-modelling head.

    Weights are loaded at the first use. Texts of any length are read: beyond the model's positions, each gap is seen in
    the window of text around it.

    Args:
        model: A hub id or a folder; see :func:`bedside.encoders.load_encoder`, also for the other arguments.
        revision: Commit, tag or branch.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"mps"``.
        dtype: ``"auto"``, ``"float32"``, ``"bfloat16"``, ``"float16"``.
        lowercase: Overrides the casing found in the folder.
        local_files_only: Never use the network.
        cache_dir: Another Hugging Face cache folder.

    Raises:
        ModelNotFoundError: nowhere to be found.
        InvalidModelError: no usable checkpoint; at the first use also: it has no head for masked prediction.

    Example:
        >>> model = MaskedLanguageModel("emilyalsentzer/Bio_ClinicalBERT")  # doctest: +SKIP
        >>> model.predict("The patient was started on [MASK] for hypertension.")[0][0].word  # doctest: +SKIP
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = BIO_CLINICALBERT,
        *,
        revision: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
        lowercase: bool | None = None,
        local_files_only: bool = False,
        cache_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        checkpoint = resolve(model, revision=revision, local_files_only=local_files_only, cache_dir=cache_dir)
        self.name = checkpoint.name
        self.folder: Path = prepared(checkpoint, lowercase=lowercase)
        self.device = device
        self.dtype = dtype
        in_each_process(self._make_lock)
        self._network: TorchMasked | None = None
        self._tokens = TextTokenizer(load_tokenizer(self.folder, lowercase=lowercase))
        found = (self._tokens.tokenizer.token_to_id(mask) for mask in _MASKS)
        mask_id = next((i for i in found if i is not None), None)
        if mask_id is None:
            raise InvalidModelError(f"{self.folder}: its vocabulary has no {' or '.join(_MASKS)}")
        self.mask_id: int = mask_id
        settings = folder_settings(self.folder)
        self._room = min(settings.max_length, positions(self.folder)) - self._tokens.special_count

    @property
    def mask_token(self) -> str:
        """How a gap is written: ``"[MASK]"`` for BERT."""
        return str(self._tokens.tokenizer.id_to_token(self.mask_id))

    def predict(self, text: str, *, top_k: int = 5, targets: Sequence[str] | None = None) -> list[list[Prediction]]:
        """Fill the gaps of a text.

        Args:
            text: With at least one :attr:`mask_token`.
            top_k: How many candidates per gap.
            targets: Only these words, each scored whole: the gap is widened to as many pieces as a word has. A shorter
                word has an easier task; compare words of about the same length.

        Returns:
            For each gap, from left to right, its candidates, the most probable first. Other gaps stay open meanwhile.

        Raises:
            InvalidInputError: no gap; ``top_k`` below 1; no targets, or one that the vocabulary cannot spell.
        """
        ids = self._ids(text)
        gaps = [i for i, token in enumerate(ids) if token == self.mask_id]
        if not gaps:
            raise InvalidInputError(f"text: expected at least one {self.mask_token}")
        if whole_number("top_k", top_k) < 1:
            raise InvalidInputError("expected at least 1", about=Give("top_k", top_k))
        if targets is None:
            return [self._best(ids, gap, top_k) for gap in gaps]
        if isinstance(targets, str):
            raise InvalidInputError("targets: expected a list of strings, got one str; put it in a list")
        words = {word: self._spelled(word, i) for i, word in enumerate(checked_texts(targets))}
        if not words:
            raise InvalidInputError("targets: expected at least one word")
        return [self._among(ids, gap, words)[:top_k] for gap in gaps]

    def pseudo_perplexity(self, text: str) -> float:
        """How surprising a text is: ``exp(-mean log P(token | all others))``, each token masked in turn.

        Salazar et al. 2020, arXiv:1910.14659. It costs one run of the network per token.

        Args:
            text: Without gaps.

        Returns:
            1 for a text that is certain, higher for a stranger one.

        Raises:
            InvalidInputError: no token, or a gap.
        """
        ids = self._ids(text)
        if not ids or self.mask_id in ids:
            raise InvalidInputError(f"text: expected at least one token and no {self.mask_token}")
        questions = [self._question([*ids[:i], self.mask_id, *ids[i + 1 :]], i, token) for i, token in enumerate(ids)]
        return math.exp(-float(np.mean(self._answers(questions))))

    async def apredict(
        self, text: str, *, top_k: int = 5, targets: Sequence[str] | None = None
    ) -> list[list[Prediction]]:
        """As :meth:`predict`, without blocking the event loop."""
        return await asyncio.to_thread(self.predict, text, top_k=top_k, targets=targets)

    async def apseudo_perplexity(self, text: str) -> float:
        """As :meth:`pseudo_perplexity`, without blocking the event loop."""
        return await asyncio.to_thread(self.pseudo_perplexity, text)

    def close(self) -> None:
        """Release the weights; the next call loads them again."""
        with self._lock:
            self._network = None

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_lock", "_network")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        in_each_process(self._make_lock)
        self._network = None

    def _make_lock(self) -> None:
        self._lock = threading.RLock()

    def _ids(self, text: str) -> list[int]:
        if not isinstance(text, str):
            raise InvalidInputError(f"text: expected one text, got {type(text).__name__}")
        return self._tokens.tokens([text])[0]

    def _best(self, ids: list[int], gap: int, top_k: int) -> list[Prediction]:
        question = self._question(ids, gap, 0)
        scores = self._run([question])[0]
        best = np.argsort(-scores, kind="stable")[:top_k]
        names = [str(self._tokens.tokenizer.id_to_token(int(i))) for i in best]
        return [Prediction(name, math.exp(scores[i]), (name,)) for name, i in zip(names, best, strict=True)]

    def _among(self, ids: list[int], gap: int, words: dict[str, list[int]]) -> list[Prediction]:
        questions = {word: self._spelling(ids, gap, pieces) for word, pieces in words.items()}
        every = list(dict.fromkeys(question for asked in questions.values() for question in asked))
        answers = dict(zip(every, self._answers(every), strict=True))
        name = self._tokens.tokenizer.id_to_token
        found = [
            Prediction(word, math.exp(sum(answers[q] for q in asked)), tuple(str(name(i)) for i in words[word]))
            for word, asked in questions.items()
        ]
        return sorted(found, key=lambda prediction: -prediction.score)

    def _spelling(self, ids: list[int], gap: int, pieces: list[int]) -> list[_Question]:
        """A question per piece: those before it are filled in, those after it masked."""
        questions = []
        for done, piece in enumerate(pieces):
            slots = pieces[:done] + [self.mask_id] * (len(pieces) - done)
            questions.append(self._question([*ids[:gap], *slots, *ids[gap + 1 :]], gap + done, piece))
        return questions

    def _spelled(self, word: str, at: int) -> list[int]:
        pieces = self._tokens.tokens([word])[0]
        unknown = self._tokens.tokenizer.token_to_id("[UNK]")
        if not pieces or unknown in pieces or self.mask_id in pieces or len(pieces) >= self._room:
            raise InvalidInputError(f"targets[{at}]: the vocabulary cannot spell it")
        return pieces

    def _question(self, ids: list[int], place: int, wanted: int) -> _Question:
        """Cut the window around ``place`` that the network has room for, and put the special tokens around it."""
        start = max(0, min(place - self._room // 2, len(ids) - self._room))
        row = (*self._tokens.prefix, *ids[start : start + self._room], *self._tokens.suffix)
        return _Question(row, place - start + len(self._tokens.prefix), wanted)

    def _answers(self, questions: list[_Question]) -> list[float]:
        """The log-probability that each question asks for; those about one place of one row share a run."""
        places = list(dict.fromkeys((question.row, question.place) for question in questions))
        by_place: dict[tuple[tuple[int, ...], int], list[int]] = {}
        for i, question in enumerate(questions):
            by_place.setdefault((question.row, question.place), []).append(i)
        answers = [0.0] * len(questions)
        lengths = [len(row) for row, _ in places]
        with progress(len(places), "predicting", "token") as advance:
            for chosen in batches(lengths, _BATCH_TOKENS):
                scores = self._run([questions[by_place[places[i]][0]] for i in chosen])
                for row, i in zip(scores, chosen, strict=True):
                    for asked in by_place[places[i]]:
                        answers[asked] = float(row[questions[asked].wanted])
                advance(len(chosen))
        return answers

    def _run(self, questions: Sequence[_Question]) -> Matrix:
        check_tokens(self.folder, [question.row for question in questions])
        ids, mask = padded([question.row for question in questions], self._tokens.pad_id)
        return self._loaded().log_probabilities(ids, mask, np.array([question.place for question in questions]))

    def _loaded(self) -> TorchMasked:
        with self._lock:
            if self._network is None:
                from bedside.encoders.backends.torch_masked import load_masked

                self._network = load_masked(self.folder, device=self.device, dtype=self.dtype)
            return self._network
