"""The closed word lists of the tokenizer: stop words, units of measure, and spellings of one thing."""

from __future__ import annotations

__all__ = ["ALIASES", "NEGATIONS", "STOP_WORDS", "UNITS", "words"]


def words(text: str) -> frozenset[str]:
    """Return the words of a list, as it is written in these modules."""
    return frozenset(text.split())


NEGATIONS = words("no not without denies deny denied never nor neither none cannot")
"""Words that turn a finding round; they are never dropped."""

STOP_WORDS = words(
    """
    a an the this that these those and or but if then than so as at by for from in into of on onto to with
    about am is are was were be been being do does did doing has have had having will would shall should can
    could may might i me my we us our you your he him his she her hers it its they them their there here
    what which who whom whose when where why how
    """
)
"""English function words that carry no finding."""

UNITS = words(
    """
    kg g gm gms mg mcg ug ng pg lb lbs oz l dl cl ml ul fl cc m cm mm um nm km ft inch inches
    mol mmol umol nmol pmol meq osm mosm iu miu u unit units mmhg kpa cmh2o hz khz mhz kcal cal
    h hr hrs hour hours min mins minute minutes sec secs second seconds ms day days wk wks week weeks
    mo mos month months y yr yrs yo year years am pm bpm gy cgy mgy mci kv kvp mv mev
    tab tabs cap caps gtt gtts puff puffs drop drops ppm percent
    """
)
"""Units that are often written without a space after their number."""

ALIASES: dict[str, tuple[str, ...]] = {
    "mcg": ("ug",),
    "w/o": ("without",),
    "w/out": ("without",),
    "hba1c": ("hba1c", "a1c"),
    "hgba1c": ("hba1c", "a1c"),
}
"""Spellings that mean the same, and what each is indexed as."""
