"""Dense nDCG@10 on held-out pairs: what decides when training stops, and what the card says before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bedside.evaluation import evaluate
from bedside.tuning.retrieval.pairs import Pair
from bedside.tuning.retrieval.settings import TuneSettings
from bedside.types import Matrix

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

METRICS = ("nDCG@10", "recall@10", "MRR@10")


@dataclass(frozen=True)
class HeldOut:
    """Questions, passages, and which answer which.

    Attributes:
        queries: Each once.
        documents: The answers, then passages that answer none of them.
        judgments: Query -> passage -> grade, by their places in the lists.
    """

    queries: tuple[str, ...]
    documents: tuple[str, ...]
    judgments: Mapping[str, Mapping[str, int]]

    def measure(self, queries: Matrix, documents: Matrix, top_k: int = 10) -> dict[str, float]:
        """Metrics of vectors: ``[q, d]`` and ``[n, d]`` float32 of length 1."""
        scores = queries @ documents.T
        order = np.argsort(-scores, axis=1, kind="stable")[:, :top_k]
        run = {str(i): [str(j) for j in row] for i, row in enumerate(order.tolist())}
        return dict(evaluate(run, self.judgments, METRICS).means)


def make_held_out(pairs: Sequence[Pair], others: Sequence[str], settings: TuneSettings) -> HeldOut:
    """Choose held-out questions and the passages that they are searched in, within the limits of the settings."""
    rng = np.random.default_rng(settings.seed)
    queries = list(dict.fromkeys(pair.query for pair in pairs))
    chosen = [queries[i] for i in sorted(rng.permutation(len(queries))[: settings.heldout_queries])]
    answers = {query: i for i, query in enumerate(chosen)}
    documents = list(dict.fromkeys(pair.positive for pair in pairs if pair.query in answers))
    rest = [text for text in dict.fromkeys([*(p.positive for p in pairs), *others]) if text not in set(documents)]
    room = max(0, settings.heldout_documents - len(documents))
    documents += [rest[i] for i in sorted(rng.permutation(len(rest))[:room])]
    place = {text: str(i) for i, text in enumerate(documents)}
    judgments: dict[str, dict[str, int]] = {str(i): {} for i in range(len(chosen))}
    for pair in pairs:
        if pair.query in answers:
            judgments[str(answers[pair.query])][place[pair.positive]] = 1
    return HeldOut(tuple(chosen), tuple(documents), judgments)


def measure(network: SentenceTransformer, held_out: HeldOut, prompts: tuple[str, str], batch: int) -> dict[str, float]:
    """Encode held-out texts with the network as it is, and rank them.

    Args:
        network: Texts are cut at its training length.
        held_out: What is asked.
        prompts: Put before queries and before documents.
        batch: Texts in memory at once.
    """
    queries = _encode(network, [prompts[0] + text for text in held_out.queries], batch)
    documents = _encode(network, [prompts[1] + text for text in held_out.documents], batch)
    return held_out.measure(queries, documents)


def _encode(network: SentenceTransformer, texts: list[str], batch: int) -> Matrix:
    training = network.training
    vectors = network.encode(texts, batch_size=batch, normalize_embeddings=True, show_progress_bar=False)
    network.train(training)
    return np.asarray(vectors, dtype=np.float32)
