"""Say once that a masked language model used as it is makes poor sentence vectors."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path

from bedside.encoders.artefacts import has_head, weight_files
from bedside.encoders.checkpoint import EXPORTED, read_json
from bedside.errors import BedsideWarning
from bedside.support.fork import in_each_process

_warned: set[str] = set()
_lock: threading.Lock


def _make_lock() -> None:
    global _lock
    _lock = threading.Lock()


in_each_process(_make_lock)


def is_raw(folder: Path) -> bool:
    """Whether a folder is a masked language model: its head is in the weights, and nothing says how to pool.

    An exported network without weights remembers the head of those that it was made from.
    """
    if (folder / "modules.json").is_file():
        return False
    files = [file for file in weight_files(folder) if file.suffix == ".safetensors"]
    if files:
        return has_head(files)
    return any(read_json(manifest).get("head") for manifest in folder.glob(EXPORTED))


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
