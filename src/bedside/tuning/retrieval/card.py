"""The model card of a tuned encoder, and the same facts as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from bedside.encoders.cards import card, table
from bedside.tuning.retrieval.heldout import METRICS
from bedside.tuning.retrieval.rows import Data
from bedside.tuning.trainer import Course

CARD = "README.md"
RECORD = "tuning.json"
_LIBRARIES = ("bedside", "torch", "transformers", "sentence-transformers")


def record(
    base: Mapping[str, Any], data: Data, course: Course, metrics: Mapping[str, Mapping[str, float]]
) -> dict[str, Any]:
    """Everything that made the model, as JSON: base, data, settings, course, metrics; never a text."""
    return {
        "base": dict(base),
        "method": data.method,
        "data": {name: {"rows": rows, "sha256": data.hashes[name]} for name, rows in data.counts.items() if rows},
        "settings": asdict(data.settings),
        "steps": course.steps,
        "best_step": course.best_step,
        "losses": [list(entry) for entry in course.losses],
        "history": [[step, dict(values)] for step, values in course.measured],
        "metrics": {when: dict(values) for when, values in metrics.items()},
        "versions": {name: version(name) for name in _LIBRARIES},
    }


def papers(facts: Mapping[str, Any]) -> dict[str, str]:
    """The card and the record, by file name."""
    return {CARD: _card(facts), RECORD: json.dumps(facts, indent=2) + "\n"}


def _card(facts: Mapping[str, Any]) -> str:
    base, metrics = facts["base"], facts["metrics"]
    data = [[name, str(entry["rows"]), f"`{entry['sha256'][:16]}`"] for name, entry in facts["data"].items()]
    settings = [[name, f"`{value!r}`"] for name, value in facts["settings"].items()]
    name = base["name"]
    return card(
        {"base_model": name if "/" in name else None, "pipeline_tag": "sentence-similarity"},
        ["clinical", "embeddings"],
        f"{name}, tuned ({facts['method']})",
        "A text encoder for retrieval. Open its folder with `bedside.load_encoder` or sentence-transformers.",
        f"Base: `{name}`, fingerprint `{base['fingerprint']}`. {facts['steps']} steps; the weights are those of step "
        f"{facts['best_step']}. They are derived from the texts below: share them with nobody who may not read those.",
        "## Held-out metrics",
        _metrics(metrics),
        "## Data",
        table(["data", "rows", "SHA-256"], data),
        "## Settings",
        table(["setting", "value"], settings),
        ", ".join(f"{library} {number}" for library, number in facts["versions"].items()),
    )


def _metrics(metrics: Mapping[str, Mapping[str, float]]) -> str:
    if not metrics:
        return "Nothing was held out."
    rows = [[name, *(f"{metrics[when][name]:.4f}" for when in ("before", "after"))] for name in METRICS]
    return table(["dense", "before", "after"], rows) + "\n\nTexts are cut at the training length."
