"""Every file format gives the same words and vectors, and a damaged file gives an error that names it."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import struct
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bedside.errors import InvalidInputError, InvalidModelError, InvalidVectorError, ModelNotFoundError
from bedside.words import WordVectors
from bedside.words.readers import SHIPPED_FOLDER

WORDS = ["fever", "heart attack", "ménière", "'s", "0.9%"]
ROWS = np.array([[0.25, -1.5, 3e-5], [1, 2, 3], [-7.125, 0.1, 0.2], [5, 0, 0], [0.3333, 1e6, -2]], np.float32)


def glove(path, header=False):
    lines = [f"{len(WORDS)} 3"] if header else []
    lines += [" ".join([word, *(str(x) for x in row)]) for word, row in zip(WORDS, ROWS, strict=True)]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def word2vec_binary(path, end=b"\n"):
    parts = [b"%d 3\n" % len(WORDS)]
    for word, row in zip(WORDS, ROWS, strict=True):
        parts += [word.replace(" ", "_").encode() + b" " + struct.pack("<3f", *row) + end]
    path.write_bytes(b"".join(parts))
    return path


def same(vectors, words=WORDS):
    assert list(vectors.words) == words
    np.testing.assert_array_equal(vectors.vectors, ROWS)


def test_glove_text_with_words_that_hold_spaces(tmp_path):
    same(WordVectors.load(glove(tmp_path / "glove.txt"), cache=tmp_path / "c"))


def test_word2vec_text_and_fasttext_vec_have_a_first_line_of_counts(tmp_path):
    same(WordVectors.load(glove(tmp_path / "wiki.vec", header=True), cache=tmp_path / "c"))


@pytest.mark.parametrize("end", [b"\n", b""])
def test_word2vec_binary_with_and_without_line_feeds(tmp_path, end):
    vectors = WordVectors.load(word2vec_binary(tmp_path / "news.bin", end), cache=tmp_path / "c")
    same(vectors, [word.replace(" ", "_") for word in WORDS])


@pytest.mark.parametrize("make", [glove, word2vec_binary])
def test_gzipped_files_are_read_as_they_are(tmp_path, make):
    plain = make(tmp_path / "plain")
    (tmp_path / "v.gz").write_bytes(gzip.compress(plain.read_bytes()))
    a, b = (WordVectors.load(tmp_path / name, cache=tmp_path / "c") for name in ("plain", "v.gz"))
    assert a.words == b.words
    np.testing.assert_array_equal(a.vectors, b.vectors)


def test_wink_json_folder_and_npm_tarball_are_one(tmp_path, small, small_file):
    package = tmp_path / "package"
    package.mkdir()
    shutil.copy(small_file, package / "clinical.json")
    (package / "package.json").write_text("{}")
    with tarfile.open(tmp_path / "clinical-1.0.0.tgz", "w:gz") as archive:
        archive.add(package, "package")
    for source in (package, tmp_path / "clinical-1.0.0.tgz"):
        found = WordVectors.load(source, cache=tmp_path / "c")
        assert found.words == small.words
        np.testing.assert_array_equal(found.vectors, small.vectors)


def test_wink_words_are_ordered_by_their_index_not_by_the_file(tmp_path, small, small_file):
    content = json.loads(small_file.read_text())
    content["vectors"] = dict(sorted(content["vectors"].items()))
    (tmp_path / "sorted.json").write_text(json.dumps(content))
    found = WordVectors.load(tmp_path / "sorted.json", cache=tmp_path / "c")
    assert found.words == small.words
    np.testing.assert_array_equal(found.vectors, small.vectors)
    np.testing.assert_allclose(found.table.norms, np.linalg.norm(small.vectors, axis=1), rtol=1e-6)


def test_to_wink_writes_what_was_read(tmp_path, small, small_file):
    small.to_wink(tmp_path / "again.json")
    assert json.loads((tmp_path / "again.json").read_text()) == json.loads(small_file.read_text())


@settings(max_examples=30)
@given(
    rows=hnp.arrays(np.float32, (4, 3), elements=st.floats(-1e6, 1e6, width=32).filter(lambda x: abs(x) > 1e-6)),
    words=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=4, max_size=4, unique=True),
)
def test_any_words_and_vectors_survive_winks_json_bit_for_bit(tmp_path_factory, rows, words):
    folder = tmp_path_factory.mktemp("any")
    WordVectors(words, rows).to_wink(folder / "v.json")
    found = WordVectors.load(folder / "v.json", cache=folder)
    assert found.words == words
    np.testing.assert_array_equal(found.vectors, rows)


def test_model2vec_folders_give_whole_words_with_their_weights(tmp_path):
    model2vec = pytest.importorskip("model2vec", reason="model2vec is not installed")
    tokenizers = pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    vocabulary = {"[UNK]": 0, "fever": 1, "##s": 2, "heart": 3}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    rows = np.arange(1, 13, dtype=np.float32).reshape(4, 3)
    model = model2vec.StaticModel(rows, tokenizer, weights=np.array([1, 2, 1, 0.5], np.float32))
    model.save_pretrained(str(tmp_path / "model"))
    found = WordVectors.load(tmp_path / "model", cache=tmp_path / "c")
    assert found.words == ["fever", "heart"]
    np.testing.assert_allclose(found.vectors, [rows[1] * 2, rows[3] * 0.5])


def test_repeated_zero_and_infinite_rows_are_left_out(tmp_path):
    (tmp_path / "v.txt").write_text("a 1 2\nb 0 0\na 3 4\nc inf 1\nd 5 6\n")
    found = WordVectors.load(tmp_path / "v.txt", cache=tmp_path / "c")
    assert found.words == ["a", "d"]
    np.testing.assert_array_equal(found.vectors, [[1, 2], [5, 6]])


def test_many_rows_with_gaps_keep_words_and_rows_together(tmp_path, rng):
    rows = rng.normal(size=(5_000, 4)).astype(np.float32)
    rows[::97] = 0
    lines = [f"w{i} " + " ".join(map(str, row)) for i, row in enumerate(rows)]
    (tmp_path / "v.txt").write_text("\n".join(lines))
    found = WordVectors.load(tmp_path / "v.txt", cache=tmp_path / "c")
    for i in (1, 96, 98, 2_047, 2_048, 4_999):
        np.testing.assert_array_equal(found.vector(f"w{i}"), rows[i])
    assert "w97" not in found


DAMAGED = {
    "a line with a number missing": (b"a 1 2 3\nb 1 2\n", "line 2"),
    "a line with a word for a number": (b"a 1 2 3\nb 1 x 3\n", "line 2"),
    "an empty file": (b"", "expected a word"),
    "half a wink file": (b'{"precision":8,"dimensions":2,"words":["a"],"vectors":{"a":[1,2', "wink"),
    "a JSON object without vectors": (b'{"a": 1}', "vectors"),
    "a wink file with short vectors": (b'{"dimensions":2,"wordIndex":3,"vectors":{"a":[1,2]}}', "expected 4"),
    "half a word2vec binary": (b"2 3\na \x00\x00\x80\x3f\x00", "ends inside"),
    "fastText's binary": (b"\xba\x16\x4f\x2f" + bytes(40), "fastText"),
    "a cut gzip": (gzip.compress(os.urandom(500))[:300], "cut short"),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_damaged_files_are_named_and_leave_nothing_behind(tmp_path, what):
    content, message = DAMAGED[what]
    (tmp_path / "v.any").write_bytes(content)
    with pytest.raises(InvalidModelError, match=message) as caught:
        WordVectors.load(tmp_path / "v.any", cache=tmp_path / "c")
    assert "v.any" in str(caught.value)
    assert not list((tmp_path / "c" / "words").glob("*"))


def test_what_is_not_there_or_no_format_is_said(tmp_path):
    with pytest.raises(ModelNotFoundError, match=r"nothing\.txt"):
        WordVectors.load(tmp_path / "nothing.txt")
    with pytest.raises(InvalidInputError, match="glove"):
        WordVectors.load(tmp_path, format="gensim")
    with pytest.raises(InvalidModelError, match="one wink JSON"):
        WordVectors.load(tmp_path)


@pytest.mark.parametrize("header", [b"", b"2 3\r\n"])
def test_files_of_windows_lose_no_word(tmp_path, header):
    (tmp_path / "v.txt").write_bytes(b"\xef\xbb\xbf" + header + b"a 1 2 3\r\nb 4 5 6\r\n")
    found = WordVectors.load(tmp_path / "v.txt", cache=tmp_path / "c")
    assert list(found.words) == ["a", "b"]
    np.testing.assert_array_equal(found.vectors, [[1, 2, 3], [4, 5, 6]])


def test_hand_made_vectors_are_checked():
    with pytest.raises(InvalidInputError, match="twice"):
        WordVectors(["a", "a"], [[1.0], [2.0]])
    with pytest.raises(InvalidInputError, match=r"\[2, d\]"):
        WordVectors(["a", "b"], [[1.0]])
    for bad in (0.0, float("nan"), float("inf")):
        with pytest.raises(InvalidVectorError):
            WordVectors(["a", "b"], [[1.0], [bad]])


def test_a_changed_file_is_converted_anew_and_an_unchanged_copy_is_not(tmp_path):
    file, cache = glove(tmp_path / "v.txt"), tmp_path / "c"
    WordVectors.load(file, cache=cache)
    shutil.copy(file, tmp_path / "copy.txt")
    WordVectors.load(tmp_path / "copy.txt", cache=cache)
    assert len(list((cache / "words").iterdir())) == 1
    file.write_text(file.read_text().replace("fever", "chill"))
    os.utime(file, ns=(1, 1))
    assert "chill" in WordVectors.load(file, cache=cache)
    assert len(list((cache / "words").iterdir())) == 2


def test_threads_that_convert_one_file_at_once_share_one_copy(tmp_path):
    file = glove(tmp_path / "v.txt")
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: WordVectors.load(file, cache=tmp_path / "c"), range(16)):
            same(found)
    assert len(list((tmp_path / "c" / "words").iterdir())) == 1


def test_the_static_encoder_that_ships_gives_its_words(tmp_path):
    if not SHIPPED_FOLDER.is_dir():
        pytest.skip("this checkout is without the static encoder that ships")
    vectors = WordVectors.load("bedside/static", cache=tmp_path)
    assert {"fever", "heart"} <= set(vectors.words)
    assert not any(word.startswith("##") for word in vectors.words)


def test_a_damaged_copy_is_an_error_that_says_what_to_do(tmp_path):
    file = glove(tmp_path / "v.txt")
    WordVectors.load(file, cache=tmp_path / "c")
    for stored in (tmp_path / "c").glob("words/*/vectors.f32"):
        stored.write_bytes(b"")
    with pytest.raises(InvalidModelError, match="delete this folder"):
        WordVectors.load(file, cache=tmp_path / "c")


def test_the_matrix_is_mapped_and_private(tmp_path):
    file = glove(tmp_path / "v.txt")
    found = WordVectors.load(file, cache=tmp_path / "c")
    with pytest.raises(ValueError, match="read-only"):
        found.vectors[0, 0] = 1
    folder = next((tmp_path / "c" / "words").iterdir())
    assert folder.stat().st_mode & 0o077 == 0


def test_wink_without_ijson_names_the_extra(tmp_path, small_file):
    code = (
        "import sys; sys.modules['ijson'] = None\n"
        "from bedside.words import WordVectors\n"
        f"WordVectors.load({str(small_file)!r}, cache={str(tmp_path)!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert 'pip install "bedside[words]"' in done.stderr
