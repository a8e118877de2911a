"""Finding, converting and refusing checkpoints, with the network blocked or pretended."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from bedside.encoders import TransformerEncoder, load_encoder, prepare
from bedside.encoders.checkpoint import BIO_CLINICALBERT, PINNED_REVISIONS
from bedside.encoders.prepare import verify
from bedside.errors import BedsideWarning, InvalidInputError, InvalidModelError, ModelNotFoundError
from checkpoints import ROOT

REVISION = PINNED_REVISIONS[BIO_CLINICALBERT]


@pytest.fixture
def hub_cache(published: Path, tmp_path: Path) -> Path:
    """A Hugging Face cache that holds the checkpoint as the hub client lays it out, at the pinned commit."""
    repo = tmp_path / "hub" / f"models--{BIO_CLINICALBERT.replace('/', '--')}"
    shutil.copytree(published, repo / "snapshots" / REVISION)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(REVISION)
    return tmp_path / "hub"


def test_a_cached_hub_model_loads_with_sockets_blocked(hub_cache: Path, bert: TransformerEncoder) -> None:
    encoder = load_encoder(BIO_CLINICALBERT, cache_dir=hub_cache)
    assert encoder.name == BIO_CLINICALBERT
    np.testing.assert_array_equal(encoder.encode_documents(["pain"]), bert.encode_documents(["pain"]))


@pytest.mark.filterwarnings("ignore:A test tried to use socket")
def test_a_model_that_is_nowhere_is_reported_with_every_place_and_the_way_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError) as caught:
        load_encoder(BIO_CLINICALBERT, cache_dir=tmp_path)
    for part in (BIO_CLINICALBERT, REVISION, str(tmp_path), "hub", "bedside fetch-model", "HF_ENDPOINT"):
        assert part in str(caught.value)


def test_local_files_only_asks_no_network(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="local_files_only"):
        load_encoder("some/model", cache_dir=tmp_path, local_files_only=True)


@pytest.mark.parametrize("name", ["/no/such/folder", "./no-such-folder", "a/b/c", "", "~/none"])
def test_a_folder_that_does_not_exist_is_never_looked_up_on_the_hub(name: str) -> None:
    with pytest.raises(ModelNotFoundError, match="no such folder"):
        load_encoder(name)


class Hub(BaseHTTPRequestHandler):
    """The three answers of a hub that the client needs: the list of files, a file's head, a file."""

    def __init__(self, *args, folder: Path, asked: list[str]) -> None:
        self.folder, self.asked = folder, asked
        super().__init__(*args)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        name = self.path.split("?")[0].rpartition("/")[2]
        if "/api/models/" in self.path:
            files = [{"rfilename": p.name, "type": "file", "path": p.name} for p in sorted(self.folder.iterdir())]
            listed = [{**f, "size": (self.folder / f["path"]).stat().st_size, "oid": "0" * 40} for f in files]
            if "/tree/" in self.path:
                self.answer(json.dumps(listed).encode(), "application/json")
            else:
                self.answer(json.dumps({"id": "x/y", "sha": REVISION, "siblings": files}).encode(), "application/json")
            return
        if not (self.folder / name).is_file():
            self.send_error(404)
            return
        if self.command == "GET":
            self.asked.append(name)
        self.answer((self.folder / name).read_bytes(), "application/octet-stream", etag=name)

    def answer(self, body: bytes, kind: str, etag: str = "x") -> None:
        self.send_response(200)
        for key, value in (("Content-Type", kind), ("Content-Length", str(len(body))), ("ETag", f'"{etag}"')):
            self.send_header(key, value)
        self.send_header("X-Repo-Commit", REVISION)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


FETCH = """
import sys, time
from bedside.encoders import prepare
from bedside.errors import ModelNotFoundError
started = time.monotonic()
try:
    print(prepare("emilyalsentzer/Bio_ClinicalBERT", cache_dir=sys.argv[1]))
except ModelNotFoundError as error:
    print("not found", error)
print(round(time.monotonic() - started), file=sys.stderr)
"""


def fetch(tmp_path: Path, endpoint: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Prepare the default model in a process of its own, which reads the hub's address when it starts."""
    settings = {
        "HF_HUB_OFFLINE": "0",
        "HF_ENDPOINT": endpoint,
        "BEDSIDE_CACHE": str(tmp_path / "ours"),
        "NO_PROXY": "*",
        **environment,
    }
    command = [sys.executable, "-c", FETCH, str(tmp_path / "cache")]
    return subprocess.run(
        command, env=os.environ | settings, capture_output=True, text=True, timeout=120, check=True, cwd=ROOT
    )


@pytest.fixture
def mirror(published: Path, tmp_path: Path, socket_enabled: None) -> Iterator[tuple[str, list[str]]]:
    folder = tmp_path / "served"
    shutil.copytree(published, folder)
    for name in ("tf_model.h5", "flax_model.msgpack", "modeling_evil.py"):
        (folder / name).write_text("never to be fetched")
    asked: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Hub, folder=folder, asked=asked))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def test_a_mirror_gives_only_what_is_needed_and_the_second_time_nothing(
    mirror: tuple[str, list[str]], tmp_path: Path
) -> None:
    endpoint, asked = mirror
    folder = fetch(tmp_path, endpoint).stdout.strip()
    assert (Path(folder) / "model.safetensors").is_file()
    assert sorted(asked) == ["config.json", "pytorch_model.bin", "vocab.txt"]
    assert fetch(tmp_path, "http://127.0.0.1:9").stdout.strip() == folder
    assert len(asked) == 3


def test_a_refusing_hub_is_reported_at_once(tmp_path: Path, socket_enabled: None) -> None:
    done = fetch(tmp_path, "http://127.0.0.1:9")
    assert done.stdout.startswith("not found")
    assert int(done.stderr.split()[-1]) <= 10


def test_offline_mode_is_reported_as_such(tmp_path: Path) -> None:
    assert "offline" in fetch(tmp_path, "http://127.0.0.1:9", HF_HUB_OFFLINE="1").stdout.lower()


def test_the_published_pickle_becomes_safetensors_once_with_tokenizer_files_and_hashes(published: Path) -> None:
    folder = prepare(published)
    written = (folder / "model.safetensors").stat().st_mtime_ns
    assert {p.name for p in folder.iterdir()} == {
        *("config.json", "vocab.txt", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "manifest.json")
    }
    assert json.loads((folder / "tokenizer_config.json").read_text())["do_lower_case"] is False
    assert prepare(published) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == written
    verify(folder)


def test_the_source_folder_is_left_as_it_was(published: Path) -> None:
    prepare(published)
    assert {p.name for p in published.iterdir()} == {"config.json", "vocab.txt", "pytorch_model.bin"}


def test_a_converted_folder_loads_in_transformers_with_its_head(published: Path) -> None:
    from transformers import AutoModelForMaskedLM

    theirs = AutoModelForMaskedLM.from_pretrained(str(prepare(published)), local_files_only=True).state_dict()
    original = torch.load(published / "pytorch_model.bin", weights_only=True)
    assert set(theirs) == set(original)
    assert all(torch.equal(theirs[name], original[name]) for name in original)


def test_verify_names_a_file_that_changed(published: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(prepare(published), folder)
    with (folder / "vocab.txt").open("a") as file:
        file.write("more")
    with pytest.raises(InvalidModelError, match=r"vocab\.txt"):
        verify(folder)
    with pytest.raises(InvalidModelError, match=r"manifest\.json"):
        verify(published)


def test_tensors_under_the_old_names_of_tensorflow_are_understood(
    published: Path, tmp_path: Path, bert: TransformerEncoder
) -> None:
    state = torch.load(published / "pytorch_model.bin", weights_only=True)
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    for new, name in old.items():
        state = {key.replace(new, name): tensor for key, tensor in state.items()}
    shutil.copytree(published, tmp_path, dirs_exist_ok=True)
    torch.save(state, tmp_path / "pytorch_model.bin")
    assert "bert.embeddings.LayerNorm.weight" in load_file(prepare(tmp_path) / "model.safetensors")
    np.testing.assert_array_equal(load_encoder(tmp_path).encode_queries(["pain"]), bert.encode_queries(["pain"]))


def test_weights_in_torchs_container_of_before_2020_are_understood(
    published: Path, tmp_path: Path, bert: TransformerEncoder
) -> None:
    shutil.copytree(published, tmp_path, dirs_exist_ok=True)
    state = torch.load(published / "pytorch_model.bin", weights_only=True)
    torch.save(state, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    np.testing.assert_array_equal(load_encoder(tmp_path).encode_queries(["pain"]), bert.encode_queries(["pain"]))


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.target),)


def test_a_pickle_that_would_run_code_is_refused_and_not_run(published: Path, tmp_path: Path) -> None:
    shutil.copytree(published, tmp_path / "model")
    torch.save({"x": Evil(tmp_path / "owned")}, tmp_path / "model" / "pytorch_model.bin")
    with pytest.raises(InvalidModelError, match=r"pytorch_model\.bin.*refused"):
        load_encoder(tmp_path / "model")
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("content", [b"", b"not a pickle", b"PK\x03\x04 torn"])
def test_damaged_weights_are_refused_and_leave_nothing_half_converted(
    published: Path, tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEDSIDE_CACHE", str(tmp_path / "ours"))
    shutil.copytree(published, tmp_path / "model")
    (tmp_path / "model" / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(InvalidModelError, match=r"pytorch_model\.bin"):
        load_encoder(tmp_path / "model")
    assert [p.suffix for p in (tmp_path / "ours" / "models").iterdir()] == [".lock"]


@pytest.mark.parametrize(
    ("missing", "said"), [("config.json", "config.json"), ("vocab.txt", "vocabulary"), ("pytorch_model.bin", "weights")]
)
def test_a_folder_that_lacks_a_file_is_refused_by_its_name(published: Path, tmp_path: Path, missing, said) -> None:
    shutil.copytree(published, tmp_path, dirs_exist_ok=True)
    (tmp_path / missing).unlink()
    with pytest.raises(InvalidModelError, match=said):
        load_encoder(tmp_path)


def test_weights_that_lack_a_tensor_are_refused_by_its_name(bert: TransformerEncoder, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    shutil.copytree(bert.folder, tmp_path, dirs_exist_ok=True)
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["bert.encoder.layer.1.output.dense.weight"]
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(InvalidModelError, match=r"encoder\.layer\.1\.output\.dense\.weight"):
        load_encoder(tmp_path).encode_documents(["pain"])


def test_damaged_safetensors_and_config_are_refused_by_name(bert: TransformerEncoder, tmp_path: Path) -> None:
    shutil.copytree(bert.folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(InvalidModelError, match=r"model\.safetensors"):
        load_encoder(tmp_path).encode_documents(["pain"])
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InvalidModelError, match=r"config\.json"):
        load_encoder(tmp_path)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"num_hidden_layers": "x"}, "num_hidden_layers='x'"),
        ({"num_attention_heads": 7}, "num_attention_heads=7 and hidden_size=64 fit no network"),
        ({"max_position_embeddings": "x"}, "max_position_embeddings='x'"),
        ({"vocab_size": 200}, "the vocabulary has a token"),
    ],
)
def test_a_config_that_contradicts_itself_or_the_vocabulary_is_refused_by_name(
    bert: TransformerEncoder, tmp_path: Path, changed: dict, said: str
) -> None:
    shutil.copytree(bert.folder, tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text()) | changed
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InvalidModelError, match=said):
        load_encoder(tmp_path).encode_documents(["pain"])


def test_marks_and_line_ends_of_windows_are_read_and_other_encodings_refused(
    published: Path, bert: TransformerEncoder, tmp_path: Path
) -> None:
    shutil.copytree(published, tmp_path, dirs_exist_ok=True)
    vocabulary, config = tmp_path / "vocab.txt", tmp_path / "config.json"
    vocabulary.write_bytes(vocabulary.read_bytes().replace(b"\n", b"\r\n"))
    config.write_bytes(b"\xef\xbb\xbf" + config.read_bytes())
    np.testing.assert_array_equal(load_encoder(tmp_path).encode_queries(["pain"]), bert.encode_queries(["pain"]))
    vocabulary.write_bytes(b"[PAD]\n[UNK]\n[CLS]\n[SEP]\ncaf\xe9\n")
    with pytest.raises(InvalidModelError, match=r"vocab\.txt: not UTF-8"):
        load_encoder(tmp_path)


def test_threads_that_prepare_one_model_together_convert_it_once(published: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("BEDSIDE_CACHE", str(tmp_path))
    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(lambda _: prepare(published), range(4)))
    assert len(folders) == 1
    assert len([p for p in (tmp_path / "models").iterdir() if p.is_dir()]) == 1


def test_an_architecture_without_a_forward_pass_of_our_own_runs_through_transformers(tmp_path: Path, published) -> None:
    from transformers import DistilBertConfig, DistilBertModel

    torch.manual_seed(0)
    sizes = {"vocab_size": 28996, "dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64}
    model = DistilBertModel(DistilBertConfig(**sizes)).eval()
    model.save_pretrained(tmp_path)
    shutil.copy(published / "vocab.txt", tmp_path)
    encoder = load_encoder(tmp_path, device="cpu", dtype="float32")
    vectors = encoder.encode_documents(["Patient denies chest pain.", "x"])
    ids = torch.tensor([[101, 7195, 9080, 26360, 2229, 2489, 119, 102]])
    with torch.inference_mode():
        expected = model(ids).last_hidden_state[0].mean(0).numpy()
    np.testing.assert_allclose(vectors[0], expected / np.linalg.norm(expected), atol=1e-6)


def test_code_beside_a_model_is_never_run(bert: TransformerEncoder, tmp_path: Path) -> None:
    shutil.copytree(bert.folder, tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"model_type": "evil", "auto_map": {"AutoModel": "evil.Evil", "AutoConfig": "evil.Config"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'owned')!r}, 'w')")
    with pytest.raises(InvalidModelError, match="transformers cannot load it"):
        load_encoder(tmp_path).encode_documents(["pain"])
    assert not (tmp_path / "owned").exists()


def test_sentence_transformers_prompts_and_pooling_are_read(bert: TransformerEncoder, tmp_path: Path) -> None:
    shutil.copytree(bert.folder, tmp_path, dirs_exist_ok=True)
    write = {
        "modules.json": [
            {"path": "", "type": "sentence_transformers.models.Transformer"},
            {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        ],
        "1_Pooling/config.json": {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False},
        "sentence_bert_config.json": {"max_seq_length": 96},
        "config_sentence_transformers.json": {"prompts": {"query": "query: ", "passage": "passage: "}},
    }
    (tmp_path / "1_Pooling").mkdir()
    for name, content in write.items():
        (tmp_path / name).write_text(json.dumps(content))
    settings = load_encoder(tmp_path).settings
    assert (settings.pooling, settings.max_length, settings.overlap) == ("cls", 96, 12)
    assert (settings.query_prompt, settings.document_prompt) == ("query: ", "passage: ")
    write["modules.json"].append({"path": "2_LSTM", "type": "sentence_transformers.models.LSTM"})
    (tmp_path / "modules.json").write_text(json.dumps(write["modules.json"]))
    with pytest.raises(InvalidModelError, match="LSTM"):
        load_encoder(tmp_path)


def test_a_cache_that_cannot_be_written_is_named(published: Path, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BEDSIDE_CACHE", str(tmp_path / "file"))
    with pytest.raises(InvalidModelError, match="BEDSIDE_CACHE"):
        load_encoder(published)


def test_importing_the_encoders_loads_no_model_library() -> None:
    code = "import sys, bedside.encoders; print(*({'torch', 'transformers', 'tokenizers'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_encoding_bert_loads_neither_transformers_nor_sentence_transformers(published: Path) -> None:
    code = (
        "import sys; from bedside.encoders import load_encoder; load_encoder(sys.argv[1]).encode_queries(['x']);"
        "print(*({'transformers', 'sentence_transformers'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, str(prepare(published))]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == ""


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
def test_a_clone_without_its_large_files_is_told_from_a_damaged_one(published, tmp_path, name):
    folder = copied(published, tmp_path)
    (folder / "pytorch_model.bin").unlink()
    (folder / name).write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 435778770\n")
    with pytest.raises(InvalidModelError, match=rf"{name}: stands for the file .*git lfs pull"):
        load_encoder(folder)


def test_a_vocabulary_that_was_cut_short_is_warned_of(published, tmp_path):
    folder = copied(published, tmp_path)
    lines = (folder / "vocab.txt").read_text("utf-8").split("\n")
    (folder / "vocab.txt").write_text("\n".join(lines[:20_000]), "utf-8")
    with pytest.warns(BedsideWarning, match="its vocabulary has 20000 tokens, its network 28996"):
        load_encoder(folder, device="cpu").count_tokens(["chest pain"])


def test_a_configuration_of_other_weights_is_refused_by_name(published, tmp_path):
    folder = copied(published, tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"hidden_size": 128}))
    with pytest.raises(InvalidModelError, match=r"config\.json: hidden_size=128, its weights make vectors of 64"):
        load_encoder(folder, device="cpu", dtype="float32").encode_documents(["chest pain"])


def test_a_device_that_is_not_there_is_refused_with_those_that_are(published):
    with pytest.raises(InvalidInputError, match=r"^device='mps': torch cannot use it here; it can use cpu"):
        load_encoder(published, device="mps").encode_documents(["chest pain"])


def test_a_short_name_of_sentence_transformers_is_told_in_full(tmp_path):
    with pytest.raises(ModelNotFoundError, match="'sentence-transformers/all-MiniLM-L6-v2' in full"):
        load_encoder("all-MiniLM-L6-v2", local_files_only=True, cache_dir=tmp_path)


def copied(published, tmp_path):
    """A copy of the published folder, to damage."""
    return Path(shutil.copytree(published, tmp_path / "clone"))
