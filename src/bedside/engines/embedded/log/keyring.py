"""``keys.json``: the data keys of an encrypted collection, one for each scope, each wrapped by the master key.

::

    {"format":"bedside-keys","version":1,"collection":"…","root":"…","cache":"…",
     "keys":{"5f0c…":"…"},"shredded":{"91ab…":"…"},"mac":"…","crc":"…"}

A data key stands under a random name and is wrapped together with its scope, so that the file shows neither. Of
``root`` the keys are derived that sign commits and manifest. ``cache`` seals the cache; it is made anew when a scope is
shredded, so that no copy of an earlier cache can be read. Of a shredded key the name stays, with an HMAC of its scope,
so that whoever asks for that scope is told. The file is replaced atomically.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from bedside.engines.embedded.log.cipher import Cipher
from bedside.engines.embedded.log.seal import BrokenSealError, seal, unseal
from bedside.errors import KeyringError, ShreddedError, WriteFailedError, WrongKeyError
from bedside.records import ScopeKey
from bedside.remedies import Call, Give
from bedside.support.files import replace_file
from bedside.support.keys import KEY_BYTES, KeySource, derived, hmac_hex, load_key

FORMAT, VERSION = "bedside-keys", 1
KEYS_NAME = "keys.json"
_NAMES = {"collection", "root", "cache", "keys", "shredded", "mac"}
_END = 96
_PAD = 64  # a scope's length shows in steps of so many bytes


class Keyring:
    """The keys of one collection. Whoever calls a verb that writes holds the collection's write lock.

    Args:
        path: The file.
        collection: The collection's id, which every key is bound to.
        source: Of the master key.
    """

    def __init__(self, path: Path, collection: str, source: KeySource) -> None:
        self._path, self._collection, self.source = path, collection, source
        self._master = load_key(source)
        self._seen = b""
        self._added: dict[str, tuple[ScopeKey, bytes]] = {}  # not in the file yet
        self._root = self.cache_key = b""
        self._keys: dict[str, tuple[ScopeKey, bytes]] = {}
        self._names: dict[ScopeKey, str] = {}
        self._ciphers: dict[str, Cipher] = {}
        self.shredded: dict[str, str] = {}

    @classmethod
    def create(cls, path: Path, collection: str, source: KeySource) -> Keyring:
        """Write the file of a new collection, without any data key."""
        ring = cls(path, collection, source)
        ring._root, ring.cache_key = os.urandom(KEY_BYTES), os.urandom(KEY_BYTES)
        ring._save()
        return ring

    @classmethod
    def open(cls, path: Path, collection: str, source: KeySource) -> Keyring:
        """Read the file.

        Raises:
            KeyringError: It is missing, damaged or of another collection.
            WrongKeyError: The master key does not open it.
        """
        ring = cls(path, collection, source)
        ring._load()
        return ring

    def refresh(self) -> None:
        """Read the file again where another process replaced it; keys that are not in it yet stay."""
        if _signature(self._path) != self._seen:
            self._load()

    # Data keys

    def of_scope(self, scope: ScopeKey) -> tuple[str, Cipher]:
        """Return the name and the key that seal the records of a scope; a new one where there is none."""
        name = self._names.get(scope)
        if name is None:
            name = os.urandom(8).hex()
            self._added[name] = self._keys[name] = (scope, os.urandom(KEY_BYTES))
            self._names[scope] = name
        return name, self._cipher(name)

    def named(self, name: str) -> Cipher:
        """Return the key of a line.

        Raises:
            ShreddedError: It was destroyed.
            KeyringError: It is not in the file.
        """
        if name not in self._keys and name not in self.shredded:
            self._load()  # another process has added a scope
        if name in self.shredded:
            raise shredded_error()
        if name not in self._keys:
            raise KeyringError(
                f"{self._path} lacks a key that the log names: it is older than the log; put back the one of its time"
            )
        return self._cipher(name)

    def save(self) -> None:
        """Write the keys that were added since; they are on the disk before the commit of what they seal."""
        if self._added:
            self._save()

    def shred(self, scope: ScopeKey) -> None:
        """Destroy the key of a scope, and the key of every cache that was made until now."""
        self.refresh()
        doomed = [name for name, (of, _) in self._keys.items() if of == scope]
        self._names.pop(scope, None)
        for name in doomed:
            del self._keys[name]
            self._added.pop(name, None)
            self._ciphers.pop(name, None)
        self.shredded = {**self.shredded, **dict.fromkeys(doomed, self.pseudonym(scope))}
        self.cache_key = os.urandom(KEY_BYTES)
        try:
            self._save()
        except WriteFailedError:
            self._load()  # as it is on the disk: a later call must not finish what was said to have failed
            raise

    def rekey(self, source: KeySource) -> None:
        """Wrap every key by another master key."""
        self.refresh()
        before = self._master, self.source
        self._master, self.source = load_key(source, "new_key"), source
        try:
            self._save()
        except WriteFailedError:
            self._master, self.source = before  # the user keeps the old key: what is saved later must open with it
            raise

    # What is derived of the root

    def pseudonym(self, scope: ScopeKey) -> str:
        """Return what stands for a scope where it must not be told."""
        return hmac_hex(derived(self._root, "scopes"), orjson.dumps(scope))

    def sealed_actor(self, actor: str, chain: str) -> str:
        """Return a name sealed as base64 for the commit line after ``chain``; it shows its length in steps of 64."""
        cipher = self._actors()
        return cipher.to_text(cipher.seal(_padded(orjson.dumps(actor)), chain.encode())).decode()

    def opened_actor(self, text: str, chain: str) -> str:
        """Return the name that :meth:`sealed_actor` sealed."""
        cipher = self._actors()
        actor: str = orjson.loads(cipher.open(cipher.from_text(text), chain.encode()))
        return actor

    def signed(self, said: Mapping[str, Any], context: str) -> dict[str, Any]:
        """Return an object with its HMAC, which holds in the same context of the same collection only."""
        return {**said, "mac": self._mac(said, context)}

    def check_signed(self, said: Mapping[str, Any], context: str) -> None:
        """Raise :class:`BrokenSealError` unless an object is what :meth:`signed` returned."""
        rest = {key: value for key, value in said.items() if key != "mac"}
        if not hmac.compare_digest(str(said.get("mac", "")), self._mac(rest, context)):
            raise BrokenSealError("it was not written with the key of this collection")

    def _actors(self) -> Cipher:
        return Cipher(derived(self._root, "actors"))

    def _mac(self, said: Mapping[str, Any], context: str) -> str:
        key = derived(self._root, "transactions")
        return hmac_hex(key, self._collection.encode(), context.encode(), orjson.dumps(said))

    def _cipher(self, name: str) -> Cipher:
        if (found := self._ciphers.get(name)) is None:
            found = self._ciphers[name] = Cipher(self._keys[name][1])
        return found

    # The file

    def _save(self) -> None:
        wrapping = Cipher(derived(self._master, "wrapping"))

        def wrapped(name: str, content: bytes) -> str:
            return wrapping.to_text(wrapping.seal(content, self._context(name))).decode()

        keys = {name: wrapped(name, key + _padded(orjson.dumps(scope))) for name, (scope, key) in self._keys.items()}
        said = {
            "format": FORMAT,
            "version": VERSION,
            "collection": self._collection,
            "root": wrapped("root", self._root),
            "cache": wrapped("cache", self.cache_key),
            "keys": keys,
            "shredded": self.shredded,
        }
        # Where it is a symbolic link, what it leads to: else a shredded key would stay there.
        replace_file(self._path.resolve(), [seal(self.signed(said, KEYS_NAME))])
        self._seen, self._added = _signature(self._path), {}

    def _load(self) -> None:
        seen, said = _signature(self._path), self._read()
        root = self._unlocked(said["root"])
        wrapping = Cipher(derived(self._master, "wrapping"))

        def unwrapped(name: str, text: str) -> bytes:
            return wrapping.open(wrapping.from_text(text), self._context(name))

        before, self._root = self._root, root
        try:
            self.check_signed(said, KEYS_NAME)
            cache_key = unwrapped("cache", said["cache"])
            opened = {name: unwrapped(name, text) for name, text in said["keys"].items()}
        except (BrokenSealError, ValueError, TypeError, AttributeError) as error:  # also where it was made by hand
            self._root = before
            raise KeyringError(f"{self._path} is damaged: {error}") from None
        found = {name: (tuple(orjson.loads(key[KEY_BYTES:])), key[:KEY_BYTES]) for name, key in opened.items()}
        keys = {**self._added, **found}  # what a writer in this process has sealed with is never forgotten
        self.cache_key, self._keys, self.shredded = cache_key, keys, said["shredded"]
        self._names = {scope: name for name, (scope, _) in keys.items()}
        self._ciphers, self._seen = {}, seen

    def _read(self) -> dict[str, Any]:
        try:
            said = unseal(self._path.read_bytes())
        except FileNotFoundError:
            raise KeyringError(f"{self._path} is missing: put it back from where it is kept") from None
        except (BrokenSealError, orjson.JSONDecodeError, KeyError) as error:
            raise KeyringError(f"{self._path} is damaged: {error}") from None
        if (said.get("format"), said.get("version")) != (FORMAT, VERSION) or not said.keys() >= _NAMES:
            raise KeyringError(f"{self._path} is not a file of keys that this release reads")
        if said["collection"] != self._collection:
            raise KeyringError(f"{self._path} holds the keys of another collection")
        return said

    def _unlocked(self, text: str) -> bytes:
        """Return the root key; where the master key does not open it, its source may have another one by now."""
        for attempt in (0, 1):
            wrapping = Cipher(derived(self._master, "wrapping"))
            try:
                return wrapping.open(wrapping.from_text(text), self._context("root"))
            except (BrokenSealError, ValueError, TypeError):
                if attempt or (master := load_key(self.source)) == self._master:
                    break
                self._master = master
        raise WrongKeyError(
            f"the key does not open {self._path.parent}; nothing was changed",
            remedies=[Give("key", note="that it was created or last rekeyed with")],
        )

    def _context(self, name: str) -> bytes:
        return f"{self._collection}/{name}".encode()


def shredded_error() -> ShreddedError:
    """Return what is raised for records whose key was destroyed."""
    return ShreddedError(
        "the key of these records was shredded, and what the log holds of them cannot be read",
        remedies=[Call("compact", "to remove what nobody can read")],
    )


def holds_no_key(path: Path) -> bool:
    """Tell whether a file of keys has never had a data key, as one that a killed creation left."""
    try:
        said = unseal(path.read_bytes())
        return not said["keys"] and not said["shredded"]
    except (OSError, BrokenSealError, orjson.JSONDecodeError, KeyError):
        return False


def _padded(text: bytes) -> bytes:
    return text.ljust(-(-len(text) // _PAD) * _PAD)


def _signature(path: Path) -> bytes:
    """Return the end of the file, where its HMAC stands: an inode, a time and a size may be those of two files."""
    try:
        with path.open("rb") as file:
            file.seek(-min(_END, file.seek(0, os.SEEK_END)), os.SEEK_END)
            return file.read()
    except FileNotFoundError:
        return b""
