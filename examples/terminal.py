"""Narrow, aligned output for a terminal; bold only where it is one."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from textwrap import fill

WIDTH = 108


def bold(text: str) -> str:
    """Make a text bold on a terminal, and leave it alone in a pipe or a file."""
    return f"\033[1m{text}\033[0m" if sys.stdout.isatty() else text


def title(text: str) -> None:
    """Print the heading of a part."""
    print(f"{bold(f'── {text} '.ljust(WIDTH, '─'))}\n")


def labelled(label: str, text: str) -> None:
    """Print a text, wrapped, behind its label."""
    print(fill(text, WIDTH, initial_indent=f"{label:<9}", subsequent_indent=" " * 9))


def clip(text: str, width: int) -> str:
    """Cut a text to a width, with an ellipsis where something is missing."""
    return text if len(text) <= width else f"{text[: width - 1].rstrip()}…"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], widths: Sequence[int]) -> None:
    """Print rows in columns of the given widths; what is too long is cut."""
    for number, row in enumerate([head, *rows]):
        line = "  ".join(f"{clip(cell, width):<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        print(line if number else bold(line))
