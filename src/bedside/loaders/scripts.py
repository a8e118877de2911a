"""Superscripts in plain text: 10⁹/L is not 109/L. Subscripts (SpO2, HbA1c) mean the same on the line and stay there."""

from __future__ import annotations

_RAISED = str.maketrans("0123456789+-−–=()n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁻⁼⁽⁾ⁿ")
_PLAIN = frozenset(("st", "nd", "rd", "th", "®", "™", "tm", "o", "°"))


def raised(text: str) -> str:
    """Return a superscript: in Unicode's own signs where it has them all, else after ``^``.

    Ordinals (1st) and trade marks, which mean the same on the line, stay as they are written.

    Example:
        >>> "10" + raised("9") + "/L", "x" + raised("a"), "1" + raised("st")
        ('10⁹/L', 'x^a', '1st')
    """
    inner = text.strip()
    if not inner or inner.lower() in _PLAIN:
        return text
    return text.replace(inner, inner.translate(_RAISED) if all(ord(sign) in _RAISED for sign in inner) else f"^{inner}")
