"""Measure what each extra weighs: the installed bytes of all that it brings, beyond what ``bedside`` alone brings.

Run it where all of them are installed; of an extra that is not, the row says so.

::

    python benchmarks/extras.py --output      # writes the table of docs/install.md
"""

from __future__ import annotations

import argparse
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from report import ROOT, table, today, write_section

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DOCS = ROOT / "docs" / "install.md"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
BRINGS = {
    "transformers": "Bio_ClinicalBERT and all of Hugging Face's encoders, by torch",
    "onnx": "encoders by ONNX Runtime, without torch",
    "openvino": "encoders by OpenVINO, without torch",
    "jax": "encoders by JAX",
    "tensorflow": "encoders by TensorFlow; not in `all`",
    "export": "to make ONNX and OpenVINO networks, int8 too",
    "pages": "reports, maps and explanations as HTML",
    "eval": "`bedside eval`: nDCG and other measures",
    "words": "word vectors of your own",
    "cluster": "clusters and near duplicates",
    "plot": "pictures of maps",
    "umap": "maps by UMAP",
    "arrow": "Parquet and Arrow files",
    "loaders": "PDF, DOCX, HTML, FHIR and other files as notes",
    "watch": "`bedside watch`: a folder's changes as they come",
    "serve": "`bedside serve`: HTTP",
    "mcp": "`bedside mcp`: tools for chatbots",
    "remote": "encoders on a server that speaks OpenAI's protocol",
    "postgres": "collections on PostgreSQL",
    "tuning": "to tune encoders and task heads",
    "stores": "to read Chroma, FAISS and LanceDB when coming from them; not in `all`",
    "crypto": "encryption of collections",
    "cli": "the command `bedside`",
    "all": "everything but the two named",
}


def wanted(extra: str) -> set[str]:
    """Return the distributions that an extra asks for, and those that these ask for."""
    found: set[str] = set()
    pending = [(requirement, "") for requirement in EXTRAS[extra]]
    seen: set[tuple[str, str]] = set()
    while pending:
        text, of = pending.pop()
        if (text, of) in seen:
            continue
        seen.add((text, of))
        asked = Requirement(text)
        if asked.marker and not asked.marker.evaluate({"extra": of}):
            continue
        name = canonicalize_name(asked.name)
        if name == "bedside":
            pending += [(each, "") for other in asked.extras for each in EXTRAS[other]]
            continue
        found.add(name)
        requires = distribution(name).requires or []
        pending += [(each, of) for each in requires for of in ("", *asked.extras)]
    return found


@cache
def size(name: str) -> int:
    """Return the bytes of a distribution's files, without compiled Python."""
    files = [Path(str(file.locate())) for file in distribution(name).files or [] if file.suffix != ".pyc"]
    return sum(file.stat().st_size for file in files if file.is_file())


def weight(extra: str, alone: set[str]) -> str:
    """Return what an extra adds, in words."""
    try:
        return f"{sum(map(size, wanted(extra) - alone)) / 1e6:,.0f} MB"
    except PackageNotFoundError as error:
        return f"not measured: {error.name} was not installed"


def main() -> None:
    """Print the table, or write it into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", action="store_true", help="write the table of docs/install.md")
    arguments = parser.parse_args()
    alone: set[str] = {canonicalize_name(Requirement(each).name) for each in PROJECT["dependencies"]}
    rows = [[f"`{extra}`", BRINGS[extra], weight(extra, alone)] for extra in EXTRAS]
    rows.insert(0, ["none", "the store and `bedside/static`", f"{sum(map(size, alone)) / 1e6:,.0f} MB"])
    text = f"Installed bytes beyond the first row, torch in its CPU build; measured {today()} on Linux.\n\n"
    text += table(["extra", "brings", "weighs"], rows).replace("| ---: | ---: |", "| --- | ---: |")
    if arguments.output:
        write_section("extras", text, DOCS)
    else:
        print(text)


if __name__ == "__main__":
    main()
