"""The wheels that users install: what is in them, that they run beside the frameworks' own, oldest releases too."""

from __future__ import annotations

import doctest
import importlib
import json
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [ROOT, *sorted(file.parent for file in ROOT.glob("integrations/*/pyproject.toml"))]
# What the oldest and the newest frameworks ask for in other releases than those that the tests run with.
NOT_PINNED = ("lang", "llama", "pytest", "syrupy", "vcrpy", "packaging", "sqlalchemy", "tenacity", "numpy", "pystemmer")

ROUND_TRIP = """
import json, sys
import bedside, langchain_bedside, llama_index.core
from langchain_core.documents import Document
from llama_index.core.retrievers import QueryFusionRetriever
from llama_index.core.llms import MockLLM
from llama_index.core import VectorStoreIndex
from llama_index.embeddings.bedside import BedsideEmbedding, BedsideNodeParser
from llama_index.retrievers.bm25 import BM25Retriever
from llama_index.vector_stores.bedside import BedsideVectorStore

embeddings = langchain_bedside.BedsideEmbeddings(model="bedside/static")
notes = [Document("HPI: Chest pain on exertion. PLAN: Stress test.", id="n1")]
passages = langchain_bedside.BedsideNoteSplitter(embeddings).split_documents(notes)
store = langchain_bedside.BedsideVectorStore.from_documents(passages, embeddings, path="notes.bedside")
asked = {"retrieval_mode": "dense"}  # LlamaIndex' default
written = [(document.id, score) for document, score in store.similarity_search_with_score("angina", **asked)]
store.close()
embed_model = BedsideEmbedding(model_name="bedside/static")
reopened = BedsideVectorStore("notes.bedside", encoder=embed_model.encoder)
index = VectorStoreIndex.from_vector_store(reopened, embed_model=embed_model)
read = [(hit.node_id, hit.score) for hit in index.as_retriever().retrieve("angina")]
words = BM25Retriever.from_defaults(nodes=reopened.get_nodes(), similarity_top_k=1)
fused = QueryFusionRetriever([index.as_retriever(), words], num_queries=1, llm=MockLLM())
modules = [bedside, langchain_bedside, sys.modules["llama_index.embeddings.bedside"], llama_index.core]
print(json.dumps({
    "written": written, "read": read, "fused": len(fused.retrieve("stress test")),
    "where": [module.__file__ for module in modules], "torch": "torch" in sys.modules,
}))
"""
TEN_LINES = {
    "bedside": """
from bedside import Collection, Document, load_encoder
notes = Collection.open("notes.bedside", encoder=load_encoder("bedside/static"), scope_keys=["patient_id"])
patient = notes.scoped(patient_id="A")
patient.add([Document("Chest pain on exertion.", {"section": "HPI"}, "a-1"), Document("BP 120/80.", {}, "a-2")])
print(patient.search("angina", top_k=1, filter={"section": "HPI"})[0].id)
""",
    "langchain_bedside": """
from langchain_bedside import BedsideEmbeddings, BedsideVectorStore
store = BedsideVectorStore(BedsideEmbeddings(model="bedside/static"), "notes.bedside", scope={"patient_id": "A"})
store.add_texts(["Chest pain on exertion.", "BP 120/80."], ids=["a-1", "a-2"])
print(store.as_retriever(search_kwargs={"k": 1}).invoke("angina")[0].id)
""",
    "llama_index_embeddings_bedside": """
from llama_index.core import VectorStoreIndex
from llama_index.core.schema import TextNode
from llama_index.embeddings.bedside import BedsideEmbedding
nodes = [TextNode(text="Chest pain on exertion.", id_="a-1"), TextNode(text="BP 120/80.", id_="a-2")]
index = VectorStoreIndex(nodes, embed_model=BedsideEmbedding(model_name="bedside/static"))
print(index.as_retriever(similarity_top_k=1).retrieve("angina")[0].node_id)
""",
    "llama_index_vector_stores_bedside": """
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores import VectorStoreQuery
from llama_index.vector_stores.bedside import BedsideVectorStore
store = BedsideVectorStore("notes.bedside", scope={"patient_id": "A"})
texts = {"a-1": ("Chest pain on exertion.", [1, 0]), "a-2": ("BP 120/80.", [0, 1])}
store.add([TextNode(id_=id, text=text, embedding=vector) for id, (text, vector) in texts.items()])
print(store.query(VectorStoreQuery(query_embedding=[1, 0], similarity_top_k=1)).ids[0])
""",
}
"""What each package's page promises, in a few lines."""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The four wheels, by package."""
    folder = tmp_path_factory.mktemp("wheels")
    for source in SOURCES:
        run("-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source), cwd=folder)
    return {wheel.name.split("-")[0]: wheel for wheel in folder.glob("*.whl")}


def run(*arguments: str, cwd: Path, python: Path | str = sys.executable, **environment: str) -> str:
    # Without PYTHONPATH: in a clean environment it would lead past the wheels to this checkout.
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | environment
    done = subprocess.run([str(python), *arguments], cwd=cwd, capture_output=True, text=True, env=variables)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for a virtual environment, which goes away afterwards: it has gigabytes."""
    yield tmp_path
    shutil.rmtree(tmp_path / "venv")


def environment(folder: Path, *requirements: str) -> Path:
    """Make a virtual environment with ``requirements`` and nothing else, and give its Python."""
    run("-m", "venv", str(folder), cwd=ROOT)
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    constraints = folder / "constraints.txt"
    constraints.write_text("\n".join(line for line in pinned if not line.lower().startswith(NOT_PINNED)))
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pip = ["-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    run(*pip, "--upgrade", "pip", cwd=folder, python=python)
    run(*pip, "--constraint", str(constraints), *requirements, cwd=folder, python=python)
    return python


def project(source: Path) -> dict[str, object]:
    tomllib = pytest.importorskip("tomllib", reason="needs Python 3.11 to read pyproject.toml")
    return tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module", params=SOURCES, ids=lambda source: source.name)
def wheel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of one package, opened."""
    folder = tmp_path_factory.mktemp("wheel")
    run("-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(request.param), cwd=folder)
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def metadata(wheel: zipfile.ZipFile) -> Message:
    return message_from_bytes(wheel.read(next(name for name in wheel.namelist() if name.endswith("/METADATA"))))


def test_every_wheel_holds_the_licence(wheel):
    """Whoever hands a wheel on must hand the licence on with it (Apache-2.0, section 4a)."""
    held = next(name for name in wheel.namelist() if name.endswith("licenses/LICENSE"))
    assert wheel.read(held) == (ROOT / "LICENSE").read_bytes()


def test_a_wheel_has_a_place_on_the_web_and_its_description_no_link_that_leads_nowhere_there(wheel):
    said = metadata(wheel)
    assert f"Homepage, https://pypi.org/project/{said['Name']}/" in said.get_all("Project-URL")
    text = said.get_payload()
    assert "```" in text
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert [link for link in links if not link.startswith(("https://", "#"))] == []
    found = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    headings = {re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in found}
    assert {link[1:] for link in links if link.startswith("#")} <= headings
    if said["Name"] == "bedside":
        for source in SOURCES[1:]:
            assert f"](https://pypi.org/project/{source.name}/)" in text


def test_an_index_would_take_every_wheel_as_it_is(wheel):
    assert "PASSED" in run("-m", "twine", "check", "--strict", str(wheel.filename), cwd=ROOT, NO_COLOR="1")


def test_the_readmes_table_says_the_releases_that_the_packages_ask_for():
    """One table says what is supported; the oldest of each is the bound of a package."""
    table = (ROOT / "README.md").read_text(encoding="utf-8").split("## What runs where")[1].split("\n\n")[1]
    core = project(ROOT)["project"]
    extras = core["optional-dependencies"]
    declared = [line for source in SOURCES for line in project(source)["project"]["dependencies"]]
    asked = dict(
        re.findall(
            r"^([\w-]+)[^>]*>=([\d.]+)",
            "\n".join([*declared, *extras["transformers"], *extras["mcp"], *extras["postgres"]]),
            re.MULTILINE,
        )
    )
    for name in ("torch", "transformers", "sentence-transformers", "langchain-core", "llama-index-core"):
        assert f"{name} {asked[name]}" in table, name
    assert f"the MCP SDK {asked['mcp']}" in table
    assert f"psycopg {asked['psycopg']}" in table
    pythons = [each.rsplit(" ", 1)[1] for each in core["classifiers"] if "Python :: 3." in each]
    assert f"Python {pythons[0]} to {pythons[-1]}" in table


@pytest.mark.parametrize("source", SOURCES[1:], ids=lambda source: source.name)
def test_the_adapters_say_which_releases_they_need(source):
    """The oldest releases in ``integrations/lowest.txt`` are those that the packages declare."""
    tried = dict(
        line.split("==") for line in (ROOT / "integrations" / "lowest.txt").read_text().splitlines() if "==" in line
    )
    declared = project(source)["project"]["dependencies"]
    bounds = {line.split(">=")[0]: line.split(">=")[1].split(",")[0] for line in declared}
    framework = [name for name in bounds if name in tried]
    assert framework
    assert {name: bounds[name] for name in framework} == {name: tried[name] for name in framework}


@pytest.mark.parametrize("source", SOURCES[2:], ids=lambda source: source.name)
def test_llama_hub_finds_the_classes_where_the_package_says(source):
    """``[tool.llamahub]`` names the import path and every public component of LlamaIndex in it."""
    from llama_index.core.schema import BaseComponent

    hub = project(source)["tool"]["llamahub"]
    module = importlib.import_module(hub["import_path"])
    public = {name: getattr(module, name) for name in module.__all__}
    components = [
        name for name, found in public.items() if isinstance(found, type) and issubclass(found, BaseComponent)
    ]
    assert sorted(hub["class_authors"]) == sorted(components)


@pytest.mark.parametrize(
    "name", ["langchain_bedside", "llama_index.embeddings.bedside", "llama_index.vector_stores.bedside"]
)
def test_the_examples_in_the_adapters_docstrings_are_true(name):
    package = importlib.import_module(name)
    tried = 0
    for module in pkgutil.iter_modules(package.__path__, f"{name}."):
        found = doctest.testmod(importlib.import_module(module.name))
        assert not found.failed, module.name
        tried += found.attempted
    assert tried


@pytest.mark.slow
def test_a_wheel_holds_its_package_and_nothing_of_anothers(wheels):
    """Types are marked, the namespace stays LlamaIndex', no tests and no caches are shipped."""
    assert len(wheels) == 4
    roots = {"bedside": "bedside", "langchain_bedside": "langchain_bedside"}
    roots["llama_index_embeddings_bedside"] = "llama_index/embeddings/bedside"
    roots["llama_index_vector_stores_bedside"] = "llama_index/vector_stores/bedside"
    for package, wheel in wheels.items():
        names = [name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name]
        assert f"{roots[package]}/__init__.py" in names
        assert f"{roots[package]}/py.typed" in names
        assert all(name.startswith(f"{roots[package]}/") for name in names), package
        assert not [name for name in names if "test" in name.split("/") or "__pycache__" in name]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("package", TEN_LINES)
def test_each_wheel_runs_its_ten_lines_alone_in_a_clean_environment(wheels, folder, package):
    """It brings what it imports, and no torch: an adapter needs nothing but its framework and Bedside."""
    core = [] if package == "bedside" else [str(wheels["bedside"])]
    python = environment(folder / "venv", *core, str(wheels[package]))
    code = f"import sys\n{TEN_LINES[package]}\nprint('torch' in sys.modules)"
    assert run("-c", code, cwd=folder, python=python).splitlines()[-2:] == ["a-1", "False"]
    assert size_of(folder / "venv") < 300e6


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_wheels_of_both_llama_index_adapters_with_the_static_encoder_take_under_300_mb(wheels, folder):
    adapters = [str(wheel) for name, wheel in wheels.items() if name.startswith("llama_index")]
    python = environment(folder / "venv", str(wheels["bedside"]), *adapters)
    code = TEN_LINES["llama_index_embeddings_bedside"]
    assert run("-c", code, cwd=folder, python=python).split()[-1] == "a-1"
    assert size_of(folder / "venv") < 300e6


def size_of(folder: Path) -> int:
    """The bytes of all files of a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_wheels_run_in_a_clean_environment_beside_the_frameworks_own(wheels, folder):
    """Installed by pip with another LlamaIndex integration: what LangChain writes LlamaIndex reads, the same scores."""
    python = environment(folder / "venv", *map(str, wheels.values()), "llama-index-retrievers-bm25")
    found = json.loads(run("-c", ROUND_TRIP, cwd=folder, python=python).splitlines()[-1])
    assert found["read"] == found["written"]
    assert {id for id, _ in found["read"]} == {"n1.0", "n1.1"}
    assert found["fused"] == 2
    assert found["torch"] is False
    assert all(Path(file).is_relative_to(folder) for file in found["where"])


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_oldest_frameworks_pass_the_adapters_tests(wheels, folder):
    """The adapters' own tests, against the wheels and the oldest releases that the packages allow."""
    lowest = ROOT / "integrations" / "lowest.txt"
    python = environment(folder / "venv", "--requirement", str(lowest), *map(str, wheels.values()))
    place = run("-c", "import llama_index.core as c; print(c.__path__[0])", cwd=folder, python=python).strip()
    # These releases ship the stop words that they then look for in the user's cache, or on the network.
    suite = ["-m", "pytest", "-q", "--disable-warnings", "-p", "no:cacheprovider", "integrations"]
    assert " passed" in run(*suite, cwd=ROOT, python=python, NLTK_DATA=place)
