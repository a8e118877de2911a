"""The documentation site: it builds without a warning, asks no other machine, and has every public name."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import re
import runpy
import shutil
import subprocess
import sys
import zlib
from html.parser import HTMLParser
from pathlib import Path

import pytest

import bedside.errors

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
pytestmark = [
    pytest.mark.skipif(
        not importlib.util.find_spec("zensical"), reason="needs the group `docs` (make docs installs it)"
    ),
    pytest.mark.timeout(1200),  # the build: ten seconds of a processor, minutes of a busy machine
]

WIDTH = 86
"""Characters of a line of code that a page shows without scrolling."""
INSIDE = {"bedside.cli", "bedside.engines.embedded", "bedside.engines.postgres"}
"""Packages whose names are the project's own."""
ADAPTERS = ("langchain_bedside", "llama_index.embeddings.bedside", "llama_index.vector_stores.bedside")
IMPORT = re.compile(r"^from ((?:bedside|langchain_bedside|llama_index\.\w+\.bedside)[\w.]*) import \(?([\w, ]+)", re.M)


class Page(HTMLParser):
    """What a page links to, loads, and can be linked to at."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids.add(given.get("id") or given.get("name") or "")
        is_link = tag == "a" or (tag == "link" and given.get("rel") in ("canonical", "prev", "next"))
        if is_link and given.get("href"):
            self.links.append(given["href"])
        else:
            self.loads += filter(None, (given.get(key) for key in ("href", "src", "srcset", "data", "poster")))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site; a warning, such as a link to a page or an anchor that is not there, ends the build."""
    folder = tmp_path_factory.mktemp("site")
    for name in ("docs", "src", "integrations", "website"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "tests"))
    for name in ("zensical.toml", "README.md", "CHANGELOG.md"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    build = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    done = subprocess.run(build, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


@pytest.fixture(scope="module")
def pages(site):
    return {file: Page(file) for file in site.rglob("*.html") if file.name != "404.html"}


def test_every_page_is_in_the_navigation(site, pages):
    listed = (ROOT / "zensical.toml").read_text(encoding="utf-8")
    for page in DOCS.rglob("*.md"):
        name = page.relative_to(DOCS)
        assert f'"{name.as_posix()}"' in listed
        assert site / name.with_suffix(".html") in pages


def test_every_link_of_the_site_leads_somewhere(pages):
    for file, page in pages.items():
        for link in page.links:
            path, _, place = link.partition("#")
            if re.match(r"[a-z]+:", path):
                assert path.startswith("https://"), link
                continue
            target = (file.parent / path).resolve() if path else file
            target = target / "index.html" if target.is_dir() else target
            assert target.exists(), f"{file.name}: {link}"
            assert not place or place in pages[target].ids, f"{file.name}: {link}"


def test_no_page_and_no_style_loads_anything_from_another_machine(site, pages):
    for file, page in pages.items():
        assert [each for each in page.loads if re.match(r"(?:[a-z]+:)?//", each)] == [], file.name
    for style in site.rglob("*.css"):
        urls = re.findall(r"url\(['\"]?([^'\")]+)|@import ['\"]([^'\"]+)", style.read_text(encoding="utf-8"))
        assert [url for url in urls if re.match(r"(?:https?:)?//", "".join(url))] == [], style.name


@pytest.fixture(scope="module")
def reference(site):
    """The full names that stand in the reference."""
    packed = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    return {line.split()[0] for line in zlib.decompress(packed).decode().splitlines()}


def modules():
    """Every package that says what of it is public, and modules beside it that are public by themselves."""
    yield bedside
    for found in pkgutil.walk_packages(bedside.__path__, "bedside."):
        if found.ispkg and found.name not in INSIDE:
            module = importlib.import_module(found.name)
            if hasattr(module, "__all__"):
                yield module
    yield importlib.import_module("bedside.errors")
    for name in ADAPTERS:
        yield pytest.importorskip(name)


def defined(name):
    """Return where an object is defined: a function that is called as its module stands under that name alone."""
    module, _, own = name.rpartition(".")
    found = getattr(importlib.import_module(module), own)
    return f"{getattr(found, '__module__', module)}.{own}"


def test_every_public_name_stands_in_the_reference(reference):
    missing = [f"{module.__name__}.{name}" for module in modules() for name in module.__all__]
    assert [name for name in missing if not {name, defined(name)} & reference] == []


def test_whatever_the_documentation_imports_stands_in_the_reference(reference):
    texts = [file.read_text(encoding="utf-8") for file in (ROOT / "README.md", *DOCS.rglob("*.md"))]
    texts += [file.read_text(encoding="utf-8") for file in (ROOT / "examples").glob("*.py")]
    named = {
        f"{module}.{name.split(' as ')[0].strip()}"
        for text in texts
        for module, names in IMPORT.findall(text)
        for name in names.split(",")
        if name.strip()
    }
    assert sorted(named - reference) == []


def test_every_error_has_its_place_in_troubleshooting():
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    roots = {"BedsideError", "ScopeError", "StoreError", "EncoderError", "AuditError"}
    listed = re.findall(r"^### (\w+)$", page, re.MULTILINE)
    assert sorted(listed) == sorted(set(bedside.errors.__all__) - roots)
    assert all(f"`{name}`" in page for name in roots)


def test_the_table_of_extras_has_every_extra():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = project.partition("[project.optional-dependencies]")[2].partition("[project.urls]")[0]
    extras = re.findall(r"^([\w-]+) = \[", section, re.MULTILINE)
    table = (DOCS / "install.md").read_text(encoding="utf-8").partition("extras:begin")[2].partition("extras:end")[0]
    assert re.findall(r"^\| `([\w-]+)` \| [`\w]", table, re.MULTILINE) == extras


def test_the_picture_of_the_landing_page_is_what_a_search_finds():
    picture = runpy.run_path(str(ROOT / "website" / "picture.py"))
    assert picture["draw"](picture["found"]()) == picture["PICTURE"].read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "page", [*DOCS.rglob("*.md"), *ROOT.glob("integrations/*/README.md")], ids=lambda page: page.stem
)
def test_code_of_the_pages_fits_their_width(page):
    for block in re.findall(r"^```\w+\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        assert [line for line in block.splitlines() if len(line) > WIDTH] == []
