"""Values that HL7 v2 and CDA write alike."""

from __future__ import annotations

import re

_TIME = re.compile(
    r"(?P<year>\d{4})(?:(?P<month>\d\d)(?:(?P<day>\d\d)(?:(?P<hour>\d\d)(?:(?P<minute>\d\d)(?:(?P<second>\d\d))?)?)?)?)?"
    r"(?:\.\d{1,6})?(?P<zone>[+-]\d{4})?"
)


def time_of(written: str) -> str:
    """Return a time as FHIR writes it, or as it is written where it is none.

    What is less exact than a minute is a date or a part of one. Data type DTM of HL7 v2, TS of CDA.

    Example:
        >>> time_of("20240301"), time_of("202403011530-0500")
        ('2024-03-01', '2024-03-01T15:30:00-05:00')
    """
    found = _TIME.fullmatch(written.strip())
    if found is None:
        return written.strip()
    date = "-".join(part for part in found.group("year", "month", "day") if part)
    if found["minute"] is None or f"{found['hour']}{found['minute']}{found['second'] or ''}" == "000000":
        return date
    zone = found["zone"]
    return f"{date}T{found['hour']}:{found['minute']}:{found['second'] or '00'}" + (
        f"{zone[:3]}:{zone[3:]}" if zone else ""
    )
