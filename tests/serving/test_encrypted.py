"""A server of encrypted collections: it opens and creates them with its key, and shows nothing on the disk."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from bedside import Collection, Document
from bedside.errors import KeyRequired, ShreddedError
from bedside.serving import Access, Service
from bedside.serving.problems import STATUS

KEY = bytes(range(32))


def test_a_service_with_a_key_serves_and_creates_encrypted_collections_alone(tmp_path: Path) -> None:
    with Collection.open(tmp_path / "ward", key=KEY) as notes:
        notes.add([Document("Paroxysmal tachycardia.", id="a", vector=[1, 0])])
    access = Access("test")
    with closing(Service(tmp_path, key=KEY)) as service:
        assert service.stats(access, "ward").documents == 1
        service.create(access, "clinic", [])
    with pytest.raises(KeyRequired):
        Collection.open(tmp_path / "clinic")
    with closing(Service(tmp_path)) as service, pytest.raises(KeyRequired):
        service.stats(access, "ward")


def test_a_shredded_scope_is_gone_over_http() -> None:
    assert next(status for kind, status in STATUS if issubclass(ShreddedError, kind)) == 410
