"""Say once that a masked language model used as it is makes poor sentence vectors."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path

from bedside.encoders.checkpoint import SAFE_WEIGHTS
from bedside.encoders.extras import needs
from bedside.errors import BedsideWarning

_HEADS = ("cls.predictions.", "lm_head.", "vocab_transform.")  # BERT, RoBERTa, DistilBERT
_warned: set[str] = set()
_lock = threading.Lock()


def is_raw(folder: Path) -> bool:
    """Whether a folder is a masked language model: its head is in the weights, and nothing says how to pool."""
    if (folder / "modules.json").is_file():
        return False
    files = [file for pattern in SAFE_WEIGHTS for file in folder.glob(pattern) if file.suffix == ".safetensors"]
    if not files:  # exported without weights
        return False
    with needs("transformers"):
        from safetensors import safe_open

    for file in files:
        with safe_open(file, framework="numpy") as tensors:
            if any(name.startswith(_HEADS) for name in tensors.keys()):  # noqa: SIM118 - it is not a mapping
                return True
    return False


def warn_if_raw(folder: Path, name: str) -> None:
    """Warn, once per model and process.

    Warns:
        BedsideWarning: the model was trained to fill gaps and is used without calibration.
    """
    with _lock:
        if name in _warned:
            return
        _warned.add(name)
    if is_raw(folder):
        warnings.warn(
            f"{name} was trained to fill gaps, not to compare texts: cosines of unrelated notes are close to 1 "
            "(0.86 on average for Bio_ClinicalBERT), so thresholds on them mean nothing. encoder.calibrate(texts) "
            'spreads them; load_encoder("preset:medembed") and other presets were trained to retrieve',
            BedsideWarning,
            stacklevel=5,
        )
