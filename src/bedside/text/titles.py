"""Which words section titles are made of, and which name a part of an examination or a measurement."""

from __future__ import annotations

import re
from typing import NamedTuple

from bedside.text.lexicon import words

__all__ = ["Candidate", "is_capitalised", "is_part", "is_section_title", "is_value", "may_name_section", "words_of"]

# A title is known when each of its words is one of these and one of them is a head. Composing titles from words
# covers "past medical and surgical history" without a list of every order that people write.
_HEADS = words(
    """
    history hx assessment impression impressions plan plans diagnosis diagnoses dx ddx medications medication
    meds allergies allergy complaint complaints examination exam findings finding results labs recommendation
    recommendations instructions indication indications procedure procedures technique complications
    complication course disposition followup hpi pmh pmhx psh pshx fh fhx fmhx sh shx cc ros pe px a/p ap soap
    subjective objective summary problem conclusion conclusions discussion interpretation comparison anesthesia specimen
    specimens drains consultation consultations consult immunizations immunisations vaccinations problems
    comments comment addendum opinion prognosis goals treatment therapy studies imaging radiology pathology
    microscopy cytology laboratory investigations referral consent counseling counselling education narrative
    review operation operations surgery surgeries anaesthesia ebl axis risk reason title description evaluation
    fluids prescriptions condition background habits hospitalizations injuries loss output data status diet
    hospitalisations
    """
)
_MODIFIERS = words(
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
    known list medicine medicines prescribed prescription care further next steps follow up follow-up
    overall therapeutic management nursing progress note report day activity symptoms symptom legal identifying
    urine received total hemodynamic functional informed advance neurological mode reasons neurologic
    cardiovascular cardiac external internal body
    """
)
# Parts of an examination or a review of systems: headings where they have a line to themselves, else list items.
_PARTS = words(
    """
    general appearance constitutional vitals vital signs heent head eyes ears nose throat mouth ent neck chest lungs
    lung heart cardiac cardiovascular respiratory pulmonary abdomen abdominal gastrointestinal gi genitourinary gu
    genitalia pelvic pelvis rectal back spine extremities extremity upper lower musculoskeletal skin integumentary
    dermatologic neuro neurologic neurological psychiatric psych endocrine hematologic haematologic lymphatic
    lymphatics lymph nodes breast breasts motor sensory reflexes gait coordination cranial nerves mood affect speech
    """
)
# Measurements and laboratory tests, which stand before a colon and a value; they open no section.
_MEASURES = words(
    """
    bp hr rr temp temperature pulse weight height wt ht bmi spo2 o2 sat sats pain respirations pressure rate
    date time re wbc rbc hgb hb hemoglobin haemoglobin hct hematocrit haematocrit mcv plt platelet platelets
    neutrophils lymphocytes eosinophils sodium potassium chloride bicarbonate bicarb bun urea creatinine egfr glucose
    calcium magnesium phosphorus phosphate albumin protein bilirubin ast alt alp ggt ldh lipase amylase lactate crp esr
    inr pt ptt aptt troponin bnp ferritin iron tsh hba1c a1c cholesterol triglycerides hdl ldl cpk ck psa ph pco2 po2
    hco3 cbc cmp bmp lfts urinalysis ua culture cultures
    """
)


_ARTICLES = words("a an the this")  # what begins with one is prose: "the diagnosis: still open"
# Words that may be small in a title With Every Word Capitalised; what ends with one goes on: "Treated with:".
_SMALL = words("a an and as at by for from in of on or the to with")
_WORD = re.compile(r"[^\W\d_](?:[\w'’.-]*\w)?")
# What stands after the name of a test: a number, but no duration and none of a list, or a word for a finding.
_VALUE = re.compile(
    r"[ \t]*(?:[<>=~≤≥+±-]*[ \t]*\d(?!\d?[.)]{1,2}\s|[\d.]*\s(?:min|hour|day|week))"
    r"|(?:positive|negative|pos|neg|pending|abnormal|normal|high|low|trace|not detected|detected|no growth"
    r"|non-?reactive|reactive)\b[^\r\n.;]{0,20}(?=[\r\n.;]|\Z))",
    re.IGNORECASE,
)


class Candidate(NamedTuple):
    """What may be a heading: ``text[start:end]`` is its title with its number, marks and colon.

    Attributes:
        title: As written, without them.
        start: Offset of its first character.
        end: Offset after its last one.
        is_item: Whether it may be an item of a list as well, such as ``GRAM STAIN: cocci`` and ``# Sepsis``.
        kind: What it is, where its place tells that and not its title.
    """

    title: str
    start: int
    end: int
    is_item: bool = False
    kind: str | None = None


def is_section_title(title: str) -> bool:
    """Whether a title is made of the words that section titles are made of.

    Example:
        >>> is_section_title("Past Medical/Surgical History"), is_section_title("Left knee")
        (True, False)
    """
    written = [word.lower() for word in title.replace("&", " and ").split()]
    parts = [part for word in written for part in _parts_of(word.strip(",()"))]
    known = all(part in _HEADS or part in _MODIFIERS for part in parts)
    return known and any(part in _HEADS for part in parts) and parts[0] not in _ARTICLES and parts[-1] not in _SMALL


def is_part(title: str) -> bool:
    """Whether a title names a part of an examination or of a review of systems, such as "HEENT"."""
    return all(part in _PARTS for word in title.split() for part in word.lower().split("/"))


def is_capitalised(title: str) -> bool:
    """Whether Every Word of a Title is Capitalised."""
    named = words_of(title)
    return named[-1].lower() not in _SMALL and all(word[0].isupper() or word in _SMALL for word in named)


def may_name_section(title: str) -> bool:
    """Whether an unknown title in capitals may be a section's, being no part and no measurement.

    Example:
        >>> may_name_section("INTERVAL EVENTS"), may_name_section("BLOOD PRESSURE"), may_name_section("SIGNED BY")
        (True, False, False)
    """
    named = [part.strip("(),") for word in title.lower().split() for part in word.split("-")]
    is_long = len(title) > 4 and not any(map(str.isdigit, title)) and named[-1] not in _SMALL
    return is_long and (_PARTS | _MEASURES).isdisjoint(named)


def is_value(text: str, start: int) -> bool:
    """Whether a value is next in the text, as after the name of a laboratory test."""
    return _VALUE.match(text, start) is not None


def words_of(title: str) -> list[str]:
    """Return a title's words, without signs and numbers."""
    return _WORD.findall(title)


def _parts_of(word: str) -> list[str]:
    return [word] if word in _HEADS or word in _MODIFIERS else re.split("[/-]", word)
