"""Measure the encoder beside the wrappers that users of both frameworks know, on a BERT of full size.

::

    python benchmarks/encoding.py                                  # random weights of Bio_ClinicalBERT's shape
    python benchmarks/encoding.py --output docs/benchmarks.md      # writes its section there

All encode the same texts from the same folder in float32, with their own defaults, and take turns in one process. Needs
``benchmarks/requirements.txt``.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from backends import TEXT, full_size_model
from bedside import load_encoder
from bedside.errors import BedsideWarning
from report import machine, table, today, versions, workplace, write_section
from timing import duration, interleaved

Encode: TypeAlias = Callable[[Sequence[str]], Any]
PACKAGES = ("bedside", "torch", "transformers", "sentence-transformers", "langchain-huggingface",
            "llama-index-embeddings-huggingface")  # fmt: skip
MEDIAN_TOKENS, SPREAD, MOST_TOKENS = 60, 0.8, 512
"""Lengths are log-normal: half of the texts have 60 tokens or less, one in six 130 or more."""
SHORT_WORDS = 20


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=96, help="texts a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, help="Markdown file whose section is replaced")
    options = parser.parse_args()
    warnings.simplefilter("ignore", BedsideWarning)
    with workplace() as place:
        os.environ["BEDSIDE_CACHE"] = str(place / "cache")
        text = f"{transformers_side_by_side(full_size_model(place), options)}\n\n{static(options.rounds)}"
    stamped = f"Measured {today()} on {machine()}; {versions(PACKAGES)}.\n\n{text}"
    print(stamped)
    if options.output:
        write_section("encoding", stamped, options.output)


def transformers_side_by_side(model: Path, options: argparse.Namespace) -> str:
    """Time each candidate over the same texts; the vectors of all must be those of the first."""
    texts = clinical_texts(options.texts)
    candidates: dict[str, Encode] = {
        "LangChain `HuggingFaceEmbeddings`": _langchain(model),
        "LlamaIndex `HuggingFaceEmbedding`": _llama_index(model),
        "Bedside, torch, float32": load_encoder(model, dtype="float32", device="cpu").encode_documents,
        'Bedside, torch, `dtype="auto"`': load_encoder(model, device="cpu").encode_documents,
    }
    expected = _unit(candidates["LangChain `HuggingFaceEmbeddings`"](texts))
    agreement = {name: _lowest_cosine(encode(texts), expected) for name, encode in candidates.items()}
    processor: dict[str, list[float]] = {name: [] for name in candidates}
    times = interleaved(
        {name: _timed(encode, texts, processor[name]) for name, encode in candidates.items()},
        options.rounds,
        warm_up=0,
        budget=900,
    )
    langchain, llama_index = (float(np.median(processor[name])) for name in list(candidates)[:2])
    rows = []
    for name, found in times.items():
        used = float(np.median(processor[name]))
        rows.append(
            [
                name,
                f"{len(texts) / found.p50:.1f}",
                duration(found.p50),
                duration(used),
                f"{langchain / used:.2f}",
                f"{llama_index / used:.2f}",
                f"{agreement[name]:.6f}",
            ]
        )
    header = ["candidate", "texts/s", "wall", "processor", "× HuggingFaceEmbeddings", "× HuggingFaceEmbedding",
              "lowest cosine"]  # fmt: skip
    return (
        f"{len(texts)} texts, median {MEDIAN_TOKENS} tokens, medians of {options.rounds} rounds; the ratios are of "
        f"processor seconds.\n\n{table(header, rows)}"
    )


def static(rounds: int) -> str:
    """Say how many short passages a second the encoder that ships takes."""
    rng = np.random.default_rng(1)
    passages = [" ".join(rng.choice(TEXT.split(), SHORT_WORDS)) for _ in range(20_000)]
    encode = load_encoder("bedside/static").encode_documents
    processor: list[float] = []
    times = interleaved({"static": _timed(encode, passages, processor)}, max(rounds, 5), warm_up=1)
    by_wall, by_processor = len(passages) / times["static"].p50, len(passages) / float(np.median(processor))
    return (
        f"`bedside/static` encodes {by_wall:,.0f} passages of {SHORT_WORDS} words a second ({by_processor:,.0f} in a "
        f"processor second)."
    )


def clinical_texts(count: int) -> list[str]:
    """Texts of log-normal length; a word of :data:`TEXT` has 1.37 tokens in the mean."""
    rng = np.random.default_rng(0)
    tokens = np.minimum(rng.lognormal(np.log(MEDIAN_TOKENS), SPREAD, count), MOST_TOKENS)
    return [" ".join(rng.choice(TEXT.split(), max(1, round(n / 1.37)))) for n in tokens]


def _timed(encode: Encode, texts: Sequence[str], processor: list[float]) -> Callable[[int], None]:
    def call(_: int) -> None:
        start = time.process_time()
        encode(texts)
        processor.append(time.process_time() - start)

    return call


def _langchain(model: Path) -> Encode:
    from langchain_huggingface import HuggingFaceEmbeddings

    embeddings = HuggingFaceEmbeddings(model_name=str(model), model_kwargs={"local_files_only": True})
    return lambda texts: embeddings.embed_documents(list(texts))


def _llama_index(model: Path) -> Encode:
    from llama_index.embeddings.huggingface import HuggingFaceEmbedding

    embedding = HuggingFaceEmbedding(model_name=str(model), device="cpu")
    return lambda texts: embedding.get_text_embedding_batch(list(texts))


def _unit(vectors: Any) -> Any:
    array = np.asarray(vectors, dtype=np.float64)
    return array / np.linalg.norm(array, axis=1, keepdims=True)


def _lowest_cosine(vectors: Any, expected: Any) -> float:
    return float((_unit(vectors) * expected).sum(axis=1).min())


if __name__ == "__main__":
    main()
