"""Guidelines that replace one another: what was in force on a day, which versions there are, and what is wrong.

The excerpts are invented and no medical advice. Run it as it is: ``python guideline_versions.py [DAY]``.
"""

from __future__ import annotations

import sys

from bedside import Collection, load_encoder

VERSIONS = (
    (
        "sepsis-2016",
        "ANTIBIOTICS IN SEPSIS: Give antibiotics within three hours.\n\nFLUIDS: 30 mL/kg of crystalloid.",
        {"valid_from": "2016-03", "valid_to": "2021-10-04"},
        None,
    ),
    (
        "sepsis-2021",
        "ANTIBIOTICS IN SEPSIS: With shock within one hour, without shock within three.\n\nFLUIDS: Reassess early.",
        {"valid_from": "2021-10-04"},
        "sepsis-2016",
    ),
    (
        "sepsis-2024",
        "ANTIBIOTICS IN SEPSIS: With shock within one hour. Stop where no infection is found.\n\nFLUIDS: Reassess.",
        {"valid_from": "2024-05-01"},
        "sepsis-2021",
    ),
    (
        "metformin-2020",
        "METFORMIN AND KIDNEY FUNCTION: Halve the dose between an eGFR of 30 and 45, stop it below 30.",
        {"valid_from": "2020"},
        None,
    ),
)


def library() -> Collection:
    """Return a collection of all versions; each names the one that it replaces."""
    guidelines = Collection.open(encoder=load_encoder("bedside/static"))
    for id, text, metadata, replaced in VERSIONS:
        guidelines.add_note(text, id=id, metadata=metadata, supersedes=replaced)
    return guidelines


def main(day: str = "now") -> None:
    """Ask one question as of several days, then show the versions behind the answer."""
    question = "When are antibiotics due in sepsis?"
    with library() as guidelines:
        for asked in ("2018-07-01", "2022-01-01", day):
            (hit,) = guidelines.search_notes(question, top_k=1, as_of=asked)
            print(f"as of {asked}: {hit.id}: {hit.passages[0].text.strip()}")
        print(f"without a day, {len(guidelines.search_notes(question))} versions and guidelines are found")
        for version in guidelines.history("sepsis-2021"):
            replaced = f", replaced by {', '.join(version.superseded_by)}" if version.superseded_by else ""
            print(f"version {version.id}, in force from {version.metadata['valid_from']}{replaced}")
        print(f"verify finds {len(guidelines.verify().versions)} versions that searches cannot go by")


if __name__ == "__main__":
    main(*sys.argv[1:2])
