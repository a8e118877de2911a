"""From word vectors to one vector for a text: mean, idf or SIF weights, maximum; and what a corpus adds to them.

SIF is Arora, Liang and Ma 2017 (weights ``a / (a + p(word))`` and the first common component taken out), whitening is
Su et al. 2021 (mean zero, covariance one).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from bedside.errors import InvalidInputError, InvalidModelError
from bedside.text.lexicon import STOP_WORDS
from bedside.types import Document, Matrix, Vector

Method: TypeAlias = Literal["mean", "idf", "sif", "max"]
METHODS: tuple[Method, ...] = get_args(Method)

SIF_A = 1e-3
"""Arora et al.'s smoothing; they found 1e-4 to 1e-3 best."""
_ZIPF_SHIFT = 2.7  # Mandelbrot's correction for the most frequent words
_WHITEN_FLOOR = 1e-3  # of the mean variance: directions below it are noise that whitening would blow up
_ARRAYS = ("weights", "offset", "transform")
_WORD = re.compile(r"[^\W_]+(?:[-'’][^\W_]+|(?<=\d)[./,]\d+)*\+?")


@dataclass(frozen=True)
class WordPooling:
    """How texts are pooled: made by :meth:`WordVectors.fit`, or bare.

    Args:
        method: ``"mean"``, ``"idf"``, ``"sif"`` or ``"max"``.
        weights: float32 ``[n]``, one for each word; ``None`` is 1 for ``"mean"`` and ``"max"``, and for ``"idf"`` and
            ``"sif"`` an estimate from the word's rank (Zipf's law), which fits files ordered by frequency: GloVe's,
            word2vec's, fastText's and wink's are.
        offset: float32 ``[d]`` taken from every pooled vector.
        transform: float32 ``[d, d]`` it is then multiplied with.
    """

    method: Method = "mean"
    weights: Vector | None = None
    offset: Vector | None = None
    transform: Matrix | None = None

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise InvalidInputError(f"pooling={self.method!r}: expected one of {', '.join(METHODS)}")

    @property
    def fingerprint(self) -> str:
        """Names everything in it; two with the same one pool alike."""
        digest = hashlib.sha256(self.method.encode())
        for name in _ARRAYS:
            array = getattr(self, name)
            digest.update(b"-" if array is None else f"{name}{array.shape}".encode() + array.tobytes())
        return digest.hexdigest()[:16]

    def save(self, path: str | Path) -> None:
        """Write it as a numpy ``.npz`` file, to use the same pooling another day."""
        arrays = {name: getattr(self, name) for name in _ARRAYS if getattr(self, name) is not None}
        with Path(path).open("wb") as file:
            np.savez(file, method=np.array(self.method), allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> WordPooling:
        """Take back what :meth:`save` wrote.

        Raises:
            InvalidModelError: The file holds something else.
        """
        try:
            with np.load(path, allow_pickle=False) as found:
                arrays = {name: found[name] for name in _ARRAYS if name in found}
                return cls(str(found["method"]), **arrays)  # type: ignore[arg-type]
        except (ValueError, KeyError, EOFError) as error:
            raise InvalidModelError(f"{path}: not a saved pooling of word vectors") from error

    def weights_of(self, count: int) -> Vector | None:
        """The weights of ``count`` words, float32 ``[count]``; ``None`` is 1 for each."""
        return _rank_weights(self.method, count) if self.weights is None else self.weights

    def finish(self, vector: Vector) -> Vector:
        """Apply offset and transform to one pooled vector ``[d]``: its result must not depend on others."""
        moved = vector if self.offset is None else vector - self.offset
        return moved if self.transform is None else np.asarray(moved @ self.transform, dtype=np.float32)


def words_of(text: str) -> list[str]:
    """Cut a text into words, as they are written; function words are dropped, negations kept.

    Hyphen compounds and numbers with their points and slashes stay whole. A text of function words only keeps them.

    Example:
        >>> words_of("The patient's follow-up: BP 120/80, no fever.")
        ["patient's", 'follow-up', 'BP', '120/80', 'no', 'fever']
    """
    found = _WORD.findall(text)
    return [word for word in found if word.lower() not in STOP_WORDS] or found


def texts_of(corpus: Iterable[Document | str]) -> list[str]:
    """The texts of a collection, a scoped view, or any iterable of documents or strings."""
    return [item if isinstance(item, str) else item.text for item in corpus]


def rank_probabilities(count: int) -> NDArray[np.float64]:
    """How often the word at each rank occurs by the Zipf-Mandelbrot law; sums to 1."""
    found = 1.0 / (np.arange(1, count + 1) + _ZIPF_SHIFT)
    return np.asarray(found / found.sum())


@lru_cache(maxsize=4)
def _rank_weights(method: Method, count: int) -> Vector | None:
    """Weights by rank alone, where no corpus was counted; ``None`` is 1 for every word."""
    if method == "sif":
        return np.asarray(SIF_A / (SIF_A + rank_probabilities(count)), dtype=np.float32)
    return np.asarray(-np.log(rank_probabilities(count)), dtype=np.float32) if method == "idf" else None


def fit(
    corpus: Sequence[Sequence[int]],
    pool: Callable[[WordPooling, Sequence[int]], Vector],
    count: int,
    method: Method,
    *,
    whiten: bool,
) -> WordPooling:
    """Learn weights from a corpus, and what is common to its texts.

    Args:
        corpus: The rows of each text's words; texts without any are left out.
        pool: Pools one of them.
        count: Number of words in the vocabulary.
        method: As in :class:`WordPooling`; ``"sif"`` also takes out the first common component.
        whiten: Give the corpus' vectors mean zero and covariance one, instead of taking out the component.

    Raises:
        InvalidInputError: Fewer than two texts with a known word.
    """
    weights = _corpus_weights(corpus, count, method)
    plain = WordPooling(method, weights)
    if not whiten and method != "sif":
        return plain
    if len(corpus) < 2:
        raise InvalidInputError(f"corpus: expected at least 2 texts with a known word, got {len(corpus)}")
    vectors = np.stack([pool(plain, rows) for rows in corpus]).astype(np.float64)
    if whiten:
        offset = vectors.mean(axis=0)
        return WordPooling(method, weights, offset.astype(np.float32), _whitening(vectors - offset))
    component = np.linalg.svd(vectors, full_matrices=False)[2][0]
    return WordPooling(method, weights, None, _float32(np.eye(len(component)) - np.outer(component, component)))


def _corpus_weights(corpus: Sequence[Sequence[int]], count: int, method: Method) -> Vector | None:
    if method in ("mean", "max"):
        return None
    if method == "idf":
        df = np.bincount([row for rows in corpus for row in set(rows)], minlength=count)
        return np.asarray(np.log1p((len(corpus) - df + 0.5) / (df + 0.5)), dtype=np.float32)
    frequency = np.bincount([row for rows in corpus for row in rows], minlength=count)
    return np.asarray(SIF_A / (SIF_A + frequency / max(1, frequency.sum())), dtype=np.float32)


def _whitening(centred: NDArray[np.float64]) -> Matrix:
    values, axes = np.linalg.eigh(centred.T @ centred / len(centred))
    kept = np.maximum(values, _WHITEN_FLOOR * values.mean())
    return _float32(axes / np.sqrt(kept))


def _float32(array: NDArray[np.float64]) -> Matrix:
    return np.ascontiguousarray(array, dtype=np.float32)
