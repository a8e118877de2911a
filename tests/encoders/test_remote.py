"""Remote encoders, against a real server on the loopback that misbehaves as servers do."""

from __future__ import annotations

import asyncio
import json
import pickle
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from bedside import Collection, load_encoder
from bedside.encoders import Azure, RemoteEncoder
from bedside.errors import BedsideWarning, EncoderMismatch, InvalidInputError, ProviderError

pytestmark = pytest.mark.usefixtures("socket_enabled")
Answer = Callable[["Provider", dict[str, Any]], tuple[int, dict[str, str], bytes]]


def vector_of(text: str, dimension: int = 8) -> list[float]:
    """Anything that tells one text from another."""
    return np.random.default_rng(sum(text.encode()) + len(text)).normal(size=dimension).tolist()


def embeddings(provider: Provider, body: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    vectors = [vector_of(text, body.get("dimensions", 8)) for text in body["input"]]
    data = [{"object": "embedding", "index": i, "embedding": vector} for i, vector in enumerate(vectors)]
    return 200, {}, json.dumps({"object": "list", "model": body["model"], "data": data[::-1], "usage": {}}).encode()


def raw(body: object, status: int = 200, **headers: str) -> Answer:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda provider, asked: (status, headers, text)


def data(*vectors: object) -> Answer:
    return raw({"data": [{"index": i, "embedding": vector} for i, vector in enumerate(vectors)]})


@dataclass
class Provider:
    """A server that answers with ``script`` first, one entry a request, and properly after that."""

    script: list[Answer] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    delay: float = 0.0
    running: int = 0
    most_running: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    url: str = ""


@pytest.fixture
def provider():
    it = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with it.lock:
                it.requests.append(body)
                it.paths.append(self.path)
                it.times.append(time.monotonic())
                it.running += 1
                it.most_running = max(it.most_running, it.running)
                answer = it.script.pop(0) if it.script else embeddings
            time.sleep(it.delay)
            status, headers, content = answer(it, body)
            with it.lock:
                it.running -= 1
            try:
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **headers}.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except OSError:
                self.close_connection = True  # the client gave up, as it should

        def log_message(self, format: str, *args: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    it.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield it
    server.shutdown()
    server.server_close()


def encoder_of(provider: Provider, **options: Any) -> RemoteEncoder:
    return RemoteEncoder("a-model", base_url=provider.url, api_key="secret-key", **options)


def expected(*texts: str) -> np.ndarray:
    vectors = np.array([vector_of(text) for text in texts])
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_vectors_come_in_the_order_asked_though_the_server_answers_in_another(provider):
    encoder = encoder_of(provider)
    texts = [f"finding {i}" for i in range(5)]
    found = encoder.encode_documents(texts)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected(*texts), atol=1e-6)
    assert encoder.dimension == 8
    assert encoder.encode_documents([]).shape == (0, 8)


def test_requests_are_cut_by_tokens_and_run_at_most_so_many_at_once(provider):
    provider.delay = 0.05
    encoder = encoder_of(provider, batch_tokens=30, concurrency=3, count_tokens=lambda text: 10)
    texts = [f"{i}" for i in range(30)]
    np.testing.assert_allclose(encoder.encode_documents(texts), expected(*texts), atol=1e-6)
    assert [len(request["input"]) for request in provider.requests] == [3] * 10
    assert 1 < provider.most_running <= 3


def test_a_note_is_cut_by_the_tokens_of_the_provider(provider):
    encoder = encoder_of(provider, count_tokens=lambda text: len(text.split()))
    assert encoder.count_tokens(["two words", "one"]) == [2, 1]
    with Collection.open(encoder=encoder) as notes:
        notes.add_note("He walks daily. " * 100, id="v1")
        assert max(len(passage.text.split()) for passage in notes.get(filter={})) in range(200, 257)


def test_prompts_and_dimensions_are_sent_and_change_the_fingerprint(provider):
    encoder = encoder_of(provider, dimensions=4, query_prompt="query: ", document_prompt="passage: ")
    assert encoder.dimension == 4
    assert encoder.encode_queries(["a"]).shape == (1, 4)
    encoder.encode_documents(["b"])
    assert [request["input"] for request in provider.requests] == [["query: a"], ["passage: b"]]
    assert provider.requests[0]["dimensions"] == 4
    plain = encoder_of(provider)
    assert len({encoder.fingerprint, plain.fingerprint, encoder_of(provider, dimensions=5).fingerprint}) == 3
    assert plain.fingerprint == RemoteEncoder("a-model", base_url="http://127.0.0.1:1/v1", api_key="x").fingerprint


def test_a_retry_waits_as_long_as_the_server_asks(provider):
    provider.script = [raw({}, 429, Retry_After="1"), raw({}, 503)]
    np.testing.assert_allclose(encoder_of(provider).encode_queries(["a"]), expected("a"), atol=1e-6)
    assert len(provider.times) == 3
    assert provider.times[1] - provider.times[0] >= 1.0


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (raw({"error": {"message": "bad text: SECRET NOTE"}}, 400), "refused with status 400; a text may be longer"),
        (raw({}, 401), "status 401; check the api_key"),
        (raw({}, 404), "status 404; check the model"),
        (raw({}, 500), "status 500"),
        (raw({}, 429), "status 429 after all retries"),
        (raw(b"<html>proxy login</html>"), "not a list of"),
        (raw(b'{"data": [{"ind'), "not a list of"),
        (raw({"data": []}), "not a list of 2 embeddings"),
        (data([1.0, 2.0]), "not a list of 2 embeddings"),
        (data([1.0, 2.0], [1.0, 2.0], [1.0, 2.0]), "not a list of 2 embeddings"),
        (data([1.0, 2.0], [1.0]), "not a list of 2 embeddings"),
        (data([1.0, float("nan")], [1.0, 2.0]), "not a list of 2 embeddings"),
        (data([1.0, "x"], [1.0, 2.0]), "not a list of 2 embeddings"),
        (data([0.0, 0.0], [1.0, 2.0]), "a vector of zeros"),
    ],
)
def test_what_cannot_be_used_is_a_named_error_that_repeats_no_text(provider, answer, message):
    provider.script = [answer] * 3
    with pytest.raises(ProviderError, match=message) as caught:
        encoder_of(provider, max_retries=0).encode_documents(["SECRET NOTE", "another"])
    assert "SECRET" not in str(caught.value)
    assert "secret-key" not in str(caught.value)


def test_a_server_that_hangs_is_left_after_the_timeout(provider):
    provider.delay = 1.0
    with pytest.raises(ProviderError, match=r"did not answer within 0\.2 s"):
        encoder_of(provider, timeout=0.2, max_retries=0).encode_queries(["a"])


def test_a_server_that_is_not_there_is_a_named_error():
    with pytest.raises(ProviderError, match="could not be reached"):
        RemoteEncoder("m", base_url="http://127.0.0.1:1/v1", api_key="x", max_retries=0).encode_queries(["a"])


def test_vectors_of_another_length_than_before_are_refused(provider):
    encoder = encoder_of(provider)
    encoder.encode_queries(["a"])
    provider.script = [data([1.0, 2.0])]
    with pytest.raises(EncoderMismatch, match="expected vectors of 8 dimensions, got 2"):
        encoder.encode_queries(["a"])


def test_the_first_failure_stops_the_requests_that_have_not_begun(provider):
    provider.script = [raw({}, 401)]
    provider.delay = 0.1
    encoder = encoder_of(provider, batch_tokens=1, concurrency=2, count_tokens=lambda text: 1)
    with pytest.raises(ProviderError, match="401"):
        encoder.encode_documents([f"{i}" for i in range(50)])
    assert len(provider.requests) < 20


def test_a_text_that_is_too_long_is_sent_in_parts_that_lose_nothing_and_weigh_by_their_tokens(provider):
    encoder = encoder_of(provider, max_tokens=12, count_tokens=lambda text: len(text.split()) or 1)
    text = " ".join(f"w{i}" for i in range(50))
    found = encoder.encode_documents(["short", text])
    sent = provider.requests[0]["input"]
    assert "".join(sent) == "short" + text
    assert all(len(part.split()) <= 12 for part in sent)
    weights = [len(part.split()) for part in sent[1:]]
    mean = np.average(expected(*sent[1:]), axis=0, weights=weights)
    np.testing.assert_allclose(found[1], mean / np.linalg.norm(mean), atol=1e-6)
    np.testing.assert_allclose(found[0], expected("short")[0], atol=1e-6)


def test_azure_is_asked_by_deployment_and_version(provider):
    azure = Azure(provider.url.removesuffix("/v1"), "my-deployment", "2024-10-21")
    encoder = RemoteEncoder("text-embedding-3-small", azure=azure, api_key="k")
    np.testing.assert_allclose(encoder.encode_queries(["a"]), expected("a"), atol=1e-6)
    assert provider.paths == ["/openai/deployments/my-deployment/embeddings?api-version=2024-10-21"]


def test_what_cannot_be_sent_is_refused_before_anything_is(provider):
    encoder = encoder_of(provider)
    for texts, message in (
        (["a", "\ud800"], r"texts\[1\]: a lone surrogate"),
        ("a", "list of strings"),
        ([1], r"texts\[0\]"),
        (None, "NoneType"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            encoder.encode_documents(texts)
    with pytest.raises(InvalidInputError, match="list of strings"):
        encoder.count_tokens("one string")
    assert not provider.requests


def test_in_place_of_a_blank_text_which_servers_refuse_a_full_stop_is_sent(provider):
    with pytest.warns(BedsideWarning, match="2 of 3 texts have nothing"):
        found = encoder_of(provider).encode_documents(["", "a", " \n"])
    assert sorted(provider.requests[0]["input"]) == [".", ".", "a"]
    np.testing.assert_allclose(found, expected(".", "a", "."), atol=1e-6)


@pytest.mark.parametrize(
    "text", ["emoji 😀👩‍⚕️", "пациент 糖尿病 العربية", "a\x00b\x1b", "\x00", "\u200b", "pain " * 100_000]
)
def test_odd_texts_reach_the_server_whole_and_come_back_as_a_vector(provider, text):
    vectors = encoder_of(provider).encode_documents(["fine", text])
    assert vectors.shape == (2, 8)
    assert np.isfinite(vectors).all()
    sent = "".join(part for request in provider.requests for part in request["input"])
    assert sorted(sent) == sorted("fine" + text)  # requests arrive in any order


def test_settings_out_of_range_and_a_missing_key_are_named(monkeypatch):
    for name in ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for option in ("dimensions", "max_tokens", "batch_tokens", "concurrency", "timeout"):
        with pytest.raises(InvalidInputError, match=f"{option}=0"):
            RemoteEncoder("m", api_key="x", **{option: 0})
    with pytest.raises(InvalidInputError, match="only one of base_url and azure"):
        RemoteEncoder("m", api_key="x", base_url="http://127.0.0.1:1", azure=Azure("http://127.0.0.1:1", "d", "v"))
    with pytest.raises(InvalidInputError, match="OPENAI_API_KEY is not set"):
        RemoteEncoder("m")
    with pytest.raises(InvalidInputError, match="AZURE_OPENAI_API_KEY is not set"):
        RemoteEncoder("m", azure=Azure("http://127.0.0.1:1", "d", "v"))


def test_a_pickled_encoder_holds_no_key_and_takes_it_from_the_environment(provider, monkeypatch):
    stored = pickle.dumps(encoder_of(provider))
    assert b"secret-key" not in stored
    monkeypatch.setenv("OPENAI_API_KEY", "another")
    again = pickle.loads(stored)  # noqa: S301 - what this test wrote
    np.testing.assert_allclose(again.encode_queries(["a"]), expected("a"), atol=1e-6)


async def test_the_async_methods_do_not_block_the_loop(provider):
    provider.delay = 0.2
    encoder = encoder_of(provider)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.01)

    ticking = asyncio.create_task(tick())
    await encoder.aencode_documents(["a"])
    ticking.cancel()
    assert ticks > 5


def test_a_collection_uses_it_and_load_encoder_opens_it_with_a_cache(provider, monkeypatch, tmp_path):
    monkeypatch.setenv("OPENAI_BASE_URL", provider.url)
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    encoder = load_encoder("openai:a-model", cache=tmp_path / "cache")
    with Collection.open(tmp_path / "notes", encoder=encoder) as notes:
        notes.add(["chest pain", "fracture"])
        assert notes.search("fracture", mode="dense")[0].text == "fracture"
    sent = len(provider.requests)
    encoder.encode_documents(["chest pain"])
    assert len(provider.requests) == sent
    with pytest.raises(InvalidInputError, match="a remote encoder has no pooling"):
        load_encoder("openai:a-model", pooling="cls")
