"""``bedside tune classify|ner|qa|relations``, each as a process of its own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import asdict, dataclass, fields
from inspect import signature
from pathlib import Path
from typing import get_args

import pytest

from checkpoints import ROOT, make_bert_checkpoint
from task_examples import asked, classified, related, tagged

for needed in ("typer", "torch", "transformers", "accelerate", "peft", "seqeval", "sklearn", "yaml"):
    pytest.importorskip(needed, reason=f"{needed} is not installed: tuning needs bedside[tuning,cli]")

from bedside.cli.settings import documented, with_settings  # noqa: E402
from bedside.cli.tune_retrieval import COMMANDS as RETRIEVAL  # noqa: E402
from bedside.cli.tune_tasks import COMMANDS  # noqa: E402
from bedside.tuning import TuneSettings, load_task  # noqa: E402
from bedside.tuning.heads import TaskSettings  # noqa: E402

EXAMPLES = {"classify": classified, "ner": tagged, "qa": asked, "relations": related}


def tune(*arguments, code=0):
    """Run one command, check its exit code, and return what it printed and what it complained of."""
    done = subprocess.run(
        [sys.executable, "-m", "bedside.cli", "tune", *map(str, arguments)],
        capture_output=True, text=True, encoding="utf-8", timeout=200,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with a tiny model, a file of examples for each task, and a configuration."""
    folder = tmp_path_factory.mktemp("place")
    make_bert_checkpoint(folder / "tiny", layers=1, hidden=32, heads=2, positions=64, spread=0.1)
    for name, make in EXAMPLES.items():
        write(folder / f"{name}.jsonl", [asdict(example) for example in make(24)])
    (folder / "run.yaml").write_text(f"base: {folder / 'tiny'}\nepochs: 1\nmax_length: 48\ndevice: cpu\n", "utf-8")
    return folder


def write(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    return path


def test_every_command_has_help_and_stands_in_the_documentation():
    overview = tune("--help")[0]
    page = (ROOT / "docs" / "cli.md").read_text("utf-8")
    for name, command in COMMANDS.items():
        assert command.__doc__
        assert re.search(rf"\b{name}\b", overview)
        assert f"$ bedside tune {name} " in page
    assert "--dry-run" in tune("ner", "--help")[0]


@dataclass(frozen=True)
class Made:
    """What a user may set.

    Attributes:
        rounds: How often; ``None`` never stops.
        names: Of what is set.
        table: Too much for a shell.
    """

    rounds: int | None = None
    names: tuple[str, ...] = ()
    table: dict[str, float] | None = None


def test_every_setting_that_a_shell_can_say_is_an_option_with_the_words_of_its_docstring():
    def command(path: str, **settings):
        """Take them."""

    options = dict(signature(with_settings(command, Made)).parameters)
    assert list(options) == ["path", "rounds", "names"]
    (option,) = get_args(options["rounds"].annotation)[1:]
    assert (option.help, options["rounds"].default) == ("How often", None)
    for kind, commands in ((TaskSettings, COMMANDS), (TuneSettings, RETRIEVAL)):
        for taken in (signature(command).parameters for command in commands.values()):
            assert {field.name for field in fields(kind)} - set(taken) <= {"class_weights"}
            assert all(name in documented(kind) for name in taken if name in {field.name for field in fields(kind)})


@pytest.mark.parametrize(
    "name", ["ner", *(pytest.param(n, marks=pytest.mark.slow) for n in ("classify", "qa", "relations"))]
)
def test_a_command_writes_a_task_that_opens_and_says_what_it_scores(place, tmp_path, name):
    printed, _ = tune(
        name, place / f"{name}.jsonl", tmp_path / "task", "--config", place / "run.yaml", "--epochs", 2, "--json"
    )
    report = json.loads(printed)
    assert set(report["after"]) == set(report["before"]) == set(report["baseline"])
    assert len(report["measured"]) == 2
    task = load_task(tmp_path / "task", device="cpu")
    assert task.kind in (tmp_path / "task" / "README.md").read_text("utf-8")


def test_a_dry_run_tells_sizes_labels_time_and_memory_and_writes_nothing(place, tmp_path):
    printed, _ = tune(
        "classify", place / "classify.jsonl", tmp_path / "task", "--config", place / "run.yaml", "--dry-run"
    )
    assert "train: 22 examples (treatment" in printed
    assert "valid: 2 examples" in printed
    assert re.search(r"22 windows with \d+ tokens, 2 steps", printed)
    assert re.search(r"about \d+ s and \d+ MiB", printed)
    assert list(tmp_path.iterdir()) == []


def test_problems_are_named_in_a_dry_run_and_stop_a_run_before_it_trains(place, tmp_path):
    broken = [{"text": "Fever.", "entities": [{"label": "Problem", "start": 0, "end": 99}]}]
    data = write(tmp_path / "broken.jsonl", [*map(asdict, tagged(6)), *broken])
    where = "train[6].entities[0]: 0 to 99 is not within the text of 6 (span-outside)"
    printed, _ = tune("ner", data, "--base", place / "tiny", "--dry-run", code=1)
    assert f"problem: {where}" in printed
    _, complaint = tune("ner", data, tmp_path / "task", "--base", place / "tiny", code=1)
    assert complaint.count("\n") == 1
    assert where in complaint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.jsonl"]


def test_wrong_usage_and_a_wrong_configuration_are_told(place, tmp_path):
    data = place / "ner.jsonl"
    assert "give OUTPUT" in tune("ner", data, code=2)[1]
    (tmp_path / "run.json").write_text('{"epoch": 3}')
    assert "unknown settings epoch" in tune("ner", data, "x", "--config", tmp_path / "run.json", code=1)[1]
    (tmp_path / "run.yaml").write_text("- 1\n")
    assert "expected names" in tune("ner", data, "x", "--config", tmp_path / "run.yaml", code=1)[1]
