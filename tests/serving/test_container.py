"""The steps that the Containerfile names, done in folders of a test where no container engine is at hand."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import yaml

from serving_server import problem

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "examples" / "server" / "compose.yaml"
TOKEN = "t" * 32


def instructions():
    """Return the Containerfile's instructions, each with what follows it."""
    text = (ROOT / "Containerfile").read_text("utf-8").replace("\\\n", " ")
    return [tuple(line.split(maxsplit=1)) for line in text.splitlines() if line and not line.startswith("#")]


def the(name):
    """Return what follows the last instruction of a name."""
    return next(what for found, what in reversed(instructions()) if found == name)


class Folders:
    """A place in a test's folder for each absolute path of the container."""

    def __init__(self, place):
        self.root = place / "container"
        self.port = free_port()

    def here(self, text):
        """Return a command of the container as it is done here: on its own paths, port, user and the loopback."""
        for path in ("/opt/bedside", "/source", "/collections", "/backups", "/imports"):
            text = text.replace(path, f"{self.root}{path}")
        replaced = {"0.0.0.0": "127.0.0.1", "8427": str(self.port), "10001": str(os.getuid())}  # noqa: S104
        for there, here in replaced.items():
            text = text.replace(there, here)
        return text


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


@contextmanager
def started(command, environment):
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        assert line.startswith("serving "), process.communicate(timeout=60)[1]
        yield line.split()[-1]
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode in (0, -15)


@pytest.mark.slow(reason="installs the server into a clean environment")
def test_the_steps_of_the_containerfile_give_a_server_that_is_ready(tmp_path):
    folders = Folders(tmp_path)
    source = folders.root / "source"
    source.mkdir(parents=True)
    python = tmp_path / "bin" / "python"  # the image's own
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "BEDSIDE"))}
    clean |= {"PATH": f"{python.parent}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    for name, what in instructions():
        if name == "ARG":
            variable, value = what.split("=")
            clean[variable] = value
        if name == "COPY" and not what.startswith("--from"):
            *files, into = what.split()
            for file in files:
                copy = shutil.copytree if (ROOT / file).is_dir() else shutil.copy
                copy(ROOT / file, source / into / file if into.startswith(".") else source / into)
        if name == "RUN":
            subprocess.run(["sh", "-ec", folders.here(what)], cwd=source, env=clean, check=True)
    assert not list((folders.root / "opt" / "bedside").rglob("site-packages/torch"))
    command = [*json.loads(the("ENTRYPOINT")), *json.loads(the("CMD"))]
    path = folders.here(dict(pair.split("=", 1) for pair in shlex.split(the("ENV")))["PATH"])
    environment = {"PATH": path, "HOME": str(tmp_path), "BEDSIDE_TOKEN": TOKEN}
    command = [shutil.which(command[0], path=path), *map(folders.here, command[1:])]
    health = json.loads(the("HEALTHCHECK").partition("CMD ")[2])
    check = [python, *map(folders.here, health[1:])]
    assert subprocess.run(check, capture_output=True).returncode != 0
    with started(command, environment) as address:
        assert subprocess.run(check).returncode == 0
        with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60) as client:
            assert client.put("/v1/collections/ward", json={}).is_success
            documents = [{"id": "a", "text": "Chest pain on exertion."}, {"id": "b", "text": "Aspirin 100 mg."}]
            assert client.post("/v1/collections/ward/add", json={"documents": documents}).is_success
            hits = client.post("/v1/collections/ward/search", json={"query": "angina"}).json()["hits"]
            assert {hit["id"] for hit in hits} == {"a", "b"}
            assert client.post("/v1/collections/ward/backup", json={"to": "monday"}).is_success
        assert httpx.get(f"{address}/docs").is_success
        problem(httpx.get(f"{address}/v1/collections"), 401, "TokenRequired")
    assert (folders.root / "backups" / "monday").is_dir()


def test_the_container_runs_as_nobody_in_particular_and_has_no_secret_in_it():
    assert the("USER").isdecimal()
    assert int(the("USER")) != 0
    names = [name for name, _ in instructions()]
    assert names.index("USER") > max(i for i, name in enumerate(names) if name == "RUN")
    assert not any("TOKEN" in what or "PASSWORD" in what for _, what in instructions())
    assert "torch" not in the("RUN") + the("ARG")


def test_the_server_that_compose_starts_in_front_of_the_database_takes_its_options(tmp_path):
    composed = yaml.safe_load(COMPOSE.read_text("utf-8"))
    service = composed["services"]["bedside"]
    assert (COMPOSE.parent / service["build"]["context"] / service["build"]["dockerfile"]).resolve().is_file()
    (included,) = composed["include"]
    database = yaml.safe_load((COMPOSE.parent / included).read_text("utf-8"))["services"]
    assert set(service["depends_on"]) <= set(database)
    verb, url, *options = service["command"]
    settings = database["postgres"]["environment"]
    assert url == f"postgresql://{settings['POSTGRES_USER']}@postgres:5432/{settings['POSTGRES_DB']}"
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    arguments = [verb, str(tmp_path), *map(Folders(tmp_path).here, options)]
    environment = {**os.environ, "BEDSIDE_TOKEN": TOKEN}
    with started([sys.executable, "-m", "bedside.cli", *arguments], environment) as address:
        assert httpx.get(f"{address}/ready").is_success
