"""What a collection says of the vectors that an encoder makes."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from bedside import Collection, Document, load_encoder
from bedside.encoding import CROWDED
from bedside.errors import BedsideWarning

TEXTS = [f"note {i}" for i in range(120)]


class Crowded:
    """Vectors whose cosines are about ``share`` on average."""

    dimension, fingerprint = 64, None

    def __init__(self, name: str, share: float, alpha: float | None = None) -> None:
        self.name, self.share, self.alpha = name, share, alpha

    def encode_documents(self, texts):
        rng = np.random.default_rng(0)
        each = rng.normal(size=(len(texts), 64))
        each /= np.linalg.norm(each, axis=1, keepdims=True)
        common = np.eye(64)[0]
        return (np.sqrt(self.share) * common + np.sqrt(1 - self.share) * each).astype(np.float32)

    encode_queries = encode_documents


def test_an_encoder_whose_vectors_crowd_says_once_what_tune_search_is_for():
    encoder = Crowded("crowded-1", CROWDED + 0.1)
    with Collection.open(encoder=encoder) as notes, pytest.warns(BedsideWarning, match=r"0\.7.*tune_search") as said:
        notes.add(TEXTS)
        notes.add(TEXTS)
    assert len(said) == 1


@pytest.mark.parametrize(
    ("encoder", "alpha", "texts"),
    [
        (Crowded("spread", CROWDED - 0.1), None, TEXTS),
        (Crowded("knows its weight", CROWDED + 0.2, alpha=0.2), None, TEXTS),
        (Crowded("the collection knows", CROWDED + 0.2), 0.3, TEXTS),
        (Crowded("few", CROWDED + 0.2), None, TEXTS[:50]),
        (Crowded("copies", CROWDED + 0.2), None, TEXTS[:50] * 4),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_nothing_is_said_where_the_weight_is_known_or_too_little_is_seen(encoder, alpha, texts):
    with warnings.catch_warnings(), Collection.open(encoder=encoder, alpha=alpha) as notes:
        warnings.simplefilter("error")
        notes.add([Document(text) for text in texts])


def test_the_encoder_that_comes_with_bedside_weighs_three_tenths(tmp_path):
    for encoder in (load_encoder("bedside/static"), load_encoder("bedside/static", cache=tmp_path / "vectors")):
        with Collection.open(encoder=encoder) as notes:
            assert notes.facts.weight == 0.3
