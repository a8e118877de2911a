"""An encrypted collection whose writer is killed at any moment shows nothing and loses nothing acknowledged."""

from __future__ import annotations

import pytest

from store import sealed_crashes
from store.children import run


@pytest.mark.parametrize("call", ["create", "add", "compact", "rekey", "shred", "encrypt"])
def test_whatever_moment_a_kill_hits_the_files_show_nothing_and_hold_what_was_before_or_is_after(call, tmp_path):
    """Every state that the files of a collection are in during a call is opened as a kill would have left it."""
    (seen,) = run(sealed_crashes.moments, timeout=240, folder=tmp_path, call=call)
    assert sum(seen["outcomes"].values()) > 2, seen
    assert ("key gone" in seen["outcomes"]) == (call == "shred"), "shredding destroys the key first"
    assert ("keys.json.new" in seen["files"]) == (call != "compact"), "the states between were not seen"


def test_a_killed_process_leaves_nothing_in_the_clear_and_loses_no_acknowledged_call(tmp_path):
    (hit,) = run(sealed_crashes.crash_rounds, timeout=240, folder=tmp_path, rounds=8, seed=1)
    assert sum(hit.values()) == 8


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("seed", range(4))
def test_hundreds_of_killed_processes_leave_nothing_in_the_clear_and_lose_no_acknowledged_call(seed, tmp_path):
    (hit,) = run(sealed_crashes.crash_rounds, timeout=1_800, folder=tmp_path, rounds=50, seed=100 + seed)
    assert sum(hit.values()) == 50
    assert min(hit.get(call, 0) for call in ("add", "compact", "rekey", "shred")) > 0, f"the kills hit {hit}"


@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("rounds", [6, pytest.param(200, marks=pytest.mark.slow)])
def test_a_process_killed_while_it_encrypts_leaves_the_plain_collection_or_the_encrypted_one(rounds, tmp_path):
    (seen,) = run(sealed_crashes.encrypt_rounds, timeout=1_800, folder=tmp_path, rounds=rounds, seed=rounds)
    assert sum(seen.values()) == rounds
    assert rounds < 200 or min(seen.values()) > 0, seen
