"""A run that was killed goes on, and ends where it would have ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bedside.errors import InvalidInputError
from checkpoints import make_bert_checkpoint
from task_examples import classified

for needed in ("torch", "transformers", "accelerate", "peft", "seqeval", "sklearn"):
    pytest.importorskip(needed, reason=f"{needed} is not installed: tuning needs bedside[tuning]")

from bedside.tuning import tune_classifier  # noqa: E402
from bedside.tuning.heads import TaskSettings  # noqa: E402
from bedside.tuning.heads.loop import ByLength  # noqa: E402
from bedside.tuning.trainer import last_checkpoint  # noqa: E402

SCRIPT = Path(__file__).with_name("task_run.py")


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return make_bert_checkpoint(
        tmp_path_factory.mktemp("base") / "tiny", layers=1, hidden=32, heads=2, positions=64, spread=0.1
    )


@pytest.mark.parametrize("kind", ["classification", pytest.param("ner", marks=pytest.mark.slow)])
def test_a_killed_run_resumes_to_the_same_bytes_as_an_uninterrupted_one(base, tmp_path, kind):
    """Classification saves within epochs, ner after them and with adapters; both restore early stopping's patience."""
    arguments = [sys.executable, str(SCRIPT), str(base)]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(SCRIPT.parents[1]), *sys.path]),
    }
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    with (tmp_path / "log").open("wb") as log:
        first = subprocess.Popen([*arguments, str(broken), kind], stderr=log, stdout=log, env=environment)
        while len(list((tmp_path / "broken.run").glob("checkpoint-*/trainer_state.json"))) < 2:
            assert first.poll() is None, (tmp_path / "log").read_text()[-2000:]
            time.sleep(0.002)
        first.send_signal(signal.SIGKILL)
        assert first.wait() == -signal.SIGKILL
        assert not broken.exists()
        assert last_checkpoint(tmp_path / "broken.run") is not None
        for output in (broken, whole):
            subprocess.run([*arguments, str(output), kind], check=True, stderr=log, stdout=log, env=environment)
    assert (broken / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert (broken / "README.md").read_text() == (whole / "README.md").read_text()
    assert not (tmp_path / "broken.run").exists()


def test_an_interrupted_run_of_other_settings_is_refused(base, tmp_path):
    run = tmp_path / "task.run"
    run.mkdir()
    (run / "run.json").write_text(json.dumps({"settings": {}}))
    with pytest.raises(InvalidInputError, match=r"an interrupted run with other .*settings"):
        tune_classifier(classified(), tmp_path / "task", base=base, settings=TaskSettings(max_length=48, device="cpu"))
    assert (run / "run.json").read_text() == '{"settings": {}}'


def test_a_torn_checkpoint_is_removed_and_the_one_before_it_serves(tmp_path):
    for step, state in ((5, "{}"), (10, "{}"), (15, '{"torn')):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(state)
    (tmp_path / "checkpoint-20").mkdir()
    assert last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-10")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-10", "checkpoint-5"]


def test_an_order_holds_every_window_once_is_new_each_epoch_and_pads_little():
    lengths = [(7 * i) % 101 + 5 for i in range(103)]
    order = ByLength(lengths, 8, seed=1)
    first = list(order)
    assert sorted(first) == list(range(103))
    assert first == list(ByLength(lengths, 8, seed=1)) != list(ByLength(lengths, 8, seed=2))
    order.set_epoch(1)
    assert list(order) != first
    spread = [max(lengths[i] for i in batch) - min(lengths[i] for i in batch) for batch in
              (first[a : a + 8] for a in range(0, 96, 8))]  # fmt: skip
    assert max(spread) < 40
