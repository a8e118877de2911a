"""Clusters: topics come apart, the same every time, named by their terms; labels are written back and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from bedside import Collection, Document
from bedside.analysis.clusters import METHODS, NOISE, cluster_documents, cluster_vectors, cluster_words
from bedside.errors import InvalidInputError, ScopeMismatch, ScopeRequired
from bedside.words import WordVectors

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

TOPICS = {
    "heart": "chest pain angina troponin coronary stent infarction cardiac",
    "lung": "cough wheezing asthma inhaler dyspnea sputum pneumonia",
    "bone": "knee swelling fracture cast ankle sprain orthopedic",
}
AXES = {topic: np.eye(6)[i] for i, topic in enumerate(TOPICS)}


def documents(rng, each=(12, 9, 6)):
    made = []
    for (topic, words), count in zip(TOPICS.items(), each, strict=True):
        for n in range(count):
            text = "patient seen with " + " ".join(rng.choice(words.split(), 5))
            made.append(Document(text, {"topic": topic}, f"{topic}-{n}", AXES[topic] + 0.12 * rng.normal(size=6)))
    return [made[i] for i in rng.permutation(len(made))]


@pytest.fixture
def notes(rng):
    with Collection.open() as collection:
        collection.add(documents(rng))
        yield collection


@pytest.mark.parametrize("method", METHODS)
def test_topics_come_apart_largest_first_and_are_named_by_their_terms(notes, method):
    found = cluster_documents(notes, None if method == "hdbscan" else 3, method=method)
    inside = [cluster for cluster in found.clusters if cluster.label != NOISE]
    assert [cluster.label for cluster in inside] == [0, 1, 2]
    for cluster, topic in zip(inside, TOPICS, strict=True):
        assert {member.split("-")[0] for member in cluster.members} == {topic}
        assert set(cluster.terms) <= set(TOPICS[topic].split())
        assert len(cluster.terms) == 5
        assert cluster.name.startswith(f"{cluster.label}: {cluster.terms[0]}")
    assert 0.5 < found.silhouette <= 1
    assert sum(len(cluster.members) for cluster in found.clusters) == len(found.ids) == 27
    assert found.label_of("bone-0") == 2


@pytest.mark.parametrize("method", METHODS)
def test_the_same_seed_gives_the_same_clusters(notes, method):
    one, two = (cluster_documents(notes, None if method == "hdbscan" else 3, method=method, seed=5) for _ in range(2))
    np.testing.assert_array_equal(one.labels, two.labels)
    assert one.clusters == two.clusters


def test_the_number_of_clusters_is_found_by_the_best_silhouette(notes):
    assert len(cluster_documents(notes).clusters) == 3


def test_hdbscan_leaves_outliers_in_no_cluster(rng):
    rows = np.concatenate([AXES[t] + 0.02 * rng.normal(size=(20, 6)) for t in TOPICS] + [[[-1, -1, -1, 0, 0, 0]]])
    labels, _ = cluster_vectors(rows.astype(np.float32), method="hdbscan", min_cluster_size=10)
    assert labels[-1] == NOISE
    assert set(labels[:-1].tolist()) == {0, 1, 2}


def test_the_silhouette_is_that_of_its_definition(rng):
    rows = rng.normal(size=(40, 4)).astype(np.float32)
    labels, silhouette = cluster_vectors(rows, 3)
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    distance = 1 - units @ units.T
    expected = [
        (min(b) - a) / max(a, min(b))
        for i in range(len(rows))
        for a in [distance[i][(labels == labels[i]) & (np.arange(40) != i)].mean()]
        for b in [[distance[i][labels == c].mean() for c in range(3) if c != labels[i]]]
    ]
    assert silhouette == pytest.approx(np.mean(expected), abs=1e-5)


def test_labels_are_written_back_and_nothing_else_changes(notes):
    before = {d.id: d for d in notes.get(filter={}, include_vectors=True)}
    found = cluster_documents(notes, 3, write_to="cluster")
    for id, label in zip(found.ids, found.labels.tolist(), strict=True):
        (after,) = notes.get([id], include_vectors=True)
        assert after.metadata == {**before[id].metadata, "cluster": label}
        assert after.text == before[id].text
        np.testing.assert_array_equal(after.vector, before[id].vector)
    assert notes.count({"cluster": 0}) == 12


def test_what_changed_while_it_was_clustered_keeps_its_change(notes):
    first, second = [d.id for d in notes.get(filter={})][:2]

    class Changed(type(notes)):
        """The same records, of which one is replaced and one deleted between reading and writing."""

        def __init__(self):
            self.__dict__.update(notes.__dict__)

        def get(self, *given, **options):
            found = notes.get(*given, **options)
            notes.add(
                [Document("Another text.", {"topic": "new"}, first, notes.get([first], include_vectors=True)[0].vector)]
            )
            notes.delete([second])
            return found

    cluster_documents(Changed(), 3, write_to="cluster")
    (kept,) = notes.get([first])
    assert (kept.text, kept.metadata) == ("Another text.", {"topic": "new"})
    assert notes.get([second]) == []
    assert notes.count({"cluster": {"$exists": True}}) == len(notes) - 1


def test_a_filter_and_a_scope_limit_what_is_clustered(rng):
    with Collection.open(scope_keys=["patient_id"]) as notes:
        for patient in "AB":
            notes.scoped(patient_id=patient).add(documents(rng))
        view = notes.scoped(patient_id="A")
        found = cluster_documents(view, 2, filter={"topic": {"$ne": "bone"}}, write_to="cluster")
        assert len(found.ids) == 21
        assert notes.scoped(patient_id="B").count({"cluster": {"$exists": True}}) == 0
        assert view.count({"cluster": {"$exists": True}}) == 21
        with pytest.raises(ScopeRequired):
            cluster_documents(notes, 2)
        with pytest.raises(ScopeMismatch):
            cluster_documents(view, 2, write_to="patient_id")


def test_words_are_clustered_and_named_by_those_in_the_middle(rng):
    words = {w: AXES[t] + 0.05 * rng.normal(size=6) for t, ws in TOPICS.items() for w in ws.split()}
    vectors = WordVectors(list(words), np.array(list(words.values())))
    found = cluster_words(vectors, [*words, "unknown", "cough"], 3)
    assert "unknown" not in found.ids
    assert [set(c.members) for c in found.clusters] == [
        set(ws.split()) for ws in sorted(TOPICS.values(), key=lambda ws: -len(ws.split()))
    ]
    assert all(set(c.terms) <= set(c.members) and len(c.terms) == 5 for c in found.clusters)


def test_what_cannot_be_clustered_is_said(notes, rng):
    for wrong, message in (
        ({"k": 0}, "1 to 27"),
        ({"k": 28}, "1 to 27"),
        ({"method": "dbscan"}, "kmeans, minibatch"),
        ({"method": "hdbscan", "k": 3}, "min_cluster_size"),
        ({"filter": {"topic": "none"}}, "at least 2"),
        ({"k": "3"}, "k='3': expected 1 to 27"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": None}, "seed=None"),
        ({"write_to": ""}, "write_to=''"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            cluster_documents(notes, **wrong)
    with Collection.open() as texts:
        texts.add(["one", "two", "three"])
        with pytest.raises(InvalidInputError, match="no vectors"):
            cluster_documents(texts, 2)


def test_equal_vectors_and_pairs_are_clustered_without_a_silhouette():
    rows = np.ones((5, 3), np.float32)
    for method in ("kmeans", "agglomerative"):
        labels, silhouette = cluster_vectors(rows, 1, method=method)
        assert not labels.any()
        assert silhouette is None
    assert cluster_vectors(rows[:2])[1] is None
