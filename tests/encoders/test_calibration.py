"""Calibration: what it does to crowded vectors, how it is saved, and that it is never forgotten."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf

from bedside.encoders import TransformerEncoder, export_model, fit_calibration, load_encoder, raw
from bedside.encoders.calibration import METHODS, Calibration, shrunk
from bedside.encoders.pooling import unit
from bedside.errors import BedsideWarning, InvalidInputError, InvalidModelError

DRUGS, PROBLEMS = ["aspirin", "metformin", "insulin", "warfarin"], ["pain", "diabetes", "gout", "stroke", "fever"]
TEXTS = [f"The patient takes {drug} for {problem}." for drug in DRUGS for problem in PROBLEMS]


@pytest.fixture
def crowded(rng: np.random.Generator) -> np.ndarray:
    """Vectors in a narrow cone, with a few strong directions."""
    scales = np.r_[20.0, 10.0, np.ones(30)]
    return (rng.normal(size=(400, 32)) * scales + 60).astype(np.float32)


def mean_cosine(vectors: np.ndarray) -> float:
    cosines = unit(vectors) @ unit(vectors).T
    return float(cosines[~np.eye(len(vectors), dtype=bool)].mean())


@pytest.mark.parametrize("method", METHODS)
def test_every_method_takes_the_crowding_out(crowded: np.ndarray, method) -> None:
    assert mean_cosine(crowded) > 0.8
    assert abs(mean_cosine(fit_calibration(crowded, method).apply(crowded))) < 0.02


def test_centering_subtracts_the_mean_of_unit_vectors(crowded: np.ndarray) -> None:
    moved = fit_calibration(crowded, "center").apply(crowded)
    np.testing.assert_allclose(moved, unit(crowded) - unit(crowded).mean(0), atol=1e-6)


def test_all_but_the_top_leaves_nothing_along_the_strongest_directions(crowded: np.ndarray) -> None:
    moved = fit_calibration(crowded, "all-but-the-top", components=2).apply(crowded)
    centered = unit(crowded) - unit(crowded).mean(0)
    strongest = np.linalg.svd(centered, full_matrices=False)[2][:2]
    assert abs(moved @ strongest.T).max() < 1e-5


def test_whitening_of_many_vectors_gives_them_unit_covariance(rng: np.random.Generator) -> None:
    vectors = (rng.normal(size=(20_000, 6)) * [3, 2, 1, 1, 1, 0.5] + 4).astype(np.float32)
    covariance = np.cov(fit_calibration(vectors).apply(vectors).T)
    np.testing.assert_allclose(covariance, np.eye(6), atol=0.1)


@pytest.mark.parametrize("count", [5, 40, 400])
def test_the_shrunk_covariance_is_scikit_learns(crowded: np.ndarray, count: int) -> None:
    centered = unit(crowded)[:count].astype(np.float64)
    centered -= centered.mean(0)
    np.testing.assert_allclose(shrunk(centered.T @ centered / count, centered), ledoit_wolf(centered)[0], atol=1e-12)


def test_whitening_learned_from_as_many_texts_as_dimensions_does_not_collapse(rng: np.random.Generator) -> None:
    """Unshrunk, unseen vectors that belong together part."""
    mixing = rng.normal(size=(64, 64)) * np.geomspace(1, 0.01, 64)

    def draw(n: int) -> np.ndarray:
        return (rng.normal(size=(n, 64)) @ mixing.T + 2).astype(np.float32)

    learned, unseen = draw(64), draw(200)
    alike = unseen + (0.02 * rng.normal(size=unseen.shape)).astype(np.float32)
    calibrated = unit(fit_calibration(learned).apply(unseen)) @ unit(fit_calibration(learned).apply(alike)).T
    assert (calibrated.argmax(1) == np.arange(200)).mean() > 0.95


def test_whitening_keeps_as_many_directions_as_asked(crowded: np.ndarray) -> None:
    few = fit_calibration(crowded, dimension=5)
    assert (few.dimension, few.apply(crowded).shape) == (5, (400, 5))
    np.testing.assert_allclose(few.apply(crowded), fit_calibration(crowded).apply(crowded)[:, :5], atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"method": "bleach"}, "method='bleach'"),
        ({"dimension": 0}, "dimension=0"),
        ({"dimension": 33}, "1 to 32"),
        ({"components": 40}, "components=40"),
    ],
)
def test_wrong_arguments_are_named(crowded: np.ndarray, arguments: dict, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        fit_calibration(crowded, **arguments)


def test_too_few_texts_and_texts_that_are_all_alike_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="at least 2"):
        fit_calibration(np.ones((1, 3), np.float32))
    with pytest.raises(InvalidInputError, match="all alike"):
        fit_calibration(np.ones((9, 3), np.float32))


def test_an_encoder_calibrates_documents_and_queries_and_leaves_the_first_one_as_it_was(
    published: Path,
) -> None:
    encoder = load_encoder(published, device="cpu", dtype="float32")
    before, fingerprint = encoder.encode_documents(TEXTS), encoder.fingerprint
    calibrated = encoder.calibrate(TEXTS, "center")
    np.testing.assert_allclose(calibrated.encode_documents(TEXTS), unit(before - before.mean(0)), atol=2e-5)
    np.testing.assert_allclose(calibrated.encode_queries(TEXTS), calibrated.encode_documents(TEXTS), atol=1e-5)
    np.testing.assert_array_equal(encoder.encode_documents(TEXTS), before)
    assert encoder.fingerprint == fingerprint != calibrated.fingerprint
    assert calibrated._parts is encoder._parts
    with pytest.raises(InvalidInputError, match="calibrated already"):
        calibrated.calibrate(TEXTS)


@pytest.mark.parametrize("method", METHODS)
def test_a_saved_encoder_comes_back_with_its_calibration_settings_and_fingerprint(
    published: Path, tmp_path: Path, method
) -> None:
    encoder = load_encoder(published, pooling="max", max_length=64, query_prompt="q: ").calibrate(TEXTS, method)
    folder = encoder.save(tmp_path / "saved")
    again = load_encoder(folder)
    assert isinstance(again, TransformerEncoder)
    assert (again.settings, again.dimension, again.fingerprint) == (
        encoder.settings,
        encoder.dimension,
        encoder.fingerprint,
    )
    np.testing.assert_array_equal(again.encode_queries(TEXTS), encoder.encode_queries(TEXTS))


def test_dimensions_that_whitening_dropped_are_gone_from_the_encoder(published: Path) -> None:
    encoder = load_encoder(published).calibrate(TEXTS, dimension=7)
    assert encoder.dimension == 7
    assert encoder.encode_documents(TEXTS).shape == (20, 7)
    assert encoder.encode_documents([]).shape == (0, 7)


def test_saving_never_overwrites(published: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InvalidInputError, match="not empty"):
        load_encoder(published).save(tmp_path)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_calibration_of_another_length_is_refused(published: Path, tmp_path: Path) -> None:
    folder = load_encoder(published).calibrate(TEXTS, "center").save(tmp_path / "saved")
    Calibration(np.zeros(3, np.float32)).save(folder)
    with pytest.raises(InvalidModelError, match="64-dimensional"):
        load_encoder(folder)


def test_a_raw_masked_language_model_warns_once_unless_calibrated(published: Path, monkeypatch) -> None:
    monkeypatch.setattr(raw, "_warned", set())
    encoder = load_encoder(published)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        calibrated = encoder.calibrate(TEXTS)
        calibrated.encode_documents(["pain"])
    with pytest.warns(BedsideWarning, match=r"calibrate.*preset:medembed") as seen:
        encoder.encode_documents(["pain"])
        encoder.encode_queries(["pain"])
        load_encoder(published).encode_documents(["pain"])
    assert len(seen) == 1
    assert seen[0].filename == __file__


def test_a_raw_model_exported_without_its_weights_warns_as_well(published: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(raw, "_warned", set())
    folder = export_model(published, tmp_path / "exported").folder
    with pytest.warns(BedsideWarning, match="preset:medembed"):
        load_encoder(folder, backend="onnx").encode_documents(TEXTS)


def test_a_model_that_was_trained_to_compare_does_not_warn(minilm: TransformerEncoder, monkeypatch) -> None:
    monkeypatch.setattr(raw, "_warned", set())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        minilm.encode_documents(["pain"])
