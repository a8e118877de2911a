"""From what the caller gave to the rows of a run: read, checked, split, mined, and laid out in columns."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypedDict

import numpy as np

from bedside.collection import Collection
from bedside.errors import BedsideWarning, InvalidInputError
from bedside.formats.json_lines import objects
from bedside.tuning.reading import digest
from bedside.tuning.retrieval.heldout import HeldOut, make_held_out
from bedside.tuning.retrieval.negatives import mine_negatives
from bedside.tuning.retrieval.pairs import Pair, Pairs, check_leakage, read_pairs, split_pairs
from bedside.tuning.retrieval.settings import Method, TuneSettings, check_method
from bedside.tuning.retrieval.unlabelled import (
    CrossEncoder,
    Margin,
    QueryGenerator,
    damaged,
    margins,
    pairs_from_documents,
)
from bedside.tuning.retrieval.unlabelled import texts_of as texts_of_documents
from bedside.tuning.settings import check_settings
from bedside.types import Document, Encoder

Corpus: TypeAlias = "str | os.PathLike[str] | Iterable[Document | str]"
"""A JSONL file with ``text`` (and perhaps ``title`` and ``metadata``), a collection, documents, or texts."""
Columns: TypeAlias = dict[str, list[Any]]

_FROM_CORPUS = ("tsdae", "simcse", "gpl", "distill")


class Given(TypedDict, total=False):
    """What the caller gives to learn from.

    Attributes:
        pairs: What belongs together; see :func:`bedside.tuning.read_pairs`.
        triples: The same, each row with a negative.
        corpus: Texts without labels; beside ``pairs`` more passages to mine negatives from.
        held_out: Pairs for early stopping and the metrics; default: a share of the pairs. For the methods that learn
            from texts alone, titles and section headings of the corpus where it has any.
    """

    pairs: Pairs | None
    triples: Pairs | None
    corpus: Corpus | None
    held_out: Pairs | None


@dataclass(frozen=True)
class Data:
    """What a run learns from and is measured on.

    Attributes:
        method: How it learns.
        settings: How it is trained.
        pairs: For the contrastive method; empty otherwise.
        texts: The corpus, each text once.
        held_out: ``None`` where nothing is kept back.
        counts: Rows of each kind, for the card.
        hashes: SHA-256 of each kind, for the card.
    """

    method: Method
    settings: TuneSettings
    pairs: tuple[Pair, ...]
    texts: tuple[str, ...]
    held_out: HeldOut | None
    counts: Mapping[str, int]
    hashes: Mapping[str, str]


def gather(
    method: Method,
    settings: TuneSettings | None,
    *,
    pairs: Pairs | None = None,
    triples: Pairs | None = None,
    corpus: Corpus | None = None,
    held_out: Pairs | None = None,
) -> Data:
    """Read and check everything that was given; see :func:`bedside.tuning.tune_encoder`."""
    check_method(method)
    settings = check_settings(TuneSettings, settings)
    if pairs is not None and triples is not None:
        raise InvalidInputError("give pairs= or triples=, not both")
    documents = [] if corpus is None else _documents(corpus)
    texts = tuple(texts_of_documents(documents)) if documents else ()
    if method in _FROM_CORPUS and (not texts or pairs is not None or triples is not None):
        raise InvalidInputError(f"method={method!r} learns from corpus= alone")
    labelled = _labelled(pairs, triples)
    if not labelled:
        labelled = pairs_from_documents(documents)
        if method == "contrastive" and not labelled:
            raise InvalidInputError("give pairs= or triples=, or a corpus= whose documents have titles or headings")
    train, kept = _split(labelled, held_out, settings, strict=method == "contrastive")
    used = tuple(train) if method == "contrastive" else ()
    if used and len({pair.positive for pair in used} | {pair.negative for pair in used if pair.negative}) < 2:
        raise InvalidInputError("pairs: one passage alone teaches nothing; give a second one, or a negative")
    if used and settings.holdout and not kept:
        warnings.warn(
            "holdout: no group of pairs that share texts is small enough to be kept back, so nothing is measured; give "
            "held_out=, more pairs, or a larger share",
            BedsideWarning,
            stacklevel=3,
        )
    others = [*(pair.positive for pair in used), *texts]
    return Data(
        method,
        settings,
        used,
        texts,
        make_held_out(kept, others, settings) if kept else None,
        {"pairs": len(used), "texts": len(texts), "held_out": len(kept)},
        {"pairs": digest(used), "texts": digest(texts), "held_out": digest(kept)},
    )


def prepare_rows(
    data: Data, encoder: Encoder, query_generator: QueryGenerator | None, cross_encoder: CrossEncoder | None
) -> Columns:
    """Lay out the training rows as columns without prompts; mining, generating and deleting happen here.

    Args:
        data: What was given.
        encoder: The base, for mining and, in a distillation, as the teacher.
        query_generator: For GPL.
        cross_encoder: For GPL.
    """
    method, settings = data.method, data.settings
    if method == "contrastive":
        mined = list(data.pairs)
        if settings.negatives:
            mined = mine_negatives(
                mined, encoder, corpus=data.texts, count=settings.negatives, skip=settings.negatives_from
            )
        return _pair_columns(mined, settings.seed)
    if method == "gpl":
        rows = margins(
            data.texts,
            *check_own_models(query_generator, cross_encoder),
            encoder,
            negatives=settings.negatives or 1,
            skip=min(settings.negatives_from, len(data.texts) // 10),
        )
        return _margin_columns(rows)
    texts = list(data.texts)
    if method == "tsdae":
        rng = np.random.default_rng(settings.seed)
        return {"damaged": [damaged(text, settings.deletion, rng) for text in texts], "text": texts}
    if method == "simcse":
        return {"query": texts, "positive": texts}
    return {"text": texts, "label": encoder.encode_documents(texts).tolist()}


def check_own_models(
    query_generator: QueryGenerator | None, cross_encoder: CrossEncoder | None
) -> tuple[QueryGenerator, CrossEncoder]:
    """The caller's own models for GPL, refused where one is missing."""
    if not callable(query_generator) or not callable(cross_encoder):
        raise InvalidInputError("method='gpl' needs query_generator= and cross_encoder=, both callable")
    return query_generator, cross_encoder


def with_prompts(columns: Columns, prompts: tuple[str, str]) -> Columns:
    """Put the encoder's prompts before queries and before all other texts."""
    return {
        name: values if name == "label" else [prompts[name != "query"] + text for text in values]
        for name, values in columns.items()
    }


def _labelled(pairs: Pairs | None, triples: Pairs | None) -> list[Pair]:
    if triples is not None:
        read = read_pairs(triples, name="triples")
        if missing := [i for i, row in enumerate(read) if row.negative is None]:
            raise InvalidInputError(f"triples[{missing[0]}]: it has no negative")
        return read
    return [] if pairs is None else read_pairs(pairs)


def _split(
    labelled: Sequence[Pair], held_out: Pairs | None, settings: TuneSettings, *, strict: bool
) -> tuple[Sequence[Pair], Sequence[Pair]]:
    """Training and held-out pairs; with ``strict`` no text may be on both sides."""
    if held_out is not None:
        kept = read_pairs(held_out, name="held_out")
        if strict:
            check_leakage(labelled, kept)
        return labelled, kept
    train, kept = split_pairs(labelled, settings.holdout, settings.seed)
    if not train and strict:
        raise InvalidInputError("holdout: it leaves no pair to train on")
    return train, kept


def _pair_columns(pairs: Sequence[Pair], seed: int) -> Columns:
    columns: Columns = {"query": [pair.query for pair in pairs], "positive": [pair.positive for pair in pairs]}
    if any(pair.negative for pair in pairs):
        columns["negative"] = _all_negatives(pairs, seed)
    return columns


def _all_negatives(pairs: Sequence[Pair], seed: int) -> list[str]:
    """Every row's negative: its own, or a passage drawn from those of other queries."""
    rng = np.random.default_rng(seed)
    answers: dict[str, set[str]] = {}
    for pair in pairs:
        answers.setdefault(pair.query, set()).add(pair.positive)
    positives = list(dict.fromkeys(pair.positive for pair in pairs))
    order = [positives[i] for i in rng.permutation(len(positives))]
    found = [pair.negative or next((text for text in order if text not in answers[pair.query]), None) for pair in pairs]
    if None in found:
        raise InvalidInputError(f"pairs[{found.index(None)}]: there is no other passage that could be its negative")
    return [str(text) for text in found]


def _margin_columns(rows: Sequence[Margin]) -> Columns:
    return {
        "query": [row.query for row in rows],
        "positive": [row.positive for row in rows],
        "negative": [row.negative for row in rows],
        "label": [row.margin for row in rows],
    }


def _documents(corpus: Corpus) -> list[Document | str]:
    if not isinstance(corpus, (str, os.PathLike)):
        if not isinstance(corpus, Iterable):
            raise InvalidInputError(f"corpus: expected a file, a collection or texts, got {type(corpus).__name__}")
        if isinstance(corpus, Collection) and corpus.facts.sealed:
            raise InvalidInputError(
                "corpus: the collection is encrypted, and what a run writes is not: export what may be in the clear"
            )
        return list(corpus)
    file = Path(corpus)
    if not file.is_file() or file.suffix != ".jsonl":
        raise InvalidInputError(f"corpus: {file} is not a .jsonl file")
    return [_document(row, where) for where, row in objects(file)]


def _document(row: Mapping[str, Any], where: str) -> Document:
    metadata = row.get("metadata") or {}
    if not isinstance(row.get("text"), str) or not isinstance(metadata, Mapping):
        raise InvalidInputError(f"{where}: expected an object with the key text, and metadata as an object if any")
    title = {"title": row["title"]} if row.get("title") else {}
    return Document(row["text"], {**metadata, **title})
