"""``bedside tune retrieval``: a file of settings in, sizes and costs or an encoder out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bedside import load_encoder
from bedside.errors import InvalidInputError
from checkpoints import make_bert_checkpoint

for needed in ("torch", "sentence_transformers", "datasets", "accelerate", "peft", "ir_measures", "yaml"):
    pytest.importorskip(needed, reason=f"{needed} is not installed: tuning needs bedside[tuning]")

from bedside.cli.configuration import read_config  # noqa: E402
from bedside.tuning import TuneSettings, plan_tuning  # noqa: E402

PAIRS = [(f"what is remedy {i}?", f"Remedy {i} is taken on day {i} with water.") for i in range(40)]


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return make_bert_checkpoint(tmp_path_factory.mktemp("base") / "tiny", hidden=32, positions=64, spread=0.1)


@pytest.fixture
def folder(base, tmp_path) -> Path:
    lines = [json.dumps({"query": query, "positive": positive}) for query, positive in PAIRS]
    (tmp_path / "pairs.jsonl").write_text("\n".join(lines))
    (tmp_path / "run.yaml").write_text(
        f"base: {base}\noutput: model\npairs: pairs.jsonl\nepochs: 2\nbatch_size: 8\nlearning_rate: 0.003\n"
    )
    return tmp_path


def bedside(*arguments, code=0):
    done = subprocess.run(
        [sys.executable, "-m", "bedside.cli", "tune", "retrieval", *map(str, arguments)],
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr if code else done.stdout


def test_a_dry_run_counts_what_a_run_would_do_and_writes_nothing(base, tmp_path):
    settings = TuneSettings(epochs=2, batch_size=8, device="cpu", holdout=0.25)
    plan = plan_tuning(base, pairs=PAIRS, settings=settings)
    assert plan.counts == {"pairs": 30, "texts": 0, "held_out": 10}
    assert (plan.rows, plan.steps) == (30, 8)
    assert plan.parameters == plan.trainable > 900_000
    assert 5 < plan.tokens < 30
    assert plan.seconds > 0
    assert plan.memory > 16 * plan.parameters
    lora = plan_tuning(base, pairs=PAIRS, settings=TuneSettings(lora_rank=2, device="cpu"))
    assert lora.trainable < 0.05 * lora.parameters
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InvalidInputError, match="method="):
        plan_tuning(base, pairs=PAIRS, method="magic")


def test_a_configuration_reads_yaml_s_numbers_and_files_beside_it(tmp_path):
    (tmp_path / "m").mkdir()
    text = "\ufefflearning_rate: 2e-5\nweight_decay: 1E-2\nseed: 3\npairs: p.jsonl\nbase: m\nlabel: 2e-5x\n"
    (tmp_path / "run.yaml").write_text(text, "utf-8")
    assert read_config(tmp_path / "run.yaml", ("pairs", "corpus")) == {
        "learning_rate": 2e-5, "weight_decay": 0.01, "seed": 3, "label": "2e-5x",
        "pairs": tmp_path / "p.jsonl", "base": str(tmp_path / "m"),
    }  # fmt: skip
    (tmp_path / "latin.yaml").write_bytes(b"base: caf\xe9")
    for name, named in (("no.yaml", "No such file"), ("latin.yaml", "not UTF-8"), ("m", "directory")):
        with pytest.raises(InvalidInputError, match=rf"{name}: it cannot be read .*{named}"):
            read_config(tmp_path / name, ())


@pytest.mark.slow
def test_the_command_estimates_then_tunes_and_the_folder_opens(folder):
    before = sorted(folder.iterdir())
    plan = json.loads(bedside(folder / "run.yaml", "--dry-run", "--json"))
    assert plan["steps"] == 10
    assert sorted(folder.iterdir()) == before
    out = bedside(folder / "run.yaml")
    assert "held-out nDCG@10: " in out
    assert load_encoder(folder / "model").encode_documents(["x"]).shape == (1, 32)
    assert "not empty" in bedside(folder / "run.yaml", code=1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"method": "gpl"}, "tune_encoder in Python"),
        ({"epoch": 3}, "unknown settings epoch"),
        ({"pairs": "no.jsonl"}, "no.jsonl is missing"),
        ({"base": None}, "base is missing"),
        ({"learning_rate": "fast"}, "learning_rate='fast': expected a finite number"),
    ],
)
def test_a_wrong_configuration_is_refused_in_one_line(folder, base, changes, named):
    run = {"base": str(base), "output": "model", "pairs": "pairs.jsonl", **changes}
    (folder / "run.json").write_text(json.dumps({key: value for key, value in run.items() if value is not None}))
    error = bedside(folder / "run.json", code=1)
    assert named in error
    assert error.startswith("bedside: ")
    assert error.count("\n") == 1
