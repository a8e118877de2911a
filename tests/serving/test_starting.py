"""Where a server listens, by which names it may be addressed, and why it does not start."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from bedside.serving.run import short_turns
from bedside.support.processors import processors
from serving_server import bearer, problem, refused_start, serving


@pytest.mark.parametrize(("threads", "most"), [("4", max(1, processors() // 8)), ("1", 1)])
def test_the_matrix_products_of_all_requests_share_the_processors(root, threads, most):
    script = f"""
import os, signal
from pathlib import Path
from threadpoolctl import threadpool_info
from bedside.serving import Service
from bedside.serving.run import serve

def ready(address):
    print([library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"])
    os.kill(os.getpid(), signal.SIGTERM)

serve(Service(Path({str(root)!r})), host="127.0.0.1", port=0, tokens=[], ready=ready)
"""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout == f"[{most}]\n", done.stderr


def test_threads_take_short_turns_while_a_server_runs_and_the_usual_ones_afterwards():
    usual = sys.getswitchinterval()
    with short_turns():
        assert sys.getswitchinterval() < usual / 5
    assert sys.getswitchinterval() == usual


def test_web_pages_of_other_origins_and_rebound_names_are_refused(root, tokens):
    with serving(root) as client:
        problem(client.get("/v1/collections", headers={"Host": "evil.example"}), 421, "HostNotAllowed")
        problem(client.get("/v1/collections", headers={"Origin": "https://evil.example"}), 403, "OriginNotAllowed")
        address = urlsplit(str(client.base_url)).netloc
        own = client.get("/v1/collections", headers={"Origin": f"http://{address}"})
        assert own.is_success
        assert "access-control-allow-origin" not in own.headers
    with serving(root, "--allow-host", "Notes.Hospital.example", "--tokens", tokens) as client:
        headers = {"Host": "notes.hospital.example", **bearer("e")}
        assert client.get("/v1/collections", headers=headers).is_success
        assert client.get("/v1/collections", headers={**headers, "Origin": "https://notes.hospital.example"}).is_success


def test_headers_that_do_not_end_are_refused_before_they_fill_the_memory(root, tokens):
    with (
        serving(root, "--tokens", tokens) as client,
        socket.create_connection((client.base_url.host, client.base_url.port), timeout=30) as connection,
    ):
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n")
        with contextlib.suppress(ConnectionError):  # it is closed while we still send
            for number in range(1_000):
                connection.sendall(b"X-%d: " % number + b"x" * 50_000 + b"\r\n")
            pytest.fail("50 MB of headers were read")
        assert client.get("/health").is_success


def test_head_says_what_get_says_without_the_body(root, tokens):
    with serving(root, "--tokens", tokens) as client:
        for path in ("/health", "/ready", "/"):
            asked, answer = client.get(path), client.head(path)
            assert (answer.status_code, answer.content) == (200, b"")
            assert answer.headers["content-length"] == asked.headers["content-length"]
        assert client.head("/v1/collections").status_code == 401
        assert client.head("/v1/collections/ward/search", headers=bearer("r")).status_code == 405
        for path, allowed in (("ward", "DELETE, GET, HEAD, PUT"), ("ward/search", "POST")):
            refused = client.patch(f"/v1/collections/{path}", headers=bearer("r"))
            assert (refused.status_code, refused.headers["Allow"]) == (405, allowed)


def test_an_address_that_others_can_reach_needs_tokens(root):
    for reached in ("--host 0.0.0.0", "--host ::", "--allow-host notes.hospital.example"):
        assert "other machines can reach it, so tokens are needed" in refused_start(root, *reached.split())


def test_a_server_that_cannot_start_says_why_in_one_line(root, tokens):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "in use" in refused_start(root, "--port", taken.getsockname()[1])
    assert "host 192.0.2.1: not an address of this machine" in refused_start(
        root, "--host", "192.0.2.1", "--tokens", tokens, "--port", 0
    )
    assert "ward is itself a collection" in refused_start(root / "ward")
    tokens.chmod(0o640)
    assert "chmod 600" in refused_start(root, "--tokens", tokens, "--port", 0)


@pytest.mark.parametrize("host", ["::1", "[::1]", "localhost"])
def test_the_loopback_has_more_than_one_name(root, host):
    with closing(socket.socket(socket.AF_INET6)) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
    with serving(root, "--host", host) as client:
        assert client.get("/v1/collections").is_success
