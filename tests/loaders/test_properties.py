"""Whatever a file holds, a loader gives notes or says why not, in time linear in its size, and touches nothing else."""

from __future__ import annotations

import importlib
import io
import pkgutil
import re
import subprocess
import sys
import zipfile

import docx
import pypdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from bedside import loaders
from bedside.errors import UnreadableFileError
from bedside.loaders import LoadReport, read

NOTE = "HPI: Cough for 3 days, 38.5 °C.\nPLAN: Rest."
HTML = (
    "<!DOCTYPE html><!-- a --><html><head><title>Visit</title><style>.a{display:none}</style></head><body><h2>Plan</h2>"
    "<p class=a>Old</p><table><tr><td>K<td>4.1</table><input value=80><select><option>no<option selected>yes</select>"
    "10<sup>9</sup>/L<textarea>Walk</textarea><del>gone</del></body></html>"
)
CSV = 'note_id;line;text;ward\n7;1;"Cough; fever";ICU\n7;2;Rest.;ICU\n8;1;"Größe ""38,5"" °C";CCU\n'


def pdf() -> bytes:
    writer = pypdf.PdfWriter()
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
        }
    )
    for text in ("Right lower lobe pneu-", "Rest."):
        page = writer.add_blank_page(300, 300)
        stream = DecodedStreamObject()
        stream.set_data(f"BT /F1 12 Tf 14 TL 20 200 Td ({text}) Tj T* (monia.) Tj ET".encode())
        page[NameObject("/Contents")] = writer._add_object(stream)
        page[NameObject("/Resources")] = DictionaryObject(
            {NameObject("/Font"): DictionaryObject({NameObject("/F1"): font})}
        )
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def word() -> bytes:
    document = docx.Document()
    document.add_heading("Plan", level=1)
    document.add_paragraph("Rest.").add_run("9").font.superscript = True
    document.add_table(rows=2, cols=2).cell(0, 0).text = "K"
    document.sections[0].header.paragraphs[0].text = "Ward 7"
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


SAMPLES = {
    "a.txt": NOTE.encode(),
    "a.html": HTML.encode(),
    "a.csv": CSV.encode(),
    "b.csv": CSV.encode("cp1252"),
    "c.csv": CSV.encode("utf-16-le"),
    "a.pdf": pdf(),
    "a.docx": word(),
}
names = st.sampled_from(sorted(SAMPLES))


def check(name: str, data: bytes) -> None:
    """Load a file whichever way: it gives notes with text, or says what is wrong with it."""
    report = LoadReport()
    notes = list(read(data, name, report=report))
    assert all(note.text.strip() and note.metadata["source"] == name and note.id.startswith(name) for note in notes)
    assert report.notes == {name: len(notes)}
    assert notes or report.findings
    assert sorted([*report.read, *report.empty, *report.refused]) == [name]
    try:
        assert list(read(data, name, strict=True, report=LoadReport())) == notes
    except UnreadableFileError as error:
        assert error.file.startswith(name)
        assert any(finding.outcome != "left out" for finding in report.findings)
    else:
        assert all(finding.outcome == "left out" for finding in report.findings)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_gives_notes(name):
    report = LoadReport()
    assert list(read(SAMPLES[name], name, report=report))
    assert report.read == [name]


@given(names, st.data())
@settings(max_examples=150, deadline=None)
def test_a_file_that_is_cut_gives_notes_or_says_why_not(name, data):
    whole = SAMPLES[name]
    check(name, whole[: data.draw(st.integers(0, len(whole)))])


@given(names, names)
@settings(max_examples=40, deadline=None)
def test_two_files_in_one_give_notes_or_say_why_not(name, other):
    check(name, SAMPLES[name] + SAMPLES[other])


@given(names, st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=8), st.integers(0, 8)), min_size=1, max_size=6))
@settings(max_examples=200, deadline=None)
def test_a_file_that_is_damaged_gives_notes_or_says_why_not(name, changes):
    data = SAMPLES[name]
    for place, new, gone in changes:
        at = int(place * len(data))
        data = data[:at] + new + data[at + gone :]
    check(name, data)


@given(st.sampled_from(["a.txt", "a.html", "a.csv", "a.bin"]), st.binary(max_size=300))
@settings(max_examples=150, deadline=None)
def test_any_bytes_give_notes_or_say_why_not(name, data):
    check(name, data)


@given(
    st.sampled_from(["word/document.xml", "word/styles.xml", "word/_rels/document.xml.rels", "_rels/.rels"]), st.data()
)
@settings(max_examples=60, deadline=None)
def test_a_docx_with_a_damaged_part_gives_notes_or_says_why_not(part, data):
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(SAMPLES["a.docx"])) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            held = old.read(name)
            if name == part:
                at = data.draw(st.integers(0, len(held)))
                held = held[:at] + data.draw(st.binary(max_size=6)) + held[at + data.draw(st.integers(0, 20)) :]
            new.writestr(name, held)
    check("a.docx", out.getvalue())


MARKUP = st.sampled_from(
    (
        *("<!--", "-->", "<", ">", "<p>", "</p>", "<table>", "<tr>", "<td>", "</td>", "</table>", "<sup>", "</sup>"),
        *(
            "<select>",
            "<option selected>",
            "<textarea>",
            "<style>.a{",
            "}</style>",
            "<input value='",
            "'",
            "&",
            "x",
            " ",
        ),
        *("<br>", "<h1>", "</h1>", "<p class=a>", "<pre>", "</pre>", "<svg><text>", "<!doctype", "<![CDATA[", "]]>"),
        *("<del>", "<?xml", "\n"),
    )
)


@given(st.lists(MARKUP, max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_markup_gives_notes_or_says_why_not(pieces):
    check("a.html", "".join(pieces).encode())


CELLS = st.sampled_from(
    ["a", "1", '"', ",", ";", "\t", "\n", "\r\n", "text", "id", "line", "sep=;", " ", "é", "note_id", "2"]
)


@given(st.lists(CELLS, max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_table_gives_notes_or_says_why_not(pieces):
    check("a.csv", "".join(pieces).encode())


HUGE = {
    "a.txt": "Cough.\n" * 500_000,
    "a.html": "<p>Cough." * 20_000,
    "b.html": "<!-- a -->" * 50_000,
    "c.html": "<table>" + "<tr><td>K<td>4.1" * 10_000,
    "a.csv": "id,text\n" + "".join(f"{n},Cough and fever\n" for n in range(30_000)),
    "b.csv": "id,line,text\n" + "".join(f"1,{n},Cough and fever\n" for n in range(30_000)),
    "c.csv": "text\n" + '"' + "Cough, " * 500_000 + '"\n',
    "a.xml": "<!-- a -->" * 200_000 + "<ClinicalDocument",
}


@pytest.mark.parametrize("name", HUGE)
def test_a_huge_file_ends(name):
    """Each takes seconds; with quadratic time this test would not end."""
    check(name, HUGE[name].encode())


WATCHED = """
import sys

def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system", "os.mkdir", "os.rename"):
        raise SystemExit(f"{event} {arguments}")
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        raise SystemExit(f"{event} {arguments}")

sys.dont_write_bytecode = True
from bedside.loaders import LoadReport, load
report = LoadReport()
list(load(sys.argv[1]))
sys.addaudithook(watch)
notes = list(load(sys.argv[1], report=report))
print(len(notes), len(report.findings))
"""


def test_nothing_is_asked_for_and_nothing_is_written(tmp_path):
    link = "http://127.0.0.1:9/a.png"
    page = f"<html><link rel=stylesheet href={link}><img src={link}><iframe src={link}></iframe><p>Rest.</p></html>"
    for name, data in SAMPLES.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "linked.html").write_text(page)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WATCHED, tmp_path], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout.split()[0]) >= len(SAMPLES) + 1


def patterns() -> dict[str, re.Pattern]:
    """Every pattern that a module of the loaders keeps, by its name."""
    found = {}
    for each in pkgutil.iter_modules(loaders.__path__):
        module = importlib.import_module(f"bedside.loaders.{each.name}")
        kept = {name: value for name, value in vars(module).items() if isinstance(value, re.Pattern)}
        found |= {f"{each.name}.{name}": value for name, value in kept.items()}
    return found


@pytest.mark.parametrize("name", patterns())
def test_every_pattern_takes_linear_time(name):
    """Hostile texts of 100 KB take milliseconds; with quadratic time this test would not end."""
    pattern = patterns()[name]
    for unit in (" ", "\n", "a", "1", "a-", "<", "<!--", "<a ", "=", "\\", "/a1", "MSH|", "\t", "a b", "&", "'"):
        for before in ("", "<", "<meta "):
            text = before + unit * (100_000 // len(unit))
            subject = text.encode() if isinstance(pattern.pattern, bytes) else text
            assert sum(1 for _ in pattern.finditer(subject)) <= len(text) + 1
