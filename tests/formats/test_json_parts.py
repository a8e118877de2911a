"""JSON files are taken apart value by value: the same values as a parser finds, whatever the buffer cuts in two."""

import io
import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside import Document
from bedside.errors import UnreadableFileError
from bedside.formats import json_parts
from bedside.formats.exchange import read_records
from bedside.formats.json_parts import Parts
from bedside.formats.stores import write_langchain
from bedside.formats.vectra import write_documents
from formats.vectra_protobuf import write_protobuf

TEXT = st.text(st.sampled_from('ab"\\{}[],:\n é😀'), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
TOP = st.lists(VALUES, max_size=4) | st.dictionaries(TEXT, VALUES, max_size=4)


class InBits(io.BytesIO):
    """A file that gives a few bytes at a time, so that every value is cut in two somewhere."""

    def __init__(self, data, most):
        super().__init__(data)
        self.most = most

    def read(self, size):
        return super().read(min(size, self.most))


def values(data, chunk):
    """The file's values two levels deep, as far as there are levels."""
    parts = Parts(InBits(data, chunk), "a.json")
    found = inside(parts, lambda: inside(parts, lambda: json.loads(parts.value())))
    parts.end()
    return found


def inside(parts, take):
    if parts.peek() == b"{":
        return {key: take() for key in parts.children(b"{")}
    return [take() for _ in parts.children(b"[")] if parts.peek() == b"[" else json.loads(parts.value())


@given(TOP, st.integers(3, 9), st.sampled_from([None, 1]), st.booleans())
def test_the_values_are_those_that_a_parser_finds(value, chunk, indent, ascii_only):
    data = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode()
    assert values(data, chunk) == value
    assert values(b"\xef\xbb\xbf\n" + data + b" \n", chunk) == value


@given(TOP, st.data())
def test_a_file_that_was_cut_off_or_goes_on_is_refused_by_name(value, data):
    whole = json.dumps(value).encode()
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    for damaged in (cut, whole + b"]", whole + b"0"):
        with pytest.raises((UnreadableFileError, json.JSONDecodeError)) as caught:
            values(damaged, 5)
        if isinstance(caught.value, UnreadableFileError):
            assert str(caught.value).startswith("a.json: byte ")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("[1, 2,]", "not JSON"),
        ("[1 2]", "after record 1: expected , or ]"),
        ('{"a": 1,}', "not JSON"),
        ("{1x: 2}", "not JSON"),
        ("{1 : 2}", "expected a key in quotation marks"),
        ('{"a" 1}', "expected :"),
        ('{"a": 1, "\\u0061": 2}', "after record 1: an object has the same key twice"),
        ("7", "byte 0: expected an object or a list"),
        ('["' + "x" * 99, "after record 0: a record longer than 64 bytes"),
    ],
)
def test_what_stands_between_values_is_refused_with_the_record_before_it(monkeypatch, data, says):
    monkeypatch.setattr(json_parts, "MAX_RECORD", 64)
    monkeypatch.setattr(json_parts, "_CHUNK", 8)
    parts = Parts(io.BytesIO(data.encode()), "a.json")
    with pytest.raises(UnreadableFileError, match=rf"^a\.json: .*{says}"):
        for _ in parts.children(records=True):
            parts.skip()


def test_a_value_can_be_read_again_from_where_it_stands():
    data = b'\xef\xbb\xbf{"a": [1],\n "b": {"c": "d"}}'
    parts = Parts(io.BytesIO(data), "a.json")
    places = [(parts.value(), parts.start) for _ in parts.children()]
    assert [value for value, _ in places] == [b"[1]", b'{"c": "d"}']
    assert all(data[start:].startswith(value) for value, start in places)


COUNT, DIMENSION = 1_500, 768


def documents():
    rng = np.random.default_rng(1)
    return (
        Document(f"note {i}", {"n": i}, f"id-{i}", rng.normal(size=DIMENSION).astype(np.float32)) for i in range(COUNT)
    )


def by_id(value):
    return {document.id: value(document) for document in documents()}


def numbers(document):
    return document.vector.astype(float).tolist()


def vectra(at):
    write_documents(at / "v", documents())
    return at / "v"


def langchain(at):
    write_langchain(at / "dump.json", documents())
    return at / "dump.json"


def pinecone(at):
    rows = [{"id": d.id, "values": numbers(d), "metadata": {"text": d.text, **d.metadata}} for d in documents()]
    (at / "p.json").write_text(json.dumps({"vectors": rows}))
    return at / "p.json"


def llama_index(at):
    nodes = by_id(lambda d: {"__data__": {"text": d.text, "metadata": d.metadata, "class_name": "TextNode"}})
    backwards = dict(reversed(nodes.items()))
    (at / "docstore.json").write_text(json.dumps({"docstore/data": backwards}))
    (at / "default__vector_store.json").write_text(json.dumps({"embedding_dict": by_id(numbers)}))
    return at


STORES = {
    "vectra": vectra,
    "vectra, protobuf": lambda at: write_protobuf(at / "v", documents()),
    "langchain": langchain,
    "pinecone": pinecone,
    "llama-index": llama_index,
}


@pytest.mark.parametrize("name", STORES)
def test_reading_a_store_holds_a_few_records_and_not_the_file(tmp_path, name):
    """The peak is below 0.6 kB a record, for ids and places, and 3 MiB; the smallest file has more."""
    source = STORES[name](tmp_path)
    wanted = documents()
    tracemalloc.start()
    try:
        for read in read_records(source):
            expected = next(wanted)
            assert (read.id, read.text, read.metadata) == (expected.id, expected.text, expected.metadata)
            assert read.vector.tobytes() == expected.vector.tobytes()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert next(wanted, None) is None
    assert peak < 3 * 2**20 + 600 * COUNT


def test_one_member_is_taken_between_others_and_refused_where_it_is_missing():
    parts = Parts(io.BytesIO(b'{"a": [1, {"b": 0}], "b": [2], "c": 3}'), "a.json")
    assert [parts.value() for _ in parts.member("b")] == [b"[2]"]
    parts.end()
    with pytest.raises(UnreadableFileError, match=r"a\.json: b: missing"):
        list(Parts(io.BytesIO(b'{"a": {"b": 0}}'), "a.json").member("b"))
