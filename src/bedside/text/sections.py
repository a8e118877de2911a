"""Find the headings of a clinical note, and the sections between them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Heading", "Section", "find_headings", "split_sections"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# A title is known when each of its words is one of these and one of them is a head. Composing titles from words
# covers "past medical and surgical history" without a list of every order that people write.
_HEADS = _words(
    """
    history hx assessment impression impressions plan plans diagnosis diagnoses dx ddx medications medication
    meds allergies allergy complaint complaints examination exam findings finding results labs recommendation
    recommendations instructions indication indications procedure procedures technique complications
    complication course disposition followup hpi pmh pmhx psh pshx fh fhx fmhx sh shx cc ros pe px a/p ap soap
    subjective objective summary conclusion conclusions discussion interpretation comparison anesthesia specimen
    specimens drains consultation consultations consult immunizations immunisations vaccinations problems
    comments comment addendum opinion prognosis goals treatment therapy studies imaging radiology pathology
    microscopy cytology laboratory investigations referral consent counseling counselling education narrative
    review operation operations surgery surgeries anaesthesia ebl axis risk reason title description evaluation
    fluids prescriptions condition background habits hospitalizations injuries loss output data status diet
    hospitalisations
    """
)
_MODIFIERS = _words(
    """
    a an and at for in of on or the this to with / past present previous prior current recent interval brief
    chief presenting illness medical surgical family social personal psychiatric obstetric gynecologic
    gynaecological obstetrical birth developmental occupational travel sexual substance smoking tobacco alcohol
    drug dietary nutritional immunization vaccination clinical physical general mental state systems system home
    active inpatient outpatient hospital emergency department ed icu admission admitting admit discharge
    transfer final principal primary secondary preliminary differential provisional working preoperative
    postoperative pre post preop postop pre-operative post-operative pre-op post-op intraoperative operative
    preprocedure postprocedure performed detail details name estimated blood i ii iii iv v factors visit
    encounter patient information test tests diagnostic radiologic radiological radiographic x-ray ct
    mri ultrasound ecg ekg echocardiogram lab microbiology gross microscopic pertinent relevant significant
    known list problem medicine medicines prescribed prescription care further next steps follow up follow-up
    overall therapeutic management nursing progress note report day activity symptoms symptom legal identifying
    urine received total hemodynamic functional informed advance neurological mode reasons neurologic
    cardiovascular cardiac external internal body
    """
)
# Parts of an examination or a review of systems: headings where they have a line to themselves, else list items.
_PARTS = _words(
    """
    general appearance constitutional vitals vital signs heent head eyes ears nose throat mouth ent neck chest lungs
    lung heart cardiac cardiovascular respiratory pulmonary abdomen abdominal gastrointestinal gi genitourinary gu
    genitalia pelvic pelvis rectal back spine extremities extremity upper lower musculoskeletal skin integumentary
    dermatologic neuro neurologic neurological psychiatric psych endocrine hematologic haematologic lymphatic
    lymphatics lymph nodes breast breasts motor sensory reflexes gait coordination cranial nerves mood affect speech
    """
)
# Measurements, which stand before a colon and a value; they open no section.
_MEASURES = _words(
    """
    bp hr rr temp temperature pulse weight height wt ht bmi spo2 o2 sat sats pain respirations pressure rate
    date time re
    """
)

_ARTICLES = _words("a an the this")  # what begins with one is prose: "the diagnosis: still open"
_SMALL = _words("a an and as at by for from in of on or the to with")

_LINE = re.compile(r"[^\r\n]+")
_INDENT = re.compile(r"\A[\s\ufeff\u200b]+")  # a byte order mark may stand anywhere that files were joined
_LIMIT = 200  # characters of a line in which its heading must end
_UNDERLINE = re.compile(r"\r?\n(?:={3,}|-{3,})[ \t]*(?=[\r\n]|\Z)")
_MARKDOWN = re.compile(r"#{1,6}[ \t]+(?P<title>[^#\s].*?)[ \t]*#*[ \t]*:?[ \t]*")
_BOLD = re.compile(r"(?P<mark>\*\*|__)(?P<title>[^*_:]{1,80}):?(?P=mark):?[ \t]*")
_NUMBER = r"(?:(?:\d{1,2}|[IVX]{1,5})[.)][ \t]+)?"
_TITLED = re.compile(rf"{_NUMBER}(?P<title>[^\W\d_][^:]{{0,79}}?)[ \t]*:(?!//)(?!(?<=\d:)\d)")
_BARE = re.compile(rf"{_NUMBER}(?P<title>[A-Z][^:.;!?]{{1,59}}?)[ \t]*")
_RUN_IN = re.compile(r"(?<=[.;!?)])[ \t]+(?P<title>[A-Z][A-Z&/ -]{1,58}[A-Z])[ \t]*:(?!//)")
_STOP = re.compile(r"[.;!?]\s")
_WORD = re.compile(r"[^\W\d_](?:[\w'’.-]*\w)?")


@dataclass(frozen=True)
class Heading:
    """A heading: ``text[start:end]`` is its title with its number, marks and colon.

    Attributes:
        title: As written, without them.
        start: Offset of its first character.
        end: Offset after its last one; the section's text follows.
    """

    title: str
    start: int
    end: int


@dataclass(frozen=True)
class Section:
    """A heading and the text up to the next one.

    Attributes:
        title: The heading's; ``None`` for what stands before the first heading.
        start: Offset of the heading.
        body: Offset after the heading.
        end: Offset of the next heading, or the length of the text.
    """

    title: str | None
    start: int
    body: int
    end: int


def split_sections(text: str) -> list[Section]:
    """Cut a note at its headings.

    Returns:
        Sections that follow each other without a gap and together are the whole text.

    Example:
        >>> [(s.title, s.end) for s in split_sections("Seen today. HPI: Cough.")]
        [(None, 12), ('HPI', 23)]
    """
    headings = find_headings(text)
    starts = [heading.start for heading in headings] + [len(text)]
    before = [Section(None, 0, 0, starts[0])] if starts[0] else []
    return before + [Section(h.title, h.start, h.end, end) for h, end in zip(headings, starts[1:], strict=True)]


def find_headings(text: str) -> list[Heading]:
    r"""Find the headings of a note, in their order; in time linear in its length.

    A heading is one of:

    * a line in capitals, or With Every Word Capitalised, that ends with a colon (``ESTIMATED BLOOD LOSS:``);
    * a title made of the words that section titles are made of, in any case, at the start of a line before a colon
      (``Past medical history: asthma.``), or alone in a line (``Assessment and Plan``);
    * another title in capitals at the start of a line before a colon (``INTERVAL EVENTS: none.``);
    * a title of the second kind in capitals inside a line, after the end of a sentence (``No fever. PLAN: Rest.``);
    * a Markdown heading (``## Plan``, underlined, or a line in bold).

    Parts of an examination (``Lungs: clear.``), measurements (``BP: 120/80``) and list items are text of the section
    that they stand in; a part is a heading where it has a line to itself, before a colon or in capitals.

    Example:
        >>> [heading.title for heading in find_headings("HPI:\nCough. BP: 120/80.\nAllergies: none known.")]
        ['HPI', 'Allergies']
    """
    return [heading for line in _LINE.finditer(text) for heading in _line_headings(text, line)]


def _line_headings(text: str, line: re.Match[str]) -> Iterator[Heading]:
    written = line.group()
    indent = len(written) - len(_INDENT.sub("", written, count=1))
    first = _first_heading(written[indent:_LIMIT], text, line)
    start = indent
    if first is not None:
        title, length = first
        start += length
        yield Heading(title, line.start() + indent, line.start() + start)
    for match in _RUN_IN.finditer(written, start):
        if is_section_title(match["title"]):
            yield Heading(match["title"], line.start() + match.start("title"), line.start() + match.end())


def _first_heading(written: str, text: str, line: re.Match[str]) -> tuple[str, int] | None:
    """Return title and length of the heading that ``written``, a line without its indent, begins with."""
    if written[:1] in "#*_" and (marked := _MARKDOWN.fullmatch(written) or _BOLD.fullmatch(written)):
        return marked["title"].rstrip(" \t:"), len(written)
    titled = _TITLED.match(written)
    if titled and _opens_section(titled["title"], alone=not written[titled.end() :].strip()):
        return titled["title"], titled.end()
    bare = _BARE.fullmatch(written)
    if bare and (underline := _UNDERLINE.match(text, line.end())):
        return bare["title"], len(written) + underline.end() - underline.start()
    if bare and (is_section_title(bare["title"]) or (written.isupper() and _is_part(bare["title"]))):
        return bare["title"], len(written)
    return None


def _opens_section(title: str, *, alone: bool) -> bool:
    if is_section_title(title):
        return True
    if _STOP.search(title):
        return False
    words = _WORD.findall(title)
    if sum(map(str.isupper, title)) < 0.8 * sum(map(str.isalpha, title)):
        return alone and len(words) <= 6 and words[0] != "Dear" and all(w[0].isupper() or w in _SMALL for w in words)
    if alone:
        return len(title) > 1
    named = {part.lower() for word in words for part in word.split("-")}
    return len(title) > 4 and not any(map(str.isdigit, title)) and not named & (_PARTS | _MEASURES)


def _is_part(title: str) -> bool:
    return all(part in _PARTS for word in title.split() for part in word.lower().split("/"))


def is_section_title(title: str) -> bool:
    """Whether a title is made of the words that section titles are made of.

    Example:
        >>> is_section_title("Past Medical/Surgical History"), is_section_title("Left knee")
        (True, False)
    """
    words = [word.lower() for word in title.replace("&", " and ").split()]
    parts = [part for word in words for part in _parts_of(word.strip(",()"))]
    known = all(part in _HEADS or part in _MODIFIERS for part in parts)
    return known and any(part in _HEADS for part in parts) and parts[0] not in _ARTICLES


def _parts_of(word: str) -> list[str]:
    return [word] if word in _HEADS or word in _MODIFIERS else re.split("[/-]", word)
