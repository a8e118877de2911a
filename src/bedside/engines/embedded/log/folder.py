"""A collection in a folder that several processes share."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from bedside.engines.embedded.log.cache import cache_files
from bedside.engines.embedded.log.cipher import Cipher
from bedside.engines.embedded.log.codec import Change, Codec
from bedside.engines.embedded.log.keyring import KEYS_NAME, Keyring, holds_no_key
from bedside.engines.embedded.log.log import DiskFile, Log, Position
from bedside.engines.embedded.log.manifest import NAME, Manifest, check_signature
from bedside.engines.embedded.log.sealed import SealedCodec
from bedside.errors import (
    CollectionClosedError,
    KeyRequired,
    LockTimeoutError,
    NotACollectionError,
    NotEncryptedError,
    ReadOnlyError,
    StoreError,
    WriteFailedError,
)
from bedside.remedies import Call, Give
from bedside.support.files import (
    FILE_MODE,
    make_private_folder,
    missing_folders,
    refusals,
    remove_empty,
    replace_file,
    sync_folder,
)
from bedside.support.keys import KeySource, load_key

LOCK_NAME = "write.lock"
CACHE_NAME = "cache"


class DiskStorage:
    """A folder: ``manifest.json``, the log it names, ``write.lock``, and ``cache/``, which anybody may delete."""

    def __init__(self, path: Path, *, read_only: bool, lock_timeout: float, key: KeySource | None = None) -> None:
        self.path: Path | None = path
        self.cache: Path | None = path / CACHE_NAME
        self._folder = path
        self._manifest_path = path / NAME
        self._read_only = read_only
        self._lock_timeout = lock_timeout
        self._seen: tuple[int, ...] = ()
        self._id = ""
        self._created: list[Path] | None = None  # folders that were made for the collection, if it was made here
        self.key = key
        self.keyring: Keyring | None = None
        self._load()
        self.log = self._open_log()

    @classmethod
    def open(
        cls,
        path: Path,
        new: Callable[[], Manifest],
        *,
        read_only: bool = False,
        lock_timeout: float = 60.0,
        key: KeySource | None = None,
    ) -> DiskStorage:
        """Open the collection in ``path``; if there is none, create it with the manifest that ``new`` makes.

        Raises:
            NotACollectionError: ``path`` holds something else, or nothing while ``read_only``.
            LockTimeoutError: Another process was creating it for longer than ``lock_timeout`` seconds.
            ReadOnlyError: This user may not write to it.
            WriteFailedError: The disk refused to create it.
            KeyRequired, WrongKeyError, NotEncryptedError, KeyringError: The key does not fit it.
        """
        if path.exists() and not path.is_dir():
            raise NotACollectionError(f"{path} is a file; a Bedside collection is a folder")
        created: list[Path] | None = None
        if not (path / NAME).exists():
            if read_only:
                raise NotACollectionError(
                    f"{path} holds no Bedside collection, and opening it for reading creates none"
                )
            missing = missing_folders(path)
            created = missing if cls._create(path, new, lock_timeout, key) else None
        storage = cls(path, read_only=read_only, lock_timeout=lock_timeout, key=key)
        storage._created = created
        return storage

    @classmethod
    def write_new(cls, path: Path, manifest: Manifest, changes: Iterable[Change], key: KeySource | None = None) -> None:
        """Create a collection that holds ``changes`` in ``path``; it becomes a collection once all are written.

        With a ``key`` it is encrypted, with data keys of its own.

        Raises:
            NotACollectionError: ``path`` is not a new or empty folder.
            WriteFailedError: The disk refused; nothing is left of it, nor of folders that were made for it.
        """
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise NotACollectionError(f"{path} is not empty; a copy needs a new or empty folder")
        made = missing_folders(path)
        try:
            cls._create(path, lambda: manifest, 0, key, changes)
        except BaseException:
            if not (path / NAME).exists():
                for name in (manifest.log, LOCK_NAME, *([KEYS_NAME] if key is not None else [])):
                    (path / name).unlink(missing_ok=True)
                remove_empty(made)
            raise

    @staticmethod
    def _create(
        path: Path,
        new: Callable[[], Manifest],
        lock_timeout: float,
        key: KeySource | None,
        changes: Iterable[Change] | None = None,
    ) -> bool:
        """Create a collection; returns False where another process has just done so."""
        foreign = [p.name for p in path.iterdir() if not _is_ours_and_empty(p)] if path.exists() else []
        if foreign and NAME not in foreign:  # where it is there now, another process has just created it
            raise NotACollectionError(
                f"{path} has no {NAME} but holds {foreign[0]!r}: give an empty or new folder, or repair the collection"
            )
        if key is not None:
            Cipher(load_key(key))  # before there is anything to take back
        refused = partial(refusals, str(path), "no collection was created")
        with refused():
            make_private_folder(path)
        with _held(path, lock_timeout):
            if (path / NAME).exists():
                if changes is not None:
                    raise NotACollectionError(f"{path}: another process has just created a collection here")
                return False
            manifest = replace(new(), sealed=key is not None)
            keyring = None if key is None else Keyring.create(path / KEYS_NAME, manifest.id, key)
            with refused():
                file = DiskFile(path / manifest.log, writable=True, create=True)
            log = Log(file, _codec(manifest, keyring, manifest.log))
            end, committed = log.start(), None
            if changes is not None:
                committed = log.append(end, changes)[1]
            log.close()
            with refused():
                replace_file(path / NAME, [replace(manifest, committed=committed).to_bytes(keyring)])
        return True

    @contextmanager
    def writing(self, timeout: float | None = None) -> Iterator[None]:
        """Hold the write lock, waiting for it ``timeout`` seconds, or as long as the collection was opened with.

        Raises:
            ReadOnlyError: The collection was opened for reading.
            LockTimeoutError: Another writer held the lock for too long.
        """
        if self._read_only:
            raise ReadOnlyError(f"{self._folder} is open for reading only", remedies=[Give("read_only", False)])
        _signature(self._manifest_path)  # a lock in a folder that is gone would create the folder
        with _held(self._folder, self._lock_timeout if timeout is None else timeout):
            self._seen = ()  # a writer reads the manifest itself: what a clock and an inode say may be true of two
            yield

    def refresh(self) -> None:
        """Take over what other processes changed: ``manifest``, and ``log`` where it is another one than before."""
        is_current = self._log_is_current()
        if _signature(self._manifest_path) != self._seen or not is_current:
            self._load()
            if not self._log_is_current():
                self.log = self._open_log()

    def save(self, manifest: Manifest) -> None:
        """Replace the manifest atomically."""
        replace_file(self._manifest_path, [manifest.to_bytes(self.keyring)])
        self.manifest = manifest
        self._seen = _signature(self._manifest_path)

    def prepare(self, changes: Iterable[Change]) -> tuple[Log, Position]:
        """Put ``changes`` into a new log as one transaction; nothing refers to it yet."""
        name = self.manifest.next_log()
        with refusals(name, "nothing was changed"):
            file = DiskFile(self._folder / name, writable=True, create=True)
        log = Log(file, _codec(self.manifest, self.keyring, name))
        end = log.append(Position(), changes)[1]
        with refusals(name, "nothing was changed"):
            sync_folder(self._folder)
        return log, end

    def switch(self, log: Log, manifest: Manifest) -> None:
        """Make a prepared log the current one: the replacement of the manifest is the moment.

        Readers in other processes keep the old file open until they notice.
        """
        self.save(manifest)
        self.log = log

    def close(self) -> None:
        """Let go of the log."""
        self.log.close()

    def drop(self) -> None:
        """After :meth:`close`: remove the collection; from the first step on it is one no more. What is not ours stays.

        Raises:
            LockTimeoutError: Another process has been writing for too long.
            WriteFailedError: The file system refused.
        """
        path = self._folder
        with refusals(str(path), "files of it may be there still"):
            with _held(path, self._lock_timeout):
                for file in (path / NAME, path / KEYS_NAME, *path.glob("log-*.jsonl*")):
                    file.unlink(missing_ok=True)
                if (path / CACHE_NAME).exists():
                    shutil.rmtree(path / CACHE_NAME)
            (path / LOCK_NAME).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # somebody has put something else into it
            path.rmdir()

    def undo_creation(self) -> None:
        """Remove the collection and the folders made for it, unless it was there, has a record or is being written."""
        if self._created is None:
            return
        with contextlib.suppress(LockTimeoutError, CollectionClosedError), self.writing(timeout=0):
            files = list(self._folder.iterdir())
            if all(file.name in (NAME, KEYS_NAME) or _is_ours_and_empty(file) for file in files):
                files.sort(key=lambda file: file.name != NAME)  # without its manifest it is not a collection
                for file in files:
                    with contextlib.suppress(PermissionError):  # Windows: the lock file, which its release removes
                        file.unlink()
        remove_empty(self._created)

    def _log_is_current(self) -> bool:
        """Where a backup was put in place of the folder or the log, the open log is a file that nobody else can see."""
        return self.manifest.log == self.log.name and self.log.is_in_place()

    def _load(self) -> None:
        seen = _signature(self._manifest_path)
        found, content = self._read_manifest()
        if found.id != (self._id or found.id):
            raise CollectionClosedError(
                f"{self._folder} holds another collection than when it was opened: close this one and open it again"
            )
        self.keyring = self._keys_of(found, content)
        self.manifest, self._id, self._seen = found, found.id, seen

    def _read_manifest(self) -> tuple[Manifest, bytes]:
        path = self._manifest_path
        content = path.read_bytes()
        return Manifest.from_bytes(content, str(path)), content

    def _keys_of(self, manifest: Manifest, content: bytes) -> Keyring | None:
        """Return the keys of a collection, read again where they changed; refuse a key that does not fit."""
        if not manifest.sealed:
            if self.key is not None:
                raise NotEncryptedError(
                    f"key: {self._folder} is not encrypted, so the key would not be used",
                    remedies=[Call("encrypt", "without a key given to open it")],
                )
            return None
        if self.key is None:
            raise KeyRequired(f"{self._folder} is encrypted", remedies=[Give("key")])
        if self.keyring is None:
            keyring = Keyring.open(self._folder / KEYS_NAME, manifest.id, self.key)
        else:
            keyring = self.keyring
            keyring.refresh()
        check_signature(content, str(self._manifest_path), keyring)
        return keyring

    def cache_key(self) -> bytes | None:
        """Return what seals the cache by now; ``None`` of a plain collection."""
        return None if self.keyring is None else self.keyring.cache_key

    @contextmanager
    def sealing(self, key: KeySource) -> Iterator[None]:
        """Make keys for a plain collection: what is prepared in this block is encrypted."""
        self.keyring = Keyring.create(self._folder / KEYS_NAME, self.manifest.id, key)
        try:
            yield
        except BaseException:
            if not self.manifest.sealed:
                self.keyring = None
                (self._folder / KEYS_NAME).unlink(missing_ok=True)
            raise
        self.key = key

    def rekey(self, key: KeySource) -> None:
        """Wrap the data keys by another master key. The caller holds the write lock."""
        if self.keyring is not None:
            self.keyring.rekey(key)
            self.key = key

    def _open_log(self) -> Log:
        """Open the log that the manifest names; a compaction between reading one and opening the other is followed."""
        while True:
            name = self.manifest.log
            try:
                file = DiskFile(self._folder / name, writable=not self._read_only)
                return Log(file, _codec(self.manifest, self.keyring, name))
            except FileNotFoundError:
                self._load()
                if self.manifest.log == name:
                    raise NotACollectionError(f"{self._folder} lacks {name}, which its manifest names") from None
            except OSError as error:
                if self._read_only:
                    raise
                raise _refused(error, self._folder) from error

    def remove_strays(self) -> None:
        """Delete logs that are not the current one, and what a killed writer left. The caller holds the write lock."""
        current = self._read_manifest()[0].log  # as it is on the disk: another process may have switched to another log
        caches = cache_files(self._folder / CACHE_NAME, without=current)
        for stray in [*self._folder.glob("log-*.jsonl"), *self._folder.rglob("*.new"), *caches]:
            if stray.name != current:
                with contextlib.suppress(PermissionError):  # Windows: a reader still has it open
                    stray.unlink(missing_ok=True)


def _codec(manifest: Manifest, keyring: Keyring | None, log: str) -> Codec:
    return Codec(manifest.scope_keys) if keyring is None else SealedCodec(manifest.scope_keys, keyring, log)


@contextmanager
def _held(folder: Path, timeout: float) -> Iterator[None]:
    # A lock of its own each time: one that was made before a fork does not serve the child.
    from filelock import FileLock, Timeout  # it imports asyncio: a quarter of the time of `import bedside`

    lock = FileLock(folder / LOCK_NAME, mode=FILE_MODE, thread_local=False)
    try:
        lock.acquire(timeout=timeout)
    except Timeout:
        raise LockTimeoutError(
            f"another process has been writing for over {timeout:g} s",
            remedies=[Give("lock_timeout", note="to wait longer")],
        ) from None
    except OSError as error:
        raise _refused(error, folder) from error
    try:
        yield
    finally:
        lock.release()


def _refused(error: OSError, folder: Path) -> StoreError:
    """Return what to raise where a file of ``folder`` could not be opened."""
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return ReadOnlyError(f"{folder}: {error.strerror}", remedies=[Give("read_only", True, "to read only")])
    return WriteFailedError(error.errno, f"{folder}: {error.strerror}; nothing was changed")


def _signature(path: Path) -> tuple[int, ...]:
    try:
        stat = os.stat(path)  # noqa: PTH116 # called once a search, and Path.stat costs twice as much
    except FileNotFoundError:
        raise CollectionClosedError(f"{path} is gone: the collection was deleted or moved while it was open") from None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def _is_ours_and_empty(path: Path) -> bool:
    """Tell whether a file in a folder without manifest is what a killed creation left: never a log with records."""
    if path.name in (LOCK_NAME, NAME + ".new", KEYS_NAME + ".new"):
        return True
    if path.name == KEYS_NAME:
        return holds_no_key(path)
    return path.name == "log-000001.jsonl" and path.stat().st_size < 200  # its header line alone has 75 bytes
