"""The folder of a tuned task: the encoder's own format, the task's facts, and a card that says how it was made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bedside.encoders.cards import card, table
from bedside.encoders.folders import copy_files
from bedside.encoders.prepare import building, write_manifest, write_tokenizer
from bedside.encoders.quiet import quiet_transformers
from bedside.tuning.heads.task import TASK_FILE, Spec

_VOCABULARY = ("vocab.txt", "vocab.json", "merges.txt", "*.model", "special_tokens_map.json", "added_tokens.json")
_PIPELINES = {"classification": "text-classification", "ner": "token-classification", "qa": "question-answering"}


def save_task(model: Any, source: Path, target: Path, spec: Spec, facts: Mapping[str, Any]) -> None:
    """Write a tuned model beside the vocabulary of the folder that it came from; all of it or nothing.

    Args:
        model: transformers' model, adapters merged.
        source: The base model's folder.
        target: A new folder.
        spec: The content of ``task.json``.
        facts: What the card tells.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with building(target) as new:
        copy_files(source, new, (*_VOCABULARY, "LICENSE*"))
        write_tokenizer(source, new)
        with quiet_transformers():
            model.save_pretrained(new)
        (new / TASK_FILE).write_text(json.dumps(spec.to_json(), indent=2) + "\n", "utf-8")
        (new / "README.md").write_text(_card(spec, facts), "utf-8")
        write_manifest(new, {"tuning": dict(facts)})


def _card(spec: Spec, facts: Mapping[str, Any]) -> str:
    """Base, data with counts and hashes, settings, metrics before and after."""
    data = [
        [name, f"{split['examples']:,}", _counts(split["labels"]), f"`{split['sha256'][:16]}…`"]
        for name, split in facts["data"].items()
    ]
    settings = [[f"`{name}`", f"`{value!r}`"] for name, value in facts["settings"].items()]
    return card(
        {"base_model": facts["base"], "pipeline_tag": _PIPELINES.get(spec.kind)},
        ["clinical"],
        f"{spec.kind}, tuned from {facts['base']}",
        '```python\nfrom bedside.tuning import load_task\n\ntask = load_task("FOLDER")\n```',
        "## Base",
        f"{facts['base']}, weights SHA-256 {', '.join(f'`{h}`' for h in facts['base_sha256'])}.",
        "## Data",
        table(["split", "examples", "labels", "SHA-256"], data),
        "The validation data was held out of the training data." if facts["held_out"] else "",
        "## Metrics",
        _metrics(facts),
        "## Settings",
        f"{facts['steps']} steps on {facts['windows']:,} windows, {facts['trainable']:,} of {facts['parameters']:,} "
        f"parameters trained, {facts['versions']}.",
        table(["setting", "value"], settings),
    )


def _metrics(facts: Mapping[str, Any]) -> str:
    metrics = facts["metrics"]
    if not metrics:
        return "Not measured: there was neither validation nor test data."
    columns = [
        ("before (untrained head)", "before"),
        ("after", "after"),
        (f"baseline: {metrics['baseline_name']}", "baseline"),
    ]
    rows = [[name, *(f"{metrics[key][name]:.3f}" for _, key in columns)] for name in metrics["after"]]
    where = {"test": "the test data", "valid": "the validation data, which also chose the weights"}[metrics["split"]]
    return f"On {where}:\n\n{table(['metric', *(title for title, _ in columns)], rows)}"


def _counts(labels: Mapping[str, int]) -> str:
    shown = [f"{label} {count:,}" for label, count in list(labels.items())[:30]]
    return ", ".join([*shown, "…"] if len(labels) > len(shown) else shown) or "–"
