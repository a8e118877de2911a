"""Keys from bytes, files, variables and functions; and that no message repeats one."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from bedside.errors import InvalidInputError
from bedside.support.keys import derived, hmac_hex, load_key, new_key_file

KEY = bytes(range(32))


@pytest.mark.parametrize("form", [KEY, KEY.hex().encode() + b"\n", base64.b64encode(KEY) + b"\r\n"])
def test_a_key_file_holds_the_bytes_or_their_hexadecimal_or_base64_form(tmp_path: Path, form: bytes) -> None:
    (tmp_path / "key").write_bytes(form)
    assert load_key(tmp_path / "key") == KEY


@pytest.mark.parametrize("form", [KEY.hex(), KEY.hex().upper(), base64.b64encode(KEY).decode()])
def test_a_str_is_the_name_of_an_environment_variable(monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    monkeypatch.setenv("WARD_KEY", form)
    assert load_key("WARD_KEY") == KEY


def test_a_function_is_asked_at_each_call() -> None:
    asked: list[bytes] = []
    load_key(lambda: asked.append(KEY) or KEY)  # type: ignore[func-returns-value]
    assert asked == [KEY]
    assert load_key(bytearray(KEY)) == KEY  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [b"", KEY[:31], KEY + b"x", 7, None, lambda: "no bytes", lambda: KEY[:16]])
def test_anything_but_32_bytes_is_refused_by_name(wrong: object) -> None:
    with pytest.raises(InvalidInputError, match="32 bytes"):
        load_key(wrong)  # type: ignore[arg-type]


def test_no_message_repeats_what_may_be_a_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for text in (KEY.hex(), "A" * 43 + "=", base64.b64encode(os.urandom(32)).decode(), "", "a=b", "a\0b"):
        with pytest.raises(InvalidInputError) as told:
            load_key(text)
        assert not text or text not in str(told.value)
        (tmp_path / "key").write_text(text[:40])
        monkeypatch.setenv("WARD_KEY", text[:40].replace("\0", ""))
        for source in (tmp_path / "key", "WARD_KEY"):
            with pytest.raises(InvalidInputError) as told:
                load_key(source)
            assert not text or text[:40] not in str(told.value)


def test_a_missing_variable_or_file_is_named() -> None:
    with pytest.raises(InvalidInputError, match=r"^master: there is no environment variable NO_SUCH_KEY;"):
        load_key("NO_SUCH_KEY", "master")
    with pytest.raises(InvalidInputError, match="no/such/key cannot be read"):
        load_key(Path("no/such/key"))


def test_a_new_key_file_is_private_random_and_never_replaces_one(tmp_path: Path) -> None:
    new_key_file(tmp_path / "a")
    new_key_file(tmp_path / "b")
    assert load_key(tmp_path / "a") != load_key(tmp_path / "b")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    with pytest.raises(InvalidInputError, match="only copy of a key"):
        new_key_file(tmp_path / "a")


def test_keys_of_two_purposes_differ_and_parts_cannot_slide_into_one_another() -> None:
    assert derived(KEY, "chain") != derived(KEY, "cache")
    assert hmac_hex(KEY, b"ab", b"c") != hmac_hex(KEY, b"a", b"bc") != hmac_hex(KEY, b"abc")
