"""Model cards in the hub's format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def card(front: Mapping[str, str | None], tags: Sequence[str], title: str, *parts: str) -> str:
    """A card: front matter, a title, and parts with a blank line between them; empty ones are left out.

    Example:
        >>> print(card({"license": "mit", "base_model": None}, ["clinical"], "A model", "What it is."))
        ---
        license: mit
        library_name: bedside
        tags:
        - clinical
        ---
        <BLANKLINE>
        # A model
        <BLANKLINE>
        What it is.
        <BLANKLINE>
    """
    lines = [f"{name}: {value}" for name, value in {**front, "library_name": "bedside"}.items() if value]
    lines = ["---", *lines, "tags:", *(f"- {tag}" for tag in tags), "---"]
    return "\n\n".join(["\n".join(lines), f"# {title}", *(part for part in parts if part)]) + "\n"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; nothing where there are no rows."""
    lines = [header, ["---"] * len(header), *rows] if rows else []
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
