"""How an element of a page looks: seen or not, on a line of its own or not, raised or not, and a field's value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bs4.element import Tag

_UNSEEN = frozenset(
    ("script", "style", "template", "noscript", "noframes", "iframe", "object", "title", "desc", "metadata", "datalist")
)
_STRUCK = frozenset(("del", "s", "strike"))
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
# What the HTML standard shows as blocks (section 15.3), and what stands on lines of its own in SVG.
_BLOCKS = frozenset(
    (
        *("address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "dialog", "dir"),
        *("div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "frameset", "header", "hgroup"),
        *("hr", "html", "legend", "li", "listing", "main", "menu", "nav", "ol", "optgroup", "option", "p", "plaintext"),
        *("pre", "search", "section", "summary", "table", "tbody", "text", "tfoot", "thead", "tr", "ul", "xmp"),
    )
)
_BLOCK_DISPLAYS = ("block", "list-item", "flex", "grid", "table", "table-row", "flow-root")
_NOTHING = ("0", "0px", "0pt", "0em", "0%", "0.0")
_SCREEN = re.compile(r"@media\s+(?:only\s+)?(?:screen|all)", re.IGNORECASE)
_MAX_BLOCKS = 8
_SELECTOR = re.compile(r"([a-z][a-z0-9]*)?([.#][\w-]+)?")
_NO_VALUE = frozenset(("hidden", "password", "submit", "reset", "button", "image", "file"))
MAX_RULES = 10_000
"""The most rules of style sheets that are looked at."""


@dataclass(frozen=True)
class Looks:
    """How an element looks.

    Attributes:
        is_seen: Neither it nor what is in it is hidden or struck out.
        is_block: It stands on lines of its own.
        is_kept: White space in it counts.
        is_raised: It is a superscript.
        level: Of a heading, 1 to 6; 0 for anything else.
    """

    is_seen: bool
    is_block: bool
    is_kept: bool
    is_raised: bool
    level: int


class Styles:
    """The style sheets of a page, as far as a tag, a class or an id is given a look."""

    def __init__(self, sheets: str) -> None:
        self._rules: dict[str, dict[str, str]] = {}
        self._plain: dict[str, Looks] = {}  # of elements without attributes, by their names
        for selectors, declared in islice(_rules(sheets), MAX_RULES):
            for selector in selectors.split(","):
                if _SELECTOR.fullmatch(name := selector.strip().lower()):
                    self._rules.setdefault(name, {}).update(_declarations(declared))

    def of(self, tag: Tag) -> Looks:
        """Return how an element looks."""
        if tag.attrs:
            return self._look(tag.name, tag.attrs)
        if tag.name not in self._plain:
            self._plain[tag.name] = self._look(tag.name, {})
        return self._plain[tag.name]

    def _look(self, name: str, attributes: Mapping[str, Any]) -> Looks:
        style = self._declared(name, attributes) if self._rules else {}
        style |= _declarations(_text(attributes, "style"))
        display = style.get("display", "").partition(" ")[0]
        return Looks(
            is_seen=not (name in _UNSEEN or name in _STRUCK or _is_hidden(name, attributes, style)),
            is_block=display in _BLOCK_DISPLAYS or (name in _BLOCKS and not display.startswith("inline")),
            is_kept=name in ("pre", "listing", "xmp", "plaintext") or style.get("white-space", "").startswith("pre"),
            is_raised=name == "sup" or style.get("vertical-align") == "super",
            level=_HEADINGS.get(name, 0),
        )

    def _declared(self, name: str, attributes: Mapping[str, Any]) -> dict[str, str]:
        marks = [f".{each}" for each in _text(attributes, "class").split()]
        marks += [f"#{_text(attributes, 'id')}"] if "id" in attributes else []
        style: dict[str, str] = {}
        for selector in (name, *(prefix + mark.lower() for prefix in ("", name) for mark in marks)):
            style |= self._rules.get(selector, {})
        return style


def _is_hidden(name: str, attributes: Mapping[str, Any], style: Mapping[str, str]) -> bool:
    """Whether an element is hidden or struck out by what it says of itself, or by the page's styles."""
    lines = f"{style.get('text-decoration', '')} {style.get('text-decoration-line', '')}"
    return (
        "hidden" in attributes
        or (name == "dialog" and "open" not in attributes)
        or style.get("display", "").startswith("none")
        or style.get("visibility") in ("hidden", "collapse")
        or style.get("mso-hide") == "all"
        or style.get("opacity") in _NOTHING
        or style.get("font-size") in _NOTHING
        or "line-through" in lines
    )


def field_value(tag: Tag) -> str | None:
    """Return what a person sees in a field of a form; ``None`` where the element is none.

    A box that is ticked is ``[x]``, one that is not ``[ ]``. A list shows what is chosen in it, as browsers do: its
    first line where nothing is, unless several may be.
    """
    if tag.name == "input":
        kind = _text(tag.attrs, "type").strip().lower()
        if kind in ("checkbox", "radio"):
            return "[x]" if "checked" in tag.attrs else "[ ]"
        return "" if kind in _NO_VALUE else _text(tag.attrs, "value").strip()
    if tag.name in ("textarea", "output", "button"):
        return tag.get_text().strip("\r\n")
    if tag.name in ("meter", "progress"):
        return _text(tag.attrs, "value").strip()
    return _chosen(tag) if tag.name == "select" else None


def _chosen(select: Tag) -> str:
    options = select.find_all("option")
    chosen = [option for option in options if "selected" in option.attrs]
    if "multiple" not in select.attrs:
        several = _text(select.attrs, "size").strip() not in ("", "0", "1")
        allowed = [option for option in options if "disabled" not in option.attrs]
        chosen = chosen[-1:] or ([] if several else allowed[:1])
    return ", ".join(" ".join(_own_text(option).split()) for option in chosen)


def _own_text(option: Tag) -> str:
    """Return an option's text without that of options after it, which lie in it where it is never closed."""
    return "".join(str(child) for child in option.children if getattr(child, "name", None) is None)


def _declarations(text: str) -> dict[str, str]:
    """Return what a style declares, in lower case, without ``!important``."""
    pairs = (part.partition(":") for part in text.lower().split(";"))
    return {name.strip(): value.replace("!important", "").strip() for name, colon, value in pairs if colon}


def _rules(sheets: str) -> Iterator[tuple[str, str]]:
    """Yield the selectors and the declarations of each rule, but of those for paper or for some screens alone."""
    before, selectors = "", ""
    blocks: list[bool] = []  # of each block that is open, whether it says for what it counts, and not for every screen
    for piece in re.split(r"([{}])", _without_comments(sheets)):
        if piece == "{":
            selectors = before.rpartition(";")[2].strip()
            blocks.append(selectors.startswith("@") and _SCREEN.fullmatch(selectors) is None)
        elif piece == "}" and blocks:
            if not any(blocks[-_MAX_BLOCKS:]):
                yield selectors, before
            blocks.pop()
        before = piece if piece not in ("{", "}") else ""


def _without_comments(sheets: str) -> str:
    kept, *rest = sheets.split("/*")
    return kept + "".join(part.partition("*/")[2] for part in rest)


def _text(attributes: Mapping[str, Any], name: str) -> str:
    value = attributes.get(name) or ""
    return " ".join(value) if isinstance(value, list) else str(value)
