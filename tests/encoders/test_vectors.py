"""Vectors: those of the published network, whatever the batch, the length and the oddities of the text."""

from __future__ import annotations

import json
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertModel, BertTokenizer

from bedside.encoders import TransformerEncoder, load_encoder
from bedside.encoders.backends.torch_backend import choose_dtype, has_amx_bf16
from bedside.encoders.backends.torch_linear import Linear, packs
from bedside.encoders.pooling import POOLINGS, pool, unit
from bedside.encoders.windows import batches, merge, split
from bedside.errors import BedsideWarning, InvalidInputError, TextTooLongError
from bedside.types import Encoder
from checkpoints import make_bert_checkpoint, minilm_folder

TEXTS = [
    "Patient denies chest pain.",
    "BP 120/80 mmHg",
    "HPI: 63-year-old woman with type 2 diabetes, on metformin 500 mg b.i.d., presents with dyspnea. " * 6,
    "x",
    "emoji 😀👩‍⚕️, 糖尿病, пациент",
    "tab\tnew\nline\x00control\x1b",
]


def reference(folder: Path, texts: list[str], pooling: str) -> np.ndarray:
    """One text at a time through transformers' own classes, and pooling written out."""
    model = BertModel.from_pretrained(str(folder), add_pooling_layer=False).eval()
    tokenizer = BertTokenizer(str(folder / "vocab.txt"), do_lower_case=False)
    vectors = []
    for text in texts:
        with torch.inference_mode():
            states = model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states
        first, last = states[1][0].numpy(), states[-1][0].numpy()
        vector = {
            "mean": last.mean(0),
            "cls": last[0],
            "max": last.max(0),
            "first-last-mean": (first.mean(0) + last.mean(0)) / 2,
        }[pooling]
        vectors.append(vector / np.linalg.norm(vector))
    return np.stack(vectors)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_vectors_equal_those_of_transformers_own_bert(published: Path, bert: TransformerEncoder, pooling) -> None:
    ours = load_encoder(published, pooling=pooling).encode_documents(TEXTS)
    np.testing.assert_allclose(ours, reference(bert.folder, TEXTS, pooling), atol=2e-6)


def test_the_network_of_full_shape_equals_transformers(tmp_path: Path) -> None:
    folder = make_bert_checkpoint(tmp_path / "full", layers=12, hidden=768, heads=12)
    encoder = load_encoder(folder, device="cpu", dtype="float32")
    ours = encoder.encode_documents(TEXTS[:3])
    assert ours.shape == (3, 768)
    np.testing.assert_allclose(ours, reference(encoder.folder, TEXTS[:3], "mean"), atol=3e-6)


def test_minilm_loads_with_its_own_pooling_and_length_and_equals_sentence_transformers(
    minilm: TransformerEncoder,
) -> None:
    from sentence_transformers import SentenceTransformer

    theirs = SentenceTransformer(str(minilm_folder()), local_files_only=True, device="cpu")
    assert (minilm.settings.pooling, minilm.max_length) == ("mean", theirs.max_seq_length)
    expected = theirs.encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(minilm.encode_documents(TEXTS), expected, atol=1e-5)


@pytest.mark.parametrize("budget", [1, 64, 100_000])
def test_a_text_has_the_same_vector_in_every_batch_and_order(published: Path, budget: int) -> None:
    encoder = load_encoder(published, device="cpu", dtype="float32", batch_tokens=budget)
    alone = np.concatenate([encoder.encode_documents([text]) for text in TEXTS])
    np.testing.assert_allclose(encoder.encode_documents(TEXTS), alone, atol=1e-6)
    np.testing.assert_allclose(encoder.encode_documents(TEXTS[::-1]), alone[::-1], atol=1e-6)


SENTENCES = [
    f"{who} with {what}{when}."
    for who in ("Man", "A 63-year-old woman")
    for what in ("chest pain", "type 2 diabetes on metformin 500 mg b.i.d.", "dyspnoea")
    for when in ("", " since yesterday" * 9)
]


def test_bfloat16_keeps_a_cosine_of_0_9999_and_a_vector_of_its_own_to_1e_3_in_every_batch(
    published: Path, minilm: TransformerEncoder
) -> None:
    for folder, single in (
        (published, load_encoder(published, device="cpu", dtype="float32")),
        (minilm.folder, minilm),
    ):
        half = load_encoder(folder, device="cpu", dtype="bfloat16")
        found = half.encode_documents(SENTENCES)
        assert (single.encode_documents(SENTENCES) * found).sum(1).min() > 0.9999
        alone = np.concatenate([half.encode_documents([text]) for text in SENTENCES])
        np.testing.assert_allclose(found, alone, atol=1e-3)


def test_float32_stays_the_choice_without_amx() -> None:
    expected = torch.bfloat16 if has_amx_bf16() else torch.float32
    assert choose_dtype("auto", torch.device("cpu")) is expected


def test_vectors_are_float32_rows_of_length_one_and_none_for_no_texts(bert: TransformerEncoder) -> None:
    vectors = bert.encode_documents(TEXTS)
    assert (vectors.dtype, vectors.shape) == (np.float32, (len(TEXTS), 64))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert bert.encode_documents([]).shape == bert.encode_queries([]).shape == (0, 64)
    assert isinstance(bert, Encoder)


def test_vectors_keep_their_length_when_asked(published: Path, bert: TransformerEncoder) -> None:
    raw = load_encoder(published, normalize=False).encode_documents(TEXTS)
    assert abs(np.linalg.norm(raw, axis=1) - 1).max() > 0.1
    np.testing.assert_allclose(unit(raw), bert.encode_documents(TEXTS), atol=1e-6)


@pytest.mark.parametrize("text", ["", " ", "\n\t  ", "\x00\x01", "\u200b"])
def test_a_text_without_a_token_gets_the_vector_of_the_special_tokens_and_is_counted(
    bert: TransformerEncoder, text: str
) -> None:
    with pytest.warns(BedsideWarning, match="1 of 2 texts have nothing"):
        vectors = bert.encode_documents(["fine", text])
    tokens = bert._tokenizer()
    own = bert.run_rows([[*tokens.prefix, *tokens.suffix]], tokens.pad_id)
    np.testing.assert_allclose(vectors[1], unit(own)[0], atol=1e-6)
    np.testing.assert_allclose(vectors[0], bert.encode_documents(["fine"])[0], atol=1e-6)


def test_signs_that_the_vocabulary_lacks_are_counted(bert: TransformerEncoder) -> None:
    with pytest.warns(BedsideWarning, match="2 of 3 texts have nothing"):
        vectors = bert.encode_documents(["🩺", "fine 🩺", "🩺 🩺"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_a_prompt_does_not_hide_an_empty_text(published: Path) -> None:
    encoder = load_encoder(published, query_prompt="query: ")
    with pytest.warns(BedsideWarning, match="2 of 3 texts have nothing"):
        vectors = encoder.encode_queries([" ", "fine", "🩺"])
    assert np.isfinite(vectors).all()


def test_an_empty_text_has_a_vector_where_the_tokenizer_adds_no_special_tokens(published: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bare"
    shutil.copytree(load_encoder(published).folder, folder)
    described = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    (folder / "tokenizer.json").write_text(json.dumps({**described, "post_processor": None}), "utf-8")
    with pytest.warns(BedsideWarning, match="1 of 2 texts have nothing"):
        vectors = load_encoder(folder).encode_documents(["", "fine"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ("one", "got one str"),
        (b"one", "got one bytes"),
        (["a", 3], r"texts\[1\].*int"),
        ([None], "None"),
        (None, "got NoneType"),
        (3, "got int"),
        ({"a", "b"}, "got set"),
        ({"a": "b"}, "got dict"),
    ],
)
def test_anything_but_a_list_of_strings_is_refused(bert: TransformerEncoder, texts, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        bert.encode_documents(texts)


def test_a_generator_of_texts_is_encoded_whole(bert: TransformerEncoder) -> None:
    np.testing.assert_array_equal(bert.encode_documents(t for t in TEXTS), bert.encode_documents(TEXTS))


def test_a_text_of_100_000_tokens_becomes_one_vector_made_of_all_of_it(bert: TransformerEncoder) -> None:
    text = "pain " * 99_999
    changed = text + "chest"
    vectors = bert.encode_documents([text, changed])
    assert bert.count_tokens([changed]) == [100_002]  # with [CLS] and [SEP]
    assert np.isfinite(vectors).all()
    assert (vectors[0] != vectors[1]).any()


def test_windows_are_averaged_by_token_count(published: Path) -> None:
    encoder = load_encoder(published, max_length=34, overlap=8, normalize=False, device="cpu", dtype="float32")
    words = [f"w{i}" for i in range(40)]
    ids = encoder._tokenizer().tokens([" ".join(words)])[0]
    cuts = split(len(ids), 32, 8)
    tokenizer = encoder._tokenizer()
    parts = [[*tokenizer.prefix, *ids[a:b], *tokenizer.suffix] for a, b in cuts]
    lengths = np.array([len(part) for part in parts], dtype=np.float32)
    each = encoder.run_rows(parts, 0)
    expected = (each * lengths[:, None]).sum(0) / lengths.sum()
    np.testing.assert_allclose(encoder.encode_documents(["x", " ".join(words)])[1], expected, atol=1e-5)


def test_every_window_of_a_long_text_begins_with_the_prompt(published: Path) -> None:
    encoder = load_encoder(published, max_length=20, overlap=2, document_prompt="passage: ")
    tokenizer = encoder._tokenizer()
    rows, owners = encoder._windows(tokenizer, ["pain " * 40, "short"], "passage: ")
    head = tokenizer.tokens(["passage:"])[0]
    assert all(row[1 : 1 + len(head)] == head and len(row) <= 20 for row in rows)
    assert owners.tolist() == [0] * (len(rows) - 1) + [1]


@pytest.mark.parametrize("overflow", ["window", "error", "truncate"])
def test_a_prompt_that_leaves_no_room_for_the_text_is_refused(published: Path, overflow) -> None:
    prompted = {"max_length": 8, "overlap": 0, "overflow": overflow, "document_prompt": "passage one two three four: "}
    with pytest.raises(InvalidInputError, match="the prompt has 6 tokens and leaves no room in 8"):
        load_encoder(published, **prompted).encode_documents(["pain"])


def test_overflow_error_names_position_and_counts_and_no_text(published: Path) -> None:
    encoder = load_encoder(published, max_length=10, overflow="error")
    with pytest.raises(TextTooLongError, match=r"texts\[1\] has 20 tokens, 8 fit") as caught:
        encoder.encode_documents(["fine", "pain " * 20])
    assert "pain" not in str(caught.value)


def test_overflow_truncate_cuts_and_logs_how_many(published: Path, caplog: pytest.LogCaptureFixture) -> None:
    encoder = load_encoder(published, max_length=10, overflow="truncate")
    cut = encoder.encode_documents(["pain " * 20])
    assert "1 of 1 texts were cut to 8 tokens" in caplog.text
    assert "pain" not in caplog.text
    np.testing.assert_allclose(cut, encoder.encode_documents(["pain " * 8]), atol=1e-6)


def test_prompts_are_put_before_queries_and_documents(published: Path, bert: TransformerEncoder) -> None:
    asking = load_encoder(published, query_prompt="query: ", document_prompt="passage: ")
    np.testing.assert_allclose(asking.encode_queries(["pain"]), bert.encode_documents(["query: pain"]), atol=1e-6)
    np.testing.assert_allclose(asking.encode_documents(["pain"]), bert.encode_queries(["passage: pain"]), atol=1e-6)


def test_the_fingerprint_names_everything_that_changes_a_vector(published: Path, tmp_path: Path) -> None:
    other = make_bert_checkpoint(tmp_path / "other", seed=1)
    different = [
        load_encoder(published),
        load_encoder(other),
        load_encoder(published, pooling="cls"),
        load_encoder(published, max_length=128),
        load_encoder(published, overlap=10),
        load_encoder(published, overflow="truncate"),
        load_encoder(published, query_prompt="q"),
        load_encoder(published, document_prompt="q"),
        load_encoder(published, normalize=False),
    ]
    assert len({encoder.fingerprint for encoder in different}) == len(different)


def test_the_fingerprint_is_that_of_the_content_and_not_of_the_place(published: Path, bert: TransformerEncoder) -> None:
    assert load_encoder(bert.folder).fingerprint == bert.fingerprint
    assert load_encoder(published, batch_tokens=7, dtype="bfloat16").fingerprint == bert.fingerprint


def test_pickling_leaves_the_weights_behind_and_gives_the_same_vectors(published: Path) -> None:
    encoder = load_encoder(published)
    expected = encoder.encode_documents(TEXTS)
    packed = pickle.dumps(encoder)
    assert len(packed) < 2000
    np.testing.assert_array_equal(pickle.loads(packed).encode_documents(TEXTS), expected)  # noqa: S301 - our own bytes


def test_threads_load_the_weights_once_and_agree(published: Path) -> None:
    encoder = load_encoder(published, device="cpu", dtype="float32")
    with ThreadPoolExecutor(4) as pool_:
        backends = list(pool_.map(lambda _: encoder._backend(), range(8)))
        vectors = list(pool_.map(lambda _: encoder.encode_documents(TEXTS), range(8)))
    assert len({id(backend) for backend in backends}) == 1
    for each in vectors:
        np.testing.assert_allclose(each, vectors[0], atol=1e-6)


def test_close_releases_the_weights_and_the_next_call_loads_them_again(published: Path) -> None:
    encoder = load_encoder(published)
    before = encoder.encode_documents(["pain"])
    encoder.close()
    assert encoder._parts.backend is None
    np.testing.assert_array_equal(encoder.encode_documents(["pain"]), before)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"pooling": "average"}, "pooling='average'"),
        ({"overflow": "cut"}, "overflow='cut'"),
        ({"max_length": 513}, "3 to 512"),
        ({"max_length": 2}, "3 to 512"),
        ({"max_length": 10, "overlap": 8}, "overlap=8"),
        ({"backend": "caffe"}, "backend='caffe'"),
        ({"device": "abacus"}, "device='abacus'"),
        ({"dtype": "int3"}, "dtype='int3'"),
        ({"batch_tokens": 0}, "batch_tokens=0"),
        ({"batch_tokens": "64"}, "batch_tokens='64': expected a whole number"),
        ({"max_length": "64"}, "max_length='64': expected a whole number"),
        ({"max_length": 64.5}, r"max_length=64\.5: expected a whole number"),
        ({"overlap": True}, "overlap=True: expected a whole number"),
        ({"query_prompt": 5}, "query_prompt: expected str, got int"),
        ({"document_prompt": b"x"}, "document_prompt: expected str, got bytes"),
        ({"normalize": "no"}, "normalize='no'"),
        ({"lowercase": "no"}, "lowercase='no'"),
        ({"backend": ["torch"]}, "backend="),
        ({"device": None}, "device=None"),
        ({"cache": 5}, "cache: expected True, a folder"),
        ({"model": None}, "model: expected a name or a folder, got NoneType"),
        ({"query_model": 5}, "query_model: expected a name or a folder, got int"),
    ],
)
def test_arguments_out_of_range_are_refused_by_name(published: Path, wrong: dict, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        load_encoder(**{"model": published, **wrong}).encode_documents(["pain"])


def test_numbers_of_numpy_are_as_good_as_pythons(published: Path, tmp_path: Path) -> None:
    numbers = {"max_length": np.int64(64), "overlap": np.int32(3), "batch_tokens": np.int64(64), "normalize": np.True_}
    plain = {name: value.item() for name, value in numbers.items()}
    encoder, expected = load_encoder(published, **numbers), load_encoder(published, **plain)
    assert encoder.fingerprint == expected.fingerprint
    again = load_encoder(encoder.save(tmp_path / "saved"))
    np.testing.assert_allclose(again.encode_documents(TEXTS), expected.encode_documents(TEXTS), atol=1e-6)


@given(st.integers(0, 3000), st.integers(1, 600), st.data())
def test_windows_cover_all_tokens_in_order_and_never_exceed_the_capacity(count: int, capacity: int, draw) -> None:
    overlap = draw.draw(st.integers(0, capacity - 1))
    cuts = split(count, capacity, overlap)
    assert (cuts[0][0], cuts[-1][1]) == (0, count)
    assert all(b - a <= capacity for a, b in cuts)
    assert all(c < d and c <= b and c > a for (a, b), (c, d) in pairwise(cuts))


@given(st.lists(st.integers(1, 600), max_size=60), st.integers(1, 2000))
def test_batches_hold_every_item_once_within_the_budget(lengths: list[int], budget: int) -> None:
    groups = list(batches(lengths, budget))
    assert sorted(i for group in groups for i in group) == list(range(len(lengths)))
    assert all(len(g) == 1 or len(g) * max(lengths[i] for i in g) <= budget for g in groups)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=20))
def test_merged_windows_equal_a_plain_weighted_average(per_text: list[int]) -> None:
    rng = np.random.default_rng(0)
    owners = np.repeat(np.arange(len(per_text)), per_text)
    vectors = rng.normal(size=(len(owners), 3)).astype(np.float32)
    weights = rng.integers(1, 9, len(owners)).astype(np.float32)
    plain = [np.average(vectors[owners == i], axis=0, weights=weights[owners == i]) for i in range(len(per_text))]
    np.testing.assert_allclose(merge(vectors, owners, weights, len(per_text)), plain, atol=1e-5)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooling_ignores_padding_in_every_array_library(pooling) -> None:
    rng = np.random.default_rng(0)
    first, last = rng.normal(size=(2, 1, 3, 4)).astype(np.float32)
    longer = np.concatenate([last, 99 * np.ones((1, 2, 4), np.float32)], axis=1)
    longer_first = np.concatenate([first, 99 * np.ones((1, 2, 4), np.float32)], axis=1)
    mask = np.array([[1, 1, 1, 0, 0]], np.float32)
    short = pool(last, np.ones((1, 3), np.float32), pooling, first)
    np.testing.assert_allclose(pool(longer, mask, pooling, longer_first), short, atol=1e-6)
    in_torch = pool(*map(torch.from_numpy, (longer, mask)), pooling, torch.from_numpy(longer_first))
    np.testing.assert_allclose(in_torch.numpy(), short, atol=1e-6)


@pytest.mark.parametrize("gelu", [None, "none", "tanh"])
def test_packed_products_equal_torchs_own(gelu: str | None) -> None:
    torch.manual_seed(0)
    weight, bias, x = torch.randn(48, 32), torch.randn(48), torch.randn(2, 5, 32)
    plain = Linear(weight, bias, packed=False)(x, gelu)
    expected = torch.nn.functional.linear(x, weight, bias)
    if gelu:
        expected = torch.nn.functional.gelu(expected, approximate=gelu)
    torch.testing.assert_close(plain, expected)
    if packs(torch.device("cpu"), torch.float32):
        torch.testing.assert_close(Linear(weight, bias, packed=True)(x, gelu), expected, rtol=1e-5, atol=1e-5)


def test_products_are_never_packed_off_the_cpu_or_in_float16() -> None:
    assert not packs(torch.device("meta"), torch.float32)
    assert not packs(torch.device("cpu"), torch.float16)


def test_a_network_whose_products_are_not_packed_gives_the_same_vectors(
    published: Path, bert: TransformerEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bedside.encoders.backends.torch_backend.packs", lambda *_: False)
    np.testing.assert_allclose(
        load_encoder(published, dtype="float32", device="cpu").encode_documents(TEXTS),
        bert.encode_documents(TEXTS),
        atol=1e-6,
    )
