"""Every error that Bedside raises on purpose, in one tree.

Each also derives from the builtin that fits it, so ``except ValueError`` written for another library still works.
Messages name what was wrong, where, and what is allowed; they never carry note text.

::

    BedsideError
    ├── InvalidInputError (ValueError)
    │   ├── InvalidDocumentError      a record that cannot be stored: id, text, metadata
    │   │   └── NotANumberError       a NaN in metadata, which JSON cannot say
    │   ├── InvalidVectorError        wrong shape or dimension, not finite, zero
    │   ├── DuplicateIdError          the same id twice in one call
    │   ├── UnknownOptionError (TypeError)    a keyword argument that the call does not take
    │   ├── NotCalibratedError        a threshold is asked for that was not chosen for this kind of search
    │   ├── UnreadableFileError       a file to load is damaged, encrypted, hostile or of an unknown kind
    │   └── FilterError               a filter that does not parse
    ├── ScopeError
    │   ├── ScopeRequired (PermissionError)   a scoped collection used without its scope
    │   ├── ScopeMismatch (PermissionError)   a record or scope that says otherwise than the view it is used through
    │   └── UnknownScope (LookupError)        a scope that must exist holds no document
    ├── StoreError
    │   ├── NotACollectionError (ValueError)  the path holds something else
    │   ├── FormatVersionError (ValueError)   written by a newer format
    │   ├── CorruptLogError (ValueError)      the log is damaged: file, line, repair command
    │   ├── CorruptCacheError (ValueError)    a file of the cache is damaged; it was not used, and nothing is lost
    │   ├── CollectionClosedError (RuntimeError)
    │   ├── ReadOnlyError (PermissionError)   a write to a collection opened for reading
    │   ├── LockTimeoutError (TimeoutError)   another writer held the lock for too long
    │   ├── BrokenNoteError (ValueError)      passages of a note are missing: it cannot be put together again
    │   ├── KeyRequired (PermissionError)     the collection is encrypted, and no key was given
    │   ├── WrongKeyError (PermissionError)   the key given does not open the collection
    │   ├── NotEncryptedError (ValueError)    a key was given, and the collection is not encrypted
    │   ├── KeyringError (ValueError)         keys.json is missing, damaged, or older than the log
    │   ├── ShreddedError (LookupError)       the key that sealed these records was destroyed
    │   ├── DatabaseError (RuntimeError)      a database server refused, cannot be reached, or holds what does not agree
    │   ├── WriteFailedError (OSError)        the disk refused: full, over quota, I/O error; nothing was committed
    │   └── TracesRemainError (RuntimeError)  an erasure removed the records, and a file still holds traces of them
    ├── EncoderError
    │   ├── EncoderMismatch (ValueError)      another encoder or dimension than the collection's
    │   ├── EncoderRequired (ValueError)      text given where only a vector can be used
    │   ├── ModelNotFoundError (OSError)      the checkpoint is neither local nor reachable
    │   ├── InvalidModelError (ValueError)    the folder is not a usable checkpoint
    │   ├── ProviderError (ConnectionError)   a remote provider refused, failed, or answered what cannot be used
    │   └── TextTooLongError (ValueError)     over ``max_length`` tokens with ``overflow="error"``
    ├── AuditError
    │   ├── ActorRequired (PermissionError)   nobody, or no purpose, is named for what an audit trail must record
    │   └── BrokenTrailError (ValueError)     a line of an audit trail was edited, removed, moved or cut off
    ├── RoleRequired (PermissionError)        a served verb was asked with a token whose role does not allow it
    └── MissingExtraError (ImportError)       an optional dependency is not installed, or an old one
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bedside.remedies import Give, Remedy, subject, told

__all__ = [
    "ActorRequired",
    "AuditError",
    "BedsideError",
    "BedsideWarning",
    "BrokenNoteError",
    "BrokenTrailError",
    "CollectionClosedError",
    "CorruptCacheError",
    "CorruptLogError",
    "DatabaseError",
    "DuplicateIdError",
    "EncoderError",
    "EncoderMismatch",
    "EncoderRequired",
    "FilterError",
    "FormatVersionError",
    "InvalidDocumentError",
    "InvalidInputError",
    "InvalidModelError",
    "InvalidVectorError",
    "KeyRequired",
    "KeyringError",
    "LockTimeoutError",
    "MissingExtraError",
    "ModelNotFoundError",
    "NotACollectionError",
    "NotANumberError",
    "NotCalibratedError",
    "NotEncryptedError",
    "ProviderError",
    "ReadOnlyError",
    "RoleRequired",
    "ScopeError",
    "ScopeMismatch",
    "ScopeRequired",
    "ShreddedError",
    "StoreError",
    "TextTooLongError",
    "TracesRemainError",
    "UnknownOptionError",
    "UnknownScope",
    "UnreadableFileError",
    "WriteFailedError",
    "WrongKeyError",
]


class BedsideError(Exception):
    """The root of the tree: catches every error that Bedside raises on purpose.

    Args:
        *args: The sentence: what was wrong, and where.
        about: The argument that was wrong, and its value.
        remedies: What to do about it.
        **named: For the builtin that the error also is.

    ``str(error)`` names ``about`` and ``remedies`` in the words of the surface that asks: as arguments in Python,
    options in a shell, fields over HTTP; see :mod:`bedside.remedies`.
    """

    def __init__(self, *args: object, about: Give | None = None, remedies: Sequence[Remedy] = (), **named: Any) -> None:
        super().__init__(*args, **named)
        self.about, self.remedies = about, tuple(remedies)

    def __str__(self) -> str:
        return f"{subject(self.about)}{super().__str__()}{told(self.remedies)}"


class BedsideWarning(UserWarning):
    """Something allowed but probably not meant, said once."""


class InvalidInputError(BedsideError, ValueError):
    """An argument is wrong; nothing was changed."""


class InvalidDocumentError(InvalidInputError):
    """A record cannot be stored as given."""


class NotANumberError(InvalidDocumentError):
    """Metadata hold a NaN, such as what pandas writes for a missing value; ``None`` says that in JSON."""


class InvalidVectorError(InvalidInputError):
    """A vector has the wrong shape or dimension, is not finite, or is zero."""


class DuplicateIdError(InvalidInputError):
    """One call holds the same id twice within one scope."""


class NotCalibratedError(InvalidInputError):
    """``min_score="calibrated"`` was asked of a kind of search for which no threshold is kept."""


class UnreadableFileError(InvalidInputError):
    """A file to load is damaged, encrypted, made to do harm, or of a kind that is not read."""

    def __init__(self, file: str, reason: str, remedies: Sequence[Remedy] = ()) -> None:
        self.file, self.reason = file, reason
        super().__init__(f"{file}: {reason}", remedies=remedies)

    def __reduce__(self) -> tuple[type[UnreadableFileError], tuple[str, str, Sequence[Remedy]]]:
        return type(self), (self.file, self.reason, self.remedies)


class UnknownOptionError(InvalidInputError, TypeError):
    """A call was given a keyword argument that it does not take; the message lists those it takes."""


class FilterError(InvalidInputError):
    """A filter does not parse; the message carries the path to the wrong place."""


class ScopeError(BedsideError):
    """Something was asked across the border of a scope."""


class ScopeRequired(ScopeError, PermissionError):
    """A collection with scope keys was used without saying whose records are meant."""


class ScopeMismatch(ScopeError, PermissionError):
    """A record or a scope contradicts the view it is used through."""


class UnknownScope(ScopeError, LookupError):
    """There is no document in a scope that must exist: nothing was ever added to it, or everything was deleted."""


class StoreError(BedsideError):
    """Something is wrong with the collection on disk, or with the way it is opened."""


class NotACollectionError(StoreError, ValueError):
    """The path holds something that is not a Bedside collection."""


class FormatVersionError(StoreError, ValueError):
    """The collection was written in a format that this release does not read."""


class CorruptLogError(StoreError, ValueError):
    """The log is damaged in a way that a crash does not explain."""

    def __init__(self, file: str, line: int, reason: str) -> None:
        self.file, self.line, self.reason = file, line, reason
        super().__init__(
            f"{file}, line {line}: {reason}. Nothing was skipped or changed; `bedside repair` on the "
            "collection's folder salvages what is whole and keeps the damaged file"
        )

    def __reduce__(self) -> tuple[type[CorruptLogError], tuple[str, int, str]]:
        return type(self), (self.file, self.line, self.reason)


class CorruptCacheError(StoreError, ValueError):
    """A file of the cache is damaged: it is never used, and nothing is lost, because the log holds everything."""


class CollectionClosedError(StoreError, RuntimeError):
    """The collection was closed."""


class RoleRequired(BedsideError, PermissionError):
    """A served verb was asked with a token whose role does not allow it."""


class ReadOnlyError(StoreError, PermissionError):
    """A write was asked of a collection that is open for reading only."""


class LockTimeoutError(StoreError, TimeoutError):
    """Another process held the write lock for longer than the time allowed."""


class KeyRequired(StoreError, PermissionError):
    """The collection is encrypted, and it was opened without a key."""


class WrongKeyError(StoreError, PermissionError):
    """The key does not open this collection; nothing was read or written."""


class NotEncryptedError(StoreError, ValueError):
    """A key was given for a collection that is not encrypted, so that it would not have been used."""


class KeyringError(StoreError, ValueError):
    """The file of wrapped data keys is missing, damaged, or older than the log."""


class ShreddedError(StoreError, LookupError):
    """The data key of these records was destroyed: what the log still holds of them, nobody can read."""


class DatabaseError(StoreError, RuntimeError):
    """A database server refused, cannot be reached, or holds what does not agree; its code is named, never a value."""


class BrokenNoteError(StoreError, ValueError):
    """Passages of a note were deleted or replaced one by one, and what is left is not the note."""


class WriteFailedError(StoreError, OSError):
    """The file system refused a write; the transaction was taken back whole."""


class TracesRemainError(StoreError, RuntimeError):
    """Records were erased from the collection, and a file in its folder still holds traces of them."""


class EncoderError(BedsideError):
    """Something is wrong with the text encoder or its use."""


class EncoderMismatch(EncoderError, ValueError):
    """The collection holds the vectors of another encoder or of another dimension."""


class EncoderRequired(EncoderError, ValueError):
    """Text must be encoded and the collection was opened without an encoder."""


class ModelNotFoundError(EncoderError, OSError):
    """The checkpoint is not in the folder, the cache or the hub that were asked."""


class InvalidModelError(EncoderError, ValueError):
    """A model folder lacks a file, or holds one that cannot be used safely."""


class ProviderError(EncoderError, ConnectionError):
    """A remote provider of embeddings refused, could not be reached, or answered what cannot be used."""


class TextTooLongError(EncoderError, ValueError):
    """A text has more tokens than the encoder takes and ``overflow="error"`` was asked for."""


class AuditError(BedsideError):
    """Something is wrong with an audit trail, or with what it needs to know."""


class ActorRequired(AuditError, PermissionError):
    """An audit trail is kept, and it was not said who acts, or what for where that must be said; nothing was done."""


class BrokenTrailError(AuditError, ValueError):
    """A line of an audit trail is not what was written there, or is gone.

    Attributes:
        file: Name of the trail's file.
        line: Number of the first line that is wrong, from 1; ``None`` where the whole file is, or its end.
        reason: What is wrong.
    """

    def __init__(self, file: str, line: int | None, reason: str) -> None:
        self.file, self.line, self.reason = file, line, reason
        super().__init__(f"{file}{'' if line is None else f', line {line}'}: {reason}")

    def __reduce__(self) -> tuple[type[BrokenTrailError], tuple[str, int | None, str]]:
        return type(self), (self.file, self.line, self.reason)


class MissingExtraError(BedsideError, ImportError):
    """An optional dependency is not installed, or too old a release of it; the message carries the pip line."""

    def __init__(self, package: str, extra: str, problem: str = "is not installed") -> None:
        self.package, self.extra, self.problem = package, extra, problem
        super().__init__(f'{package} {problem}. It comes with: pip install "bedside[{extra}]"', name=package)

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str, str]]:
        return type(self), (self.package, self.extra, self.problem)
