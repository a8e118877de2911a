"""Units and frequencies: the one name under which the spellings of each are compared."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

__all__ = ["DOSE_UNITS", "FREQUENCY", "FREQUENCY_WORDS", "NUMBER_WORDS", "UNIT", "in_base_unit", "per_day", "unit_name"]

# The first spelling of each line is the unit's name; an underscore stands for a space.
_SPELLINGS = """
    kg kgs kilogram kilograms kilo kilos
    g gm gms gram grams
    mg mgs milligram milligrams
    ug mcg mcgs microgram micrograms
    ng nanogram nanograms
    pg picogram picograms
    lb lbs pound pounds
    oz ounce ounces
    l liter liters litre litres
    dl deciliter deciliters
    ml mls cc ccs milliliter milliliters millilitre millilitres
    ul microliter microliters
    fl femtoliter femtoliters
    mm millimeter millimeters millimetre millimetres
    cm centimeter centimeters centimetre centimetres
    inch inches
    ft foot feet
    fr french
    mol
    mmol millimole millimoles
    umol micromole micromoles
    nmol
    pmol
    meq milliequivalent milliequivalents
    mosm
    iu miu
    unit units u
    mmhg mm_hg millimeters_of_mercury
    cmh2o
    kpa
    second seconds sec secs
    minute minutes min mins
    hour hours hr hrs h
    day days
    week weeks wk wks
    month months mo mos
    year years yr yrs y yo y/o
    pack-year pack-years pack_year pack_years
    bpm beats_per_minute beats/min
    celsius c °c °_c degrees_celsius degrees_c
    fahrenheit f °f °_f degrees_fahrenheit degrees_f
    % percent per_cent
    degree degrees °
    gauge
    tablet tablets tab tabs
    capsule capsules cap caps
    puff puffs
    drop drops gtt gtts
    spray sprays
    patch patches
    pill pills
    vial vials
    teaspoon teaspoons tsp
    tablespoon tablespoons tbsp
"""
_NAMES: Mapping[str, str] = {
    spelling.replace("_", " "): spellings[0]
    for spellings in map(str.split, _SPELLINGS.strip().splitlines())
    for spelling in spellings
}
DOSE_UNITS = frozenset(
    ["g", "mg", "ug", "ng", "ml", "iu", "unit", "meq", "tablet", "capsule", "puff", "drop", "spray", "patch", "pill"]
)
"""The units of what is given to a patient, where no ``/dl`` or the like follows them."""
_BASE: Mapping[str, tuple[str, int]] = {
    **{unit: ("mg", power) for unit, power in {"g": 3, "mg": 0, "ug": -3, "ng": -6}.items()},
    **{unit: ("ml", power) for unit, power in {"l": 3, "dl": 2, "ml": 0, "ul": -3}.items()},
    **{unit: ("mm", power) for unit, power in {"cm": 1, "mm": 0}.items()},
}
_ONE = "|".join(re.escape(name).replace("\\ ", r"\s+") for name in sorted(_NAMES, key=len, reverse=True))
UNIT = rf"(?:{_ONE})(?:\s?(?:/|\bper\b)\s?(?:\d+\s?)?(?:{_ONE})(?!\w))*(?![\w])"
"""A unit in lower-case text, with what it is per: ``mg``, ``mg/dl``, ``mg per kg``."""

_UP_TO_TWENTY = """
    one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
    nineteen twenty
"""
NUMBER_WORDS: Mapping[str, int] = {word: number for number, word in enumerate(_UP_TO_TWENTY.split(), start=1)} | {
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
    "sixty": 60,
    "seventy": 70,
    "eighty": 80,
    "ninety": 90,
}

_TIMES = {"once": 1, "one time": 1, "twice": 2, "two times": 2, "three times": 3, "four times": 4, "five times": 5}
_TIMES |= {f"{number} times": number for number in range(2, 7)}
_PERIODS: Mapping[str, int] = {"day": 1, "week": 7, "month": 30, "year": 365}
_LATIN = {"qd": 1, "od": 1, "bid": 2, "bd": 2, "tid": 3, "tds": 3, "qid": 4, "qhs": 1, "qam": 1, "qpm": 1, "nightly": 1}
FREQUENCY_WORDS = frozenset(_LATIN) | frozenset(
    ["once", "twice", "time", "times", "every", "each", "per", "daily", "weekly", "monthly", "nightly", "other", "prn"]
)
"""Words that say how often, and nothing of what."""


def _words(pattern: str) -> re.Pattern[str]:
    """A pattern in which each space stands for any white space: sentences run over lines."""
    return re.compile(pattern.replace(" ", r"\s+"))


_HOURS = r"(?:h|hr|hrs|hour|hours)\b"
FREQUENCY = _words(
    rf"\b(?:every|each|q\.?)\s?(?P<low>\d+|{'|'.join(NUMBER_WORDS)})(?:\s?(?:-|to)\s?\d+)?[\s-]?{_HOURS}"
    r"|\b(?P<prn>p\.?r\.?n\b\.?|as needed|as required|when needed)"
    rf"|\b(?:(?P<times>{'|'.join(sorted(_TIMES, key=len, reverse=True))})\s)?"
    r"(?:(?:a|per|each|every)\s(?P<per>day|week|month|year|night|morning|evening)\b"
    r"|(?P<ly>daily|weekly|monthly|yearly|annually)\b)"
    r"|\b(?P<other>every other day|q\.?o\.?d\b\.?|every second day|on alternate days)"
    r"|\b(?P<night>nightly|at bedtime|at night|before bed|in the (?:morning|evening))\b"
    r"|\b(?P<latin>q\.?d|b\.?i\.?d|t\.?i\.?d|q\.?i\.?d|q\.?h\.?s|b\.?d|t\.?d\.?s|qam|qpm)\b\.?"
)
"""How often, in lower-case text."""
_LY = {"daily": "day", "weekly": "week", "monthly": "month", "yearly": "year", "annually": "year"}


def unit_name(written: str) -> str:
    """The name of a unit as :data:`UNIT` finds it.

    Example:
        >>> unit_name("micrograms"), unit_name("mg per dl"), unit_name("")
        ('ug', 'mg/dl', '')
    """
    written = " ".join(written.split())
    parts = [written] if written in _NAMES else re.split(r"\s?(?:/|\bper\b)\s?", written)
    return "/".join(_NAMES.get(part, part) for part in parts)


def in_base_unit(value: Decimal, unit: str) -> tuple[Decimal, str]:
    """A mass in mg, a volume in ml, a length in mm; everything else as it is.

    Example:
        >>> in_base_unit(Decimal("0.5"), "g")
        (Decimal('500'), 'mg')
    """
    base, power = _BASE.get(unit, (unit, 0))
    return (value.scaleb(power).normalize() + 0, base)


def per_day(found: re.Match[str]) -> str:
    """What a match of :data:`FREQUENCY` means: times in so many days, or ``prn``.

    Example:
        >>> [per_day(m) for m in FREQUENCY.finditer("b.i.d. or twice daily or every 12 hours, prn; once a week; q8h")]
        ['2 in 1 days', '2 in 1 days', '2 in 1 days', 'prn', '1 in 7 days', '3 in 1 days']
    """
    if found["prn"]:
        return "prn"
    if found["other"]:
        return "1 in 2 days"
    if found["low"]:
        hours = NUMBER_WORDS.get(found["low"]) or int(found["low"])
        return f"{24 // hours} in 1 days" if hours and 24 % hours == 0 else f"every {hours} hours"
    if found["latin"] or found["night"]:
        return f"{_LATIN.get((found['latin'] or '').replace('.', ''), 1)} in 1 days"
    period = _LY.get(found["ly"] or "", found["per"] or "day")
    return f"{_TIMES.get(' '.join((found['times'] or '').split()), 1)} in {_PERIODS.get(period, 1)} days"
