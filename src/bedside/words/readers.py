"""Read word vectors from the files they are published in, streamed row by row.

GloVe text (https://nlp.stanford.edu/projects/glove/): ``word v1 … vd`` a line. word2vec text and fastText ``.vec``: the
same under a first line ``count d``. word2vec binary: that line, then ``word``, a space and ``d`` little-endian float32.
wink (https://winkjs.org/): one JSON object whose ``vectors`` hold ``d`` numbers, the L2 norm and the word's index. All
of them plain or gzipped; wink also as its npm folder or tarball.
"""

from __future__ import annotations

import codecs
import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeAlias, cast, get_args

import numpy as np

from bedside.encoders import static
from bedside.encoders.static import WEIGHTS_FILE, load_static
from bedside.errors import InvalidInputError, InvalidModelError, ModelNotFoundError
from bedside.support.extras import needs
from bedside.support.progress import progress
from bedside.types import Matrix
from bedside.words.cache import Writer

Format: TypeAlias = Literal["auto", "wink", "glove", "word2vec", "word2vec-binary", "model2vec"]
"""``"word2vec"`` is also fastText's ``.vec``."""

SHIPPED_FOLDER = Path(static.__file__).parent / "data" / "static"
"""The static encoder that comes with Bedside."""

_BUFFER = 1 << 20
_HEAD = 1 << 14
_FASTTEXT_BINARY = (793712314).to_bytes(4, "little")
_TEXT_BYTES = frozenset({9, 10, 13, *range(32, 127), *range(128, 256)})


def locate(path: Path, kind: Format) -> tuple[list[Path], Format]:
    """Find the files that make up a source, and their format where it is to be found out.

    Raises:
        ModelNotFoundError: There is no such file or folder.
        InvalidInputError: ``kind`` is not a format.
        InvalidModelError: The format is not recognised, or is fastText's own binary one.
    """
    if kind not in get_args(Format):
        raise InvalidInputError(f"format={kind!r}: expected one of {', '.join(get_args(Format))}")
    if not path.exists():
        raise ModelNotFoundError(f"{path}: there is no such file or folder")
    if not path.is_dir():
        return [path], detect(path) if kind == "auto" else kind
    if (path / WEIGHTS_FILE).is_file() and kind in ("auto", "model2vec"):
        parts = [path / name for name in (WEIGHTS_FILE, "tokenizer.json", "config.json")]
        return [part for part in parts if part.is_file()], "model2vec"
    found = [file for file in sorted(path.glob("*.json")) if file.name not in ("package.json", "package-lock.json")]
    if len(found) != 1:
        raise InvalidModelError(f"{path}: expected a model2vec folder or one wink JSON in it, found {len(found)}")
    return found, "wink"


def detect(path: Path) -> Format:
    """Tell the format of a file by its first bytes."""
    with _whole(path), _opened(path) as file:
        head = file.read(_HEAD).removeprefix(codecs.BOM_UTF8)
    if head.lstrip()[:1] == b"{" or _is_tar(path):
        return "wink"
    if head[:4] == _FASTTEXT_BINARY:
        raise InvalidModelError(f"{path}: fastText's binary format; use the .vec file that is published beside it")
    first, _, rest = head.partition(b"\n")
    if not _is_header(first):
        return "glove"
    return "word2vec" if all(byte in _TEXT_BYTES for byte in rest) and _fits(rest, first) else "word2vec-binary"


def read(files: list[Path], kind: Format, writer: Writer) -> None:
    """Read a source into a writer and finish it, with a progress bar.

    Raises:
        InvalidModelError: The file is not what it is said to be; the message names file and place.
        MissingExtraError: ``ijson`` is not installed and the file is wink's.
    """
    if kind == "model2vec":
        words, rows = static_words(files[0].parent)
        for word, row in zip(words, rows, strict=True):
            writer.add(word, row)
        writer.finish()
        return
    readers = {"wink": _read_wink, "word2vec-binary": _read_binary, "glove": _read_text, "word2vec": _read_text}
    try:
        with _whole(files[0]):
            readers[kind](files[0], writer)
            writer.finish()
    except InvalidModelError as error:
        raise InvalidModelError(f"{files[0]}, read as {kind}: {error}") from error


def static_words(folder: Path) -> tuple[list[str], Matrix]:
    """The whole words of a static encoder's vocabulary and their weighted vectors; word pieces are left out."""
    encoder = load_static(folder)
    rows = encoder.embeddings if encoder.mapping is None else encoder.embeddings[encoder.mapping]
    rows = rows.astype(np.float32)
    if encoder.weights is not None:
        rows = rows * encoder.weights.astype(np.float32)[:, None]
    ids = {word: i for word, i in encoder.tokenizer.vocabulary.items() if _is_word(word)}
    words = sorted(ids, key=ids.__getitem__)
    return [word.lstrip("▁Ġ") for word in words], rows[[ids[word] for word in words]]


def _is_word(token: str) -> bool:
    return not token.startswith("##") and not (token[:1] in "[<" and token[-1:] in "]>" and len(token) > 2)


def _read_text(path: Path, writer: Writer) -> None:
    with _opened(path, bar=True) as file:
        first = file.readline().removeprefix(codecs.BOM_UTF8)
        dimension = int(first.split()[1]) if _is_header(first) else len(first.split()) - 1
        if dimension < 1:
            raise InvalidModelError("line 1: expected a word and its numbers")
        if not _is_header(first):
            writer.add(*_parse_line(first, dimension, 1))
        for number, line in enumerate(file, 2):
            if line.strip():
                writer.add(*_parse_line(line, dimension, number))


def _parse_line(line: bytes, dimension: int, number: int) -> tuple[str, Any]:
    parts = line.rstrip().rsplit(b" ", dimension)  # from the right: a word of GloVe's may hold spaces
    try:
        if len(parts) != dimension + 1:
            raise ValueError
        row = list(map(float, parts[1:]))
    except ValueError:
        raise InvalidModelError(f"line {number}: expected a word and {dimension} numbers") from None
    return parts[0].decode("utf-8", "replace"), row


def _read_binary(path: Path, writer: Writer) -> None:
    with _opened(path, bar=True) as file:
        first = file.readline()
        if not _is_header(first):
            raise InvalidModelError("line 1: expected the number of words and the dimension")
        count, dimension = map(int, first.split())
        for number in range(count):
            word = _until_space(file)
            row = file.read(4 * dimension)
            if len(row) != 4 * dimension:
                raise InvalidModelError(f"word {number + 1} of {count}: the file ends inside its vector")
            writer.add(word, np.frombuffer(row, "<f4"))


def _until_space(file: BinaryIO) -> str:
    letters = bytearray()
    while (letter := file.read(1)) not in (b" ", b""):
        letters += letter
    return bytes(letters).lstrip(b"\n").decode("utf-8", "replace")


def _read_wink(path: Path, writer: Writer) -> None:
    with needs("words"):
        import ijson  # type: ignore[import-untyped, unused-ignore]
    try:
        with _opened(path) as file:
            layout = _wink_layout(ijson.parse(file, use_float=True, buf_size=_BUFFER))
        with _opened(path, bar=True) as file:
            for word, row in ijson.kvitems(file, "vectors", use_float=True, buf_size=_BUFFER):
                dimension = layout.get("dimensions", len(row) - 2)
                index = layout.get("wordIndex", dimension + 1)
                if not dimension <= index < len(row):
                    raise InvalidModelError(f"a vector has {len(row)} numbers, expected {dimension + 2}")
                writer.add(word, row[:dimension], int(row[index]))
    except (ijson.JSONError, TypeError) as error:
        raise InvalidModelError("not a whole JSON object in wink's format") from error


def _wink_layout(events: Iterator[tuple[str, str, Any]]) -> dict[str, int]:
    """The numbers that stand before the vectors."""
    found: dict[str, int] = {}
    for prefix, event, value in events:
        if prefix == "vectors" and event == "start_map":
            return found
        if event == "number" and prefix in ("dimensions", "wordIndex", "size"):
            found[prefix] = int(value)
    raise InvalidModelError("no object 'vectors' in it")


def _is_header(line: bytes) -> bool:
    parts = line.split()
    return len(parts) == 2 and all(part.isdigit() for part in parts)


def _fits(rest: bytes, header: bytes) -> bool:
    """Whether the first line after the header has one field for each dimension, as text has."""
    line, end, _ = rest.partition(b"\n")
    return not end or len(line.split()) > int(header.split()[1])


def _is_tar(path: Path) -> bool:
    return path.name.endswith((".tgz", ".tar.gz", ".tar"))


@contextmanager
def _opened(path: Path, *, bar: bool = False) -> Iterator[BinaryIO]:
    """The content of a file, out of its gzip or npm tarball; a bar follows how much of the file was read."""
    size = path.stat().st_size
    with path.open("rb") as raw, progress(size if bar else 0, "converting word vectors", "B") as advance:
        source = cast("BinaryIO", io.BufferedReader(_Counted(raw, advance), _BUFFER)) if bar else raw
        if _is_tar(path):
            with tarfile.open(fileobj=source, mode="r|*") as archive:
                yield _member(archive)
        elif raw.read(2) == b"\x1f\x8b":
            raw.seek(0)
            with gzip.open(source) as plain:
                yield cast("BinaryIO", plain)
        else:
            raw.seek(0)
            yield source


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """Name the file in whatever its decompression may raise."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError) as error:
        raise InvalidModelError(f"{path}: cut short or damaged") from error


def _member(archive: tarfile.TarFile) -> BinaryIO:
    for member in archive:
        name = member.name.rpartition("/")[2]
        if member.isfile() and name.endswith(".json") and name != "package.json":
            found = archive.extractfile(member)
            if found is not None:
                return cast("BinaryIO", found)
    raise InvalidModelError("no JSON file of vectors in the tarball")


class _Counted(io.RawIOBase):
    """A raw file that tells how many bytes were read from it."""

    def __init__(self, raw: BinaryIO, advance: Any) -> None:
        self._raw, self._advance = raw, advance

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._raw.readinto(buffer)  # type: ignore[attr-defined]
        self._advance(count)
        return int(count)
