"""The published schema, and a TypeScript client that is generated from it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from command_line import bedside
from serving_server import serving

PACKAGES = ["openapi-typescript@7.13.0", "openapi-fetch@0.17.0", "typescript@5.9.3"]
CACHE = Path(__file__).resolve().parents[2] / "bench-results" / "openapi-typescript-7.13.0"
CLIENT = """
import createClient from "openapi-fetch";
import type { components, paths } from "./bedside.js";

const client = createClient<paths>({
  baseUrl: process.argv[2],
  headers: { Authorization: `Bearer ${process.argv[3]}` },
});
const path = { name: "ward" };
const documents: components["schemas"]["DocumentModel"][] = [
  { text: "Chest pain on exertion.", metadata: { section: "HPI" } },
  { text: "Aspirin 100 mg.", id: "a2" },
];
const added = await client.POST("/v1/collections/{name}/add", { params: { path }, body: { documents } });
if (added.error) throw new Error(added.error.detail);
const found = await client.POST("/v1/collections/{name}/search", {
  params: { path },
  body: { query: "exertion", mode: "sparse", filter: { section: "HPI" }, explain: true },
});
if (found.error) throw new Error(found.error.detail);
const best: components["schemas"]["HitModel"] = found.data.hits[0];
const score: number = best.score;
const copies: number = best.copies.length;
console.log(found.data.hits.length, best.text, score > 0, copies, best.explanation?.formula.includes("bm25"));
const refused = await client.POST("/v1/collections/{name}/search", {
  params: { path },
  body: { query: "chest pain", scope: { patient_id: "B" } },
});
console.log(refused.error?.title, refused.error?.status);
"""
WRONG = 'await client.POST("/v1/collections/{name}/search", { params: { path }, body: { query: 5 } });'


@pytest.fixture(scope="module")
def schema():
    return json.loads(bedside("openapi"))


def test_the_command_prints_what_a_server_publishes(schema, root):
    with serving(root) as client:
        assert client.get("/openapi.json").json() == schema


def test_the_schema_says_how_a_token_is_given_whether_or_not_the_server_has_any(schema):
    ((name, scheme),) = schema["components"]["securitySchemes"].items()
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            assert ({name: []} in operation.get("security", [])) == (path not in ("/health", "/ready")), path


def test_a_field_with_a_default_is_optional_and_says_its_default_in_words(schema):
    fields = schema["components"]["schemas"]["SearchRequest"]["properties"]
    assert "By default 10." in fields["top_k"]["description"]
    assert "required" not in schema["components"]["schemas"]["SearchRequest"]
    for name, model in schema["components"]["schemas"].items():
        for field, said in model.get("properties", {}).items():
            assert field in model.get("required", ()) or "default" not in said, (name, field)


def test_what_an_answer_always_has_is_required_in_it(schema):
    models = schema["components"]["schemas"]
    for name in ("HitModel", "NoteHitModel", "ExplanationModel", "StatsModel", "Ids", "Changes"):
        assert set(models[name]["required"]) == set(models[name]["properties"]), name


@pytest.fixture(scope="module")
def tools():
    bins = CACHE / "node_modules" / ".bin"
    if not (bins / "openapi-typescript").exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", *PACKAGES]
        done = subprocess.run(install, cwd=CACHE, capture_output=True, text=True, timeout=280)
        if done.returncode:
            pytest.skip(f"npm could not install openapi-typescript: {done.stderr.strip().splitlines()[-1]}")
    return bins


@pytest.mark.slow(reason="installs the generator the first time")
@pytest.mark.node
@pytest.mark.skipif(not (shutil.which("node") and shutil.which("npm")), reason="Node.js and npm are not installed")
def test_a_generated_typescript_client_holds_its_types_and_searches(schema, tools, root, tokens, tmp_path):
    project = tmp_path / "client"
    project.mkdir()
    (project / "node_modules").symlink_to(CACHE / "node_modules")
    (project / "bedside.json").write_text(json.dumps(schema))
    (project / "package.json").write_text('{"type": "module"}')

    def compiled(program):
        (project / "ask.ts").write_text(program)
        options = ["--strict", "--module", "nodenext", "--target", "es2022", "--lib", "es2022,dom", "--skipLibCheck"]
        (project / "node.d.ts").write_text("declare const process: { argv: string[] };")
        command = [tools / "tsc", *options, "ask.ts", "node.d.ts"]
        return subprocess.run(command, cwd=project, capture_output=True, text=True)

    generate = [tools / "openapi-typescript", "bedside.json", "--output", "bedside.d.ts"]
    subprocess.run(generate, cwd=project, check=True, capture_output=True)
    assert "Type 'number' is not assignable to type 'string'" in compiled(f"{CLIENT}\n{WRONG}").stdout
    assert compiled(CLIENT).stdout == ""
    with serving(root, "--tokens", tokens) as client:
        command = ["node", "ask.js", str(client.base_url), "a" * 32]
        done = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert done.stdout == "1 Chest pain on exertion. true 0 true\nScopeMismatch 403\n", done.stderr
