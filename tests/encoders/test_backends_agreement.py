"""Every backend gives torch's vectors, from the same folder, whatever the batch; and says plainly what it cannot do."""

from __future__ import annotations

import importlib.util
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedside.encoders import TransformerEncoder, load_encoder
from bedside.encoders.backends import open_backend
from bedside.encoders.backends.common import check_dtype, has_processor_flag, pieces
from bedside.encoders.pooling import POOLINGS
from bedside.errors import InvalidInputError, InvalidModelError
from checkpoints import minilm_folder

TEXTS = [
    "Patient denies chest pain.",
    "BP 120/80 mmHg",
    "HPI: 63-year-old woman with type 2 diabetes, on metformin 500 mg b.i.d., presents with dyspnea. " * 6,
    "x",
    "emoji 😀👩‍⚕️, 糖尿病, пациент",
    "The note goes on and on about nothing in particular, as discharge summaries do. " * 60,
]
LIBRARIES = {"onnx": "onnxruntime", "openvino": "openvino", "jax": "jax", "tensorflow": "tensorflow"}
HEAVY = ("jax", "tensorflow")  # they compile for seconds per shape
FLOAT32 = 1e-5  # the tolerance that docs/backends.md states


def marked(name: str) -> Any:
    """Skipped where its library is missing, or what exporting to it needs; slow where it is heavy."""
    needed = {"jax": [], "tensorflow": ["jax"]}.get(name, ["onnx", "onnxscript"])
    missing = [library for library in [LIBRARIES[name], *needed] if importlib.util.find_spec(library) is None]
    skip = pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} is not installed")
    return pytest.param(name, marks=[skip, *([pytest.mark.slow] if name in HEAVY else [])])


every_backend = pytest.mark.parametrize("backend", [marked(name) for name in LIBRARIES])


@every_backend
@pytest.mark.parametrize("pooling", POOLINGS)
def test_vectors_equal_those_of_torch_with_every_pooling(published: Path, backend: str, pooling) -> None:
    expected = load_encoder(published, device="cpu", dtype="float32", pooling=pooling).encode_documents(TEXTS)
    found = load_encoder(published, backend=backend, device="cpu", dtype="float32", pooling=pooling)
    np.testing.assert_allclose(found.encode_documents(TEXTS), expected, atol=FLOAT32)


@every_backend
def test_vectors_of_minilm_equal_those_of_torch(minilm: TransformerEncoder, backend: str) -> None:
    found = load_encoder(minilm_folder(), backend=backend, device="cpu", dtype="float32").encode_documents(TEXTS)
    np.testing.assert_allclose(found, minilm.encode_documents(TEXTS), atol=FLOAT32)


@every_backend
def test_a_text_has_the_same_vector_in_every_batch_and_thread(published: Path, backend: str) -> None:
    encoder = load_encoder(published, backend=backend, device="cpu", dtype="float32")
    alone = np.concatenate([encoder.encode_documents([text]) for text in TEXTS])
    with ThreadPoolExecutor(4) as pool:
        for vectors in pool.map(encoder.encode_documents, [TEXTS] * 8):
            np.testing.assert_allclose(vectors, alone, atol=1e-6)


@pytest.mark.parametrize("backend", [marked("openvino"), marked("jax")])
def test_bfloat16_keeps_a_cosine_of_0_9999_and_1e_3_in_every_batch(minilm: TransformerEncoder, backend: str) -> None:
    texts = [text for text in TEXTS if text.isascii()]
    half = load_encoder(minilm_folder(), backend=backend, device="cpu", dtype="bfloat16")
    found = half.encode_documents(texts)
    assert (found * minilm.encode_documents(texts)).sum(1).min() > 0.9999
    np.testing.assert_allclose(found, np.concatenate([half.encode_documents([text]) for text in texts]), atol=1e-3)


@every_backend
def test_the_fingerprint_is_that_of_torch_so_collections_can_be_shared(
    published: Path, bert: TransformerEncoder, backend: str
) -> None:
    assert load_encoder(published, backend=backend).fingerprint == bert.fingerprint


@every_backend
def test_a_pickled_and_a_closed_encoder_load_again(published: Path, backend: str) -> None:
    encoder = load_encoder(published, backend=backend, device="cpu")
    before = encoder.encode_documents(TEXTS[:2])
    encoder.close()
    for again in (encoder, pickle.loads(pickle.dumps(encoder))):  # noqa: S301 - our own bytes
        np.testing.assert_array_equal(again.encode_documents(TEXTS[:2]), before)


@every_backend
def test_a_closed_backend_says_so(bert: TransformerEncoder, backend: str) -> None:
    opened = open_backend(backend, bert.folder, device="cpu", dtype="float32")
    opened.close()
    with pytest.raises(InvalidModelError, match="closed"):
        opened.pooled(np.ones((1, 4), np.int64), np.ones((1, 4), np.float32), "mean")


@every_backend
@pytest.mark.parametrize(
    ("given", "said"),
    [({"dtype": "float64"}, "dtype='float64'.*float32"), ({"device": "abacus"}, "device='abacus'.*cpu")],
)
def test_an_unknown_dtype_or_device_is_refused_and_what_there_is_is_named(
    published: Path, backend: str, given: dict[str, str], said: str
) -> None:
    with pytest.raises(InvalidInputError, match=f"(?i){said}"):
        load_encoder(published, backend=backend, **given).encode_documents(["x"])


@every_backend
def test_the_choice_of_dtype_is_logged(published: Path, backend: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="bedside"):
        load_encoder(published, backend=backend, device="cpu").encode_documents(["x"])
    kind = "bfloat16" if backend == "openvino" and has_processor_flag("amx_bf16") else "float32"
    assert any(f"in {kind} (device='cpu', dtype='auto')" in message for message in caplog.messages)


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_missing_library_is_named_with_its_extra(tmp_path: Path, name: str) -> None:
    code = f"""
import sys
sys.modules[{LIBRARIES[name]!r}] = None
from pathlib import Path
from typing import Any
from bedside.encoders.backends import open_backend
open_backend({name!r}, Path({str(tmp_path)!r}), device="cpu", dtype="auto")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert f'MissingExtraError: {LIBRARIES[name]} is not installed. It comes with: pip install "bedside[{name}]"' in (
        done.stderr
    )


@pytest.mark.parametrize("name", [marked("onnx"), marked("openvino")])
def test_a_runtime_s_reports_to_its_maker_are_off_and_the_environment_is_left_as_it_was(
    tmp_path: Path, name: str
) -> None:
    """Imported plainly, onnxruntime and openvino write an identifier into the home folder and send events."""
    code = f"""
import os, sys
from bedside.encoders.backends import backend_module
before = dict(os.environ)
backend_module({name!r})
print(dict(os.environ) == before, "openvino_telemetry" in sys.modules)
"""
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.split() == ["True", "False"]
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")
def test_jax_refuses_what_is_no_plain_bert(bert: TransformerEncoder, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "modernbert"}')
    with pytest.raises(InvalidModelError, match="not a plain BERT; use backend='torch', 'onnx' or 'openvino'"):
        open_backend("jax", tmp_path, device="cpu", dtype="auto")
    (tmp_path / "config.json").write_bytes((bert.folder / "config.json").read_bytes())
    with pytest.raises(InvalidModelError, match="no safetensors weights"):
        open_backend("jax", tmp_path, device="cpu", dtype="auto")


def test_pieces_have_few_shapes_cover_every_row_once_and_keep_its_tokens(rng: np.random.Generator) -> None:
    shapes = set()
    for rows, width in [(1, 1), (2, 7), (7, 16), (8, 17), (68, 60), (200, 20), (3, 512), (5, 513)]:
        ids = rng.integers(1, 100, (rows, width))
        mask = (np.arange(width) < rng.integers(1, width + 1, (rows, 1))).astype(np.float32)
        cut = list(pieces(ids, mask, 512))
        assert [i for chosen, _, _ in cut for i in range(chosen.start, chosen.stop)] == list(range(rows))
        for chosen, some_ids, some_mask in cut:
            count = chosen.stop - chosen.start
            np.testing.assert_array_equal(some_ids[:count, :width], ids[chosen])
            np.testing.assert_array_equal(some_mask[:count, :width], mask[chosen])
            assert not some_mask[:count, width:].any()
            assert some_mask.any(axis=1).all()
            shapes.add(some_ids.shape[0])
    assert shapes <= {1, 8, 16, 32, 64}


def test_an_unknown_dtype_is_refused_by_name() -> None:
    assert check_dtype("onnx", "int8", ("auto", "int8")) == "int8"
    with pytest.raises(InvalidInputError, match="the onnx backend expects one of 'auto', 'int8'"):
        check_dtype("onnx", "bfloat16", ("auto", "int8"))
