"""The command line, each command as a process of its own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from bedside import Collection, Document
from bedside.cli.app import GROUPS, app
from command_line import LINES, bedside, json_lines

PAGE = Path(__file__).resolve().parents[1] / "docs" / "cli.md"


@pytest.fixture
def ward(tmp_path):
    with Collection.open(tmp_path / "ward.bedside") as notes:
        notes.add([Document(**line) for line in LINES])
    return tmp_path / "ward.bedside"


@pytest.fixture
def scoped_ward(tmp_path):
    with Collection.open(tmp_path / "scoped.bedside", scope_keys=["patient"]) as notes:
        notes.add(
            [Document("Chest pain.", {"patient": "7"}, id="x"), Document("No chest pain.", {"patient": 7}, id="y")]
        )
    return tmp_path / "scoped.bedside"


def commands(group=None, place=()):
    """Every command with the words that name it, those of groups included."""
    for name, command in (group or get_command(app)).commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*place, name))
        else:
            yield (*place, name), command


@pytest.mark.parametrize(("words", "command"), [pytest.param(*found, id=" ".join(found[0])) for found in commands()])
def test_a_command_says_what_it_and_its_options_do_and_stands_in_the_documentation(words, command):
    assert command.help
    for option in command.params:
        assert getattr(option, "help", None), option.name
    if words[0] not in ("serve", "mcp", "openapi"):  # what they say is a protocol's
        assert any("--json" in option.opts for option in command.params)
    assert f"$ bedside {' '.join(words)} " in PAGE.read_text(encoding="utf-8")


def test_every_command_is_run_as_a_process_by_a_test():
    sources = [file.read_text(encoding="utf-8") for file in Path(__file__).parent.rglob("*.py")]
    processes = "\n".join(source for source in sources if "bedside.cli" in source or "command_line import" in source)
    missing = [words for words, _ in commands() if not re.search(rf"[\"'\s]{words[-1]}[\"'\s]", processes)]
    assert not missing


def test_the_list_of_commands_names_each_of_them():
    overviews = {place: bedside(*place, "--help") for place in {words[:-1] for words, _ in commands()}}
    for words, _ in commands():
        assert re.search(rf"\b{words[-1]}\b", overviews[words[:-1]]), words
    for title in GROUPS:
        assert f"─ {title} ─" in overviews[()]


def test_help_of_a_command_exits_with_0_and_names_its_arguments():
    assert "QUERY" in bedside("search", "--help")


def test_what_add_reads_get_prints_and_add_reads_again(tmp_path):
    assert "3 documents added" in bedside("add", tmp_path / "one", "-", stdin=json_lines(LINES))
    printed = bedside("get", tmp_path / "one", "--filter", "{}", "--vectors")
    (tmp_path / "copy.jsonl").write_text(printed, encoding="utf-8")
    bedside("add", tmp_path / "two", tmp_path / "copy.jsonl")
    assert bedside("get", tmp_path / "two", "--filter", "{}", "--vectors") == printed
    one, two = (Collection.open(tmp_path / name, read_only=True) for name in ("one", "two"))
    for a, b in zip(one.get(filter={}, include_vectors=True), two.get(filter={}, include_vectors=True), strict=True):
        assert np.array_equal(a.vector, b.vector)
    first = json.loads(printed.splitlines()[0])
    assert first["vector"] == pytest.approx(LINES[0]["vector"])
    assert {**first, "vector": None} == {**LINES[0], "vector": None}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not JSON"),
        ('{"text": "x", "txet": 1}', "unknown field 'txet'"),
        ('{"text": ""}', "line 1003.text: empty"),
    ],
)
def test_a_wrong_line_is_named_and_earlier_transactions_stay(tmp_path, line, message):
    good = json_lines({"text": f"note {i}", "id": str(i)} for i in range(1001))
    error = bedside("add", tmp_path / "c", "-", stdin=f"{good}\n{line}\n", code=1)
    assert "line 1003" in error
    assert message in error
    assert bedside("count", tmp_path / "c") == "1000\n"


def test_lines_that_a_shell_wrote_as_utf_16_are_told_as_what_they_are(tmp_path):
    (tmp_path / "lines.jsonl").write_bytes(json_lines(LINES).encode("utf-16"))
    said = bedside("add", tmp_path / "c", tmp_path / "lines.jsonl", code=1)
    assert "line 1: byte 0 is not UTF-8; save the file as UTF-8" in said


def test_a_field_that_is_null_is_as_one_that_is_missing_for_add_as_for_import(tmp_path):
    line = json_lines([{"text": "Cough.", "metadata": None, "vector": None, "id": None}])
    (tmp_path / "lines.jsonl").write_text(line)
    for command in ("add", "import"):
        bedside(command, tmp_path / "c", tmp_path / "lines.jsonl")
    assert bedside("count", tmp_path / "c") == "2\n"


@pytest.mark.skipif(sys.platform == "win32", reason="a shell of POSIX closes the input")
def test_where_standard_input_is_closed_there_is_nothing_to_add_and_no_traceback(tmp_path):
    command = [sys.executable, "-m", "bedside.cli", "add", str(tmp_path / "c"), "-"]
    done = subprocess.run(["sh", "-c", 'exec "$@" <&-', "sh", *command], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("0 documents added\n", "", 0)


def test_documents_that_cannot_be_stored_are_skipped_where_that_is_asked_and_told_with_line_id_and_reason(tmp_path):
    lines = [{"text": f"note {i}", "id": str(i)} for i in range(1_001)]
    lines[3]["text"], lines[1_000]["text"] = " ", ""
    file = tmp_path / "in.jsonl"
    file.write_text("\n" + json_lines(lines))

    def skipping(*arguments):
        words = [sys.executable, "-m", "bedside.cli", *map(str, arguments), "--on-bad-document", "skip"]
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)

    for command, first, last in (("add", "line 5", "line 1002"), ("import", "record 4", "record 1001")):
        assert "text" in bedside(command, tmp_path / command, file, code=1)
        done = skipping(command, tmp_path / command, file)
        assert done.returncode == 0
        assert done.stdout == "999 documents added, 2 skipped\n"
        assert [line.partition(";")[0] for line in done.stderr.splitlines()] == [
            f"skipped {first} (id '3'): text: empty",
            f"skipped {last} (id '1000'): text: empty",
        ]
        assert bedside("count", tmp_path / command) == "999\n"
        said = json.loads(skipping(command, tmp_path / f"{command} json", file, "--json").stdout)
        assert said["added"] == 999
        place, number = last.split()
        assert said["skipped"][1] | {"reason": ""} == {place: int(number), "id": "1000", "reason": ""}
    assert "not JSON" in bedside("add", tmp_path / "c", "-", "--on-bad-document", "skip", stdin="{\n", code=1)


def test_search_prints_what_the_collection_finds(ward):
    with Collection.open(ward, read_only=True) as notes:
        expected = notes.search("chest pain", mode="sparse", top_k=2)
    printed = bedside("search", ward, "chest pain", "--mode", "sparse", "--top-k", 2, "--json", "--explain")
    hits = [json.loads(line) for line in printed.splitlines()]
    assert [(hit["id"], hit["score"]) for hit in hits] == [(hit.id, hit.score) for hit in expected]
    assert all(hit["explanation"]["formula"] for hit in hits)
    assert "explanation" not in bedside("search", ward, "pain", "--mode", "sparse", "--json")
    only = bedside("search", ward, "pain", "--mode", "sparse", "--filter", '{"section": "ROS"}')
    assert [line.split("\t")[1] for line in only.splitlines()] == ["b"]


def test_text_without_an_encoder_is_an_error_that_says_what_to_write(ward, tmp_path):
    with Collection.open(tmp_path / "c", encoder=Named("openai:text-embedding-3-small")) as collection:
        collection.add(["Chest pain."])
    for command in ("search", "explain"):
        assert "give --encoder, or --vector, or --mode sparse" in bedside(command, ward, "pain", code=1)
        # The name that a collection has for its encoder must not send the question to a server.
        said = bedside(command, tmp_path / "c", "pain", code=1)
        assert "written with openai:text-embedding-3-small; give --encoder" in said
    said = bedside("add", tmp_path / "c", "-", stdin=json_lines([{"text": "Cough."}]), code=1)
    assert "give --encoder, or a vector in each line" in said


def test_lines_that_windows_editors_write_are_read(tmp_path):
    lines = "\ufeff" + json_lines([{"text": "Müde."}, {"text": "Wach."}]).replace("\n", "\r\n")
    assert bedside("add", tmp_path / "c", "-", stdin=lines) == "2 documents added\n"


def test_a_scope_is_required_and_a_number_is_not_its_digits(scoped_ward):
    assert "--scope patient=" in bedside("count", scoped_ward, code=1)
    assert bedside("get", scoped_ward, "--filter", "{}", "--scope", "patient=7").startswith("x\t")
    assert bedside("get", scoped_ward, "--filter", "{}", "--scope", "patient:=7").startswith("y\t")
    assert "not a scope key" in bedside("count", scoped_ward, "--scope", "ward=3", code=1)


def test_set_alpha_keeps_how_much_vectors_weigh_and_wrong_usage_changes_nothing(ward):
    assert "0.25" in bedside("set-alpha", ward, "0.25")
    assert json.loads(bedside("stats", ward, "--json"))["alpha"] == 0.25
    bedside("set-alpha", ward, "2", code=2)
    with Collection.open(ward) as notes:
        assert notes.facts.weight == 0.25


def test_control_characters_in_a_note_do_not_reach_the_terminal(tmp_path):
    bedside("add", tmp_path / "c", "-", stdin=json_lines([{"text": "a\x1b[2Jb\nc", "id": "1"}]))
    assert bedside("get", tmp_path / "c", "--id", "1") == "1\ta [2Jb c\n"


def test_stats_names_records_dimension_scope_keys_and_bytes(ward, scoped_ward):
    facts = json.loads(bedside("stats", ward, "--json"))
    assert facts == {
        "records": 3, "dimension": 3, "encoder": None, "alpha": 0.6, "calibrated": [], "scope_keys": [],
        "encrypted": False, "log_bytes": (ward / "log-000001.jsonl").stat().st_size,
    }  # fmt: skip
    assert "patient" in bedside("stats", scoped_ward)
    assert json.loads(bedside("stats", ward, "--facets", "section", "--json").splitlines()[0])["count"] == 1


def test_delete_compact_copy_and_verify_do_what_they_say(ward, tmp_path):
    assert "1 documents deleted" in bedside("delete", ward, "--id", "a")
    assert "2 records" in bedside("compact", ward)
    assert "2 records" in bedside("copy", ward, tmp_path / "backup")
    assert "is whole: 2 records" in bedside("verify", tmp_path / "backup")
    assert "not empty" in bedside("copy", ward, tmp_path / "backup", code=1)
    assert "--yes" in bedside("drop", ward, code=2)
    assert "2 records" in bedside("drop", ward, "--yes")
    assert not ward.exists()


def test_erase_asks_for_yes_and_leaves_no_byte(ward):
    bedside("erase", ward, "--id", "c", code=2)
    assert bedside("count", ward) == "3\n"
    assert "1 documents erased" in bedside("erase", ward, "--id", "c", "--yes")
    assert not any(b"HbA1c" in path.read_bytes() for path in ward.rglob("*") if path.is_file())


def test_repair_saves_what_is_whole_of_a_damaged_log(ward):
    log = ward / "log-000001.jsonl"
    log.write_bytes(log.read_bytes().replace(b"Denies", b"Denied"))
    assert "bedside repair" in bedside("verify", ward, code=1)
    report = bedside("repair", ward)
    assert "2 records saved; 1 lines lost" in report
    assert "put b" in report
    assert "is whole: 2 records" in bedside("verify", ward)
    assert "nothing was damaged; 2 records" in bedside("repair", ward)


def test_a_map_is_written_without_snippets_where_that_is_asked(ward, tmp_path):
    page = tmp_path / "map.html"
    assert "3 documents" in bedside("map", ward, page, "--color-by", "section", "--no-snippets")
    content = page.read_text(encoding="utf-8")
    assert "LABS" in content
    assert "HbA1c" not in content
    assert "ends in .html" in bedside("map", ward, tmp_path / "map.doc", code=1)


def test_a_mistyped_path_is_an_error_and_creates_nothing(tmp_path):
    bedside("compact", tmp_path / "none", code=1)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify"],
        ["delete", "PATH"],
        ["count", "PATH", "--filter", "[]"],
        ["count", "PATH", "--scope", "patient:=x"],
        ["add", "PATH", "no-such-file.jsonl"],
        ["search", "PATH", "pain", "--as-of", "tomorrow"],
        ["search", "PATH", "pain", "--recency", "30x"],
        ["search", "PATH", "pain", "--group-by", ""],
        ["search", "PATH", "--vector", "[1, true]"],
        ["get", "PATH", "--id", "a", "--limit", "-1"],
        ["set-alpha", "PATH", "2"],
        ["stats", "PATH", "--facets", ""],
        ["export", "PATH", "out.json", "--format", "chroma"],
        ["import", "PATH", "notes.jsonl", "--format", "xls"],
        ["migrate", "store", "PATH", "--from", "elastic"],
        ["eval", "PATH", "--probes", "--mode", "fuzzy"],
        ["eval", "PATH", "--probes", "--sample", "0"],
        ["export-model", "model", "out", "--dtype", "int4"],
    ],
)
def test_wrong_usage_exits_with_2(ward, arguments):
    done = CliRunner().invoke(app, [str(ward) if argument == "PATH" else argument for argument in arguments])
    assert done.exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["search", "PATH", "pain", "--filter", '{"a": {"$near": 1}}'], "bedside: --filter: a.$near: unknown operator"),
        (["search", "PATH", "pain"], "bedside: QUERY: the collection was opened without an encoder; give --encoder"),
        (["get", "PATH", "--id", ""], "bedside: --id: expected a non-empty str"),
        (["export", "PATH", "out.xls"], "bedside: --format: give one"),
        (["search", "PATH", "pain", "--scope", "p=A"], "bedside: --scope: 'p' is not a scope key"),
    ],
)
def test_an_error_names_the_option_as_the_shell_has_it(ward, arguments, said):
    done = CliRunner().invoke(app, [str(ward) if argument == "PATH" else argument for argument in arguments])
    assert said in done.stderr


def test_a_question_may_be_a_vector_and_a_scope_that_holds_nothing_an_error(ward, scoped_ward):
    assert bedside("search", ward, "--vector", "[1, 0, 0]", "--top-k", 1).split("\t")[1] == "a"
    assert "no document" in bedside("search", scoped_ward, "pain", "--scope", "patient=8", "--must-exist", code=1)


def test_models_that_are_not_there_are_an_error_in_one_line(ward, tmp_path):
    missing = tmp_path / "no-model"
    bedside("reembed", ward, "--encoder", missing, code=1)
    bedside("fetch-model", missing, tmp_path / "out", code=1)
    bedside("export-model", missing, tmp_path / "out", "--backend", "onnx", code=1)


@pytest.mark.parametrize(
    ("package", "command", "extra"),
    [("typer", "count", "cli"), ("rich", "count", "cli"), ("uvicorn", "serve", "serve"), ("mcp", "mcp", "mcp")],
)
def test_without_a_package_one_line_says_what_to_install(tmp_path, package, command, extra):
    code = f"import sys; sys.modules[{package!r}] = None; from bedside.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, command, str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert done.stderr == f'bedside: {package} is not installed. It comes with: pip install "bedside[{extra}]"\n'


def test_a_configuration_that_is_no_text_is_an_error_in_one_line(tmp_path):
    (tmp_path / "run.yaml").write_bytes(b"\xff\xfe")
    assert "not UTF-8" in bedside("tune", "classify", "--config", tmp_path / "run.yaml", code=1)


def test_a_collection_of_the_static_encoder_is_asked_and_written_to_without_naming_it_again(tmp_path):
    path = tmp_path / "ward"
    lines = [{"text": "Swelling of both legs."}, {"text": "Chest pain on exertion."}]
    bedside("add", path, "-", "--encoder", "bedside/static", stdin=json_lines(lines[:1]))
    bedside("add", path, "-", stdin=json_lines(lines[1:]))
    first = bedside("search", path, "oedema of the ankles", "--top-k", "1", "--json")
    assert json.loads(first)["text"] == "Swelling of both legs."


class Named:
    """An encoder with a name of somebody's choice."""

    dimension = 2
    fingerprint = "x"

    def __init__(self, name):
        self.name = name

    def encode_documents(self, texts):
        return np.ones((len(texts), 2), np.float32)

    encode_queries = encode_documents
