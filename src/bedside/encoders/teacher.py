"""The network that a static encoder learns from: hidden states of rows of word pieces."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from bedside.encoders.checkpoint import read_json
from bedside.encoders.prepare import prepare
from bedside.encoders.presets import STATIC, preset_of
from bedside.encoders.settings import folder_settings
from bedside.encoders.wordpiece import from_description
from bedside.errors import InvalidInputError, InvalidModelError
from bedside.support.extras import needs
from bedside.support.progress import progress
from bedside.types import Matrix

_BATCH_TOKENS = 2048


def teacher_folder(model: str | os.PathLike[str]) -> Path:
    """Find a teacher and return its local folder.

    Args:
        model: A folder, a hub id or ``"preset:NAME"``.

    Raises:
        InvalidInputError: its vectors are no means of its last hidden states over the text alone, which is all that
            token vectors can learn; or it is no transformer.
        ModelNotFoundError: nowhere to be found.
        InvalidModelError: it is no usable checkpoint.
    """
    if model == STATIC:
        raise InvalidInputError(f"teacher: expected a transformer; {STATIC} is what one makes")
    known = preset_of(model)
    folder = prepare(model if known is None else known.model)
    settings = folder_settings(folder, **({} if known is None else known.settings()))
    if settings.pooling != "mean" or settings.document_prompt:
        raise InvalidInputError(
            f"teacher: expected one with pooling='mean' and without a document prompt; {folder.name} has "
            f"pooling={settings.pooling!r}{' and a document prompt' if settings.document_prompt else ''}"
        )
    return folder


class Teacher:
    """A BERT-type network and its word pieces.

    Args:
        folder: Hugging Face layout, local.

    Raises:
        InvalidModelError: the tokenizer is not BERT's.
        MissingExtraError: torch or transformers is not installed.
    """

    def __init__(self, folder: Path) -> None:
        with needs("transformers"):
            import torch
        from bedside.encoders.backends.torch_backend import open_network

        try:
            self.tokens = from_description(read_json(folder / "tokenizer.json"))
            self._ends = self.tokens.vocabulary["[CLS]"], self.tokens.vocabulary["[SEP]"]
        except (KeyError, TypeError) as error:
            raise InvalidModelError(f"{folder / 'tokenizer.json'}: not the WordPiece tokenizer of a BERT") from error
        self._torch = torch
        self._network = open_network(folder, torch.device("cpu"), torch.float32)

    def read(self, rows: Sequence[Sequence[int]]) -> Iterator[tuple[int, Matrix]]:
        """Run the network over rows of piece ids, special tokens added here.

        Yields:
            Position in ``rows`` and the last hidden states ``[2 + len(row), d]``, in no particular order.
        """
        torch = self._torch
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        with progress(len(rows), "reading", "text") as advance, torch.inference_mode():
            for start, end in _padded_batches([len(rows[i]) + 2 for i in order]):
                chosen = order[start:end]
                width = len(rows[chosen[-1]]) + 2
                ids = torch.zeros(len(chosen), width, dtype=torch.long)
                mask = torch.zeros_like(ids, dtype=torch.bool)
                for j, i in enumerate(chosen):
                    row = torch.tensor([self._ends[0], *rows[i], self._ends[1]])
                    ids[j, : len(row)], mask[j, : len(row)] = row, True
                states = self._network(ids, mask)[1].numpy()
                for j, i in enumerate(chosen):
                    yield i, states[j, : len(rows[i]) + 2]
                advance(len(chosen))


def _padded_batches(lengths: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Ranges of ascending lengths that stay within ``_BATCH_TOKENS`` when padded."""
    start = 0
    for i, length in enumerate(lengths):
        if i > start and (i + 1 - start) * length > _BATCH_TOKENS:
            yield start, i
            start = i
    if start < len(lengths):
        yield start, len(lengths)
