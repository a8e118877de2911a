"""The bytes of a file or an attachment: what they are, and the documents they hold."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TypedDict

from bedside.errors import UnreadableFileError
from bedside.loaders.decoding import UndecodableError, decoded, has_mark, peeked
from bedside.loaders.kinds import KINDS, Kind
from bedside.loaders.markup import Root, root_of
from bedside.loaders.report import Finding, LoadReport, Outcome, reason_of
from bedside.remedies import Give, Remedy
from bedside.types import Document

MAX_BYTES = 64 << 20
"""The largest file, or attachment within one, that is read: 64 MiB. A note has thousands of bytes, a scan millions."""
MAX_DEPTH = 8
"""The most files within one another: a letter in a mail in a forwarded mail is three."""


@dataclass(frozen=True)
class LoadOptions:
    """What a caller wants of the loaders, the same for a file and all attachments in it.

    Attributes:
        strict: What cannot be read, or only by a guess, refuses the whole file.
        text_key: The column of a table that holds the note.
        id_key: The column of a table that tells its notes apart.
        resources: FHIR's results, conditions, medicines, allergies and procedures are notes too.
    """

    strict: bool = False
    text_key: str | None = None
    id_key: str | None = None
    resources: bool = False


class LoadArguments(TypedDict, total=False):
    """How files are read, as the keyword arguments of :func:`bedside.loaders.load` that others hand on to it."""

    encoding: str | None
    strict: bool
    text_key: str | None
    id_key: str | None
    resources: bool


@dataclass(frozen=True)
class Content:
    """The bytes of a file, or of an attachment within one.

    Attributes:
        data: The bytes.
        source: The path that names the file.
        encoding: Of its text, where it is known; ``None`` is found out. A byte order mark is believed before it.
        media_type: What it was said to be, in lower case and without parameters; what it begins with is believed first.
        place: Of an attachment: where it is in the file, such as ``DocumentReference/7``.
        options: What the caller wants.
        report: Where to say what could not be taken.
        depth: The number of files that it lies in.
        file: Where to read it from, in place of ``data``: what is too large for memory and may be read piece by piece.
    """

    data: bytes
    source: str
    encoding: str | None = None
    media_type: str = ""
    place: str = ""
    options: LoadOptions = field(default_factory=LoadOptions)
    report: LoadReport = field(default_factory=LoadReport)
    depth: int = 0
    file: Path | None = None

    @property
    def id(self) -> str:
        """The id of its document, or what the ids of its documents begin with."""
        return f"{self.source}#{self.place}" if self.place else self.source

    @property
    def suffix(self) -> str:
        """The suffix of its name in lower case, such as ``.csv``; empty if there is none."""
        name = (self.place or self.source).rpartition("/")[2]
        return name[name.rfind(".") :].lower() if "." in name else ""

    @cached_property
    def text(self) -> str:
        """The bytes decoded; every kind that is not binary is read from it.

        Raises:
            UnreadableFileError: They are not text in the encoding that they say, or that was given.
        """
        try:
            return decoded(self.data, self.encoding)
        except UndecodableError as error:
            raise self.refused(str(error), Give("encoding", note="where the file is text in another one")) from None
        except ValueError as error:
            raise self.refused(str(error)) from None

    @property
    def says_encoding(self) -> bool:
        """Whether the bytes have a byte order mark, or the encoding was given."""
        return self.encoding is not None or has_mark(self.data)

    @cached_property
    def root(self) -> Root:
        """The first element of XML or HTML; one without a name for anything else."""
        begins_as_markup = peeked(self.data[:256], self.encoding).lstrip("\ufeff \t\r\n").startswith("<")
        return root_of(peeked(self.data, self.encoding)) if begins_as_markup else Root()

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of the parts of a zip archive; none where it is not an archive, or a damaged one."""
        if not self.data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            return frozenset()
        try:
            with zipfile.ZipFile(io.BytesIO(self.data)) as archive:
                return frozenset(archive.namelist())
        except Exception:  # noqa: BLE001 - a damaged archive makes zipfile fail anywhere, in any way
            return frozenset()

    def refused(self, reason: str, *remedies: Remedy) -> UnreadableFileError:
        """Return the error that names this file, or this attachment."""
        return UnreadableFileError(f"{self.source}: {self.place}" if self.place else self.source, reason, remedies)

    def refuse(self, part: str, reason: str) -> None:
        """Say that a part holds something that cannot be read; the rest may then be taken.

        Raises:
            UnreadableFileError: The caller wants all or nothing.
        """
        self._found(part, reason, "refused")

    def leave_out(self, part: str, reason: str) -> None:
        """Say that a part holds no text, or none that counts."""
        self._found(part, reason, "left out")

    def guess(self, part: str, reason: str) -> None:
        """Say that a part is read in a way that is likely and not certain.

        Raises:
            UnreadableFileError: The caller wants no guesses.
        """
        self._found(part, reason, "guessed")

    def part(self, part: str) -> Part:
        """Return a block in which an UnreadableFileError refuses the part, and what follows the block goes on."""
        return Part(self, part)

    def attached(self, data: bytes, place: str, *, encoding: str | None = None, media_type: str = "") -> Content:
        """Return an attachment of this file.

        Raises:
            UnreadableFileError: It lies in more than ``MAX_DEPTH`` files, or is larger than ``MAX_BYTES``.
        """
        place = f"{self.place}/{place}" if self.place else place
        inner = replace(
            self,
            data=data,
            encoding=encoding,
            media_type=media_type.lower(),
            place=place,
            depth=self.depth + 1,
            file=None,
        )
        if inner.depth > MAX_DEPTH:
            raise inner.refused(f"lies in more than {MAX_DEPTH} files")
        if len(data) > MAX_BYTES:
            raise inner.refused(f"larger than {MAX_BYTES >> 20} MiB, the most that is read")
        return inner

    def _found(self, part: str, reason: str, outcome: Outcome) -> None:
        named = ": ".join(name for name in (self.place, part) if name)
        if self.options.strict and outcome != "left out":
            raise UnreadableFileError(f"{self.source}: {named}" if named else self.source, reason)
        self.report.add(Finding(self.source, named, reason, outcome))


class Part:
    """A block that reads a part of a file: where it raises UnreadableFileError, the report says so, and no more.

    Where the caller wants all or nothing, the error goes on.
    """

    def __init__(self, content: Content, part: str) -> None:
        self._content, self._part = content, part

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        """Say what could not be read."""
        content = self._content
        if not isinstance(error, UnreadableFileError) or content.options.strict:
            return False
        named = ": ".join(name for name in (content.place, self._part) if name)
        inner = error.file.removeprefix(f"{content.source}: ") if error.file != content.source else named
        content.report.add(Finding(content.source, inner, reason_of(error)))
        return True


def documents_of(content: Content) -> Iterator[Document]:
    """Yield the documents that bytes hold, those without text left out."""
    kind = _kind(content)
    for document in kind.documents(content, "" if kind.is_binary else content.text):
        if document.text.strip():
            yield replace(document, metadata={"source": content.source, "type": kind.name, **document.metadata})


def text_of(content: Content) -> str:
    """Return the text of bytes that are one document; empty if there is none.

    Raises:
        UnreadableFileError: They hold documents each by itself, such as the rows of a table; or they cannot be read.
    """
    kind = _kind(content)
    if kind.holds_many:
        raise content.refused(f"expected a text, got {kind.name}")
    return "\n\n".join(document.text for document in documents_of(content))


def kind_of(content: Content) -> tuple[str, str]:
    """Return what bytes would be read as, by its name in :data:`KINDS`, and their text where they are text.

    It is for who asks about a file that the loaders take for something else; reading needs the whole row.

    Example:
        >>> kind_of(Content(b"# Plan", "plan.md"))
        ('markdown', '# Plan')
    """
    kind = _kind(content)
    return kind.name, "" if kind.is_binary else content.text


def _kind(content: Content) -> Kind:
    return next(kind for kind in KINDS if kind.is_it(content))
