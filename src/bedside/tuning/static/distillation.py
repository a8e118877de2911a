"""Make a static encoder from a BERT-type text encoder. Needs the ``transformers`` extra; encoding afterwards does not.

Four steps, each from published work:

1. *Vocabulary*: the teacher's word pieces, and whole words that it would cut up (model2vec, Tulkens and van Dongen
   2024).
2. *Token vectors*: each token's mean contextual state over a corpus (Bommasani et al. 2020; Gupta and Jaggi 2021),
   shrunk towards the teacher's vector of the token alone, which is model2vec's; projected on the main directions of
   the corpus' sentence vectors; weighted by smooth inverse frequency (Arora et al. 2017).
3. *Tuning*: the token vectors learn to rank. Pairs of texts that belong together are told from the others of their
   batch (InfoNCE), and the similarities of random passages follow the teacher's (as tokenlearn's vectors do).
4. *Weighting*: each vector times its token's inverse document frequency in the corpus; then the directions in which
   the corpus' vectors differ most are shrunk (partial whitening, after Mu and Viswanath 2018 and Su et al. 2021), and
   all is rounded to int8 with one factor per token.
"""

from __future__ import annotations

import json
import logging
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bedside.encoders.pooling import unit
from bedside.encoders.prepare import sha256
from bedside.encoders.static import StaticEncoder
from bedside.encoders.texts import checked_texts
from bedside.encoders.wordpiece import WordPiece
from bedside.errors import InvalidInputError
from bedside.remedies import Give
from bedside.tuning.static.teacher import Teacher, teacher_folder
from bedside.tuning.static.token_vectors import Recipe, tune
from bedside.types import Matrix

log = logging.getLogger(__name__)

_SPECIAL = ("[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]")


def distill(
    teacher: str | Path,
    corpus: Sequence[str],
    *,
    pairs: Sequence[tuple[str, str]] = (),
    vocabulary: Sequence[str] = (),
    recipe: Recipe | None = None,
    name: str = "static",
) -> StaticEncoder:
    """Distil a static encoder.

    The result is the same for the same arguments, library versions and number of threads; with another number of
    threads it differs by rounding.

    Args:
        teacher: A BERT-type encoder with ``tokenizer.json`` (WordPiece) and mean pooling: a folder, a hub id or
            ``"preset:NAME"``.
        corpus: Passages; a few ten thousand sentences of the field. The teacher reads each once; empty ones are left
            out.
        pairs: Texts that belong together (question and passage, term and definition) for the tuning.
        vocabulary: Words to add whole, whether the corpus has them or not.
        recipe: See :class:`Recipe`.
        name: The encoder's name.

    Returns:
        An encoder ready to use and to :meth:`~bedside.encoders.static.StaticEncoder.save`.

    Raises:
        InvalidInputError: no corpus with a word in it, something else than lists of strings, a dimension beyond the
            teacher's, or a teacher with another pooling than the mean or with a document prompt.
        ModelNotFoundError: the teacher is nowhere to be found.
        InvalidModelError: the teacher's tokenizer is not BERT's, or its network cannot be read.
        MissingExtraError: torch or transformers is not installed.

    Example:
        >>> encoder = distill("models/MiniLM", passages, pairs=pairs)  # doctest: +SKIP
        >>> encoder.save("models/static")  # doctest: +SKIP
    """
    recipe = recipe or Recipe()
    corpus, vocabulary = checked_texts(corpus), checked_texts(vocabulary)
    reader = Teacher(teacher_folder(teacher))
    corpus = [text for text in corpus if reader.tokens.has_words(text)]
    if not corpus:
        raise InvalidInputError("corpus: expected at least one passage with a word in it")
    pairs = list(pairs)
    texts = list(dict.fromkeys([*corpus, *(text for pair in pairs for text in pair)]))
    tokens = new_vocabulary(reader.tokens, texts, vocabulary, recipe)
    sentences, rows = token_vectors(reader, tokens, corpus, recipe)
    if pairs and recipe.epochs:
        rows = tune(rows, tokens, pairs, corpus, sentences, recipe)
    rows = spread(rows * _rarity(tokens, texts)[:, None], tokens, corpus, recipe.whitening)
    embeddings, weights = quantize(rows)
    return StaticEncoder(
        embeddings, tokens, weights=weights, normalize=True, name=name, config={"recipe": asdict(recipe)}
    )


def new_vocabulary(old: WordPiece, texts: Sequence[str], words: Sequence[str], recipe: Recipe) -> WordPiece:
    """The teacher's tokens without placeholders and other scripts, then whole words: those given, then frequent ones.

    Where not all find room, the teacher's pieces of three characters or more that the texts hardly use leave first.
    """
    kept = [token for token in old.vocabulary if token == old.unknown or _is_useful(token)]
    counts = Counter(word for text in texts for word in old.words(text))
    given = [word for text in words for word in old.words(text)]
    frequent = [word for word, n in sorted(counts.items(), key=lambda x: (-x[1], x[0])) if n >= recipe.min_count]
    new = [word for word in dict.fromkeys(given + frequent) if word not in old.vocabulary and _is_word(word)]
    if len(kept) + len(new) > recipe.max_tokens:
        used = Counter[str]()
        names = {i: token for token, i in old.vocabulary.items()}
        for word, n in counts.items():
            used.update(dict.fromkeys((names[i] for i in old.match(word)), n))
        used[str(old.unknown)] = recipe.min_count
        kept = [token for token in kept if len(token.removeprefix(old.prefix)) < 3 or used[token] >= recipe.min_count]
    tokens = (kept + new)[: recipe.max_tokens]
    log.info("%d tokens: %d of the teacher, %d whole words", len(tokens), len(kept), len(tokens) - len(kept))
    return WordPiece(
        {token: i for i, token in enumerate(tokens)},
        unknown=old.unknown,
        prefix=old.prefix,
        lowercase=old.lowercase,
        strip_accents=old.strip_accents,
        cjk=old.cjk,
        longest=old.longest,
    )


def token_vectors(reader: Teacher, tokens: WordPiece, corpus: Sequence[str], recipe: Recipe) -> tuple[Matrix, Matrix]:
    """The teacher's unit sentence vectors ``[n, D]`` and the token vectors ``[v, dimension]`` before tuning."""
    alone = _alone(reader, tokens)
    if not 1 <= recipe.dimension <= alone.shape[1]:
        raise InvalidInputError(
            f"expected 1 to {alone.shape[1]}, what the teacher has", about=Give("dimension", recipe.dimension)
        )
    same = {i: tokens.vocabulary.get(token) for token, i in reader.tokens.vocabulary.items()}
    aligned = [_aligned(reader.tokens, tokens, same, text)[: recipe.max_length - 2] for text in corpus]
    sentences = np.zeros((len(corpus), alone.shape[1]), dtype=np.float32)
    sums = np.zeros_like(alone)
    pieces = np.zeros((len(alone), 1), dtype=np.float32)
    starts = np.zeros((len(alone), 1), dtype=np.float32)
    for i, states in reader.read([[piece for piece, _, _ in row] for row in aligned]):
        length = float(np.linalg.norm(states.mean(axis=0)))
        sentences[i] = states.mean(axis=0) / length
        for state, (_, token, first) in zip(states[1:], aligned[i], strict=False):
            if token is not None:
                sums[token] += state / length
                pieces[token] += 1
                starts[token] += first
    centre = sentences.mean(axis=0)
    # Half: a token alone fills a whole text, which it does not beside others. A quarter to one were within 0.01 nDCG.
    blended = (sums - pieces * centre + recipe.prior * 0.5 * alone) / (starts + recipe.prior)
    axes = np.linalg.eigh((sentences - centre).T @ (sentences - centre))[1][:, ::-1][:, : recipe.dimension]
    counts = _document_counts(tokens, corpus)
    weight = recipe.sif / (recipe.sif + counts / counts.sum())
    return sentences, np.asarray((blended @ axes) * weight[:, None], dtype=np.float32)


def spread(rows: Matrix, tokens: WordPiece, corpus: Sequence[str], power: float) -> Matrix:
    """Divide each principal axis of the corpus' vectors by their standard deviation along it to the ``power``.

    Args:
        rows: ``[v, d]``.
        tokens: The vocabulary.
        corpus: Passages whose vectors are to spread.
        power: 0 turns only, 1 is full whitening.

    Returns:
        ``[v, d]`` float32.
    """
    vectors = StaticEncoder(rows, tokens).encode_documents([text for text in corpus if tokens(text)])
    centred = vectors - vectors.mean(axis=0)
    values, axes = np.linalg.eigh(centred.T @ centred / len(centred))
    # A hundredth of the mean variance keeps axes that a small corpus hardly fills from being blown up.
    scale = (np.maximum(values, 0) + 0.01 * values.mean()) ** (-power / 2)
    return np.asarray(rows @ (axes * scale), dtype=np.float32)


def quantize(rows: Matrix) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round each row to int8 with a factor of its own; ``embeddings * weights[:, None]`` gives the rows back."""
    weights = np.maximum(np.abs(rows).max(axis=1), 1e-12) / 127
    return np.rint(rows / weights[:, None]).astype(np.int8), weights.astype(np.float32)


def _alone(reader: Teacher, tokens: WordPiece) -> Matrix:
    """``[v, D]``: the teacher's unit vector of each token without context, their mean taken off."""
    old = reader.tokens
    rows = [[old.vocabulary[token]] if token in old.vocabulary else old.match(token) for token in tokens.vocabulary]
    found = dict(reader.read(rows))
    vectors = unit(np.stack([found[i].mean(axis=0) for i in range(len(rows))]))
    return np.asarray(vectors - vectors.mean(axis=0), dtype=np.float32)


def _aligned(
    old: WordPiece, new: WordPiece, same: Mapping[int, int | None], text: str
) -> list[tuple[int, int | None, bool]]:
    """For each of the teacher's pieces of a text: its id, the new token it is part of, whether it begins that one.

    A word that both vocabularies cut up, and cut differently, belongs to no new token.
    """
    found: list[tuple[int, int | None, bool]] = []
    for word in old.words(text):
        pieces, ours = old.match(word), new.match(word)
        if len(ours) == 1:
            found += [(piece, ours[0], i == 0) for i, piece in enumerate(pieces)]
        elif [same[piece] for piece in pieces] == ours:
            found += [(piece, token, True) for piece, token in zip(pieces, ours, strict=True)]
        else:
            found += [(piece, None, False) for piece in pieces]
    return found


def _rarity(tokens: WordPiece, corpus: Sequence[str]) -> NDArray[np.float32]:
    """Inverse text frequency of each token; it added 0.01 to 0.06 nDCG@10 to the tuned vectors on four sets."""
    return np.asarray(np.log((len(corpus) + 1) / (_document_counts(tokens, corpus) + 0.5)), dtype=np.float32)


def _document_counts(tokens: WordPiece, corpus: Sequence[str]) -> NDArray[np.float32]:
    counts = np.zeros(len(tokens.vocabulary), dtype=np.float32)
    for text in corpus:
        counts[list(set(tokens(text)))] += 1
    return counts


def _is_word(word: str) -> bool:
    return len(word) > 3 and word.isalpha()


def _is_useful(token: str) -> bool:
    """Whether a teacher's token can occur in Latin or Greek text: no placeholder, no other script."""
    bare = token.removeprefix("##")
    return not bare.startswith("[unused") and all(_is_european(c) for c in bare) and token not in _SPECIAL


def _is_european(c: str) -> bool:
    if not c.isalpha():
        return True
    return unicodedata.name(c, "").startswith(("LATIN", "GREEK", "MICRO"))


def distill_files(
    teacher: str | Path,
    folder: Path,
    *,
    corpus: Path,
    pairs: Path | None = None,
    vocabulary: Path | None = None,
    recipe: Recipe | None = None,
    note: str = "",
) -> StaticEncoder:
    """Distil from files, and write the folder with its provenance: hashes of what went in and what came out.

    Args:
        teacher: As in :func:`distill`.
        folder: Written; see :meth:`~bedside.encoders.static.StaticEncoder.save`.
        corpus: A text file with one passage in each line.
        pairs: JSON Lines of ``[text, text]`` that belong together.
        vocabulary: A text file of words to add whole.
        recipe: As in :func:`distill`.
        note: A line for ``provenance.json``: licences, sources.

    Raises:
        InvalidInputError: A line of ``pairs`` is not a pair, or what :func:`distill` refuses.
    """
    texts = {"corpus": corpus, "pairs": pairs, "vocabulary": vocabulary}
    lines = {name: [] if path is None else path.read_text("utf-8").splitlines() for name, path in texts.items()}
    source = teacher_folder(teacher)
    encoder = distill(
        source,
        lines["corpus"],
        pairs=[_pair(line, number) for number, line in enumerate(lines["pairs"], 1)],
        vocabulary=[word for line in lines["vocabulary"] for word in line.split()],
        recipe=recipe,
        name=folder.name,
    )
    encoder.save(folder)
    provenance = {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "note": note,
        "teacher": {path.name: sha256(path) for path in sorted(source.glob("*.safetensors"))},
        "texts": {path.name: sha256(path) for path in texts.values() if path is not None},
        "libraries": {name: version(name) for name in ("bedside", "numpy", "torch", "transformers")},
        "fingerprint": encoder.fingerprint,
        "files": {path.name: sha256(path) for path in sorted(folder.iterdir()) if path.name != "provenance.json"},
    }
    (folder / "provenance.json").write_text(json.dumps(provenance, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return encoder


def _pair(line: str, number: int) -> tuple[str, str]:
    try:
        first, second = json.loads(line)
    except ValueError:
        raise InvalidInputError(f"pairs, line {number}: expected a JSON list of two texts") from None
    if not isinstance(first, str) or not isinstance(second, str):
        raise InvalidInputError(f"pairs, line {number}: expected a JSON list of two texts")
    return first, second
