"""A mail is its text, once, and each attachment by what is in it; a page that a browser saved is what it shows."""

from __future__ import annotations

from email.message import EmailMessage

import pytest

from bedside.errors import UnreadableFileError
from bedside.loaders import LoadReport, read


def mail(text: str = "Befund anbei.\nGrüße", **headers: str) -> EmailMessage:
    message = EmailMessage()
    for name, value in {
        "From": "Dr. Größe <g@x.test>",
        "To": "a@x.test, Bé <b@x.test>",
        "Subject": "Müller",
        **headers,
    }.items():
        message[name] = value
    message["Message-ID"], message["Date"] = "<1@x.test>", "Fri, 01 Mar 2024 10:00:00 +0100"
    message.set_content(text)
    return message


def found(data: bytes, name: str = "a.bin", **options) -> list[tuple[str, str, str]]:
    documents = read(data, name, **options)
    return [(str(document.id), document.metadata["type"], document.text) for document in documents]


def test_a_mail_is_its_subject_and_its_text_with_who_wrote_it_when_to_whom():
    (document,) = read(mail().as_bytes(), "post/a")
    assert document.text.rstrip() == "Subject: Müller\n\nBefund anbei.\nGrüße"
    assert document.metadata == {
        "source": "post/a", "type": "email", "title": "Müller", "date": "2024-03-01T10:00:00+01:00",
        "author": "Dr. Größe <g@x.test>", "to": ["a@x.test", "Bé <b@x.test>"],
    }  # fmt: skip


def test_of_the_same_in_plain_text_and_html_the_one_that_says_more_counts_once():
    message = mail("One two three four five six seven eight nine ten.")
    message.add_alternative(
        "<p>One two three four five six seven eight <b>nine</b> ten.</p><p>And more.</p>", subtype="html"
    )
    assert [text.count("One two") for _, _, text in found(message.as_bytes())] == [1]
    assert found(message.as_bytes())[0][2].endswith("And more.")


def test_attachments_are_documents_by_what_is_in_them_and_know_their_mail():
    message = mail()
    message.add_attachment(
        rb"{\rtf1 Walk daily.}", maintype="application", subtype="octet-stream", filename="../../x/Brief ä.rtf"
    )
    message.add_attachment("id,text\n7,Cough for days\n8,Rest at home\n", subtype="csv", filename="rows.csv")
    message.add_attachment("Once more.", filename="rows.csv")
    message.add_attachment(mail("Inner text.", Subject="Fwd"))
    message.add_attachment(b"\x89PNG", maintype="image", subtype="png", filename="logo.png")
    documents = list(read(message.as_bytes(), "a.eml", report=(report := LoadReport())))
    assert [(document.id, document.metadata["type"], document.text.rstrip()) for document in documents[1:]] == [
        ("a.eml#Brief ä.rtf", "rtf", "Walk daily."),
        ("a.eml#rows.csv#7", "csv", "Cough for days"),
        ("a.eml#rows.csv#8", "csv", "Rest at home"),
        ("a.eml#3/rows.csv#1", "csv", "Once more."),
        ("a.eml#attachment 4", "email", "Subject: Fwd\n\nInner text."),
    ][: len(documents) - 1]
    assert {document.metadata.get("part_of") for document in documents[1:]} == {"a.eml"}
    assert "logo.png" in [finding.part for finding in report.findings if finding.outcome == "left out"]


def test_a_damaged_attachment_is_named_and_takes_nothing_along():
    message = mail()
    message.add_attachment(b"%PDF-1.7 damaged", maintype="application", subtype="pdf", filename="a.pdf")
    message.add_attachment("Rest.", filename="b.txt")
    data = message.as_bytes()
    report = LoadReport()
    assert [text.rstrip() for _, _, text in found(data, report=report)][1:] == ["Rest."]
    assert [(finding.part, finding.outcome) for finding in report.findings] == [("a.pdf", "refused")]
    broken = data.replace(b"JVBERi", b"J!VBERi")
    found(broken, report=(report := LoadReport()))
    assert [(finding.part, finding.reason) for finding in report.findings] == [("a.pdf", "the data is not base64")]
    with pytest.raises(UnreadableFileError, match=r"a\.pdf"):
        found(data, strict=True)


@pytest.mark.parametrize(
    ("charset", "encoding"), [("iso-8859-1", "quoted-printable"), ("utf-8", "base64"), ("windows-1252", "8bit")]
)
def test_a_text_is_read_in_the_encoding_that_it_names(charset, encoding):
    message = EmailMessage()
    message["From"], message["MIME-Version"] = "a@x.test", "1.0"
    message.set_content("38,5 °C, Größe", charset=charset, cte=encoding)
    assert [text.rstrip() for _, _, text in found(message.as_bytes())] == ["38,5 °C, Größe"]


PAGE = (
    b"From: <Saved by Blink>\r\nSnapshot-Content-Location: https://x.test/\r\nSubject: Chart\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/related;\r\n\ttype="text/html";\r\n\tboundary="--b"\r\n\r\n'
    b"----b\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    b"<html><head><title>T</title></head><body><p>38,5 =C2=B0C</p></body></html>\r\n"
    b"----b\r\nContent-Type: text/css\r\n\r\np { color: red }\r\n"
    b"----b\r\nContent-Type: text/html\r\n\r\n<html><body>In a frame.</body></html>\r\n----b--\r\n"
)


def test_a_page_that_a_browser_saved_is_what_it_shows():
    (document,) = read(PAGE, "a.bin")
    assert document.text == "38,5 °C\n\nIn a frame."
    assert document.metadata == {"source": "a.bin", "type": "mhtml", "title": "Chart"}


@pytest.mark.parametrize(
    ("data", "name", "kind"),
    [
        (b"From: nurse\nTo: doctor\nDate: 3/1\nSubject: BP\n\nBP 120/80.", "a.txt", "text"),
        (b"From: nurse\nSubject: BP\n\nBP 120/80.", "a.eml", "email"),
        (b"Date: 3/1\nPLAN: rest.\n\nMIME-Version: 1.0", "a.txt", "text"),
        (b"Return-Path: <a@x.test>\r\nSubject: x\r\n folded\r\n\r\nRest.", "a", "email"),
        (b"From a@x.test Fri Mar  1 10:00:00 2024\nFrom: a\nMessage-ID: <1>\n\nRest.", "a", "email"),
        (b"Subject: x\nno header\nMIME-Version: 1.0\n\nRest.", "a", "text"),
    ],
)
def test_a_mail_is_known_by_headers_that_nobody_writes_into_a_note(data, name, kind):
    assert [found_kind for _, found_kind, _ in found(data, name)] == [kind]


def test_a_mailbox_of_several_and_a_mail_of_too_many_parts_are_refused():
    several = b"From a@x.test Fri Mar  1 10:00:00 2024\nFrom: a\nMessage-ID: <1>\n\nRest.\n"
    deep = b"MIME-Version: 1.0\nSubject: x\n" + b"Content-Type: multipart/mixed; boundary=a\n\n--a\n" * 2_000
    for data, reason in ((several + b"\n" + several, "a mailbox of several"), (deep, "over 1000 parts")):
        with pytest.raises(UnreadableFileError, match=reason):
            found(data)


def test_a_mail_that_was_cut_off_is_read_as_far_as_it_goes_and_said():
    message = mail()
    message.add_attachment("Walk daily. " * 100, filename="b.txt")
    documents = found(message.as_bytes()[:-400], report=(report := LoadReport()))
    assert documents[0][2].startswith("Subject: Müller")
    assert "cut off" in report.findings[0].reason


def test_files_within_files_without_end_are_refused():
    message = mail("The innermost.")
    for _ in range(12):
        outer = mail("Outer.")
        outer.add_attachment(message)
        message = outer
    documents = found(message.as_bytes(), report=(report := LoadReport()))
    assert len(documents) == 8
    assert "lies in more than 8 files" in report.findings[0].reason


@pytest.mark.parametrize("named", [b"utf-8\xff", b"\xff", b"a\0b", b"klingon", b"=?x?="])
def test_an_encoding_that_is_none_takes_no_mail_along(named):
    """The parser of the standard library fails at such names in four different ways."""
    data = b"From: =?" + named + b"?q?a?=\nSubject: x\nMIME-Version: 1.0\nContent-Type: text/plain; charset=" + named
    assert found(data + b"\n\nRest.", report=(report := LoadReport())) or report.findings
