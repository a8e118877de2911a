"""The fonts Symbol, Wingdings and Webdings as Unicode: a letter in them is another sign; mg in Symbol would be μγ."""

from __future__ import annotations

# https://www.unicode.org/Public/MAPPINGS/VENDORS/ADOBE/symbol.txt, from 0x20 and from 0xA0 on; a space is not a sign.
_SYMBOL = dict(
    zip(
        [*range(0x20, 0x7F), *range(0xA0, 0xFF)],
        " !∀#∃%&∋()∗+,−./0123456789:;<=>?≅ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ[∴]⊥_‾αβχδεφγηιϕκλμνοπθρστυϖωξψζ{|}∼"
        "€ϒ′≤⁄∞ƒ♣♦♥♠↔←↑→↓°±″≥×∝∂•÷≠≡≈…⏐⎯↵ℵℑℜ℘⊗⊕∅∩∪⊃⊇⊄⊂⊆∈∉∠∇®©™∏√⋅¬∧∨⇔⇐⇑⇒⇓◊〈®©™∑⎛⎜⎝⎡⎢⎣⎧⎨⎩⎪ 〉∫⌠⎮⌡⎞⎟⎠⎤⎥⎦⎫⎬⎭",
        strict=True,
    )
)
# What stands in forms and lists: boxes, ticks, bullets, arrows, hands.
_WINGDINGS = {
    0x6F: "☐", 0x70: "☐", 0x71: "☐", 0x72: "☐", 0xA8: "☐", 0x53: "☒", 0x54: "☒", 0x78: "☒", 0xFD: "☒", 0x52: "☑",
    0xFE: "☑", 0xFC: "✓", 0xFB: "✗", 0x6C: "●", 0x6E: "■", 0x76: "❖", 0x77: "◆", 0xA1: "○", 0xA7: "▪", 0xD8: "➢",
    0xDF: "←", 0xE0: "→", 0xE1: "↑", 0xE2: "↓", 0xE8: "➔", 0xF0: "⇨", 0x46: "☞", 0x4A: "☺", 0x4C: "☹",
}  # fmt: skip
_OTHERS = {
    "wingdings 2": {0x4F: "✗", 0x50: "✓", 0x51: "☒", 0x52: "☑", 0x53: "☒", 0x54: "☒", 0xA3: "☐", 0x97: "●"},
    "webdings": {0x61: "✓", 0x63: "☐", 0x67: "■", 0x6E: "●", 0x72: "✗", 0x33: "◀", 0x34: "▶", 0x35: "▲", 0x36: "▼"},
}  # fmt: skip
_PRIVATE = 0xF000  # where Word puts the codes of such fonts in Unicode


def is_symbol_font(font: str) -> bool:
    """Whether a font of this name holds other signs than letters."""
    return _table(font) is not None


def symbol(font: str, code: int) -> str:
    """Return the sign that a code stands for in Symbol or Wingdings; the code's own character for every other font.

    Example:
        >>> symbol("Symbol", 0x6D), symbol("Symbol", 0xF0B3), symbol("Wingdings", 0xFE), symbol("Arial", 0x6D)
        ('μ', '≥', '☑', 'm')
    """
    table = _table(font)
    if table is None:
        return chr(code)
    own = code - _PRIVATE if _PRIVATE <= code < _PRIVATE + 0x100 else code
    return table.get(own) or ("\ufffd" if own > 0x20 else " ")


def _table(font: str) -> dict[int, str] | None:
    name = font.strip().lower()
    known = _SYMBOL if name == "symbol" else _WINGDINGS if name.startswith("wingdings") else None
    return _OTHERS.get(name, known)
