"""Token vectors that learn to rank: the recipe of a static encoder and the tuning that it describes."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bedside.encoders.wordpiece import WordPiece
from bedside.support.extras import needs
from bedside.support.progress import progress
from bedside.types import Matrix

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recipe:
    """What decides the result besides teacher, texts and vocabulary.

    The defaults are those of the shipped encoder; what each is worth stands in the documentation.

    Attributes:
        dimension: Length of a vector, at most the teacher's.
        max_tokens: Tokens in the vocabulary; 35,000 at 256 dimensions are 10 MB.
        min_count: Occurrences in corpus and pairs from which a whole word joins the vocabulary, and below which a
            piece of the teacher's leaves a full one.
        max_length: Pieces of a passage that the teacher reads.
        sif: Smooth inverse frequency before tuning: a token of relative frequency p weighs ``sif / (sif + p)``.
        prior: How many occurrences the teacher's vector of the token alone counts for.
        epochs: Passes over the pairs; 0: no tuning.
        batch: Pairs in a batch; each is told from all others in it.
        learning_rate: Adam's, falling to zero, for vectors of mean length 1.
        temperature: Of both losses.
        dropout: Share of tokens left out at random while tuning.
        teacher_weight: Weight of the teacher's similarities against that of the pairs.
        whitening: How far the corpus' vectors are spread at the end: 0 not at all, 1 fully.
        seed: Of every random choice.
    """

    dimension: int = 256
    max_tokens: int = 35_000
    min_count: int = 3
    max_length: int = 80
    sif: float = 1e-3
    prior: float = 1.0
    epochs: int = 6
    batch: int = 1024
    learning_rate: float = 0.003
    temperature: float = 0.05
    dropout: float = 0.3
    teacher_weight: float = 1.0
    whitening: float = 0.7
    seed: int = 0


def tune(
    rows: Matrix,
    tokens: WordPiece,
    pairs: Sequence[tuple[str, str]],
    corpus: Sequence[str],
    sentences: Matrix,
    recipe: Recipe,
) -> Matrix:
    """Teach token vectors to rank: InfoNCE over pairs, and the teacher's similarities among passages.

    Args:
        rows: ``[v, d]`` to start from.
        tokens: The vocabulary.
        pairs: Texts that belong together.
        corpus: Passages that the teacher has read.
        sentences: ``[n, D]``: the teacher's unit vectors of ``corpus``.
        recipe: Epochs, batch, rates.

    Returns:
        ``[v, d]`` float32.
    """
    with needs("transformers"):
        import torch
    torch.manual_seed(recipe.seed)
    chooser = random.Random(recipe.seed)  # noqa: S311 - nothing secret
    names: dict[str, int] = {}
    sides = [(tokens(a), tokens(b), *(names.setdefault(text, len(names)) for text in (a, b))) for a, b in pairs]
    sides = [side for side in sides if side[0] and side[1]]
    read = [(ids, vector) for ids, vector in zip(map(tokens, corpus), sentences, strict=True) if ids]
    table = torch.nn.Parameter(torch.tensor(rows / np.linalg.norm(rows, axis=1).mean()))
    batch = min(recipe.batch, len(sides), len(read))
    steps = recipe.epochs * (len(sides) // batch)
    optimizer = torch.optim.Adam([table], lr=recipe.learning_rate, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 1.0 / steps, total_iters=steps)

    def encode(texts: Sequence[Sequence[int]]) -> Any:
        kept = [[i for i in row if chooser.random() >= recipe.dropout] or row for row in texts]
        flat = torch.tensor([i for row in kept for i in row])
        offsets = torch.tensor(np.cumsum([0] + [len(row) for row in kept[:-1]]))
        return torch.nn.functional.normalize(torch.nn.functional.embedding_bag(flat, table, offsets, mode="sum"))

    with progress(steps, "tuning", "step") as advance:
        for _ in range(recipe.epochs):
            chooser.shuffle(sides)
            for start in range(0, len(sides) - batch + 1, batch):
                chosen = sides[start : start + batch]
                seen = chooser.sample(read, batch)
                left, right, first, second = map(list, zip(*chosen, strict=True))
                same = _shared(first) | _shared(second)
                loss = _pair_loss(encode(left), encode(right), same, recipe.temperature)
                target = torch.tensor(np.stack([vector for _, vector in seen]))
                known = _teacher_loss(encode([ids for ids, _ in seen]), target, recipe.temperature)
                optimizer.zero_grad(set_to_none=True)
                (loss + recipe.teacher_weight * known).backward()
                optimizer.step()
                schedule.step()
                advance(1)
            log.info("pair loss %.3f, teacher loss %.3f", loss.item(), known.item())
    tuned: Matrix = table.detach().numpy()
    return tuned


def _shared(names: Sequence[int]) -> Any:
    """``[n, n]``: which other texts of the batch are the same one."""
    import torch

    found = torch.tensor(names)
    return (found[:, None] == found[None]) & ~torch.eye(len(found), dtype=torch.bool)


def _pair_loss(left: Any, right: Any, same: Any, temperature: float) -> Any:
    """InfoNCE both ways (van den Oord et al. 2018): each text against the other side of its batch.

    A pair that shares a text with another (``same``) is not a wrong answer for it.
    """
    import torch

    scores = (left @ right.T / temperature).masked_fill(same, -1e4)
    own = torch.arange(len(scores))
    cross = torch.nn.functional.cross_entropy
    return (cross(scores, own) + cross(scores.T, own)) / 2


def _teacher_loss(found: Any, target: Any, temperature: float) -> Any:
    """Divergence of two distributions over the rest of the batch: similarity as the teacher and as we see it."""
    import torch

    itself = torch.eye(len(found), dtype=torch.bool)
    ours, theirs = (
        torch.log_softmax((x @ x.T / temperature).masked_fill(itself, -1e4), dim=1) for x in (found, target)
    )
    return torch.nn.functional.kl_div(ours, theirs, log_target=True, reduction="batchmean")
