"""What an encoder raises in the middle of a long call comes out as itself, and nothing was changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from bedside import Collection, Document
from store import crashes

TEXTS = [f"note {i} says HbA1c {i % 9}.{i % 7} %" for i in range(2_500)]


class Remote:
    """An encoder whose server goes away after some batches."""

    def __init__(self, seed: int = 1, error: BaseException | None = None, after: int = 1) -> None:
        self.name, self.fingerprint, self.dimension = "remote", f"remote-{seed}", 4
        self.seed, self.error, self.left = seed, error, after

    def encode_documents(self, texts: Sequence[str]) -> np.ndarray:
        if self.error and not self.left:
            raise self.error
        self.left -= 1
        return np.array([[len(text), self.seed, 1, 2] for text in texts], np.float32)

    encode_queries = encode_documents


def imported(folder: Path) -> Callable[[Collection], object]:
    file = folder / "notes.jsonl"
    file.write_text("".join(json.dumps({"text": text, "id": f"i{i}"}) + "\n" for i, text in enumerate(TEXTS)))
    return lambda notes: notes.import_from(file)


def says(notes: Collection) -> list[object]:
    return [notes.get(filter={}, include_vectors=True), notes.search("HbA1c", top_k=99), notes.facets("n")]


ERRORS = [
    ConnectionError("refused"), TimeoutError("too slow"), OSError(28, "No space left on device", "model.bin"),
    RuntimeError("out of memory"), KeyboardInterrupt(),
]  # fmt: skip


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("place", ["memory", "disk"])
@pytest.mark.parametrize("call", ["import_from", "reembed", "add_batches"])
def test_an_error_after_the_first_batch_comes_out_as_itself_and_changes_nothing(call, place, error, tmp_path) -> None:
    folder = None if place == "memory" else tmp_path / "c"
    with Collection.open(folder, encoder=Remote()) as notes:
        notes.add([Document(text, {"n": i}, f"d{i}") for i, text in enumerate(TEXTS[:50])])
        before = says(notes)
        files = crashes.files(folder) if folder else {}
        notes.encoder.error, notes.encoder.left = error, 1
        calls: dict[str, Callable[[Collection], object]] = {
            "import_from": imported(tmp_path),
            "reembed": lambda notes: notes.reembed(Remote(2, error), batch_size=20),
            "add_batches": lambda notes: notes.add_batches([TEXTS[:10], TEXTS[10:20]]),
        }
        with pytest.raises(type(error)) as raised:
            calls[call](notes)
        assert raised.value is error
        notes.encoder.error = None
        assert says(notes) == before
        assert (crashes.files(folder) if folder else {}) == files
        assert notes.add([Document("afterwards", {}, "new")]) == ["new"]
        assert notes.count() == 51


def test_the_first_import_that_fails_leaves_the_collection_undecided(tmp_path) -> None:
    with Collection.open(tmp_path / "c", encoder=Remote(error=ConnectionError("refused"))) as notes:
        with pytest.raises(ConnectionError):
            imported(tmp_path)(notes)
        assert (notes.count(), len(notes)) == (0, 0)
    with Collection.open(tmp_path / "c", encoder=Remote()) as notes:
        assert imported(tmp_path)(notes) == len(TEXTS)
