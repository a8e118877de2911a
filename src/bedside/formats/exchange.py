"""Records out of a collection into a file, and in again: the work behind ``export`` and ``import_from``."""

from __future__ import annotations

import inspect
import os
import re
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bedside.collection import Collection
from bedside.errors import (
    BedsideError,
    BedsideWarning,
    EncoderRequired,
    InvalidInputError,
    ScopeError,
    UnreadableFileError,
)
from bedside.formats.registry import detect_format, format_to_write, named_format
from bedside.formats.web.write import Origin
from bedside.remedies import Give, told
from bedside.skipping import OnBadDocument, Skipped
from bedside.support.files import FILE_MODE, FOLDER_MODE, place_of, refusals, sync_folder
from bedside.support.progress import Total, counting, progress
from bedside.types import Document, FilterDict

if TYPE_CHECKING:
    from bedside.collection import Collection

BATCH = 1_000
"""Records that are checked and encoded at once: 768 dimensions of them are 3 MB."""
_SAMPLE = 200
"""Documents of a scope, and scopes, by which the size of an export is guessed."""
_GIVEN = ("path", "documents", "vectors", "origin")
"""What a writer gets from here; the rest of its parameters are options."""
_PLACE = re.compile(r"^documents\[(\d+)\]")


def export_records(
    records: Collection,
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    filter: FilterDict | None = None,
    include_vectors: bool = False,
    all_scopes: bool = False,
    **options: Any,
) -> int:
    """Write records to a file; see :meth:`bedside.Collection.export`."""
    chosen, target = format_to_write(Path(path), format), place_of(Path(path))
    if chosen.needs_vectors and not include_vectors:
        raise InvalidInputError(
            f"{chosen.name} holds vectors, from which texts can be guessed",
            remedies=[Give("include_vectors", True, "to write them")],
        )
    if target.is_dir() or (not chosen.replaces and target.exists()):
        raise InvalidInputError(f"{target.name} is already there: {chosen.name} writes to a new place only")
    _check_options(chosen.write, chosen.name, options, given=_GIVEN)
    parts = _parts(records, all_scopes=all_scopes)
    count = sum(part.count(filter) for part in parts)
    if chosen.has_origin:
        scopes = [part.scope for part in parts if part.scope]
        options["origin"] = Origin(records.facts, scopes, filter, count)
    vectors = include_vectors or chosen.has_origin
    found = chain.from_iterable(part.stream(filter=filter, include_vectors=vectors) for part in parts)
    written = 0

    def taken() -> Iterator[Document]:
        nonlocal written
        for document in counting(found, count, "export", "record"):
            yield document
            written += 1

    write: Any = chosen.write
    with (
        refusals(target.name, "nothing was exported"),
        tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as beside,
    ):
        write(Path(beside) / target.name, taken(), vectors=include_vectors, **options)
        _move(Path(beside), target)
    return written


def estimate_characters(records: Collection, filter: FilterDict | None, *, all_scopes: bool) -> tuple[int, int]:
    """Return how many documents an export would write, and about how many characters of text they have."""
    parts = _parts(records, all_scopes=all_scopes)
    counts = [part.count(filter) for part in parts]
    samples = [part.get(filter=filter or {}, limit=_SAMPLE) for part in parts[:_SAMPLE]]
    lengths = [len(document.text) for sample in samples for document in sample]
    return sum(counts), sum(counts) * sum(lengths) // max(1, len(lengths))


def import_records(
    records: Collection,
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    on_bad_document: OnBadDocument = "raise",
    skipped: list[Skipped] | None = None,
    **options: Any,
) -> int:
    """Read a file or a foreign store into a collection; see :meth:`bedside.Collection.import_from`."""
    source = Path(path)
    total = partial(count_records, source, format)
    batches = _Batches(read_records(source, format, **options), source.name, total)
    try:
        added = records.add_batches(batches, on_bad_document=on_bad_document, skipped=skipped)
    except (InvalidInputError, ScopeError, EncoderRequired) as error:
        if isinstance(error, UnreadableFileError) or not str(error).startswith("documents"):
            raise
        raise type(error)(batches.placed(str(error))) from None
    if batches.textless and "text_key" not in options and _takes(source, format, "text_key"):
        _warn_without_text(batches.textless, batches.read, source.name)
    return added


def _takes(source: Path, format: str | None, option: str) -> bool:
    chosen = detect_format(source) if format is None else named_format(format)
    return option in inspect.signature(chosen.read).parameters


def _warn_without_text(textless: int, read: int, file: str) -> None:
    """Say that records came over which only a vector finds: another store may have its texts anywhere."""
    where = told([Give("text_key", note="if they have one elsewhere in their metadata")])
    warnings.warn(f"{file}: {textless} of {read} records have no text{where}", BedsideWarning, stacklevel=4)


def read_records(source: Path, format: str | None = None, **options: Any) -> Iterator[Document]:
    """Return the records of a file or a foreign store one by one, of the format that its content tells by default.

    Raises:
        FileNotFoundError: There is nothing; told before the first record is asked for, as is the next.
        InvalidInputError: No such format, or the format has no such option.
        UnreadableFileError: The file is of no format, or damaged.
    """
    chosen = detect_format(source) if format is None else named_format(format)
    source.stat()
    _check_options(chosen.read, chosen.name, options, given=("path",))
    return chosen.read(source, **options)


def count_records(source: Path, format: str | None) -> int | None:
    """Return how many records a file has, where that can be found out; a pipe can be read but once."""
    if not source.is_file():
        return None
    count = (detect_format(source) if format is None else named_format(format)).count
    try:
        return None if count is None else count(source)
    except UnreadableFileError:
        return None  # whoever reads the records says after which of them


def _check_options(function: Any, format: str, options: Mapping[str, Any], given: Sequence[str]) -> None:
    """Refuse options that a format's reader or writer does not take; it is ``given`` some by us."""
    known = [name for name in inspect.signature(function).parameters if name not in given]
    if unknown := sorted(options.keys() - set(known)):
        raise InvalidInputError(f"{unknown[0]}: not an option of {format}; its options: {', '.join(known) or 'none'}")


def _parts(records: Collection, *, all_scopes: bool) -> list[Collection]:
    """Return what is written, one scope after the other."""
    if not all_scopes or records.scope or not records.scope_keys:
        return [records]
    return records.views()


class _Batches:
    """Cuts a stream of documents into lists, and knows which records a list holds."""

    def __init__(self, documents: Iterable[Document], file: str, total: Total) -> None:
        self._documents = documents
        self._total = total
        self._file = file
        self._before = self._size = 0
        self.textless = 0

    @property
    def read(self) -> int:
        """The records that were read so far."""
        return self._before

    def __iter__(self) -> Iterator[list[Document]]:
        source = iter(self._documents)
        with progress(self._total, "import", "record") as step:
            while batch := self._next(source):
                self._size = len(batch)
                self.textless += sum(not document.text.strip() for document in batch)
                yield batch
                self._before += len(batch)
                step(len(batch))

    def placed(self, message: str) -> str:
        """Return an error about ``documents[i]`` as one about a record of the file."""
        if match := _PLACE.match(message):
            return f"{self._file}, record {self._before + int(match[1]) + 1}{message[match.end() :]}"
        return f"{self._file}, records {self._before + 1} to {self._before + self._size}: {message}"

    def _next(self, source: Iterator[Document]) -> list[Document]:
        try:
            return list(islice(source, BATCH))
        except BedsideError:
            raise
        except OSError as error:  # within a transaction it would be told as a failure to write
            raise UnreadableFileError(
                self._file, f"cannot be read: {error.strerror or type(error).__name__}"
            ) from error


def _move(beside: Path, target: Path) -> None:
    """Make what was written readable by its owner only, and rename it into place; the target itself comes last."""
    for file in beside.rglob("*"):
        file.chmod(FOLDER_MODE if file.is_dir() else FILE_MODE)
        if file.is_file():
            with file.open("rb+") as written:
                os.fsync(written.fileno())
    for made in sorted(beside.iterdir(), key=lambda made: made.name == target.name):
        made.replace(target.parent / made.name)
    sync_folder(target.parent)
