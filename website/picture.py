"""Draw ``docs/assets/search.svg``: what a search finds, with its explanation, as it really was.

::

    python website/picture.py
"""

from __future__ import annotations

from html import escape
from pathlib import Path

from bedside import Collection, Hit, load_encoder

PICTURE = Path(__file__).parents[1] / "docs" / "assets" / "search.svg"
QUESTION = "chest pain on exertion"
TEXTS = (
    "Chest pain on exertion for three days, relieved by rest.",
    "Denies chest pain. No dyspnea on exertion.",
    "Pain in the left knee after a fall.",
)
OTHER = "Chest pain on exertion since Monday."
WIDTH, TOP, ROW = 780, 74, 96
ZERO, UNIT = 350, 300  # where a bar begins, and how long one of 1 is


def found() -> list[Hit]:
    """Ask one patient's notes; the other patient's best answer is in the same collection."""
    with Collection.open(encoder=load_encoder("bedside/static"), scope_keys=["patient_id"]) as ward:
        ward.scoped(patient_id="A").add(TEXTS)
        ward.scoped(patient_id="B").add([OTHER])
        return ward.scoped(patient_id="A").search(QUESTION, explain=True)


def draw(hits: list[Hit]) -> str:
    """Return the picture: a row for each hit, with a bar for each part of its score."""
    height = TOP + ROW * len(hits) + 20
    rows = "\n".join(_row(hit, TOP + ROW * place) for place, hit in enumerate(hits))
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"
  font-family="system-ui, sans-serif" font-size="15">
<title>A search for “{escape(QUESTION)}” in patient A's notes, and how each score came about</title>
<rect width="{WIDTH}" height="{height}" rx="12" fill="#f7f8fb"/>
<text x="28" y="38" fill="#5b6475">patient A&#160;&#160;›</text>
<text x="118" y="38" fill="#16202e" font-weight="600">{escape(QUESTION)}</text>
<g font-size="12.5" fill="#5b6475">
<rect x="516" y="28" width="11" height="11" rx="2" fill="#4a6fdc"/><text x="532" y="38">meaning</text>
<rect x="598" y="28" width="11" height="11" rx="2" fill="#2a9d76"/><text x="614" y="38">words</text>
<rect x="668" y="28" width="11" height="11" rx="2" fill="#c8434f"/><text x="684" y="38">denied</text>
</g>
{rows}
</svg>
"""


def _row(hit: Hit, top: int) -> str:
    """Return one hit: its text, its score, the bars of the parts, and which words are negated."""
    said = hit.explanation
    if said is None:
        raise ValueError("a hit without an explanation")
    denied = said.signals.get("assertion", 0.0)
    parts = [("#4a6fdc", said.dense, ZERO), ("#2a9d76", said.sparse, ZERO + said.dense * UNIT)]
    bars = "".join(_bar(colour, left, top + 42, size) for colour, size, left in parts)
    if denied:
        bars += _bar("#c8434f", ZERO + denied * UNIT, top + 42, -denied)
    sum_of = f"{said.dense:.2f} + {said.sparse:.2f}{f' − {-denied:.0f}' if denied else ''}"
    negated = ", ".join(f"{word} {count}" for word, count in said.negated.items() if not count.startswith("0"))
    return f"""<line x1="28" x2="{WIDTH - 28}" y1="{top - 16}" y2="{top - 16}" stroke="#dfe3ec"/>
<text x="28" y="{top + 14}" fill="#16202e">{escape(hit.text)}</text>
<text x="{WIDTH - 28}" y="{top + 14}" text-anchor="end" fill="#16202e" font-weight="600">{hit.score:.2f}</text>
{bars}
<line x1="{ZERO}" x2="{ZERO}" y1="{top + 36}" y2="{top + 62}" stroke="#8b93a3"/>
<text x="{WIDTH - 28}" y="{top + 54}" text-anchor="end" fill="#5b6475" font-size="12.5">{sum_of}</text>
<text x="{ZERO + 6}" y="{top + 74}" fill="#c8434f" font-size="12">{escape(negated)}</text>"""


def _bar(colour: str, left: float, top: int, size: float) -> str:
    return f'<rect x="{left:.1f}" y="{top}" width="{size * UNIT:.1f}" height="14" rx="2" fill="{colour}"/>'


if __name__ == "__main__":
    PICTURE.write_text(draw(found()), encoding="utf-8")
