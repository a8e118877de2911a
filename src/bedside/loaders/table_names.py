"""What the columns of the tables that hospitals export are called.

Among them: MIMIC's NOTEEVENTS (TEXT) and note tables (text), OMOP's NOTE (note_text), i2b2's OBSERVATION_FACT
(OBSERVATION_BLOB), Epic's HNO_NOTE_TEXT (NOTE_CSN_ID, LINE, NOTE_TEXT), Cerner's CE_BLOB (BLOB_CONTENTS), eICU's note
(notetext), MTSamples (transcription).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_TEXT = (
    *("text", "note", "notetext", "notes", "report", "body", "transcription", "observationblob", "blobcontents"),
    *("reporttext", "documenttext", "doctext", "notebody", "notecontent", "notecontents", "content", "contents"),
    *("fulltext", "freetext", "rawtext", "textblob", "clinicalnote", "clinicalnotes", "clinicaltext", "narrative"),
    *("narrativetext", "resulttext", "notevalue", "document", "tvalchar"),
    *("befund", "befundtext", "arztbrief", "bericht", "texte", "compterendu", "texto", "nota", "informe"),
)
_TEXT_ENDINGS = ("text", "note", "notes", "report", "summary", "narrative", "letter")
_ID = (
    *("id", "notecsnid", "noteid", "documentid", "docid", "reportid", "rowid", "hnoid", "notekey", "eventid"),
    *("resultid", "textid", "noteeventid", "studyid", "accession", "accessionnumber", "befundid", "observationid"),
)
_LINE = (
    *(
        "line",
        "linenum",
        "linenumber",
        "lineno",
        "linenbr",
        "lineid",
        "lineseq",
        "noteline",
        "textline",
        "linesequence",
    ),
    *("seq", "seqnum", "seqno", "sequence", "sequencenum", "sequencenumber", "blobseqnum", "segment", "segmentnum"),
    *("part", "chunk", "zeile", "ligne", "linea"),
)


def plain(name: str) -> str:
    """Return a column's name without case, blanks and signs: ``NOTE_TEXT``, ``Note Text`` and ``noteText`` are one."""
    return re.sub(r"[\W_]+", "", name).lower()


def is_known(name: str) -> bool:
    """Whether a name is one that tables of notes have."""
    return plain(name) in _KNOWN


def text_columns(names: Sequence[str]) -> list[int]:
    """Return the columns that may hold the note, the likeliest first."""
    return _columns(names, _TEXT)


def like_text(names: Sequence[str]) -> list[int]:
    """Return the columns whose names end as those of notes do: ``consult_text``, ``Discharge Summary``."""
    return [place for place, name in enumerate(names) if plain(name).endswith(_TEXT_ENDINGS)]


def id_columns(names: Sequence[str]) -> list[int]:
    """Return the columns that may tell notes apart, the likeliest first."""
    return _columns(names, _ID)


def line_columns(names: Sequence[str]) -> list[int]:
    """Return the columns that may number the lines of a note, the likeliest first."""
    return _columns(names, _LINE)


def _columns(names: Sequence[str], wanted: Sequence[str]) -> list[int]:
    places = {name: place for place, name in reversed(list(enumerate(map(plain, names))))}
    return [places[name] for name in wanted if name in places]


_KNOWN = frozenset((*_TEXT, *_ID, *_LINE))
