"""Errors tell what to do in the words of the surface that the user stands on."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import httpx
import pytest
from typer.main import get_command

from bedside import Collection, Document, errors
from bedside.cli.app import COMMANDS, app
from bedside.cli.words import options_of, words_of
from bedside.errors import EncoderRequired, InvalidInputError, ScopeRequired, UnreadableFileError, WriteFailedError
from bedside.remedies import Call, Give, GiveEach, in_json, speaking, told
from bedside.serving.http import create_app
from bedside.serving.service import Service
from command_line import bedside, json_lines

REMEDIES = [
    Give("encoder"),
    Give("vector"),
    GiveEach("vector"),
    Give("mode", "sparse", "for BM25 alone"),
    Give("filter", {}),
    Give("scope", {"patient": "…"}),
    Call("reembed", "to make the vectors"),
]


def test_python_is_told_arguments_documents_and_methods():
    assert told(REMEDIES) == (
        "; give encoder=, or vector=, or Document.vector, or mode='sparse' for BM25 alone, or filter={}, "
        "or use collection.scoped(patient=…), or call Collection.reembed to make the vectors"
    )


def test_a_shell_is_told_the_options_that_the_command_has_and_other_commands():
    with speaking(words_of(COMMANDS["search"], frozenset(COMMANDS))):
        assert told(REMEDIES) == (
            "; give --encoder, or --vector, or --mode sparse for BM25 alone, or --filter '{}', or --scope patient=…, "
            "or run bedside reembed to make the vectors"
        )
    with speaking(words_of(COMMANDS["add"], frozenset(COMMANDS))):
        assert told(REMEDIES[:4]) == "; give --encoder, or a vector in each line"
    with speaking(words_of(COMMANDS["verify"], frozenset())):
        assert told(REMEDIES) == ""


def test_json_is_told_the_fields_that_the_request_has():
    with speaking(in_json({"vector", "mode", "filter", "scope"})):
        assert told(REMEDIES) == (
            '; give "vector", or "mode": "sparse" for BM25 alone, or "filter": {}, or "scope": {"patient": "…"}'
        )
    with speaking(in_json({"documents"})):
        assert told(REMEDIES) == '; give "vector" in each document'


def test_what_was_wrong_is_named_as_the_surface_names_it():
    error = InvalidInputError("expected at least 1", about=Give("top_k", 0))
    assert str(error) == "top_k=0: expected at least 1"
    with speaking(words_of(COMMANDS["search"], frozenset())):
        assert str(error) == "--top-k 0: expected at least 1"
    with speaking(in_json({"top_k"})):
        assert str(error) == '"top_k": 0: expected at least 1'
    with speaking(in_json(set())):
        assert str(error) == "top_k: expected at least 1"


@pytest.mark.parametrize(
    "error",
    [
        EncoderRequired("no encoder", remedies=REMEDIES),
        ScopeRequired("divided", remedies=REMEDIES),
        InvalidInputError("wrong", about=Give("k", {"odd": Path("x")}), remedies=REMEDIES),
        UnreadableFileError("a.txt", "byte 3 is not utf-8", [Give("encoding")]),
        WriteFailedError(28, "log: full", remedies=[Give("path")]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_from_another_process_tells_the_same(error):
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (type(again), str(again)) == (type(error), str(error))
    assert str(error).endswith(told(error.remedies))
    with speaking(in_json({"mode", "k"})):
        assert str(again) == str(error)


def test_every_parameter_is_called_what_the_command_line_takes():
    parsed = get_command(app).commands
    for name, command in COMMANDS.items():
        known = {parameter.name: [*parameter.opts, parameter.metavar] for parameter in parsed[name].params}
        for parameter, called in options_of(command).items():
            assert called in known[parameter], (name, parameter)


def test_commands_speak_of_options_and_never_of_python_or_error_numbers(tmp_path):
    ward, divided, seen = tmp_path / "ward", tmp_path / "divided", tmp_path / "seen"
    bedside("add", seen, "-", stdin=json_lines([{"text": "a", "vector": [1, 0]}, {"text": "b", "vector": [0, 1]}]))
    bedside("add", ward, "-", stdin=json_lines([{"text": "Chest pain."}]))
    bedside("init", divided, "--scope-key", "patient")
    (tmp_path / "old.txt").write_bytes(b"caf\xe9 fever")
    said = [
        bedside("search", divided, "pain", code=1),
        bedside("search", ward, "pain", "--mode", "dense", code=1),
        bedside("search", ward, "pain", "--mode", "dense", "--encoder", "bedside/static", code=1),
        bedside("import", ward, tmp_path / "none.csv", code=1),
        bedside("export", ward, tmp_path / "out.npy", code=1),
        bedside("map", ward, tmp_path / "out.html", code=1),
    ]
    wanted = [
        "give --scope patient=…",
        "give --encoder, or --vector, or --mode sparse for BM25 alone",
        "give --mode sparse, or run bedside reembed to make the vectors",
        "none.csv: No such file or directory",
        "give --include-vectors to write them",
        "run bedside reembed with an encoder",
    ]
    assert "--method" in bedside("map", seen, tmp_path / "out.html", "--method", "magic", code=2)
    for line, want in zip(said, wanted, strict=True):
        assert want in line
        assert not re.search(r"\w=[\s,;]|\w='|Collection\.|collection\.|\[Errno", line), line


def test_a_file_of_another_encoding_names_the_option_wherever_it_is_read(tmp_path):
    from test_watching import run

    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "old.txt").write_bytes(b"caf\xe9 fever")
    for command in (("add-notes", tmp_path / "c", tmp_path / "notes"), ("watch", tmp_path / "notes", tmp_path / "d")):
        said = run(*command, *(["--once"] if command[0] == "watch" else []), code=1).stderr
        assert "give --encoding where" in said
        assert "encoding=" not in said


async def test_a_server_speaks_of_fields(tmp_path):
    with Collection.open(tmp_path / "vectors") as collection:
        collection.add([Document("Chest pain.", vector=[1.0, 0.0])])
    served = create_app(Service(tmp_path))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(served), base_url="http://localhost/v1/collections"
    ) as http:
        await http.put("/ward", json={"scope_keys": ["patient_id"]})
        details = [
            (await http.post(place, json=body)).json()["detail"]
            for place, body in {
                "/ward/search": {"query": "pain"},
                "/vectors/search": {"query": "pain", "mode": "dense"},
                "/vectors/get": {},
                "/vectors/add": {"documents": [{"text": "Cough."}]},
            }.items()
        ]
    assert details[0].endswith('; give "scope": {"patient_id": "…"}')
    assert details[1].endswith('; give "vector", or "mode": "sparse" for BM25 alone')
    assert details[2].endswith('; give "ids", or "filter", or "filter": {} for every document')
    assert details[3].endswith('; give "vector" in each document')


def test_the_tree_of_errors_all_takes_remedies():
    for name in errors.__all__:
        kind = getattr(errors, name)
        if name not in (
            "BedsideWarning",
            "BrokenTrailError",
            "CorruptLogError",
            "MissingExtraError",
            "UnreadableFileError",
        ):
            assert str(kind("wrong", remedies=[Give("vector")])) == "wrong; give vector="
