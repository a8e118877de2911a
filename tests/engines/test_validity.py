"""What was valid when: every engine leaves what a plain reading of the dates leaves, and ranks it as if alone."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bedside import Collection, Document
from bedside.errors import InvalidInputError
from engines.conftest import Open

UTC = timezone.utc
ZONES = [UTC, timezone(timedelta(hours=2)), timezone(timedelta(hours=-8)), timezone(timedelta(hours=5, minutes=30))]
TOPICS = ["sepsis", "hypertension", "anticoagulation", "asthma", "stroke", "diabetes"]
MICROSECOND = timedelta(microseconds=1)


def written(draw: random.Random, moment: datetime) -> tuple[str, datetime]:
    """A bound at about a moment in some precision and zone, and when it begins."""
    match draw.randrange(5):
        case 0:
            return f"{moment:%Y}", datetime(moment.year, 1, 1, tzinfo=UTC)
        case 1:
            return f"{moment:%Y-%m}", datetime(moment.year, moment.month, 1, tzinfo=UTC)
        case 2:
            return f"{moment:%Y-%m-%d}", datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
        case 3:
            return f"{moment:%Y-%m-%dT%H:%M}", moment.replace(second=0, microsecond=0)
    return moment.astimezone(draw.choice(ZONES)).isoformat(), moment


class Version:
    """A record and what a plain reading of its metadata says."""

    def __init__(self, document: Document, start: datetime | None, end: datetime | None) -> None:
        self.document, self.start, self.end = document, start, end
        named = document.metadata.get("supersedes", [])
        self.supersedes = [id for id in (named if isinstance(named, list) else [named]) if isinstance(id, str)]

    def covers(self, moment: datetime) -> bool:
        return (self.start is None or self.start <= moment) and (self.end is None or moment < self.end)


def family(draw: random.Random, number: int) -> list[Version]:
    """A guideline's versions in order: chains with gaps and overlaps, by dates, by names, or by both."""
    topic, at = draw.choice(TOPICS), datetime(draw.randrange(2015, 2023), draw.randrange(1, 13), 3, 7, 30, tzinfo=UTC)
    made: list[Version] = []
    for i in range(draw.randrange(1, 6)):
        metadata: dict[str, Any] = {"family": number}
        start = end = None
        if draw.random() < 0.8:
            metadata["valid_from"], start = written(draw, at)
        if draw.random() < 0.6:
            metadata["valid_to"], end = written(draw, at + timedelta(days=draw.choice([0, 90, 300, 365, 500])))
        elif draw.random() < 0.3:
            metadata["valid_to"] = draw.choice([None, "", "until revised", 2024, ["2016"], "2024-13"])
        if made and draw.random() < 0.7:
            earlier = [version.document.id for version in draw.sample(made, min(len(made), draw.choice([1, 1, 2])))]
            metadata["supersedes"] = earlier[0] if len(earlier) == 1 and draw.random() < 0.7 else earlier
        elif draw.random() < 0.1:
            metadata["supersedes"] = draw.choice(["nowhere", f"g{number}v{i}", f"g{number}v{i + 1}", None, 7, [5]])
        text = f"guideline{number} {topic} version {i} " + " ".join(draw.choices(TOPICS, k=draw.randrange(4)))
        vector = [draw.uniform(-1, 1) for _ in range(4)]
        made.append(Version(Document(text, metadata, f"g{number}v{i}", vector), start, end))
        at += timedelta(days=draw.choice([30, 200, 365, 400]), hours=draw.randrange(24))
    return made


def reaches(versions: dict[str, Version], start: str, goal: str) -> bool:
    seen, todo = set(), [start]
    while todo:
        id = todo.pop()
        if id == goal:
            return True
        if id in versions and id not in seen:
            seen.add(id)
            todo += versions[id].supersedes
    return False


def valid(versions: Iterable[Version], moment: datetime) -> list[Document]:
    """Those that cover the moment and that none of them names, but in a circle."""
    known = {str(version.document.id): version for version in versions}
    covering = {id: version for id, version in known.items() if version.covers(moment)}
    gone = {name for id, version in covering.items() for name in version.supersedes if not reaches(known, name, id)}
    return [version.document for id, version in covering.items() if id not in gone]


def moments(draw: random.Random, versions: Sequence[Version], count: int) -> list[tuple[Any, datetime]]:
    """What is asked, and the moment that it means: on the bounds, just beside them, and anywhere."""
    bounds = [bound for version in versions for bound in (version.start, version.end) if bound is not None]
    found: list[tuple[Any, datetime]] = []
    for _ in range(count):
        moment = draw.choice(bounds) + draw.choice([-1, 0, 0, 1]) * draw.choice([MICROSECOND, timedelta(hours=5)])
        night = datetime(moment.year, moment.month, moment.day, tzinfo=UTC) + timedelta(days=1) - MICROSECOND
        found.append(
            draw.choice(
                [
                    (moment, moment),
                    (moment.astimezone(draw.choice(ZONES)).isoformat(), moment),
                    (moment.replace(tzinfo=None), moment),
                    (moment.date(), night),
                    (f"{moment:%Y-%m-%d}", night),
                ]
            )
        )
    return found


def ranked(notes: Collection, **options: Any) -> list[Any]:
    hits = notes.search("guideline sepsis stroke version 2", vector=[1, 2, -1, 0], top_k=500, explain=True, **options)
    return [(hit.document, hit.score, hit.dense, hit.sparse, hit.explanation.formula) for hit in hits]


@pytest.mark.parametrize("seed", range(4))
def test_of_generated_guidelines_exactly_those_in_force_are_found_and_ranked_as_if_alone(open_: Open, seed) -> None:
    draw = random.Random(seed)
    versions = [version for number in range(30) for version in family(draw, number)]
    notes = open_()
    notes.add([Document("sepsis guideline", {"valid_to": "2030"}, id, [1, 1, 1, 1]) for id in ("g1v0", "gone")])
    draw.shuffle(versions)
    for start in range(0, len(versions), 40):
        notes.add([version.document for version in versions[start : start + 40]])
    notes.delete(["gone"])
    for asked, moment in moments(draw, versions, 12):
        left = valid(versions, moment)
        found = notes.search(vector=[1, 0, 0, 0], top_k=500, as_of=asked)
        there = {document.id for document in left}
        assert {hit.id for hit in found} == there, asked
        assert {document.id for document in notes.get(filter={}, as_of=asked)} == there
        some = sorted({version.document.id for version in versions})[::3]
        assert [document.id for document in notes.get(some, as_of=asked)] == [id for id in some if id in there]
        assert notes.count(as_of=asked) == len(there)
        families = [document.metadata["family"] for document in left]
        assert dict(notes.facets("family", as_of=asked)) == Counter(families)
        chosen = {"family": {"$in": families[:3]}}
        assert notes.count(chosen, as_of=asked) == sum(map(families.count, set(families[:3])))
        alone = open_()
        alone.add(left)
        for way in ({"mode": "dense"}, {"mode": "sparse"}, {}, {"fusion": "rrf"}, {"group_by": "family"}):
            assert ranked(notes, as_of=asked, **way) == ranked(alone, **way), (asked, way)


@pytest.mark.parametrize("seed", range(3))
def test_the_version_in_force_is_always_reached_by_its_familys_own_word(open_: Open, seed) -> None:
    draw = random.Random(100 + seed)
    families = [family(draw, number) for number in range(20)]
    notes = open_(scope_keys=["ward"])
    for ward in ("A", "B"):  # ids belong to their scope: what one ward supersedes is none of the other's business
        kept = families if ward == "A" else [made[:1] for made in families]
        documents = [version.document for made in kept for version in made]
        notes.scoped(ward=ward).add(documents)
    for made in families:
        for asked, moment in moments(draw, made, 3) if any(v.start or v.end for v in made) else ():
            word = str(made[0].document.text).split()[0]
            for ward, kept in (("A", made), ("B", made[:1])):
                found = notes.scoped(ward=ward).search(word, mode="sparse", as_of=asked)
                assert {hit.id for hit in found} == {document.id for document in valid(kept, moment)}


ids = st.sampled_from(["a", "b", "c", "d", "e"])
names = st.one_of(ids, st.lists(ids, max_size=3), st.just("nowhere"))
puts = st.tuples(
    ids, names | st.none(), st.sampled_from([None, "2020", "2022"]), st.sampled_from([None, "2021", "2023"])
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    calls=st.lists(puts | ids, max_size=12), asked=st.sampled_from(["2019-06-01", "2020-06-01", "2021-06-01", "now"])
)
def test_chains_and_circles_that_change_leave_what_the_last_state_says(open_: Open, calls, asked) -> None:
    notes, versions = open_(), {}
    moment = datetime.now(UTC) if asked == "now" else datetime.fromisoformat(asked).replace(tzinfo=UTC)
    for call in calls:
        if isinstance(call, str):
            notes.delete([call])
            versions.pop(call, None)
        else:
            id, supersedes, start, end = call
            metadata = {"supersedes": supersedes, "valid_from": start, "valid_to": end}
            document = Document("guideline", {k: v for k, v in metadata.items() if v is not None}, id)
            notes.add([document])
            bounds = [None if year is None else datetime(int(year), 1, 1, tzinfo=UTC) for year in (start, end)]
            versions.pop(id, None)
            versions[id] = Version(document, *bounds)
        found = notes.search("guideline", mode="sparse", as_of=asked)
        assert [hit.id for hit in found] == [document.id for document in valid(versions.values(), moment)]


def test_what_another_handle_changes_counts_at_once_though_as_many_records_are_left(reopened) -> None:
    with reopened(scope_keys=["ward"]) as one, reopened(scope_keys=["ward"]) as other:
        a, b = one.scoped(ward="A"), other.scoped(ward="A")
        for end in ("2030", "2020", "2031"):
            a.add([Document("guideline", {"valid_to": end}, "g"), Document("guideline", {}, "always")])
            found = {hit.id for hit in b.search("guideline", mode="sparse", as_of="2025-01-01")}
            assert found == ({"always"} if end == "2020" else {"g", "always"})
        a.add([Document("guideline", {"supersedes": "g"}, "always")])
        assert [hit.id for hit in b.search("guideline", mode="sparse", as_of="2025-01-01")] == ["always"]
        a.delete(["always"])
        assert [hit.id for hit in b.search("guideline", mode="sparse", as_of="2025-01-01")] == ["g"]


def test_what_a_passage_says_of_its_note_goes_for_all_passages_of_the_notes_that_it_names(open_: Open) -> None:
    notes = open_()
    text = "HPI: Sepsis, lactate 4. PLAN: Fluids for sepsis, 30 ml per kg."
    notes.add_note(text, id="g1")
    notes.add_note(text + " Norepinephrine.", id="g2", metadata={"supersedes": "g1", "valid_from": "2024-03"})
    for asked, source in (("2024-02-29", "g1"), ("2024-03-01", "g2"), (date(2024, 3, 1), "g2"), ("now", "g2")):
        found = notes.search("sepsis fluids", mode="sparse", as_of=asked)
        assert {hit.metadata["source_id"] for hit in found} == {source}
        assert [hit.id for hit in notes.search_notes("sepsis fluids", as_of=asked)] == [source]


@pytest.mark.parametrize(
    ("bounds", "asked", "there"),
    [
        ({"valid_to": "2024-03"}, "2024-02-29", True),
        ({"valid_to": "2024-03"}, "2024-03-01", False),
        ({"valid_from": "2024-03"}, "2024-03-01T00:00", True),
        ({"valid_from": "2024-03"}, "2024-02-29T23:59:59.999999", False),
        ({"valid_from": "2024-03-01T12:00"}, "2024-03-01", True),
        ({"valid_from": "2024-03-01T12:00"}, "2024-03-01T11:59", False),
        ({"valid_to": "2024-03-01T12:00"}, "2024-03-01", False),
        ({"valid_from": "2024-03-01T00:30+02:00"}, "2024-02-29", True),
        ({"valid_to": "9999-12-31"}, "9999-12-31", False),
        ({"valid_from": "0001-01-01T00:00+14:00"}, date(1, 1, 1), True),
        ({"valid_to": "9999-12-31"}, datetime(9999, 12, 30, 23, 59, 59, 999999), True),
    ],
)
def test_a_bound_is_the_beginning_of_its_span_and_a_day_is_asked_about_at_its_end(open_, bounds, asked, there) -> None:
    notes = open_()
    notes.add([Document("guideline", bounds, "g")])
    assert bool(notes.search("guideline", mode="sparse", as_of=asked)) is there


@pytest.mark.parametrize("wrong", ["", "yesterday", "2024-02-30", "2024-05", 2024, True, float("nan"), "NOW", ["now"]])
def test_what_is_no_moment_is_refused_by_name_and_nothing_is_searched(open_: Open, wrong) -> None:
    with pytest.raises(InvalidInputError, match="as_of: expected a date, a time, or a text such as 2024-05-31"):
        open_().search("guideline", mode="sparse", as_of=wrong)


def chain(open_: Open) -> Collection:
    notes = open_(scope_keys=["ward"])
    ward = notes.scoped(ward="A")
    ward.add([Document("Fluids.", {"valid_from": "2012"}, "r1"), Document("x", {"supersedes": "r1"}, "other")])
    ward.add_note("Fluids for sepsis.", id="n1", supersedes=["r1", "lost"], metadata={"valid_from": "2016"})
    ward.add_note("Fluids, slowly.", id="n2", supersedes="n1", metadata={"valid_from": "2021", "valid_to": "soon"})
    notes.scoped(ward="B").add([Document("Fluids.", {"supersedes": "n2"}, "elsewhere")])
    return notes


def test_history_lists_the_versions_of_notes_and_records_the_newest_first(open_: Open) -> None:
    ward = chain(open_).scoped(ward="A")
    for id in ("r1", "n1", "n2", "other"):
        versions = ward.history(id)
        assert [version.id for version in versions] == ["n2", "n1", "other", "r1"]
        assert {version.id: version.supersedes for version in versions} == {
            "n2": ("n1",),
            "n1": ("r1", "lost"),
            "other": ("r1",),
            "r1": (),
        }
        assert [set(version.superseded_by) for version in versions] == [set(), {"n2"}, set(), {"n1", "other"}]
    assert versions[0].metadata == {"ward": "A", "valid_from": "2021", "valid_to": "soon", "supersedes": "n1"}
    assert ward.history("lost") == ward.history("elsewhere") == []


def test_history_lists_each_version_of_a_circle_once(open_: Open) -> None:
    notes = open_()
    notes.add([Document("x", {"supersedes": other}, id) for id, other in ("ab", "bc", "ca", "dd")])
    assert sorted(version.id for version in notes.history("b")) == ["a", "b", "c"]
    assert [version.superseded_by for version in notes.history("d")] == [("d",)]


def test_verify_tells_of_names_that_are_not_there_of_circles_and_of_bounds_and_nothing_fails(open_: Open) -> None:
    notes = chain(open_)
    notes.scoped(ward="A").add(
        [
            *(Document("x", {"supersedes": other}, id) for id, other in ("ab", "ba", "dd")),
            Document("x", {"valid_from": "2024-03", "valid_to": "2024-03"}, "never"),
            Document("x", {"valid_from": None, "valid_to": "", "supersedes": None}, "open"),
        ]
    )
    notes.scoped(ward="A").add([Document("x", {"supersedes": "gone"}, "mended")])
    notes.scoped(ward="A").add([Document("x", {}, "mended")])
    found = {(*each.scope, each.id): each.wrong for each in notes.verify().versions}
    assert found == {
        ("A", "n1"): "supersedes 'lost', which is not there",
        ("A", "n2"): "valid_to is not a date, and taken for open",
        ("B", "elsewhere"): "supersedes 'n2', which is not there",
        ("A", "a"): "supersedes 'b', which leads back to it",
        ("A", "b"): "supersedes 'a', which leads back to it",
        ("A", "d"): "supersedes itself",
        ("A", "never"): "valid_to is not after valid_from, so it is never valid",
    }


def test_what_a_call_says_of_versions_is_checked_before_anything_is_written(open_: Open) -> None:
    notes = open_()
    note = Document("Fluids.", {"supersedes": "a"}, "b")
    for links, said in (
        ({"nobody": "a"}, "'nobody' is not an id of a note of this call"),
        ({"b": "a"}, "note 'b' says it in its metadata too"),
        ("a", "got str"),
    ):
        with pytest.raises(InvalidInputError, match=said):
            notes.add_notes([note], supersedes=links)
    with pytest.raises(ValueError, match="supersedes"):
        notes.add_note("Fluids.", id="b", supersedes=[1])
    assert len(notes) == 0
