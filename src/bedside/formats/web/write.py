"""Records as one HTML file: documents, script and, where it is theirs, the static encoder."""

from __future__ import annotations

import gzip
import html
import json
import uuid
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import resources
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from bedside.encoders.presets import STATIC
from bedside.engines.facts import Facts
from bedside.errors import InvalidInputError
from bedside.formats.web.bundle import assemble
from bedside.formats.web.packing import Seal, base64, compressed
from bedside.formats.web.postings import PagePostings
from bedside.text.analyzer import Analyzer
from bedside.types import Document, FilterDict

if TYPE_CHECKING:
    from bedside.encoders.static import StaticEncoder

FORMAT = 1
_BATCH = 1_000
_SAME = 1e-6  # a stored vector that differs less from what the page's encoder makes need not be stored in the page


@dataclass(frozen=True)
class Origin:
    """Where the records of a page come from.

    Args:
        facts: Of the collection.
        scopes: Those whose records are written; empty where the collection has no scope keys.
        filter: What they were chosen by.
        count: How many there are.
    """

    facts: Facts
    scopes: Sequence[Mapping[str, str | int]]
    filter: FilterDict | None
    count: int


def estimate_size(characters: int, *, encoder: bool) -> int:
    """Return about how many bytes a page has: English text takes 0.56 of a character as base64.

    Of that, 0.42 are the text compressed and 0.14 its postings, with which a page opens in half the time.
    """
    return sum(map(len, _template("Search"))) + int(0.56 * characters) + (12_000_000 if encoder else 0)


def write(
    path: Path,
    documents: Iterable[Document],
    *,
    vectors: bool,
    origin: Origin,
    encoder: bool = True,
    title: str = "Search",
    passphrase: str | None = None,
) -> None:
    """Write the page.

    Args:
        path: The file.
        documents: With their vectors.
        vectors: Makes no difference: a page holds texts, and vectors only where its encoder would make others.
        origin: Where they come from.
        encoder: Take the static encoder along, 12 MB, where the collection's vectors are its; without it the page
            ranks by words alone.
        title: Of the page. It stays readable in a sealed one.
        passphrase: Seal documents and all that is known of them; ``None`` leaves the page open to whoever has it.

    Raises:
        InvalidInputError: The passphrase is empty.
        MissingExtraError: A passphrase without ``bedside[crypto]``.
    """
    del vectors
    if passphrase is not None and not passphrase.strip():
        raise InvalidInputError("passphrase: expected a text that is not empty")
    seal = None if passphrase is None else Seal(passphrase)
    taken = _encoder_of(origin.facts) if encoder else None
    # By the standard library: orjson refuses whole numbers beyond 64 bits in a filter, and lone surrogates in a title.
    about = json.dumps(_about(origin, taken, title)).encode()
    postings = PagePostings(Analyzer.of(origin.facts.sparse))
    lines = (line + b"\n" for line in chain([about], _lines(documents, taken, postings), [b""]))
    packed = compressed(chain(lines, postings.packed()))  # which runs when the lines have been written
    blocks = [
        ("bedside", [orjson.dumps({"format": FORMAT, "seal": seal and seal.facts})]),
        ("documents", base64(packed if seal is None else seal(packed))),
        *((name, base64([_gzipped(file)])) for name, file in (_ENCODER_FILES.items() if taken else ())),
    ]
    before, after = _template(title)
    with path.open("wb") as out:
        out.write(before)
        for name, chunks in blocks:
            out.write(b'<script type="text/plain" id="%s">' % name.encode())
            out.writelines(chunks)
            out.write(b"</script>\n")
        out.write(after)


_ENCODER_FILES = {"weights": "model.safetensors", "tokenizer": "tokenizer.json"}


def _encoder_of(facts: Facts) -> StaticEncoder | None:
    """Return the encoder that a page can run, where the collection's vectors are its."""
    if not facts.dimension or facts.encoder is None or facts.encoder.name != STATIC:
        return None
    from bedside.encoders.static import load_static  # 9 MB

    encoder = load_static()
    return encoder if encoder.fingerprint == facts.encoder.fingerprint else None


def _about(origin: Origin, encoder: StaticEncoder | None, title: str) -> dict[str, Any]:
    facts, settings = origin.facts, origin.facts.sparse
    tokenizer = settings["tokenizer"]
    named = None
    if encoder is not None:
        named = {"name": encoder.name, "fingerprint": encoder.fingerprint, "normalize": encoder.normalize}
    return {
        "title": title,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "count": origin.count,
        "scopeKeys": facts.scope_keys,
        "scopes": list(origin.scopes),
        "filter": origin.filter,
        "dimension": encoder.dimension if encoder else 0,
        "encoder": named,
        "otherEncoder": facts.encoder.name if facts.encoder and facts.encoder.name != STATIC else None,
        "settings": {
            "k1": settings["k1"], "b": settings["b"], "stem": tokenizer["stem"], "stopWords": tokenizer["stop_words"],
            "alpha": facts.weight, "title": facts.title,
        },
        "page": uuid.uuid4().hex,
    }  # fmt: skip


def _lines(documents: Iterable[Document], encoder: StaticEncoder | None, postings: PagePostings) -> Iterator[bytes]:
    source = iter(documents)
    while batch := list(islice(source, _BATCH)):
        postings.add(batch)
        own = _own_vectors(batch, encoder) if encoder else {}
        for i, document in enumerate(batch):
            vector = {"vector": b64encode(own[i].tobytes()).decode()} if i in own else {}
            yield orjson.dumps(
                {"id": document.id, "text": document.text, "metadata": dict(document.metadata), **vector}
            )


def _own_vectors(batch: Sequence[Document], encoder: StaticEncoder) -> dict[int, np.ndarray]:
    """Return the vectors that the encoder would not make, by position: those that were given by hand."""
    given = {i: np.asarray(document.vector, np.float32) for i, document in enumerate(batch)}
    made = [i for i in given if encoder.tokenizer.has_words(batch[i].text)]
    vectors = encoder.encode_documents([batch[i].text for i in made])
    same = {i for i, vector in zip(made, vectors, strict=True) if np.abs(vector - given[i]).max() < _SAME}
    return {i: vector for i, vector in given.items() if i not in same}


def _gzipped(file: str) -> bytes:
    return gzip.compress(resources.files("bedside.encoders").joinpath(f"data/static/{file}").read_bytes(), mtime=0)


def _template(title: str) -> list[bytes]:
    """Return the page before and after its blocks; its policy allows this script and this style alone."""
    page, hashes = assemble("page.html", "page.js")
    for name, digest in hashes.items():
        page = page.replace(f"/*{name}-HASH*/", digest)
    parts = page.split("/*BLOCKS*/")  # the title comes last: it may hold such marks itself
    return [part.replace("/*TITLE*/", html.escape(title)).encode("utf-8", "replace") for part in parts]
