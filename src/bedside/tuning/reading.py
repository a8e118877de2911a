"""Rows of training data: read from JSON Lines and tables, told apart whatever their case and blanks, hashed."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson

from bedside.errors import InvalidInputError
from bedside.formats.json_lines import objects
from bedside.support.csv_rows import csv_records

JSON_FILES = (".jsonl", ".ndjson", ".json")
TABLES = {".csv": ",", ".tsv": "\t"}


def file_records(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the objects of a JSON Lines file or the rows of a table under the names of the first, each with its place.

    Raises:
        InvalidInputError: There is no such file, it has another suffix, or a line is damaged.
    """
    suffix = file.suffix.lower()
    if suffix not in (*JSON_FILES, *TABLES):
        raise InvalidInputError(f"{file}: expected .jsonl, .csv or .tsv")
    if not file.is_file():
        raise InvalidInputError(f"{file} is missing")
    if suffix in JSON_FILES:
        yield from objects(file)
        return
    with file.open(encoding="utf-8-sig", newline="") as rows:
        try:
            for line, record in csv_records(rows, TABLES[suffix]):
                yield f"{file}, line {line}", record
        except csv.Error as error:
            raise InvalidInputError(f"{file}, {error}") from None
        except UnicodeDecodeError:
            raise InvalidInputError(f"{file}: not UTF-8") from None


def folded(text: str) -> str:
    """What makes two texts the same one: blanks and case aside."""
    return " ".join(text.casefold().split())


def digest(rows: Iterable[Any]) -> str:
    """SHA-256 of rows, dataclasses or texts, in their order: for the model card and for recognising a run."""
    total = hashlib.sha256()
    for row in rows:
        total.update(orjson.dumps(row, option=orjson.OPT_SORT_KEYS) + b"\n")
    return total.hexdigest()
