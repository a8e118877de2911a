"""The fields of forms in a DOCX: those of old, which a menu of Word's still makes, and content controls."""

from __future__ import annotations

from bedside.loaders.docx_parts import is_on, value
from bedside.loaders.xml_tree import Element, child, children


def legacy_field(data: Element | None) -> str:
    """Return a ticked box or the line that was chosen from a list; empty for a text, which stands in the document."""
    box, choices = child(data, "checkBox"), child(data, "ddList")
    if box is not None:
        checked = child(box, "checked")
        return "[x]" if is_on(child(box, "default") if checked is None else checked) else "[ ]"
    if choices is None:
        return ""
    entries = [value(entry) or "" for entry in children(choices, "listEntry")]
    chosen = value(child(choices, "result")) or value(child(choices, "default")) or "0"
    return entries[int(chosen)] if chosen.isdecimal() and len(chosen) < 6 and int(chosen) < len(entries) else ""


def content_control(control: Element) -> str | None:
    """Return what stands for a control: a box, nothing for an empty one; ``None`` where its content is to be read."""
    properties = child(control, "sdtPr")
    box = child(properties, "checkbox")
    if box is not None:
        return "[x]" if is_on(child(box, "checked")) else "[ ]"
    return "" if is_on(child(properties, "showingPlcHdr")) else None
