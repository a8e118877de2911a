"""Tune a tiny encoder as a process of its own, which a test kills: BASE OUTPUT METHOD."""

from __future__ import annotations

import sys

import torch

from bedside.tuning import TuneSettings, tune_encoder

DISEASES = [
    *("angina", "asthma", "gout", "sepsis", "stroke", "anemia"),
    *("cancer", "ulcer", "migraine", "eczema", "lupus", "croup"),
]
PAIRS = [
    (f"How is {name} treated in week {week}?", f"Drug {week} against {name}, and rest for {week} days.")
    for week in range(6)
    for name in DISEASES
]
SETTINGS = {"epochs": 5, "batch_size": 16, "mini_batch": 8, "learning_rate": 3e-3, "device": "cpu", "seed": 3}


def run(base: str, output: str, method: str) -> None:
    """Tune, the same for the same arguments."""
    torch.set_num_threads(1)
    changes = {"lora": {"lora_rank": 4}, "steps": {"checkpoint_steps": 3, "negatives": 1, "negatives_from": 0}}
    data = {"corpus": [text for _, text in PAIRS], "held_out": PAIRS[:12]} if method == "tsdae" else {"pairs": PAIRS}
    settings = TuneSettings(**SETTINGS, **changes.get(method, {}))
    tune_encoder(base, output=output, method="tsdae" if method == "tsdae" else "contrastive", settings=settings, **data)


if __name__ == "__main__":
    run(*sys.argv[1:])
