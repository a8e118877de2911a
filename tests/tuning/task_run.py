"""Tune a tiny task head as a process of its own, which a test kills: BASE OUTPUT KIND."""

from __future__ import annotations

import sys

import torch

import task_examples
from bedside.tuning.heads import TaskSettings
from bedside.tuning.heads.tune import tune


def run(base: str, output: str, kind: str) -> None:
    """Tune, the same for the same arguments."""
    torch.set_num_threads(1)
    made = {"classification": task_examples.classified, "ner": task_examples.tagged}
    settings = TaskSettings(
        epochs=20,
        learning_rate=2e-3,
        batch_size=8,
        max_length=48,
        overlap=8,
        device="cpu",
        seed=5,
        checkpoint_steps=10 if kind == "classification" else None,
        lora_rank=4 if kind == "ner" else None,
        early_stopping=15,
    )
    tune(kind, made[kind](), output, base=base, settings=settings)


if __name__ == "__main__":
    run(*sys.argv[1:])
