"""Tuning an encoder for retrieval: it learns, it is saved in a form that everything opens, a killed run goes on."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from bedside import Document, load_encoder
from bedside.errors import BedsideWarning, InvalidInputError, InvalidModelError
from checkpoints import make_bert_checkpoint

for needed in ("torch", "sentence_transformers", "datasets", "accelerate", "peft", "ir_measures"):
    pytest.importorskip(needed, reason=f"{needed} is not installed: tuning needs bedside[tuning]")

from bedside.tuning import Pair, TuneSettings, mine_negatives, pairs_from_documents, tune_encoder  # noqa: E402
from bedside.tuning.folders import only_process  # noqa: E402
from bedside.tuning.retrieval.rows import gather  # noqa: E402
from bedside.tuning.retrieval.training import in_batches  # noqa: E402

HERE = Path(__file__).parent
SCRIPT = HERE / "interrupted.py"


def load_script():
    spec = importlib.util.spec_from_file_location("interrupted", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


script = load_script()
PAIRS = script.PAIRS
TEXTS = [text for _, text in PAIRS]


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return make_bert_checkpoint(tmp_path_factory.mktemp("base") / "tiny", hidden=32, positions=64, spread=0.1)


def settings(**changes) -> TuneSettings:
    return TuneSettings(**{**script.SETTINGS, "epochs": 8, **changes})


@pytest.fixture(scope="module")
def tuned(base, tmp_path_factory):
    return tune_encoder(base, output=tmp_path_factory.mktemp("tuned") / "model", pairs=PAIRS, settings=settings())


def test_tuning_lowers_the_loss_and_raises_held_out_ndcg(tuned):
    losses = [loss for _, loss in tuned.facts["losses"]]
    assert losses[-1] < losses[0] / 2
    assert tuned.after["nDCG@10"] > tuned.before["nDCG@10"] + 0.1


def test_the_saved_weights_are_those_of_the_best_measurement(tuned):
    best = max(values["nDCG@10"] for _, values in tuned.facts["history"])
    assert tuned.after["nDCG@10"] == pytest.approx(best, abs=1e-6)
    assert [tuned.facts["best_step"], pytest.approx(best)] in [
        [step, values["nDCG@10"]] for step, values in tuned.facts["history"]
    ]


def test_the_folder_opens_with_load_encoder_and_with_sentence_transformers_alike(tuned):
    from sentence_transformers import SentenceTransformer

    texts = ["BP 120/80, HbA1c 8.2 %", "Asthma."]
    ours = load_encoder(tuned.folder, device="cpu", dtype="float32").encode_documents(texts)
    theirs = SentenceTransformer(str(tuned.folder), device="cpu").encode(texts)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_the_base_is_left_as_it_was_and_the_run_folder_is_gone(base, tuned):
    assert {p.name for p in base.iterdir()} == {"config.json", "pytorch_model.bin", "vocab.txt"}
    assert [p.name for p in tuned.folder.parent.iterdir()] == ["model"]


def test_the_card_records_base_data_settings_and_metrics_and_no_text(base, tuned):
    card = (tuned.folder / "README.md").read_text("utf-8")
    facts = json.loads((tuned.folder / "tuning.json").read_text("utf-8"))
    assert facts["base"] == {"name": "tiny", "fingerprint": load_encoder(base).fingerprint}
    assert facts["data"]["pairs"]["rows"] + facts["data"]["held_out"]["rows"] == len(PAIRS)
    assert len(facts["data"]["pairs"]["sha256"]) == 64
    assert facts["settings"]["learning_rate"] == script.SETTINGS["learning_rate"]
    assert f"{tuned.before['nDCG@10']:.4f} | {tuned.after['nDCG@10']:.4f}" in card
    assert facts["metrics"]["after"] == tuned.after
    for text in (card, json.dumps(facts)):
        assert "angina" not in text.casefold()


def backends():
    have = {
        "onnx": ["onnxruntime", "onnxscript"],
        "openvino": ["openvino"],
        "jax": ["jax"],
        "tensorflow": ["tensorflow"],
    }
    return [name for name, modules in have.items() if all(importlib.util.find_spec(m) for m in modules)]


@pytest.mark.slow
@pytest.mark.parametrize("backend", backends())
@pytest.mark.parametrize("rank", [None, 4])
def test_tuned_and_lora_merged_models_agree_with_torch_in_every_backend(base, tmp_path, backend, rank, monkeypatch):
    monkeypatch.setenv("BEDSIDE_CACHE", str(tmp_path / "cache"))
    quick = settings(epochs=2, lora_rank=rank, holdout=0)
    folder = tune_encoder(base, output=tmp_path / "model", pairs=PAIRS, settings=quick).folder
    texts = [*TEXTS[:8], "BP 120/80 " * 60]
    expected = load_encoder(folder, device="cpu", dtype="float32").encode_documents(texts)
    found = load_encoder(folder, backend=backend, dtype="float32").encode_documents(texts)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_lora_changes_the_merged_weights_and_leaves_no_adapter(base, tmp_path):
    from safetensors.numpy import load_file

    lora = settings(epochs=2, lora_rank=4, holdout=0)
    folder = tune_encoder(base, output=tmp_path / "lora", pairs=PAIRS, settings=lora).folder
    weights = load_file(folder / "model.safetensors")
    assert not [name for name in weights if "lora" in name or "base_layer" in name]
    assert not (folder / "adapter_config.json").exists()
    plain, merged = (load_encoder(f).encode_documents(TEXTS[:3]) for f in (base, folder))
    assert np.abs(plain - merged).max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("method", ["contrastive", "lora", "tsdae", "steps"])
def test_a_killed_run_resumes_to_the_same_bytes_as_an_uninterrupted_one(base, tmp_path, method):
    arguments = [sys.executable, str(SCRIPT), str(base)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    with (tmp_path / "log").open("wb") as log:
        first = subprocess.Popen([*arguments, str(broken), method], stderr=log, stdout=log, env=environment)
        while not list((tmp_path / "broken.run").glob("checkpoint-*/trainer_state.json")):
            assert first.poll() is None, (tmp_path / "log").read_text()[-2000:]
            time.sleep(0.005)
        first.send_signal(signal.SIGKILL)
        assert first.wait() == -signal.SIGKILL
        assert not broken.exists()
        for output in (broken, whole):
            subprocess.run([*arguments, str(output), method], check=True, stderr=log, stdout=log, env=environment)
    assert (broken / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert json.loads((broken / "tuning.json").read_text()) == json.loads((whole / "tuning.json").read_text())


def test_an_interrupted_run_of_other_settings_is_refused_and_can_be_discarded(base, tmp_path):
    run = tmp_path / "model.run"
    run.mkdir()
    (run / "run.json").write_text('{"digest": "another"}')
    with pytest.raises(InvalidInputError, match=r"resume=False"):
        tune_encoder(base, output=tmp_path / "model", pairs=PAIRS, settings=settings())
    quick = settings(epochs=1, holdout=0)
    tune_encoder(base, output=tmp_path / "model", pairs=PAIRS, settings=quick, resume=False)
    assert not run.exists()


def test_titles_and_headings_make_pairs_and_tune_without_labels(base, tmp_path):
    notes = [Document(f"HPI: Seen for {name} today at noon.\nPLAN: Give drug {i} for {name} and rest.", {"title": name})
             for i, name in enumerate(script.DISEASES)]  # fmt: skip
    pairs = pairs_from_documents(notes)
    assert Pair("HPI: angina", "Seen for angina today at noon.") in pairs
    assert len(pairs) == 3 * len(notes)
    quick = settings(epochs=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BedsideWarning)
        made = tune_encoder(base, output=tmp_path / "m", corpus=notes, settings=quick)
    assert made.facts["data"]["pairs"]["rows"] + made.facts["data"]["held_out"]["rows"] == len(pairs)


def quick_method(base, tmp_path, method, **given):
    quick = settings(epochs=4, layers=1, early_stopping=None)
    return tune_encoder(base, output=tmp_path / method, method=method, settings=quick, corpus=TEXTS, **given)


@pytest.mark.parametrize("method", ["tsdae", "simcse", "distill"])
def test_texts_alone_are_learned_from(base, tmp_path, method):
    made = quick_method(base, tmp_path, method)
    losses = [loss for _, loss in made.facts["losses"]]
    assert losses[-1] < losses[0]
    assert load_encoder(made.folder).encode_documents(["x"]).shape == (1, 32)


def test_a_distilled_student_has_fewer_layers_and_the_base_s_directions(base, tmp_path):
    made = quick_method(base, tmp_path, "distill")
    assert json.loads((made.folder / "config.json").read_text())["num_hidden_layers"] == 1
    student, teacher = (load_encoder(folder).encode_documents(TEXTS[:20]) for folder in (made.folder, base))
    assert (student * teacher).sum(axis=1).mean() > 0.95


def test_gpl_learns_from_the_caller_s_question_writer_and_cross_encoder(base, tmp_path):
    asked = []

    def write(passages):
        return [[f"Which week for {text.split()[3]}"] for text in passages]

    def score(pairs):
        asked.extend(pairs)
        return [float(query.split()[-1] in passage) for query, passage in pairs]

    made = quick_method(base, tmp_path, "gpl", query_generator=write, cross_encoder=score)
    losses = [loss for _, loss in made.facts["losses"]]
    assert losses[-1] < losses[0]
    assert len(asked) % 2 == 0
    assert {query for query, _ in asked} == {f"Which week for {text.split()[3]}" for text in TEXTS}


def test_mined_negatives_look_alike_and_are_never_an_answer_to_the_query():
    pairs = [Pair(*pair) for pair in PAIRS] + [Pair(PAIRS[0][0], PAIRS[1][1])]
    mined = mine_negatives(pairs, load_encoder("bedside/static"), count=2, skip=0)
    answers = {}
    for pair in pairs:
        answers.setdefault(pair.query, set()).add(pair.positive)
    assert len(mined) == 2 * len(pairs)
    assert all(row.negative in TEXTS and row.negative not in answers[row.query] for row in mined)
    words = re.compile(r"\w+").findall
    alike = [row for row in mined if set(words(row.negative)) & set(words(row.query))]
    assert len(alike) > 0.9 * len(mined)


def test_mined_rows_train(base, tmp_path):
    quick = settings(epochs=2, negatives=1, negatives_from=0, holdout=0)
    made = tune_encoder(base, output=tmp_path / "m", pairs=PAIRS, settings=quick)
    assert made.facts["losses"][-1][1] < made.facts["losses"][0][1]


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{"gradient_checkpointing": True}, {"precision": "bfloat16"}])
def test_memory_and_precision_settings_still_learn(base, tmp_path, changes):
    made = tune_encoder(base, output=tmp_path / "m", pairs=PAIRS, settings=settings(**changes))
    assert made.facts["losses"][-1][1] < made.facts["losses"][0][1] / 2


def test_a_head_that_nobody_trained_is_refused(base, tmp_path):
    from sentence_transformers import SparseEncoder

    folder = tmp_path / "sparse"
    folder.mkdir()
    for file in base.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    kinds = ["models.Transformer", "sparse_encoder.models.SpladePooling"]
    modules = [
        {"idx": i, "name": str(i), "path": "", "type": f"sentence_transformers.{k}"} for i, k in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(InvalidModelError, match="SpladePooling"):
        tune_encoder(folder, output=tmp_path / "m", pairs=PAIRS)
    sparse = object.__new__(SparseEncoder)
    with pytest.raises(InvalidInputError, match="SparseEncoder"):
        tune_encoder(sparse, output=tmp_path / "m", pairs=PAIRS)
    with pytest.raises(InvalidInputError, match="static"):
        static = load_encoder("bedside/static")
        static.save(tmp_path / "static")
        tune_encoder(tmp_path / "static", output=tmp_path / "m", pairs=PAIRS)
    assert not (tmp_path / "m").exists()
    assert not (tmp_path / "m.run").exists()


def ask(texts):
    return [[f"Which week, {text}?"] for text in texts]


def gpl(write, score=len):
    return {"method": "gpl", "corpus": TEXTS, "query_generator": write, "cross_encoder": score}


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"method": "magic", "pairs": PAIRS}, "method='magic'"),
        ({}, "pairs="),
        ({"pairs": PAIRS, "triples": PAIRS}, "not both"),
        ({"triples": PAIRS}, r"triples\[0\]: it has no negative"),
        ({"method": "tsdae", "pairs": PAIRS}, "corpus="),
        ({"method": "gpl", "corpus": TEXTS}, "query_generator="),
        ({"corpus": TEXTS}, "titles or headings"),
        ({"corpus": ["", "x"]}, r"corpus\[0\]"),
        ({"pairs": PAIRS, "held_out": PAIRS[3:5]}, r"leakage: 2 of 2 held-out rows .* held_out\[0\] with pairs\[3\]"),
        ({"pairs": PAIRS, "settings": TuneSettings(max_length=65, device="cpu")}, "max_length=65"),
        ({"method": "distill", "corpus": TEXTS, "settings": TuneSettings(layers=2, device="cpu")}, "layers=2"),
        ({"pairs": PAIRS, "settings": TuneSettings(precision="float16", device="cpu")}, "precision='float16'"),
        ({"pairs": PAIRS, "settings": TuneSettings(device="gpu")}, "device='gpu'"),
        ({"pairs": PAIRS, "settings": {"epochs": 2}}, "settings: expected TuneSettings, got dict"),
        ({"pairs": PAIRS[:1]}, "one passage alone"),
        ({"corpus": 5}, "corpus: expected a file, a collection or texts, got int"),
        ({"corpus": ["a \ud800"]}, r"corpus\[0\]"),
        (gpl(lambda texts: None), "query generator: a list .* got NoneType"),
        (gpl(lambda texts: ["Which week?" for _ in texts]), "query generator: expected a list of questions"),
        (gpl(lambda texts: [[] for _ in texts]), "query generator: it wrote no question"),
        (gpl(ask, lambda pairs: None), "cross-encoder: a score .* got NoneType"),
        (gpl(ask, lambda pairs: [float("nan")] * len(pairs)), "cross-encoder: expected a finite number"),
    ],
)  # fmt: skip
def test_what_cannot_be_tuned_is_refused_by_name_and_leaves_no_model(base, tmp_path, given, named):
    with pytest.raises(InvalidInputError, match=named):
        tune_encoder(base, output=tmp_path / "m", **given)
    assert list(tmp_path.iterdir()) == []


def test_weights_that_diverged_are_not_saved_and_a_smaller_rate_may_follow(base, tmp_path):
    with pytest.raises(InvalidInputError, match=r"diverged.*learning_rate"):
        tune_encoder(base, output=tmp_path / "m", pairs=PAIRS, settings=settings(learning_rate=1e38, holdout=0))
    assert list(tmp_path.iterdir()) == []
    tune_encoder(base, output=tmp_path / "m", pairs=PAIRS, settings=settings(epochs=1, holdout=0))


@pytest.mark.parametrize(("batch", "mini", "parts"), [(64, 48, (32, 2)), (64, 16, (16, 4)), (10, 64, (10, 1))])
def test_small_batches_add_up_to_the_batch_that_was_asked_for(batch, mini, parts):
    asked = TuneSettings(batch_size=batch, mini_batch=mini, device="cpu")
    made = in_batches(gather("tsdae", asked, corpus=TEXTS), 1000)
    assert (made.size, made.parts) == parts


def test_pairs_that_leave_nothing_to_measure_are_said(base, tmp_path):
    one_answer = [(query, TEXTS[0]) for query, _ in PAIRS[:8]] + PAIRS[-1:]
    with pytest.warns(BedsideWarning, match="holdout: no group of pairs"):
        made = tune_encoder(base, output=tmp_path / "m", pairs=one_answer, settings=settings(epochs=1, holdout=0.05))
    assert made.before == made.after == {}
    assert "Nothing was held out" in (made.folder / "README.md").read_text("utf-8")


def test_two_processes_never_train_into_one_folder(base, tmp_path):
    with only_process(tmp_path / "m"), pytest.raises(InvalidInputError, match="another process is training into it"):
        tune_encoder(base, output=tmp_path / "m", pairs=PAIRS, settings=settings(epochs=1))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "m.run.lock").touch()  # what a killed process leaves behind holds nobody up
    tune_encoder(base, output=tmp_path / "m", pairs=PAIRS, settings=settings(epochs=1, holdout=0))
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_an_output_that_is_not_empty_is_left_alone(base, tmp_path):
    (tmp_path / "kept").write_text("x")
    with pytest.raises(InvalidInputError, match="not empty"):
        tune_encoder(base, output=tmp_path, pairs=PAIRS)
    assert (tmp_path / "kept").read_text() == "x"
