"""The model card of a tuned encoder, and the same facts as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from bedside.tuning.folders import table
from bedside.tuning.heldout import METRICS
from bedside.tuning.rows import Data
from bedside.tuning.settings import Method, TuneSettings
from bedside.tuning.trainer import Course

CARD = "README.md"
RECORD = "tuning.json"
_LIBRARIES = ("bedside", "torch", "transformers", "sentence-transformers")


def record(
    base: Mapping[str, Any],
    method: Method,
    data: Data,
    settings: TuneSettings,
    course: Course,
    metrics: Mapping[str, Mapping[str, float]],
) -> dict[str, Any]:
    """Everything that made the model, as JSON: base, data, settings, course, metrics; never a text."""
    return {
        "base": dict(base),
        "method": method,
        "data": {name: {"rows": rows, "sha256": data.hashes[name]} for name, rows in data.counts.items() if rows},
        "settings": asdict(settings),
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
    data = table(
        ["data", "rows", "SHA-256"],
        [[name, str(entry["rows"]), f"`{entry['sha256'][:16]}`"] for name, entry in facts["data"].items()],
    )
    settings = table(["setting", "value"], [[name, f"`{value!r}`"] for name, value in facts["settings"].items()])
    front = f"base_model: {base['name']}\n" if "/" in base["name"] else ""
    return (
        f"---\n{front}library_name: bedside\npipeline_tag: sentence-similarity\n"
        "tags:\n- clinical\n- embeddings\n---\n\n"
        f"# {base['name']}, tuned ({facts['method']})\n\n"
        "A text encoder for retrieval. Open its folder with `bedside.load_encoder` or sentence-transformers.\n\n"
        f"Base: `{base['name']}`, fingerprint `{base['fingerprint']}`. {facts['steps']} steps; the weights are those "
        f"of step {facts['best_step']}. They are derived from the texts below: share them with nobody who may not read "
        "those.\n\n"
        f"## Held-out metrics\n\n{_metrics(metrics)}\n\n## Data\n\n{data}\n\n## Settings\n\n{settings}\n\n"
        f"{', '.join(f'{name} {number}' for name, number in facts['versions'].items())}\n"
    )


def _metrics(metrics: Mapping[str, Mapping[str, float]]) -> str:
    if not metrics:
        return "Nothing was held out."
    rows = [[name, *(f"{metrics[when][name]:.4f}" for when in ("before", "after"))] for name in METRICS]
    return table(["dense", "before", "after"], rows) + "\n\nTexts are cut at the training length."
