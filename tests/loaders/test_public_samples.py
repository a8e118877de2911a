"""Public collections of CDA documents, HL7 v2 messages and FHIR resources load whole.

They are not part of the project. Fetch them where there is a network, such as

* https://github.com/HL7/C-CDA-Examples and https://github.com/chb/sample_ccdas,
* https://github.com/microsoft/FHIR-Converter (data/SampleData) and https://github.com/HL7/US-Core (input/examples),

and name the folder that holds them: ``BEDSIDE_SAMPLES=folder pytest tests/loaders/test_public_samples.py -s``.
"""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from lxml import etree

from bedside.loaders import LoadReport, load
from bedside.loaders.fhir_lines import LINES

FOLDER = os.environ.get("BEDSIDE_SAMPLES")
LEAST = 0.999
ESCAPE = re.compile(r"\\(?:\.[a-z]{2}[^\\]{0,4}|[HN])\\")
SIGNS = {"\\T\\": "&", "\\F\\": "|", "\\S\\": "^", "\\R\\": "~", "\\E\\": "\\"}
pytestmark = pytest.mark.skipif(FOLDER is None, reason="BEDSIDE_SAMPLES names no folder of public samples")


def words(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", unicodedata.normalize("NFKC", text)))


def files(*suffixes: str) -> Iterator[Path]:
    return (file for file in sorted(Path(str(FOLDER)).rglob("*")) if file.suffix.lower() in suffixes and file.is_file())


def narrative_of_cda(file: Path) -> str:
    """What stands in the sections' titles and texts, read by another parser, which repairs what is damaged."""
    tree = etree.parse(file, etree.XMLParser(recover=True, huge_tree=True, resolve_entities=False, no_network=True))
    path = "//*[local-name()='section']/*[local-name()='text' or local-name()='title']"
    nodes = [] if tree.getroot() is None else tree.xpath(path)
    return " ".join(text for node in nodes for text in node.itertext())


def text_of_hl7(file: Path) -> str:
    """The observations that are text or numbers, and the comments, line by line."""
    held = []
    for line in re.split(r"[\r\n]+", file.read_bytes().decode("utf-8-sig", "replace")):
        fields = [*line.split("|"), *[""] * 12]
        is_text = fields[0] == "OBX" and fields[2] in ("TX", "FT", "ST", "NM") and fields[11] not in ("D", "W")
        written = fields[5] if is_text else fields[3] if fields[0] == "NTE" else ""
        written = ESCAPE.sub(" ", "" if written == '""' else written)
        for escape, sign in SIGNS.items():
            written = written.replace(escape, sign)
        held.append(written)
    return " ".join(held)


def narrative_of_fhir(file: Path) -> str:
    """The narrative of a resource, and of those in a Bundle."""
    held, waiting = [], [json.loads(file.read_text(encoding="utf-8-sig", errors="replace"))]
    while waiting:
        value = waiting.pop()
        waiting.extend(entry["resource"] for entry in value.get("entry", ()) if "resource" in entry)
        text = value.get("text", {})
        is_line = value.get("resourceType") in LINES and text.get("status") == "generated"  # from what the line says
        held.extend(etree.HTML(text["div"]).itertext() if text.get("div") and not is_line else ())
    return " ".join(held)


def check(kind: str, found: Iterator[tuple[Path, str]]) -> None:
    """Compare what is loaded with what stands in the files, and say how much of it came."""
    wanted, loaded, lost, count = 0, 0, [], 0
    for file, text in found:
        count += 1
        documents = list(load(file, report=(report := LoadReport()), resources=True))
        assert documents or report.findings, file
        here, came = words(text), words("\n".join(document.text for document in documents))
        wanted += here.total()
        loaded += (here & came).total()
        if (here & came).total() < LEAST * here.total():
            lost.append(f"{file}: {dict((here - came).most_common(5))}")
    assert count, f"no {kind} in {FOLDER}"
    print(f"\n{kind}: {count} files, {loaded} of {wanted} words ({loaded / max(1, wanted):.5f})")  # noqa: T201
    assert loaded >= LEAST * wanted, lost


def test_cda_documents_load_with_all_of_their_narrative():
    check("CDA", ((file, narrative_of_cda(file)) for file in files(".xml", ".ccd", ".ccda", ".cda")))


def test_hl7_messages_load_with_all_of_their_text():
    check("HL7 v2", ((file, text_of_hl7(file)) for file in files(".hl7")))


def test_fhir_resources_load_with_all_of_their_narrative():
    check(
        "FHIR", ((file, narrative_of_fhir(file)) for file in files(".json") if b'"resourceType"' in file.read_bytes())
    )
