"""Files of JSON Lines in shards: pieces of some megabytes, each loaded by one worker as one transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bedside.errors import UnreadableFileError
from bedside.formats.fields import BOM, MAX_RECORD


@dataclass(frozen=True)
class Shard:
    """Whole lines of a file.

    Attributes:
        file: Its path, which every worker must be able to read.
        start: Bytes before them.
        size: Their bytes.
        line: The number of the first one, from 1.
        lines: How many they are.
        name: What they hold and how it is loaded, as a hash: the same lines are the same shard, wherever they are.
    """

    file: str
    start: int
    size: int
    line: int
    lines: int
    name: str


def cut(path: Path, size: int, how: str) -> Iterator[Shard]:
    """Cut a file into shards of at least ``size`` bytes; ``how`` they are loaded is part of their names.

    Raises:
        UnreadableFileError: A line is longer than any record may be.
    """
    start, line = 0, 1
    with path.open("rb") as source:
        while data := source.read(size):
            if not data.endswith(b"\n"):
                data += source.readline(MAX_RECORD + 1)
            lines = data.count(b"\n") + (not data.endswith(b"\n"))
            if len(data) > size + MAX_RECORD:
                raise UnreadableFileError(path.name, f"line {line + lines - 1}: longer than {MAX_RECORD} bytes")
            yield Shard(str(path), start, len(data), line, lines, _name(data, how))
            start, line = start + len(data), line + lines


def numbered_lines(shard: Shard, how: str) -> list[tuple[int, bytes]]:
    """Read the lines of a shard that are not blank, with their numbers.

    Raises:
        UnreadableFileError: They are not what they were when the file was cut.
    """
    with Path(shard.file).open("rb") as source:
        source.seek(shard.start)
        data = source.read(shard.size)
    if _name(data, how) != shard.name:
        raise UnreadableFileError(Path(shard.file).name, "was changed while it was loaded")
    lines = data.removeprefix(BOM if shard.start == 0 else b"").split(b"\n")
    return [(number, line) for number, line in enumerate(lines, shard.line) if line.strip()]


def _name(data: bytes, how: str) -> str:
    return hashlib.blake2b(data, digest_size=16, key=hashlib.blake2b(how.encode(), digest_size=32).digest()).hexdigest()
