"""What RTF's control words mean that put something into the text, hide something from it, or name an encoding."""

from __future__ import annotations

import codecs

ROW = "\r"
"""The end of a table's row."""

BREAKS = {
    "par": "\n", "line": "\n", "column": "\n", "\r": "\n", "\n": "\n", "sect": "\n\n", "page": "\n\n",
    "row": ROW, "nestrow": ROW,
}  # fmt: skip
"""Words and signs that end a line."""

SIGNS = {
    "cell": "\t", "nestcell": "\t", "tab": "\t", "\t": "\t",
    "emdash": "—", "endash": "–", "emspace": "\u2003", "enspace": "\u2002", "qmspace": "\u2005", "bullet": "•",
    "lquote": "‘", "rquote": "’", "ldblquote": "“", "rdblquote": "”", "zwj": "\u200d", "zwnj": "\u200c",
    "~": "\u00a0", "_": "-", "{": "{", "}": "}", "\\": "\\",
}  # fmt: skip
r"""What words and signs stand for. An optional hyphen (``\-``) is nothing."""

ASIDES = frozenset(
    (
        *("header", "headerl", "headerr", "headerf", "footer", "footerl", "footerr", "footerf"),
        *("footnote", "annotation", "shptxt", "dptxbxtext"),
    )
)
"""Destinations that a reader sees beside the text."""

DESTINATIONS = frozenset(
    (
        *("fonttbl", "colortbl", "stylesheet", "info", "pict", "fldinst", "formfield", "ffl", "upr", "ud"),
        *("nonesttables", "ffname", "ffdeftext", "ffformat", "ffhelptext", "ffstattext", "ffentrymcr", "ffexitmcr"),
        *("listtable", "listoverridetable", "filetbl", "revtbl", "rsidtbl", "generator", "themedata", "datastore"),
        *("colorschememapping", "latentstyles", "xmlnstbl", "mmathPr", "nonshppict", "shprslt", "sp", "objdata"),
        *("objclass", "objname", "bkmkstart", "bkmkend", "xe", "tc", "txe", "rxe", "atnid", "atnauthor", "atntime"),
        *(
            "atndate",
            "atnref",
            "atnparent",
            "atrfstart",
            "atrfend",
            "ftnsep",
            "ftnsepc",
            "ftncn",
            "aftnsep",
            "aftnsepc",
        ),
        *("aftncn", "template", "operator", "title", "author", "keywords", "doccomm", "private", "pgptbl", "userprops"),
        *("docvar", "fontemb", "fontfile", "falt", "panose", "background", "mhtmltag", "htmltag", "datafield"),
    )
)
"""Destinations that nobody sees, but for what stands in some: form fields, and ``ud``, what ``upr`` says in Unicode."""

LAID_OUT = frozenset(("shpinst", "nesttableprops", "shpgrp", "do", "dpgroup", "wgrffmtfilter", "moMath", "moMathPara"))
"""Destinations behind an asterisk in which there is text to see."""

# \fcharset, of LOGFONT's lfCharSet; 0 is the file's own, 2 is the font Symbol's own.
CODECS = {
    77: "mac_roman", 128: "cp932", 129: "cp949", 130: "johab", 134: "gbk", 136: "cp950", 161: "cp1253",
    162: "cp1254", 163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251", 222: "cp874",
    238: "cp1250", 254: "cp437", 255: "cp850",
}  # fmt: skip
CODECS_OF_WORDS = {"mac": "mac_roman", "pc": "cp437", "pca": "cp850"}
_NAMED = {
    10000: "mac_roman", 10001: "shift_jis", 10006: "mac_greek", 10007: "mac_cyrillic", 10029: "mac_latin2",
    10081: "mac_turkish", 65001: "utf-8", 54936: "gb18030", 28591: "cp1252", 819: "cp1252", 708: "iso8859-6",
    20866: "koi8-r", 21866: "koi8-u", 28592: "iso8859-2", 28605: "iso8859-15", 1361: "johab",
}  # fmt: skip


def codec_of(page: int) -> str | None:
    """Return Python's name of a code page; ``None`` where it has none."""
    name = _NAMED.get(page, f"cp{page}")
    try:
        codecs.lookup(name)
    except LookupError:
        return None
    return name
