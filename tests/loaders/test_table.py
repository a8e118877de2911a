"""CSV as programs really write it: delimiter, names, encoding and lines of notes judged over many rows, and said."""

from __future__ import annotations

import pytest

from bedside.errors import UnreadableFileError
from bedside.loaders import LoadReport, read

NOTE = "Cough for three days, no fever."


def loaded(data: str | bytes, **options) -> tuple[list[str], LoadReport]:
    report = LoadReport()
    data = data if isinstance(data, bytes) else data.encode()
    return [document.text for document in read(data, "rows.csv", report=report, **options)], report


def only(data: str | bytes, **options):
    (document,) = read(data if isinstance(data, bytes) else data.encode(), "rows.csv", **options)
    return document


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_what_gives_most_rows_one_number_of_cells(delimiter):
    rows = [("note_id", "temp", "text"), ("n1", "38,5", "a; b | c"), ("n2", "39.1", "tab\there, and; there")]
    data = "\n".join(delimiter.join(f'"{cell}"' for cell in row) for row in rows)
    texts, report = loaded(data)
    assert (texts, report.is_complete, report.findings) == (["a; b | c", "tab\there, and; there"], True, [])


def test_decimal_commas_and_commas_in_texts_make_no_columns():
    assert only("id;temp;text\n1;38,5;Cough, fever, rest\n").metadata["temp"] == "38,5"
    assert loaded("text\nCough, fever\nRest\n")[0] == ["Cough, fever", "Rest"]


@pytest.mark.parametrize("line", ["sep=;\n", "SEP=;\r\n", '"sep=;"\n'])
def test_excels_line_says_the_delimiter_and_is_no_row(line):
    document = only(f"{line}id;text\nn1;{NOTE}\n")
    assert (document.id, document.text) == ("rows.csv#n1", NOTE)


def test_a_column_of_row_names_is_the_index():
    for header in (",note_id,text", '"note_id","text"'):  # pandas, R
        document, _ = read(f"{header}\n0,n1,Cough.\n1,n2,Rest.\n".encode(), "rows.csv")
        assert (document.id, document.metadata["index"]) == ("rows.csv#n1", "0")


def test_a_table_without_names_is_read_and_that_is_said():
    texts, report = loaded(f"7,2024-03-01,{NOTE.replace(',', '')}\n8,2024-03-02,Rest and fluids at home.\n")
    assert texts[1] == "Rest and fluids at home."
    assert [finding.outcome for finding in report.findings] == ["guessed"]
    with pytest.raises(UnreadableFileError, match="no line of names"):
        loaded("7,2024-03-01,x\n", strict=True)


def test_a_delimiter_at_the_end_of_each_row_shifts_no_cell():
    first, _ = read(b"id,text\n1,Cough,\n2,Rest,\n", "rows.csv")
    assert (first.text, first.metadata["id"]) == ("Cough", "1")


def test_a_value_that_is_called_as_a_column_may_be_makes_no_line_of_names():
    assert len(loaded("1,note,Patient reports cough\n2,note,Rest and fluids\n")[0]) == 2


def test_sentences_with_commas_on_lines_are_no_table():
    texts, report = loaded("Patient reports cough, and fever.\nRest and fluids, at home.\n")
    assert texts == ["Patient reports cough, and fever.", "Rest and fluids, at home."]
    assert not any(finding.outcome == "refused" for finding in report.findings)


def test_lines_before_the_names_are_named():
    texts, report = loaded("Export of the ward\n\nnote_id,ward,text\nn1,ICU,Cough.\nn2,ICU,Rest.\n")
    assert texts == ["Cough.", "Rest."]
    assert [(finding.part, finding.outcome) for finding in report.findings] == [("line 1", "left out")]


def test_a_row_with_another_number_of_cells_is_refused_and_the_others_are_read():
    texts, report = loaded("id,ward,text\n1,ICU,Cough.\n2,ICU,Rest, fluids.\n3,ICU\n4,ICU,Walk.\n5,ICU,Sleep.\n")
    assert texts == ["Cough.", "Walk.", "Sleep."]
    assert [str(finding) for finding in report.findings] == [
        "rows.csv: line 3: expected 3 cells, got 4",
        "rows.csv: line 4: expected 3 cells, got 2",
    ]


def test_empty_cells_and_rows_are_nothing_and_a_note_without_text_is_named():
    texts, report = loaded("id,text,\n1,Cough.,\n,,\n2,,\n")
    assert texts == ["Cough."]
    assert [(finding.part, finding.outcome) for finding in report.findings] == [("row 2", "left out")]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Größe 38,5 °C, Patient wünscht Rücksprache", "cp1252"),
        ("Fièvre à 38 °C, œdème – traité à l’hôpital", "cp1252"),
        ("38,5 °C", "cp1252"),
        ("Ból w klatce piersiowej, gorączka, źle się czuje", "cp1250"),
        ("Кашель три дня, температура", "cp1251"),
        ("Niña de 5 años, tos y fiebre, antecedentes médicos", "mac_roman"),
        ("Cough for three days, 38.5 °C, no fever since", "utf-16-le"),
        ("Cough for three days, 38.5 °C, no fever since", "utf-16-be"),
    ],
)
@pytest.mark.parametrize("before", [0, 300_000])
def test_an_encoding_that_is_not_said_is_guessed_and_said(text, encoding, before):
    data = f"id;text\n0;{'x' * before}-\n1;{text}\n".encode(encoding)
    texts, report = loaded(data)
    assert texts[-1] == text
    assert encoding.replace("-", "_") in report.findings[0].reason
    assert report.findings[0].outcome == "guessed"
    with pytest.raises(UnreadableFileError, match="which it does not say"):
        loaded(data, strict=True)
    assert (loaded(data, encoding=encoding)[0], loaded(data, encoding=encoding)[1].is_complete) == (texts, True)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_is_no_guess(encoding):
    assert loaded(f"id,text\n1,{NOTE[:5]} °\n".encode(encoding))[1].findings == []


def test_bytes_that_are_no_text_are_refused():
    with pytest.raises(UnreadableFileError, match="encoding"):
        only(b"id,text\n1," + bytes(range(256)) * 9)


def test_the_columns_of_note_and_id_are_what_the_caller_says():
    data = "key,text,remark\nk1,coded,Cough.\nk2,coded,Rest.\n"
    first, _ = read(data.encode(), "rows.csv", text_key="remark", id_key="key")
    assert (first.id, first.text, first.metadata["text"]) == ("rows.csv#k1", "Cough.", "coded")
    with pytest.raises(UnreadableFileError, match=r"no column 'gone'; there are key, text, remark"):
        only(data, text_key="gone")
    with pytest.raises(UnreadableFileError, match="another value in each row"):
        only(data, id_key="text")


@pytest.mark.parametrize(
    "names",
    [
        "ENCOUNTER_NUM,CONCEPT_CD,TVAL_CHAR,OBSERVATION_BLOB",
        "ROW_ID,SUBJECT_ID,CATEGORY,TEXT",
        "note_id,note_type_concept_id,note_title,note_text",
        "label,description,sample_name,transcription",
        "EVENT_ID,VALID_UNTIL,COMPRESSION_CD,BLOB_CONTENTS",
        "noteid,notetype,notepath,notetext",
        "Fall,Datum,Kategorie,Befund-Text",
        "note,code,author,Note Text",
        "visit,code,author,Discharge Summary",
    ],
)
def test_the_note_among_codes_is_found_by_its_columns_name(names):
    document = only(f"{names}\n1,LOINC:34109-9,@,{NOTE.replace(',', '')}\n")
    assert document.text == NOTE.replace(",", "")
    assert document.metadata[names.split(",")[1]] == "LOINC:34109-9"


def test_rows_that_are_lines_of_notes_are_joined_in_the_order_of_their_numbers():
    data = "NOTE_ID,CONTACT,LINE,NOTE_TEXT\n7,a,2,pain on exertion.\n8,b,1,Well.\n7,a,1,Reports chest\n"
    first, second = read(data.encode(), "rows.csv")
    assert (first.id, first.text) == ("rows.csv#7", "Reports chest\npain on exertion.")
    assert first.metadata == {"source": "rows.csv", "type": "csv", "row": 1, "NOTE_ID": "7", "CONTACT": "a"}
    assert (second.id, second.text) == ("rows.csv#8", "Well.")


def test_lines_that_were_cut_at_one_length_go_on_where_they_were_cut():
    note = "Reports chest pain on exertion since Monday. " * 9
    cut = [note[start : start + 100] for start in range(0, len(note), 100)]
    rows = "".join(f"7,{number},{line}\n" for number, line in enumerate(cut, 1))
    assert only(f"note_id,line,text\n{rows}").text == note


def test_lines_that_are_missing_are_said():
    texts, report = loaded("note_id,line,text\n7,1,Reports\n7,3,exertion.\n8,1,Well.\n")
    assert texts == ["Reports\nexertion.", "Well."]
    assert [str(finding) for finding in report.findings] == ["rows.csv: row 1: a note of which lines are missing"]


def test_numbered_notes_of_one_patient_are_no_lines():
    data = "note_id,subject_id,note_seq,text\na,1,1,Cough.\nb,1,2,Rest.\n"
    assert loaded(data)[0] == ["Cough.", "Rest."]
    texts, report = loaded("note_id,line,text\n7,1,Cough.\n7,1,Rest.\n")
    assert texts == ["Cough.", "Rest."]
    assert [finding.outcome for finding in report.findings] == ["guessed"]


def test_lines_of_what_is_called_otherwise_are_joined_by_the_id_that_the_caller_names():
    data = "visit,line,note\n7,1.0,Reports chest\n7,2.0,pain.\n"
    assert loaded(data, id_key="visit")[0] == ["Reports chest\npain."]
    texts, report = loaded(data)
    assert len(texts) == 2
    assert "id_key=" in report.findings[0].reason


@pytest.mark.parametrize("data", ["a," * 500_000, '"' * 500_000, "a\n" * 50_000, "sep=" * 100_000, '"a",' * 200_000])
def test_a_hostile_table_ends(data):
    report = LoadReport()
    assert len(list(read(data.encode(), "rows.csv", report=report))) == report.notes["rows.csv"]
