"""Folders that are carried, pairs, presets, asynchronous calls."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import pickle
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedside.encoders import (
    PRESETS,
    PairedEncoder,
    TransformerEncoder,
    fetch_model,
    load_encoder,
    prepare,
    push_to_hub,
    verify,
)
from bedside.errors import EncoderMismatch, InvalidInputError, InvalidModelError
from bedside.words import WordVectors
from checkpoints import make_bert_checkpoint

TEXTS = ["Chest pain on exertion.", "No fever."]


def test_a_fetched_folder_is_whole_verified_and_gives_the_same_vectors(
    published: Path, tmp_path: Path, bert: TransformerEncoder, monkeypatch
) -> None:
    source = tmp_path / "source"
    shutil.copytree(published, source)
    (source / "README.md").write_text("---\nlicense: mit\n---\n\nA card.\n")
    (source / "LICENSE").write_text("Permission is granted.")
    folder = fetch_model(source, tmp_path / "carried")
    shutil.rmtree(source)
    monkeypatch.setenv("BEDSIDE_CACHE", "/nonexistent")
    verify(folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["model"], manifest["license"]) == ("source", "mit")
    assert {"LICENSE", "README.md", "model.safetensors", "tokenizer.json", "vocab.txt"} <= set(manifest["files"])
    carried = load_encoder(folder)
    np.testing.assert_array_equal(carried.encode_documents(TEXTS), bert.encode_documents(TEXTS))
    assert carried.fingerprint == bert.fingerprint


def test_fetching_never_overwrites(published: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    with pytest.raises(InvalidInputError, match="not empty"):
        fetch_model(published, tmp_path)


def test_a_folder_that_was_changed_on_the_way_is_found_out(published: Path, tmp_path: Path) -> None:
    folder = fetch_model(published, tmp_path / "carried")
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "model.safetensors").write_bytes(data)
    with pytest.raises(InvalidModelError, match=r"model\.safetensors"):
        verify(folder)


class Upload(BaseHTTPRequestHandler):
    """As much of the hub as an upload of small files needs; it keeps what it was sent."""

    def __init__(self, *args, kept: dict[str, bytes], asked: list[dict]) -> None:
        self.kept, self.asked = kept, asked
        super().__init__(*args)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.endswith("/repos/create"):
            self.asked.append(json.loads(body))
            self.answer({"url": "http://127.0.0.1/o/m", "id": "o/m"})
        elif "/preupload/" in self.path:
            files = json.loads(body)["files"]
            self.answer({"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files]})
        elif "/commit/" in self.path:
            for line in body.splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    self.kept[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
            self.answer({"commitUrl": "http://127.0.0.1/o/m/commit/1", "commitOid": "1", "success": True})
        else:
            self.answer({})

    def do_GET(self) -> None:
        self.answer({"id": "o/m", "sha": "1", "siblings": []})

    def answer(self, value: dict) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def hub(socket_enabled: None) -> Iterator[tuple[str, dict[str, bytes], list[dict]]]:
    kept: dict[str, bytes] = {}
    asked: list[dict] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Upload, kept=kept, asked=asked))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", kept, asked
    server.shutdown()
    server.server_close()


def test_a_saved_encoder_is_pushed_private_with_a_card_and_comes_back_from_what_was_sent(
    hub: tuple[str, dict[str, bytes], list[dict]], published: Path, tmp_path: Path
) -> None:
    endpoint, kept, asked = hub
    encoder = load_encoder(published, max_length=99).calibrate([*TEXTS, "gout"], "center")
    encoder.save(tmp_path / "tuned")
    code = (
        "import sys; from bedside.encoders import push_to_hub;"
        "print(push_to_hub(sys.argv[1], 'o/m', base_model='a/b', license='mit', description='Made for a test.'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "tuned")],
        env=os.environ
        | {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": endpoint, "HF_TOKEN": "hf_x", "HF_HUB_DISABLE_XET": "1"}
        | {"NO_PROXY": "*"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "commit" in done.stdout
    assert asked[0]["visibility"] == "private"
    card = kept["README.md"].decode()
    assert card.startswith("---\nlicense: mit\nbase_model: a/b\n")
    assert 'load_encoder("o/m")' in card
    assert "| max_length | `99` |" in card
    for name, content in kept.items():
        (tmp_path / "back").mkdir(exist_ok=True)
        (tmp_path / "back" / name).write_bytes(content)
    np.testing.assert_array_equal(load_encoder(tmp_path / "back").encode_queries(TEXTS), encoder.encode_queries(TEXTS))


def test_a_pair_encodes_queries_with_one_model_and_documents_with_the_other(published: Path, tmp_path: Path) -> None:
    other = make_bert_checkpoint(tmp_path / "queries", seed=1, spread=0.1)
    pair = load_encoder(published, query_model=other)
    assert isinstance(pair, PairedEncoder)
    one, two = load_encoder(published), load_encoder(other)
    np.testing.assert_array_equal(pair.encode_documents(TEXTS), one.encode_documents(TEXTS))
    np.testing.assert_array_equal(pair.encode_queries(TEXTS), two.encode_queries(TEXTS))
    assert (pair.dimension, pair.name) == (64, one.name)
    assert len({pair.fingerprint, one.fingerprint, two.fingerprint, PairedEncoder(one, two).fingerprint}) == 4
    assert pair.count_tokens(TEXTS) == one.count_tokens(TEXTS)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(pair)).encode_queries(TEXTS), two.encode_queries(TEXTS))  # noqa: S301 - our own bytes
    pair.close()


def test_a_pair_of_different_lengths_is_refused(published: Path, minilm: TransformerEncoder) -> None:
    with pytest.raises(EncoderMismatch, match="384"):
        PairedEncoder(minilm, load_encoder(published))


def test_a_preset_loads_its_models_with_their_prompts_and_pooling(published: Path, tmp_path: Path) -> None:
    """The hub's cache is laid out by hand; the two MedCPT models and e5 are random BERTs here."""
    for name in ("ncbi/MedCPT-Article-Encoder", "ncbi/MedCPT-Query-Encoder", "intfloat/e5-base-v2"):
        repo = tmp_path / f"models--{name.replace('/', '--')}"
        shutil.copytree(prepare(published), repo / "snapshots" / "0123456789")
        (repo / "refs").mkdir()
        (repo / "refs" / "main").write_text("0123456789")
    medcpt = load_encoder("preset:medcpt", cache_dir=tmp_path, local_files_only=True)
    assert (medcpt.queries.name, medcpt.documents.name) == ("ncbi/MedCPT-Query-Encoder", "ncbi/MedCPT-Article-Encoder")
    assert medcpt.queries.settings.pooling == medcpt.documents.settings.pooling == "cls"
    e5 = load_encoder("preset:e5-base", cache_dir=tmp_path, local_files_only=True, max_length=100)
    assert (e5.settings.query_prompt, e5.settings.document_prompt, e5.max_length) == ("query: ", "passage: ", 100)


def test_a_fetched_preset_keeps_its_prompts_and_pooling_and_a_pair_is_refused_with_both_names(
    published: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    repo = cache / "models--BAAI--bge-base-en-v1.5"
    shutil.copytree(prepare(published), repo / "snapshots" / "0123456789")
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("0123456789")
    folder = fetch_model("preset:bge-base", tmp_path / "carried", cache_dir=cache, local_files_only=True)
    direct = load_encoder("preset:bge-base", cache_dir=cache, local_files_only=True)
    carried = load_encoder(folder)
    assert carried.settings == direct.settings
    assert (carried.settings.pooling, carried.settings.query_prompt[:9]) == ("cls", "Represent")
    assert carried.fingerprint == direct.fingerprint
    verify(folder)
    with pytest.raises(InvalidInputError, match=r"ncbi/MedCPT-Article-Encoder and ncbi/MedCPT-Query-Encoder"):
        fetch_model("preset:medcpt", tmp_path / "pair")


def test_a_saved_encoder_leaves_the_card_of_its_base_behind_and_facts_beside_a_card_are_refused(
    bert: TransformerEncoder, tmp_path: Path
) -> None:
    source = Path(shutil.copytree(bert.folder, tmp_path / "base"))
    (source / "README.md").write_text("---\nlicense: mit\n---\n\nAnother model.\n")
    (source / "LICENSE").write_text("Permission is granted.")
    saved = load_encoder(source).calibrate([*TEXTS, "gout"], "center").save(tmp_path / "saved")
    assert not (saved / "README.md").exists()
    assert (saved / "LICENSE").read_text() == "Permission is granted."
    with pytest.raises(InvalidInputError, match=r"README\.md: is uploaded as it is"):
        push_to_hub(source, "o/m", license="mit")


def test_an_unknown_preset_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidInputError, match="medembed"):
        load_encoder("preset:nothing")
    assert all(entry.licence and entry.note for entry in PRESETS.values())


@pytest.mark.parametrize("kind", ["static", "words", "pair", "cached"])
async def test_every_kind_of_encoder_has_the_async_methods_and_can_be_closed_and_used_again(
    kind: str, published: Path, tmp_path: Path
) -> None:
    make: dict[str, Callable[[], Any]] = {
        "static": lambda: load_encoder("bedside/static"),
        "words": lambda: WordVectors(["fever", "pain"], [[1.0, 0.1], [0.0, 1.0]]),
        "pair": lambda: load_encoder(published, query_model=published),
        "cached": lambda: load_encoder("bedside/static", cache=tmp_path),
    }
    encoder = make[kind]()
    expected = encoder.encode_documents(["fever", "pain"])
    np.testing.assert_array_equal(await encoder.aencode_documents(["fever", "pain"]), expected)
    assert (await encoder.aencode_queries(["fever"])).shape == expected[:1].shape
    encoder.close()
    np.testing.assert_array_equal(encoder.encode_documents(["fever", "pain"]), expected)


async def test_async_methods_leave_the_loop_running_and_give_the_same_vectors(bert: TransformerEncoder) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.001)

    ticking = asyncio.create_task(tick())
    started = time.monotonic()
    while ticks < 3 and time.monotonic() - started < 30:
        documents, queries = await asyncio.gather(bert.aencode_documents(["pain " * 2000]), bert.aencode_queries(TEXTS))
    ticking.cancel()
    assert ticks >= 3
    np.testing.assert_allclose(documents, bert.encode_documents(["pain " * 2000]), atol=1e-6)
    np.testing.assert_allclose(queries, bert.encode_queries(TEXTS), atol=1e-6)
