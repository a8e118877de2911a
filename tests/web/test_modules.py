"""The modules as developers get them: types that hold, a package that npm takes, one script for the page."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import bedside
from bedside.formats.web.bundle import bundle

SOURCE = Path(bedside.__file__).parent
TYPESCRIPT = json.loads((SOURCE / "package.json").read_text())["devDependencies"]["typescript"]
CACHE = Path(__file__).resolve().parents[2] / "bench-results" / f"typescript-{TYPESCRIPT}"
NODE = [
    pytest.mark.node,
    pytest.mark.skipif(not (shutil.which("node") and shutil.which("npm")), reason="Node.js and npm are not installed"),
]


@pytest.fixture(scope="module")
def compiler():
    found = CACHE / "node_modules" / "typescript" / "bin" / "tsc"
    if not found.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", f"typescript@{TYPESCRIPT}"]
        done = subprocess.run(install, cwd=CACHE, capture_output=True, text=True, timeout=280)
        if done.returncode:
            pytest.skip(f"npm could not install typescript: {done.stderr.strip().splitlines()[-1]}")
    return found


@pytest.mark.slow(reason="installs the compiler the first time")
class TestPackage:
    pytestmark = NODE

    def test_every_type_holds(self, compiler):
        done = subprocess.run(["node", compiler, "--project", SOURCE / "web"], capture_output=True, text=True)
        assert done.stdout == ""

    def test_npm_packs_modules_lists_weights_and_types_and_the_package_works(self, compiler, tmp_path):
        shutil.copytree(SOURCE, tmp_path / "src", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
        path = {"PATH": f"{compiler.parent}:{Path(shutil.which('npm')).parent}:/usr/bin:/bin", "HOME": str(tmp_path)}
        pack = ["npm", "pack", "--json", "--offline"]
        done = subprocess.run(pack, cwd=tmp_path / "src", env=path, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        (packed,) = json.loads(done.stdout[done.stdout.index("[") :])
        files = {file["path"] for file in packed["files"]}
        assert {
            "web/index.js",
            "web/types/web/index.d.ts",
            "text/data/lexicon.json",
            "text/data/assertions.json",
        } <= files
        assert "encoders/data/static/model.safetensors" in files
        assert not any(file.endswith((".html", ".py")) for file in files)
        subprocess.run(["tar", "xf", packed["filename"]], cwd=tmp_path / "src", check=True)
        (tmp_path / "node_modules").mkdir()
        (tmp_path / "src" / "package").rename(tmp_path / "node_modules" / packed["name"])
        program = """
            import { Collection } from "bedside-search";
            const notes = await Collection.open();
            await notes.add(["Denies chest pain.", "Fever."]);
            console.log((await notes.search("fever")).map(({ text }) => text).join());
        """
        run = ["node", "--no-warnings", "--input-type=module", "--eval", program]
        assert subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=True).stdout == "Fever.\n"


def test_the_bundle_holds_each_module_once_and_ends_no_script_element():
    script = bundle("page.js")
    assert script.count('modules["web/fold.js"] = ') == 1
    assert script.count('modules["text/data/lexicon.json"] = ') == 1
    assert "</script" not in script.lower()
    assert not [line for line in script.splitlines() if line.startswith(("import ", "export "))]


def test_no_list_of_the_tokenizer_and_of_the_rules_stands_twice():
    for module in ("fold", "tokenizer", "stemmer", "sentences", "assertions"):
        source = (SOURCE / "web" / f"{module}.js").read_text("utf-8")
        for word in ("mmol", "epsilon", '"whom"', "bilat", '"ruled out"'):
            assert word not in source


@pytest.mark.node
@pytest.mark.skipif(not shutil.which("node"), reason="Node.js is not installed")
def test_the_code_of_the_documentation_runs(tmp_path):
    page = (Path(__file__).resolve().parents[2] / "docs" / "browser.md").read_text("utf-8")
    blocks = re.findall(r"(?<!<!-- not executed -->\n)^```js\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    program = "\n".join(blocks).replace('"bedside-search"', json.dumps((SOURCE / "web" / "index.js").as_uri()))
    run = ["node", "--no-warnings", "--input-type=module", "--eval", program]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("n2 ")
    assert '{"id":"n2","text":"Metformin 500mg b.i.d.","metadata":{"section":"PLAN","age":64}}' in done.stdout


@pytest.mark.node
@pytest.mark.skipif(not shutil.which("node"), reason="Node.js is not installed")
def test_the_verbs_hold_what_their_own_tests_say():
    run = ["node", "--no-warnings", "--test", Path(__file__).with_name("verbs.test.mjs")]
    done = subprocess.run(run, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
    assert "# pass 12" in done.stdout


def test_the_package_for_npm_has_the_version_of_the_one_for_python():
    project = (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text("utf-8")
    version = json.loads((SOURCE / "package.json").read_text())["version"]
    assert f'\nversion = "{version}"\n' in project
