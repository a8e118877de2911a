"""What was filled into the forms of a PDF, and what was written onto its pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

# PDF 1.7, ISO 32000-1: tables 165 (annotation flags) and 221, 226, 228, 230 (field flags).
_HIDDEN, _NO_VIEW = 1 << 1, 1 << 5
_PASSWORD, _RADIO, _PUSH = 1 << 13, 1 << 15, 1 << 16
_NO_NOTES = frozenset(("/Widget", "/Link", "/Popup"))
MAX_PARENTS = 32
"""Fields within one another that are followed."""


def fields_of(page: Any) -> list[str]:
    """Return what a person sees in the fields on a page, as ``name: value``, ``[x] name`` or ``[ ] name``.

    From top to bottom and from left to right. What was written onto the page is a line, and a comment on it
    ``[comment: …]``. Hidden ones, passwords, buttons and signatures are left out, and so are fields without a value.
    """
    found = []
    for annotation in _annotations(page):
        flags = annotation.get("/F", 0)
        if isinstance(flags, int) and flags & (_HIDDEN | _NO_VIEW):
            continue
        line = _field(annotation) if annotation.get("/Subtype") == "/Widget" else _note(annotation)
        if line:
            found.append((_place(annotation), line))
    return [line for _, line in sorted(found, key=lambda pair: pair[0])]


def _annotations(page: Any) -> Iterator[Any]:
    held = page.get("/Annots")
    for each in (held.get_object() if held is not None else None) or ():
        annotation = each.get_object()
        if hasattr(annotation, "get"):
            yield annotation


def _place(annotation: Any) -> tuple[float, float]:
    """Return where an annotation stands: its distance from the top, in lines of about 6 points, then from the left."""
    try:
        left, bottom, right, top = (float(each) for each in annotation["/Rect"])
    except (KeyError, TypeError, ValueError):
        return 0.0, 0.0
    return -round(max(bottom, top) / 6), min(left, right)


def _field(widget: Any) -> str:
    name, flags = _name(widget), _inherited(widget, "/Ff")
    kind, flags = _inherited(widget, "/FT"), flags if isinstance(flags, int) else 0
    if kind == "/Btn":
        return "" if flags & _PUSH else _box(widget, name, is_radio=bool(flags & _RADIO))
    value = _inherited(widget, "/V")
    if kind not in ("/Tx", "/Ch") or value is None or (flags & _PASSWORD and kind == "/Tx"):
        return ""
    shown = [_text(each) for each in value] if isinstance(value, list) else [_text(value)]
    if kind == "/Ch":
        names = _shown_names(widget)
        shown = [names.get(each, each) for each in shown]
    written = ", ".join(each for each in shown if each.strip())
    return f"{name}: {written}" if written else ""


def _box(widget: Any, name: str, *, is_radio: bool) -> str:
    state = widget.get("/AS", _inherited(widget, "/V"))
    is_on = isinstance(state, str) and state not in ("/Off", "")
    if not is_radio:
        return f"[{'x' if is_on else ' '}] {name}"
    if not is_on:
        return ""
    choice = str(state).lstrip("/")
    names = _inherited(widget, "/Opt")
    if choice.isdigit() and isinstance(names, list) and int(choice) < len(names):
        choice = _text(names[int(choice)])
    return f"{name}: {choice}"


def _shown_names(widget: Any) -> dict[str, str]:
    """Return what a list shows for each of the values that it keeps."""
    options = _inherited(widget, "/Opt")
    pairs = [each.get_object() for each in options] if isinstance(options, list) else []
    return {_text(pair[0]): _text(pair[1]) for pair in pairs if isinstance(pair, list) and len(pair) == 2}


def _name(widget: Any) -> str:
    """Return what a field is called for people, or else its own name."""
    return _text(_inherited(widget, "/TU") or _inherited(widget, "/T")).strip() or "field"


def _note(annotation: Any) -> str:
    contents = _text(annotation.get("/Contents"))
    if annotation.get("/Subtype") in _NO_NOTES or not contents.strip():
        return ""
    return contents if annotation.get("/Subtype") == "/FreeText" else f"[comment: {contents}]"


def _inherited(widget: Any, key: str) -> Any:
    """Return what a field says, or else the field that it is a part of."""
    node = widget
    for _ in range(MAX_PARENTS):
        if node.get(key) is not None:
            return node[key]
        parent = node.get("/Parent")
        node = parent.get_object() if parent is not None else None
        if not hasattr(node, "get"):
            return None
    return None


def _text(value: Any) -> str:
    value = value.get_object() if hasattr(value, "get_object") else value
    if hasattr(value, "get_data"):
        value = value.get_data()
    text = value.decode("latin-1") if isinstance(value, bytes) else value if isinstance(value, str) else ""
    return text.replace("\r\n", "\n").replace("\r", "\n")
