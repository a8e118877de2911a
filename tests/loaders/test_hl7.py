"""HL7 v2 messages are their reports, results and comments; every escape, every segment end, every frame."""

from __future__ import annotations

import base64

import pytest

from bedside.errors import UnreadableFileError
from bedside.loaders import LoadReport, read

HEAD = "MSH|^~\\&|LAB|HOSP|EHR|HOSP|20240301120000+0100||ORU^R01^ORU_R01|{}|P|2.5.1"
PID = "PID|1||7^^^HOSP^MR~8||Lee^Ann^M.^Jr^Dr."
OBR = "|".join(
    ["OBR", "1", "", "", "24627-2^Chest CT^LN", "", "", "202403011015", *[""] * 17, "C", *[""] * 6, "9&Who&Ann"]
)


def message(*segments: str, id: str = "1", end: str = "\r") -> bytes:
    return (end.join([HEAD.format(id), PID, *segments]) + end).encode()


def tx(text: str, number: int = 1, name: str = "RPT^Report", kind: str = "TX", **fields: str) -> str:
    more = [fields.get(field, "") for field in ("unit", "range", "flag")]
    return "|".join(["OBX", str(number), kind, name, "", text, *more, "", "", fields.get("status", "F")])


def texts(data: bytes, **options) -> list[str]:
    return [document.text for document in read(data, "a.hl7", **options)]


def test_a_report_is_its_lines_under_the_name_of_what_was_ordered_with_what_the_message_says():
    data = message(OBR, tx("FINDINGS: Opacity."), tx("", 2), tx("IMPRESSION: Clear.", 3))
    (document,) = read(data, "x/a.hl7")
    assert document.text == "## Chest CT\nFINDINGS: Opacity.\n\nIMPRESSION: Clear."
    assert (document.id, document.metadata) == (
        "x/a.hl7#1",
        {
            "source": "x/a.hl7", "type": "hl7v2", "message": "1", "message_type": "ORU^R01", "subject": "7",
            "patient": "Dr. Ann M. Lee Jr", "date": "2024-03-01T10:15:00", "kind": "Chest CT", "status": "C",
            "author": "Ann Who",
        },
    )  # fmt: skip


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", "\r\r", "\n\r\n"])
def test_every_end_of_a_segment_is_one(end):
    assert texts(message(tx("Rest."), tx("Walk.", 2), end=end)) == ["Rest.\nWalk."]


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (r"5 \T\ 6 \F\ a\S\b \R\ c:\E\x", r"5 & 6 | a^b ~ c:\x"),
        (r"one\.br\two\.BR\three\.sp2\four\.sk3\five\.in+4\\.ce\six", "one\ntwo\nthree\n\nfour   five\nsix"),
        (r"\H\Important\N\: \Xc3a9\\X0d0a\\Z12\\C2842\end", "Important: é\nend"),
        (r"a~b ~3 cm~4. c", "a\nb ~3 cm\n4. c"),
        (r"A^B&C stay", "A^B&C stay"),
        (r"unknown \what\ and C:\dir", r"unknown \what\ and C:\dir"),
        ('""', None),
    ],
)
def test_escapes_are_what_they_stand_for(written, text):
    assert texts(message(tx(written, kind="FT")), report=LoadReport()) == ([text] if text else [])


def test_a_line_end_that_was_not_escaped_belongs_to_its_field():
    assert texts(message(tx("one\ntwo: 2"), end="\r\n")) == ["one\ntwo: 2"]


@pytest.mark.parametrize(
    ("segment", "text"),
    [
        (
            tx("4.10", name="K^Potassium^LN", kind="NM", unit="mmol/L", range="3.5-5.1", flag="N"),
            "Potassium: 4.10 mmol/L (3.5-5.1) N",
        ),
        (tx("1^Positive^L~2^Weak", name="X^Test", kind="CWE"), "Test: Positive, Weak"),
        (tx(">^100", name="X^Test", kind="SN", unit="1^mg"), "Test: >100 1"),
        (tx("20240301", name="X^Seen", kind="DT"), "Seen: 2024-03-01"),
        (tx("Yellow", name="X^Color", kind="ST"), "Color: Yellow"),
        (tx("12^Who^Ann", name="X^By", kind="XCN"), "By: 12 Who Ann"),
        ("NTE|1||Hemolysed.~Repeat.", "Hemolysed.\nRepeat."),
        ("AL1|1|DA|PCN^Penicillin|SV|Hives", "Allergy: Penicillin (Hives, SV)"),
        ("DG1|1||I10^Hypertension", "Diagnosis: Hypertension"),
        ("DG1|1|||Chest pain", "Diagnosis: Chest pain"),
        ("PR1|1||44950^Appendectomy", "Procedure: Appendectomy"),
    ],
)  # fmt: skip
def test_a_result_a_comment_an_allergy_or_a_diagnosis_is_a_line(segment, text):
    assert texts(message(segment)) == [text]


def test_several_reports_of_a_message_are_notes_of_their_own_and_so_are_several_messages():
    two = message("OBR|1|||A^First", tx("One."), "NTE|1||Noted.", "OBR|2|||B^Second", tx("Two."))
    data = two + message(tx("Three."), id="2") + message(tx("Four."), id="2")
    found = [(document.id, document.text) for document in read(data, "a.hl7")]
    assert found == [
        ("a.hl7#1", "## First\nOne.\nNoted."),
        ("a.hl7#1/2", "## Second\nTwo."),
        ("a.hl7#2", "Three."),
        ("a.hl7#2.3", "Four."),
    ]


def test_each_report_of_a_message_about_several_patients_is_of_its_own_patient():
    data = message(
        OBR, tx("One."), "PID|2||8^^^HOSP||Roe^Jim", "PV1|1|I", OBR, tx("Two."), OBR, tx("Three."), "PID|3||9"
    )
    found = [(note.text, note.metadata["subject"], note.metadata.get("patient")) for note in read(data, "a.hl7")]
    assert found == [
        ("## Chest CT\nOne.", "7", "Dr. Ann M. Lee Jr"),
        ("## Chest CT\nTwo.", "8", "Jim Roe"),
        ("## Chest CT\nThree.", "8", "Jim Roe"),
    ]


def test_why_a_report_was_asked_for_is_part_of_it():
    order = "|".join(
        ["OBR", "1", "", "", "CT^Chest CT", *[""] * 8, "Cough \\T\\ fever", *[""] * 17, "R05^Cough~^Smoker"]
    )
    assert texts(message(order, tx("Clear."))) == [
        "## Chest CT\nClinical information: Cough & fever\nReason: Cough, Smoker\nClear."
    ]


def test_an_ampersand_in_a_coded_text_that_was_not_escaped_cuts_nothing_off():
    assert texts(message(tx("112^Staph & Strep^SCT~^A&B", name="O^Culture & smear", kind="CWE"))) == [
        "Culture & smear: Staph & Strep, A&B"
    ]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-8-sig"])
def test_a_message_is_told_in_every_encoding_that_is_marked_or_named(encoding):
    data = message(tx("Fièvre.")).decode().encode(encoding)
    assert texts(data, encoding=encoding if encoding == "utf-16-le" else None) == ["Fièvre."]


@pytest.mark.parametrize("lead", ["2024-03-01 12:00 INFO received:\n", "2024-03-01 12:00 INFO ", '"'])
def test_messages_among_other_lines_are_refused_and_never_a_note_of_segments(lead):
    with pytest.raises(UnreadableFileError, match="HL7 v2 messages among other text"):
        texts(lead.encode() + message(tx("Rest.")))


def test_parts_of_a_report_that_have_names_of_their_own_stand_under_them():
    data = message(
        tx("Opacity.", 1, "GDT^Findings"), tx("Pneumonia.", 2, "IMP^Impression"), tx("Rest.", 3, "IMP^Impression")
    )
    assert texts(data) == ["### Findings\nOpacity.\n### Impression\nPneumonia.\nRest."]


@pytest.mark.parametrize(
    "frame", ["\x0b{}\x1c\r", "FHS|^~\\&|A\rBHS|^~\\&|A\r{}BTS|1\rFTS|1\r", "\ufeff{}", "\r\n \n{}"]
)
def test_the_frames_of_a_batch_and_of_a_connection_are_passed_over(frame):
    assert texts(frame.replace("{}", message(tx("Rest.")).decode()).encode()) == ["Rest."]


def test_a_batch_that_holds_fewer_messages_than_it_says_is_told():
    data = b"BHS|^~\\&|A\r" + message(tx("Rest.")) + b"BTS|3\r"
    assert texts(data, report=(report := LoadReport())) == ["Rest."]
    assert "count of 3 messages and holds 1" in str(report.findings[0])


def test_other_signs_and_another_encoding_are_believed():
    data = b"MSH#*%!@#A#B#C#D#2024##ORU*R01#1#P#2.5######8859/1\rOBX#1#CWE#K*Name##1*Gr\xf6\xdfe !F! !Xe4!\r"
    assert texts(data) == ["Name: Größe # ä"]
    with pytest.raises(UnreadableFileError, match="is not utf-8"):
        texts(message(tx("x")) + b"\xff")


def ed(data: bytes, kind: str = "application^pdf", encoding: str = "Base64") -> str:
    packed = (
        data.hex() if encoding == "Hex" else base64.b64encode(data).decode() if encoding == "Base64" else data.decode()
    )
    return f"OBX|9|ED|PDF^File||LAB^{kind}^{encoding}^{packed}||||||F"


@pytest.mark.parametrize("encoding", ["Base64", "Hex", "A"])
def test_a_file_in_a_message_is_read_by_what_is_in_it(encoding):
    rtf = (
        rb"{\rtf1 Consult: walk daily.}".replace(b"\\", rb"\E" + b"\\")
        if encoding == "A"
        else rb"{\rtf1 Consult: walk daily.}"
    )
    assert texts(message(tx("Rest."), ed(rtf, "TEXT^RTF", encoding))) == ["Rest.", "Consult: walk daily."]


def test_a_file_that_says_the_same_as_the_report_is_no_second_note():
    rtf = rb"{\rtf1 Page 1 Opacity in the right lower lobe, no effusion, heart of normal size.}"
    report = message(tx("Opacity in the right lower lobe, no effusion, heart of normal size."), ed(rtf))
    assert len(texts(report)) == 1


@pytest.mark.parametrize(
    ("segment", "reason", "outcome"),
    [
        (ed(b"\x89PNG", "IM^PNG"), "a picture", "left out"),
        (ed(b"", "application^pdf"), "no data", "left out"),
        ("OBX|9|ED|P||L^application^pdf^Base64^!!", "not base64", "refused"),
        ("OBX|9|ED|P||L^application^pdf^Hex^zz", "not hexadecimal", "refused"),
        ("OBX|9|RP|P||http://x.test/a.pdf^^AP", "only linked to", "left out"),
        (tx("Wrong patient.", 9, status="W"), "wrong, for another patient", "left out"),
        (tx("Gone.", 9, status="D"), "deleted", "left out"),
    ],
)
def test_what_cannot_be_taken_is_named_and_takes_nothing_along(segment, reason, outcome):
    report = LoadReport()
    assert texts(message(tx("Rest."), segment, tx("Walk.", 10)), report=report) == ["Rest.\nWalk."]
    (finding,) = report.findings
    assert (finding.part, finding.outcome) == ("1/OBX-9", outcome)
    assert reason in finding.reason


@pytest.mark.parametrize(
    "segment",
    [
        "IAM|1||PCN^Penicillin|SV|Hives|D",
        "|".join(["DG1", "1", "", "I10^Hypertension", *[""] * 17, "D"]),
        "PRB|DE||I10^Gout",
    ],
)
def test_an_allergy_a_diagnosis_or_a_problem_that_a_message_deletes_is_no_line(segment):
    report = LoadReport()
    assert texts(message(segment, tx("Rest.")), report=report) == ["Rest."]
    assert report.findings[0].reason == "deleted"
    kept = segment.replace("|DE|", "|AD|").removesuffix("D") + ("A" if segment.endswith("D") else "")
    assert len(texts(message(kept, tx("Rest.")))[0].splitlines()) == 2


def test_rtf_and_html_in_the_lines_of_a_report_are_read_as_such():
    lines = [tx(r"{\rtf1\ansi Rest ", kind="FT"), tx(r"and \b walk\b0 .}", 2, kind="FT")]
    assert texts(message(*lines)) == ["Rest and walk."]
    assert texts(message(tx("<html><body><p>Rest \\T\\ walk</p></body></html>"))) == ["Rest & walk"]


def test_a_document_message_says_of_which_document_and_in_place_of_which():
    txa = "TXA|1|DS|TX|20240301|||||99^Who^Ann|||D2^HOSP|D1^HOSP|||||AU"
    data = message(txa, tx("Rest."))
    (document,) = read(data.replace(b"ORU^R01^ORU_R01", b"MDM^T10"), "a.hl7")
    wanted = {
        "kind": "DS",
        "author": "Ann Who",
        "document_id": "D2^HOSP",
        "replaces": ["D1^HOSP"],
        "date": "2024-03-01",
    }
    assert {key: document.metadata[key] for key in wanted} == wanted
    (addendum,) = read(data.replace(b"ORU^R01^ORU_R01", b"MDM^T06"), "a.hl7")
    assert "replaces" not in addendum.metadata


def test_a_cancelled_document_and_a_message_without_text_are_said_to_be_left_out():
    cancelled = message("TXA|1|DS", tx("Rest.")).replace(b"ORU^R01^ORU_R01", b"MDM^T11")
    for data, reason in ((cancelled, "cancellation"), (message(), "without text (ORU^R01)")):
        assert texts(data, report=(report := LoadReport())) == []
        assert any(reason in finding.reason for finding in report.findings)


@pytest.mark.parametrize(
    "unit", ["\\", "\\.br", "~", "^", "|", "OBX|1|TX|||a\r", "NTE|\r", "MSH|^~\\&|\r", "\\X41", "&"]
)
def test_fifty_thousand_of_anything_end(unit):
    data = message(tx("Rest."), tx(unit * 50_000, 2))
    assert texts(data, report=LoadReport())
