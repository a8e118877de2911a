"""What the page about running a server says: the compose file, as far as a file can be checked, and a restored dump."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
import yaml

from bedside import Collection, Document
from bedside.engines.postgres.url import parse
from engines import postgres_server
from engines.postgres_server import Server

COMPOSE = Path(__file__).parents[2] / "examples" / "postgres" / "compose.yaml"


def test_the_compose_file_starts_one_durable_server_that_only_this_machine_reaches_without_a_password_in_it() -> None:
    described = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    (service,) = described["services"].values()
    assert re.fullmatch(r"pgvector/pgvector:pg1[5-9]", service["image"])
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert not {"POSTGRES_PASSWORD", "POSTGRES_HOST_AUTH_METHOD"} & set(service["environment"])
    assert service["secrets"] == list(described["secrets"]) == ["password"]
    (volume,) = service["volumes"]
    assert volume.split(":") == [*described["volumes"], "/var/lib/postgresql"]
    assert "--data-checksums" in service["environment"]["POSTGRES_INITDB_ARGS"]
    assert not any(word in " ".join(service["command"]) for word in ("fsync", "full_page_writes", "synchronous_commit"))
    assert service["healthcheck"]["test"][1] == "pg_isready"


def test_the_servers_settings_in_the_compose_file_are_known_to_the_server(server: Server) -> None:
    described = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    command = described["services"]["postgres"]["command"]
    names = {each.partition("=")[0] for each in command if "=" in each}
    with psycopg.connect(server.url) as connection:
        known = {name for (name,) in connection.execute("select name from pg_settings")}
    assert names
    assert names <= known


def test_a_dump_of_its_schema_restores_a_collection(postgres: Callable[[], str], server: Server) -> None:
    if server.folder is None or not (postgres_server.binaries() / "pg_dump").exists():
        pytest.skip("there is no pg_dump of the server's release")
    url = postgres()
    with Collection.open(url, scope_keys=["patient"], row_security=True) as notes:
        notes.scoped(patient="A").add([Document(f"cough {i}", {"i": i}, f"d{i}", [1, i]) for i in range(20)])
    place = parse(url)
    dumped = subprocess.run(
        [postgres_server.binaries() / "pg_dump", f"--schema={place.schema}", server.url],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    other = server.url.rpartition("/")[0] + f"/{place.schema}_restored"
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f'create database "{place.schema}_restored"'.encode())
        with psycopg.connect(other, autocommit=True) as restored:
            restored.execute("create extension vector")
        subprocess.run(
            [postgres_server.binaries() / "psql", "--quiet", "--set=ON_ERROR_STOP=1", other],
            input=dumped.stdout, capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        with Collection.open(url) as was, Collection.open(f"{other}?collection={place.schema}") as now:
            one, two = was.scoped(patient="A"), now.scoped(patient="A")
            assert two.get(filter={}, include_vectors=True) == one.get(filter={}, include_vectors=True)
            assert [h.score for h in two.search("cough", mode="sparse")] == [
                h.score for h in one.search("cough", mode="sparse")
            ]
            now.verify()
        connection.execute(f'drop database "{place.schema}_restored" with (force)'.encode())
