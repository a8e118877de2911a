"""Exported folders: complete without torch or weights, checked by hash, honest about what int8 costs."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bedside.encoders import TransformerEncoder, load_encoder
from bedside.encoders.artefacts import artefact
from bedside.encoders.export import Export, Fidelity, export_model, fidelity_of
from bedside.encoders.pooling import unit
from bedside.encoders.tensors import read_tensors, write_tensors
from bedside.errors import InvalidInputError, InvalidModelError
from checkpoints import make_bert_checkpoint, minilm_folder

NEEDED = ("onnxruntime", "onnx", "onnxscript", "openvino")
MISSING = [library for library in NEEDED if importlib.util.find_spec(library) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"{', '.join(MISSING)} is not installed")
needs_nncf = pytest.mark.skipif(importlib.util.find_spec("nncf") is None, reason="nncf is not installed")

TEXTS = ["Patient denies chest pain.", "BP 120/80 mmHg", "on metformin 500 mg b.i.d. " * 200]
NOTES = [
    f"{age}-year-old {who} with {what}, on {drug}."
    for age in (34, 51, 68, 83)
    for who in ("man", "woman")
    for what, drug in [
        ("asthma", "salbutamol"),
        ("gout", "allopurinol"),
        ("type 2 diabetes", "metformin"),
        ("angina", "GTN"),
    ]
]
WEIGHTS = ("*.safetensors", "*.bin")


@pytest.fixture(scope="module")
def exported(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder with the float32 networks of both runtimes."""
    folder = tmp_path_factory.mktemp("exports") / "clinical"
    for backend in ("onnx", "openvino"):
        export_model(published, folder, backend=backend)
    return folder


@pytest.fixture(scope="module")
def quantised(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Export:
    return export_model(published, tmp_path_factory.mktemp("exports") / "int8", dtype="int8", texts=NOTES)


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_an_exported_folder_encodes_without_torch_transformers_weights_network_or_a_trace_in_the_home(
    exported: Path, bert: TransformerEncoder, tmp_path: Path, backend: str
) -> None:
    code = f"""
import socket, sys
for name in ("torch", "transformers", "safetensors", "sentence_transformers", "onnx", "onnxscript"):
    sys.modules[name] = None
def refuse(*args, **kwargs): raise AssertionError("a connection was tried")
socket.socket.connect = socket.getaddrinfo = refuse
import numpy as np
from bedside import load_encoder
encoder = load_encoder({str(exported)!r}, backend={backend!r})
np.save({str(tmp_path / "vectors.npy")!r}, encoder.encode_documents({TEXTS!r}))
print(encoder.fingerprint, "openvino_telemetry" in sys.modules)
"""
    home = tmp_path / "home"
    home.mkdir()
    environment = {**os.environ, "HOME": str(home), "BEDSIDE_CACHE": str(tmp_path / "nothing")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [bert.fingerprint, "False"]
    np.testing.assert_allclose(np.load(tmp_path / "vectors.npy"), bert.encode_documents(TEXTS), atol=1e-5)
    assert not list(home.iterdir())
    assert not (tmp_path / "nothing").exists()
    assert not [path for pattern in WEIGHTS for path in exported.glob(pattern)]


def test_an_export_keeps_pooling_lengths_and_prompts(minilm: TransformerEncoder, tmp_path: Path) -> None:
    made = export_model(minilm_folder(), tmp_path / "mini")
    encoder = load_encoder(made.folder, backend="onnx")
    assert (encoder.settings, encoder.fingerprint) == (minilm.settings, minilm.fingerprint)
    assert (made.backend, made.dtype, made.fidelity) == ("onnx", "float32", None)
    assert made.size == sum(path.stat().st_size for path in (made.folder / "onnx-float32").iterdir())


def test_an_export_keeps_the_calibration(bert: TransformerEncoder, tmp_path: Path) -> None:
    calibrated = bert.calibrate(NOTES, method="center")
    made = export_model(calibrated.save(tmp_path / "saved"), tmp_path / "exported")
    encoder = load_encoder(made.folder, backend="onnx")
    assert encoder.fingerprint == calibrated.fingerprint
    np.testing.assert_allclose(encoder.encode_documents(TEXTS), calibrated.encode_documents(TEXTS), atol=1e-4)


def test_an_exported_encoder_can_be_calibrated_and_saved(
    exported: Path, bert: TransformerEncoder, tmp_path: Path
) -> None:
    calibrated = load_encoder(exported, backend="openvino").calibrate(NOTES, method="center")
    again = load_encoder(calibrated.save(tmp_path / "saved"), backend="openvino")
    assert again.fingerprint == calibrated.fingerprint != bert.fingerprint
    np.testing.assert_array_equal(again.encode_documents(TEXTS), calibrated.encode_documents(TEXTS))


def test_an_export_into_the_model_s_own_folder_serves_beside_its_weights(
    bert: TransformerEncoder, tmp_path: Path
) -> None:
    folder = bert.save(tmp_path / "model")
    export_model(folder, folder)
    for backend in ("torch", "onnx"):
        assert load_encoder(folder, backend=backend).fingerprint == bert.fingerprint
        np.testing.assert_allclose(
            load_encoder(folder, backend=backend, dtype="float32").encode_documents(TEXTS),
            bert.encode_documents(TEXTS),
            atol=1e-5,
        )


def test_a_network_beside_weights_that_were_trained_further_is_refused_and_changes_the_fingerprint(
    bert: TransformerEncoder, tmp_path: Path
) -> None:
    """Training keeps the size of the weights, and the folder's manifest still lists the old ones."""
    from safetensors.numpy import load_file, save_file

    folder = bert.save(tmp_path / "model")
    export_model(folder, folder)
    before = load_encoder(folder, backend="onnx").encode_documents(TEXTS)
    tensors = load_file(folder / "model.safetensors")
    name = next(name for name in tensors if name.endswith("layer.1.output.dense.weight"))
    save_file({**tensors, name: tensors[name] * 2}, folder / "model.safetensors", metadata={"format": "pt"})
    tuned = load_encoder(folder, device="cpu", dtype="float32")
    assert tuned.fingerprint != bert.fingerprint
    assert abs(tuned.encode_documents(TEXTS) - before).max() > 1e-3
    with pytest.raises(InvalidModelError, match="onnx-float32: made from other weights than those beside it"):
        load_encoder(folder, backend="onnx").encode_documents(TEXTS)


@pytest.mark.parametrize(("backend", "file"), [("onnx", "model.onnx.data"), ("openvino", "model.bin")])
def test_a_changed_byte_in_an_export_is_found_before_it_is_used(
    exported: Path, tmp_path: Path, backend: str, file: str
) -> None:
    copy = Path(shutil.copytree(exported, tmp_path / "copy"))
    damaged = copy / f"{backend}-float32" / file
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    with pytest.raises(InvalidModelError, match=f"{file}: missing or changed"):
        load_encoder(copy, backend=backend).encode_documents(["x"])


def test_a_damaged_network_in_the_cache_is_made_again(
    bert: TransformerEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("BEDSIDE_CACHE", str(tmp_path))
    made = artefact(bert.folder, "onnx", "float32", lambda _, target: (target / "model.onnx").write_bytes(b"whole"))
    (made / "model.onnx").write_bytes(b"torn")
    again = artefact(bert.folder, "onnx", "float32", lambda _, target: (target / "model.onnx").write_bytes(b"whole"))
    assert (again, (again / "model.onnx").read_bytes()) == (made, b"whole")
    assert any("made again" in message for message in caplog.messages)


def test_a_cached_network_is_made_once_and_anew_when_the_weights_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEDSIDE_CACHE", str(tmp_path / "cache"))
    source = tmp_path / "model"
    source.mkdir()
    (source / "config.json").write_text("{}")
    seen = []

    def build(folder: Path, target: Path) -> None:
        seen.append(read_tensors(folder / "model.safetensors")["w"].item())
        (target / "model.onnx").write_text(str(seen[-1]))

    for weight in (1, 1, 2):
        write_tensors(source / "model.safetensors", {"w": np.array([weight])})
        found = artefact(source, "onnx", "float32", build)
        assert (found / "model.onnx").read_text() == str(weight)
    assert seen == [1, 2]


def test_int8_reports_its_cosine_and_neighbours_and_keeps_them_in_the_manifest(quantised: Export) -> None:
    found = quantised.fidelity
    assert found is not None
    assert found.texts == len(NOTES) // 2
    assert 0.9 < found.lowest_cosine <= found.mean_cosine <= 1.000001
    assert 0 <= found.neighbours_kept <= 1
    manifest = json.loads((quantised.folder / "onnx-int8" / "manifest.json").read_text())
    assert Fidelity(**manifest["fidelity"]) == found


def test_int8_is_small_has_a_fingerprint_of_its_own_and_the_cosine_it_reported(
    quantised: Export, exported: Path, bert: TransformerEncoder
) -> None:
    whole = sum(path.stat().st_size for path in (exported / "onnx-float32").iterdir())
    assert quantised.size < whole / 3
    encoder = load_encoder(quantised.folder, backend="onnx", dtype="int8")
    assert encoder.fingerprint != bert.fingerprint
    assert quantised.fidelity is not None
    cosines = (encoder.encode_documents(NOTES[1::2]) * bert.encode_documents(NOTES[1::2])).sum(1)
    assert cosines.mean() == pytest.approx(quantised.fidelity.mean_cosine, abs=1e-4)


def test_int8_is_never_the_default(quantised: Export) -> None:
    with pytest.raises(InvalidModelError, match=r"onnx-float32 is to be made from weights.*only onnx-int8"):
        load_encoder(quantised.folder, backend="onnx").encode_documents(["x"])


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_int8_asks_to_be_made_from_texts(published: Path, backend: str) -> None:
    with pytest.raises(InvalidInputError, match=r"export_model\(.*texts="):
        load_encoder(published, backend=backend, dtype="int8").encode_documents(["x"])


@pytest.mark.slow
@needs_nncf
def test_openvino_int8_is_calibrated_on_the_texts_and_close_to_float32(
    published: Path, bert: TransformerEncoder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Standard output stays the program's own: the calibration's progress bars go to standard error."""
    made = export_model(published, tmp_path / "int8", backend="openvino", dtype="int8", texts=NOTES)
    assert capsys.readouterr().out == ""
    vectors = load_encoder(made.folder, backend="openvino", dtype="int8").encode_documents(NOTES)
    assert made.fidelity is not None
    assert made.fidelity.lowest_cosine > 0.99
    assert (vectors * bert.encode_documents(NOTES)).sum(1).min() > 0.99


@pytest.mark.slow
@needs_nncf
def test_int8_of_minilm_keeps_a_cosine_of_0_97_on_real_passages(data: Path, tmp_path: Path) -> None:
    lines = (data / "medquad" / "corpus.jsonl").read_text("utf-8").splitlines()[:200]
    passages = [json.loads(line)["text"][:600] for line in lines]
    for backend in ("onnx", "openvino"):
        made = export_model(minilm_folder(), tmp_path / "mini", backend=backend, dtype="int8", texts=passages)
        assert made.fidelity is not None
        assert made.fidelity.mean_cosine > 0.97


def test_fidelity_of_equal_and_of_unrelated_vectors(rng: np.random.Generator) -> None:
    exact = unit(rng.normal(size=(200, 32)).astype(np.float32))
    same = fidelity_of(exact, exact)
    assert (same.texts, same.neighbours_kept, same.ndcg_loss) == (200, 1.0, pytest.approx(0, abs=1e-9))
    assert same.lowest_cosine == pytest.approx(1, abs=1e-6)
    other = fidelity_of(unit(rng.normal(size=(200, 32)).astype(np.float32)), exact)
    assert abs(other.mean_cosine) < 0.1
    assert other.neighbours_kept < 0.2
    assert other.ndcg_loss > 0.8


def test_the_loss_of_ndcg_is_that_of_an_independent_implementation(rng: np.random.Generator) -> None:
    from sklearn.metrics import ndcg_score

    exact = unit(rng.normal(size=(60, 16)).astype(np.float32))
    other = unit(exact + 0.1 * rng.normal(size=exact.shape).astype(np.float32))
    losses = []
    for i in range(60):
        others = np.delete(np.arange(60), i)
        truth = exact[others] @ exact[i]
        relevant = (truth >= np.sort(truth)[-10]).astype(float)
        losses.append(1 - ndcg_score([relevant], [other[others] @ other[i]], k=10))
    assert 0.01 < np.mean(losses) < 0.9
    assert fidelity_of(other, exact).ndcg_loss == pytest.approx(np.mean(losses), abs=1e-6)


def test_the_command_makes_int8_from_a_file_of_passages_and_prints_what_it_costs(
    published: Path, tmp_path: Path
) -> None:
    (tmp_path / "passages.txt").write_text("\n\n".join(NOTES) + "\n", "utf-8")
    command = [sys.executable, "-m", "bedside.cli", "export-model", str(published), str(tmp_path / "out")]
    options = ["--dtype", "int8", "--texts", str(tmp_path / "passages.txt")]
    done = subprocess.run([*command, *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out" / "onnx-int8" / "manifest.json").read_text())["fidelity"]
    assert f"on {len(NOTES) // 2} of the texts: mean cosine {found['mean_cosine']:.4f}" in done.stdout
    assert f"nDCG@10 lower by {found['ndcg_loss']:.4f}" in done.stdout
    load_encoder(tmp_path / "out", backend="onnx", dtype="int8").encode_documents(TEXTS)
    refused = subprocess.run([*command, "--dtype", "int8"], capture_output=True, text=True)
    assert refused.returncode != 0
    assert "texts" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"backend": "torch"}, "backend='torch'.*'onnx', 'openvino', 'tensorflow'"),
        ({"backend": "jax"}, "torch and jax run the weights"),
        ({"dtype": "bfloat16"}, "dtype='bfloat16': the onnx backend expects one of 'float32', 'int8'"),
        ({"backend": "tensorflow", "dtype": "int8"}, "the tensorflow backend expects one of 'float32'"),
        ({"dtype": "int8"}, "needs at least 24 real texts, got 0"),
        ({"dtype": "int8", "texts": NOTES[:23]}, "got 23"),
        ({"dtype": "int8", "texts": "one string"}, "list of strings"),
    ],
)
def test_what_cannot_be_exported_is_refused_before_anything_is_written(
    published: Path, tmp_path: Path, given: dict[str, object], said: str
) -> None:
    with pytest.raises(InvalidInputError, match=said):
        export_model(published, tmp_path / "new", **given)
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten_and_a_folder_is_one_model(published: Path, exported: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="onnx-float32 is in it already"):
        export_model(published, exported)
    other = make_bert_checkpoint(tmp_path / "other", seed=1)
    (shutil.copytree(exported, tmp_path / "copy") / "onnx-float32" / "manifest.json").rename(tmp_path / "moved.json")
    shutil.rmtree(tmp_path / "copy" / "onnx-float32")
    with pytest.raises(InvalidInputError, match="something else than exports of this model"):
        export_model(other, tmp_path / "copy")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(InvalidInputError, match="something else"):
        export_model(published, tmp_path / "full")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["notes.txt"]


def test_an_export_without_weights_cannot_be_exported_again_or_run_by_torch(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidModelError, match="no weights in it to export"):
        export_model(exported, tmp_path / "again")
    with pytest.raises(InvalidModelError, match="missing"):
        load_encoder(exported).encode_documents(["x"])


def test_missing_tensors_are_an_error_and_not_made_up(bert: TransformerEncoder, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    folder = bert.save(tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    tensors.pop(next(name for name in tensors if name.endswith("layer.1.output.dense.weight")))
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InvalidModelError, match=r"1 tensors are missing.*output\.dense\.weight"):
        export_model(folder, tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["roberta", "mpnet", "distilbert"])
def test_other_networks_are_exported_as_well(bert: TransformerEncoder, tmp_path: Path, kind: str) -> None:
    """What is no plain BERT goes through transformers' own code, in torch and when it is exported."""
    import torch
    from transformers import AutoConfig, AutoModel

    sizes = {"vocab_size": 28996, "pad_token_id": 0, "max_position_embeddings": 514}
    sizes |= (
        {"dim": 64, "hidden_dim": 128, "n_layers": 2, "n_heads": 4}
        if kind == "distilbert"
        else {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    )
    folder = tmp_path / kind
    with torch.random.fork_rng():
        torch.manual_seed(0)
        AutoModel.from_config(AutoConfig.for_model(kind, **sizes)).save_pretrained(folder)
    for name in ("vocab.txt", "tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(bert.folder / name, folder / name)
    expected = load_encoder(folder, device="cpu", dtype="float32").encode_documents(TEXTS)
    for backend in ("onnx", "openvino"):
        found = load_encoder(folder, backend=backend, dtype="float32").encode_documents(TEXTS)
        np.testing.assert_allclose(found, expected, atol=1e-5)
