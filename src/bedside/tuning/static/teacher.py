"""The network that a static encoder learns from: hidden states of rows of word pieces."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from bedside.encoders.checkpoint import read_json
from bedside.encoders.prepare import prepare
from bedside.encoders.presets import STATIC, preset_of
from bedside.encoders.settings import folder_settings
from bedside.encoders.windows import batches, padded
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
            token vectors can learn; or it is not a transformer.
        ModelNotFoundError: nowhere to be found.
        InvalidModelError: it is not a usable checkpoint.
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
        lengths = [2 + len(row) for row in rows]
        with progress(len(rows), "reading", "text") as advance, torch.inference_mode():
            for chosen in batches(lengths, _BATCH_TOKENS):
                ids, mask = padded([[self._ends[0], *rows[i], self._ends[1]] for i in chosen], 0)
                states = self._network(torch.from_numpy(ids), torch.from_numpy(mask).bool())[1].numpy()
                for i, own in zip(chosen.tolist(), states, strict=True):
                    yield i, own[: lengths[i]]
                advance(len(chosen))
