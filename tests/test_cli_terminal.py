"""The command line where people and shells meet it: terminals, pipes, interruptions, locales, completion."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from bedside import Collection, Document
from bedside.cli.app import app
from bedside.support.progress import counting
from checkpoints import minilm_folder
from command_line import LINES, NOT_IGNORED, bedside, json_lines, on_terminal

INTERRUPTED = "bedside: interrupted; what was finished stays, and nothing is half done\n"
SWALLOWED = """
import signal, time, weakref
from bedside.cli.interrupts import heed_interrupts, interrupted

class Held:
    pass

heed_interrupts()
held = Held()
weakref.finalize(held, signal.raise_signal, signal.SIGINT)
try:
    del held
    time.sleep(60)
except KeyboardInterrupt:
    interrupted()
"""


def test_a_mistyped_command_is_told_what_was_meant():
    assert "Did you mean 'search'?" in bedside("serach", code=2)


def test_a_shell_can_complete_commands():
    environment = {"_BEDSIDE_COMPLETE": "complete_bash", "COMP_WORDS": "bedside sea", "COMP_CWORD": "1"}
    assert bedside(environment=environment).split() == ["search", "search-notes"]


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("search c.bedside --mode ", ["dense", "hybrid", "sparse"]),
        ("search c.bedside --assertion p", ["prefer"]),
        ("export c.bedside notes --format j", ["json", "jsonl"]),
        ("eval c.bedside --mode s", ["sparse"]),
        ("migrate store c.bedside --from c", ["chroma"]),
        ("eval c.bedside --metric recall", ["recall@10", "recall@100"]),
        ("eval c.bedside --metric n", ["nDCG@10"]),
    ],
)
def test_a_shell_can_complete_the_values_of_an_option(typed, completed):
    words = f"bedside {typed}"
    environment = {
        "_BEDSIDE_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)
    }  # fmt: skip
    done = CliRunner().invoke(app, [], prog_name="bedside", env=environment)
    assert sorted(done.output.split()) == completed


def test_a_bar_asks_for_its_total_on_a_terminal_alone(monkeypatch):
    def total():
        asked.append(True)
        return 2

    asked: list[bool] = []
    assert list(counting("ab", total, "import", "record")) == ["a", "b"]
    assert asked == []
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert list(counting("ab", total, "import", "record")) == ["a", "b"]
    assert asked == [True]


def test_people_get_tables_and_programs_get_lines(tmp_path):
    ward = tmp_path / "ward"
    with Collection.open(ward) as notes:
        notes.add([Document(**line) for line in LINES])
        notes.add([Document("[bold]BP[/bold] :100: " + "w" * 1_000, id="long", vector=[1, 1, 1])])
    table = on_terminal("get", ward, "--filter", "{}", NO_COLOR="1")
    assert "\x1b[" not in table, "a colour"
    assert re.search(r"id +text", table)
    assert re.search(r"a +Chest pain on exertion\.", table)
    assert "[bold]BP[/bold] :100:" in table
    assert " …" in table
    assert max(map(len, table.splitlines())) <= 80
    lines = bedside("get", ward, "--filter", "{}").splitlines()
    assert lines[0] == "a\tChest pain on exertion."
    assert lines[3].endswith("w" * 1_000)
    hits = on_terminal("search", ward, "chest", "--mode", "sparse", columns=40)
    assert re.search(r"score +.*id +.*text", hits)


@pytest.mark.slow
def test_an_export_says_on_a_terminal_that_it_goes_on(tmp_path):
    """The export of a real network takes longer than two seconds, in which the seconds are counted."""
    said = on_terminal("export-model", minilm_folder(), tmp_path / "made", BEDSIDE_CACHE=str(tmp_path / "cache"))
    assert re.search(r"exporting onnx-float32: [\d.]+s", said)


def test_a_reader_that_leaves_early_ends_a_command_without_a_word(tmp_path):
    with Collection.open(tmp_path / "c") as notes:
        notes.add([Document("word " * 200, id=str(i)) for i in range(1_000)])
    process = subprocess.Popen(
        [sys.executable, "-m", "bedside.cli", "get", str(tmp_path / "c"), "--filter", "{}"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) == 1


def test_an_interrupted_add_keeps_its_transactions_and_ends_with_130(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "bedside.cli", "add", str(tmp_path / "c"), "-"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=NOT_IGNORED,
    )  # fmt: skip
    process.stdin.write(json_lines({"text": f"note {i}"} for i in range(1_500)).encode())
    process.stdin.flush()
    deadline = time.monotonic() + 30
    while (
        not (tmp_path / "c" / "manifest.json").exists() or len(Collection.open(tmp_path / "c", read_only=True)) < 1_000
    ):
        assert time.monotonic() < deadline, "the first transaction did not come"
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30) == (b"", INTERRUPTED.encode())
    assert process.returncode == 130
    assert bedside("count", tmp_path / "c") == "1000\n"


def size_of(path):
    try:
        return path.stat().st_size
    except FileNotFoundError:  # it had another name until just now
        return 0


def all_beside_c(folder):
    return {path for path in folder.rglob("*") if folder / "c" not in path.parents}


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A folder with a collection of 20,000 documents, on which commands work long enough to be interrupted."""
    folder = tmp_path_factory.mktemp("many")
    with Collection.open(folder / "c") as notes:
        notes.add([Document(f"note {i} of chest pain", {"part": i % 4}, id=str(i)) for i in range(20_000)])
    return folder


@pytest.mark.parametrize(
    ("command", "begun", "left"),
    [
        (["compact", "c"], "c/log-000002.jsonl*", {20_000}),
        (["erase", "c", "--filter", '{"part": 1}', "--yes"], "c/log-000002.jsonl*", {15_000, 20_000}),
        (["reembed", "c", "--encoder", "bedside/static"], "c/log-000002.jsonl*", {20_000}),
        (["import", "d", "notes.jsonl"], "d/log-000001.jsonl", {20_000}),
        (["copy", "c", "d"], "d*/log-000001.jsonl*", {20_000}),
    ],
)
def test_an_interrupted_command_ends_with_one_line_and_leaves_nothing_half_done(many, tmp_path, command, begun, left):
    shutil.copytree(many / "c", tmp_path / "c")
    with (tmp_path / "notes.jsonl").open("w") as lines:
        lines.writelines(json_lines([{"text": f"note {i}"}]) for i in range(20_000))
    before = all_beside_c(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-m", "bedside.cli", *command], cwd=tmp_path, stderr=subprocess.PIPE, text=True,
        preexec_fn=NOT_IGNORED,
    )  # fmt: skip
    while not any(size_of(path) > 4_096 for path in tmp_path.glob(begun)) and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    assert (process.communicate(timeout=60)[1], process.returncode) == (INTERRUPTED, 130)
    with Collection.open(tmp_path / "c") as notes:
        assert notes.verify().records in left
    assert all_beside_c(tmp_path) == before
    assert not [path.name for path in (tmp_path / "c").iterdir() if "log" in path.name][1:]


def test_an_interrupt_that_meets_a_finalizer_comes_again():
    ran = subprocess.run(
        [sys.executable, "-c", SWALLOWED], stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        preexec_fn=NOT_IGNORED,
    )  # fmt: skip
    assert (ran.stderr, ran.returncode) == (INTERRUPTED, 130)


def test_output_is_the_same_where_the_locale_knows_no_umlauts(tmp_path):
    bedside("add", tmp_path / "c", "-", stdin=json_lines([{"text": "Müdigkeit, 38 °C ☺", "id": "ä"}]))
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""}
    for options in ((), ("--json",)):
        known = bedside("get", tmp_path / "c", "--filter", "{}", *options)
        assert "Müdigkeit, 38 °C ☺" in known
        assert bedside("get", tmp_path / "c", "--filter", "{}", *options, environment=plain) == known
    assert bedside("stats", tmp_path / "c", environment=plain)
