"""Killed at any moment, or on a full disk: what was acknowledged is there, anything else wholly or not at all."""

from __future__ import annotations

import pytest

from store import crashes
from store.children import run
from store.mounts import mounts


@pytest.mark.parametrize("call", ["create", "open", "add", "delete", "replace", "compact", "erase", "copy_to"])
def test_whatever_moment_a_kill_hits_the_files_hold_what_was_before_the_call_or_what_is_after_it(call, tmp_path):
    """Every state that the files of a collection are in during a call is opened as a kill would have left it."""
    (seen,) = run(crashes.moments, folder=tmp_path, call=call)
    assert seen["states"] > 2, seen
    switched = call in ("create", "compact", "erase", "copy_to")
    assert ("manifest.json.new" in seen["files"]) == switched, "the states between were not seen"


def test_a_killed_process_loses_no_acknowledged_call_and_halves_none(tmp_path):
    (hit,) = run(crashes.crash_rounds, folder=tmp_path / "c", rounds=8, seed=1)
    assert sum(hit.values()) == 8


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_hundreds_of_killed_processes_lose_no_acknowledged_call_and_halve_none(seed, tmp_path):
    (hit,) = run(crashes.crash_rounds, timeout=600, folder=tmp_path / "c", rounds=75, seed=100 + seed)
    assert sum(hit.values()) == 75
    assert min(hit[call] for call in ("open", "add", "compact", "erase")) > 0, f"the kills hit {hit}"


def test_a_process_killed_while_it_creates_the_collection_leaves_a_place_for_the_next(tmp_path):
    (seen,) = run(crashes.creations, folder=tmp_path, rounds=8, seed=1)
    assert sum(seen.values()) == 8


@pytest.mark.slow
def test_many_processes_killed_while_they_create_the_collection_leave_a_place_for_the_next(tmp_path):
    (seen,) = run(crashes.creations, timeout=600, folder=tmp_path, rounds=200, seed=2)
    assert seen["created"] > 0, seen
    assert seen["not created"] > 0, seen


@pytest.mark.parametrize("call", ["create", "open", "add", "delete", "replace", "compact", "erase"])
@pytest.mark.parametrize("limits", [7, pytest.param(400, marks=pytest.mark.slow)])
def test_where_a_file_may_not_grow_a_call_is_refused_by_name_or_done_whole(call, limits, tmp_path):
    """Whatever the limit (of log, manifest or cache), the collection opens, and goes on when the limit is lifted."""
    (outcomes,) = run(crashes.file_limit, timeout=600, folder=tmp_path, call=call, limits=limits)
    if call == "open":
        assert outcomes["refused"] == 0, "a cache that cannot be written refuses nothing"
    else:
        assert outcomes["refused"] > 0, outcomes
    if call in ("open", "erase"):
        assert outcomes["without cache"] > 0, outcomes
    assert outcomes["whole"] + outcomes["without cache"] > 0, outcomes


@mounts
def test_on_a_full_disk_every_writing_call_is_refused_by_name_and_goes_on_once_there_is_space(tmp_path):
    (refused,) = run(crashes.full_disk, mount=f"mount -t tmpfs -o size=256k none {tmp_path}", folder=tmp_path)
    assert refused == dict.fromkeys(refused, 3)


@mounts
def test_where_no_file_can_be_created_every_writing_call_is_refused_by_name(tmp_path):
    (refused,) = run(
        crashes.no_inodes, mount=f"mount -t tmpfs -o size=1m,nr_inodes=14 none {tmp_path}", folder=tmp_path
    )
    assert refused == ["delete", "compact", "erase", "copy_to", "create", "compact", "erase"]
