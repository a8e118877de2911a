"""Bodies are read as the standard library reads them, whatever is in them."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside.serving.bodies import parse

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def same(one: object, other: object) -> bool:
    """Compare with types: True is not 1, and 1 is not 1.0."""
    return repr(one) == repr(other)


@given(VALUES, st.booleans())
def test_any_value_is_what_the_standard_library_reads(value, ascii_only):
    body = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert same(parse(body), json.loads(body))


@pytest.mark.parametrize(
    "text",
    [
        *('{"a": 1, "a": 2}', "18446744073709551616", "-9223372036854775809", "1e400", "-0.0", "-0", "NaN"),
        "-Infinity",
        *('"\\ud800"', '{"\\udfff": "\\ud83d\\ude00"}', "0.1", "3.4028234663852886e+38", "[" * 300 + "]" * 300, " 1 "),
        *("5e-324", "1.7976931348623157e308", "123456789012345678901234567890", "2.2250738585072011e-308"),
    ],
)
def test_the_corners_of_json_are_too(text):
    found, expected = parse(text.encode()), json.loads(text)
    assert same(found, expected)
    assert not isinstance(found, float) or math.copysign(1, found) == math.copysign(1, expected)


@pytest.mark.parametrize("text", ["", "{", "[1,]", "{'a': 1}", "nul", "1 2", '"\n"', "01", "\x00"])
def test_what_is_not_json_is_refused_with_its_place(text):
    with pytest.raises(json.JSONDecodeError) as refused:
        parse(text.encode())
    with pytest.raises(json.JSONDecodeError) as expected:
        json.loads(text)
    assert str(refused.value) == str(expected.value)
