"""Maps: who is on them, what they are coloured by, what a file may hold, and how a real browser shows the page."""

from __future__ import annotations

import html.parser
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bedside import Collection, Document
from bedside.analysis.clusters import cluster_documents, cluster_words
from bedside.analysis.maps import map_documents, map_words, project
from bedside.analysis.maps.colors import PALETTE, RAMP, UNNAMED, label_values, shapes_of
from bedside.analysis.maps.project import chosen_method
from bedside.errors import InvalidInputError, ScopeRequired
from bedside.words import WordVectors

SECTIONS = ("HPI", "ROS", "PLAN")
HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"> & <!--"


def documents(rng, count=30):
    for n in range(count):
        section = n % 3
        vector = 2.0 * np.eye(5)[section] + 0.2 * rng.normal(size=5)
        meta = {"section": SECTIONS[section], "n": n, "seen": {"by": f"Dr {n % 2}"}}
        yield Document(f"Secret text {n} {HOSTILE}", meta, f"d{n}", vector)


@pytest.fixture
def notes(rng):
    with Collection.open() as collection:
        collection.add(documents(rng))
        yield collection


UMAP = pytest.mark.slow(reason="numba compiles for most of a minute")


@pytest.mark.parametrize(
    ("method", "library"), [("pca", "numpy"), ("tsne", "sklearn"), pytest.param("umap", "umap", marks=UMAP)]
)
def test_neighbours_stay_neighbours_and_the_same_seed_gives_the_same_points(notes, method, library):
    pytest.importorskip(library, reason=f"{library} is not installed")
    one = map_documents(notes, method=method, color_by="section", seed=3)
    assert one.points.shape == (30, 2)
    assert one.points.dtype == np.float32
    distances = np.linalg.norm(one.points[:, None] - one.points[None], axis=2) + np.diag([np.inf] * 30)
    same = np.mean([one.labels[i] == one.labels[j] for i, j in enumerate(distances.argmin(axis=1))])
    assert same > 0.9
    np.testing.assert_array_equal(map_documents(notes, method=method, seed=3).points, one.points)


def test_pca_is_the_two_directions_of_most_variance(rng):
    rows = rng.normal(size=(50, 6)).astype(np.float32) * [5, 3, 1, 1, 1, 1]
    units = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float64)
    singular = np.linalg.svd(units - units.mean(axis=0), compute_uv=False)
    points = project(rows.astype(np.float32), "pca")
    np.testing.assert_allclose(np.linalg.norm(points, axis=0), singular[:2], rtol=1e-4)
    assert abs(points[:, 0] @ points[:, 1]) < 1e-3


@pytest.mark.parametrize("count", [1, 2, 4, 6])
@pytest.mark.parametrize("method", ["pca", "tsne", pytest.param("umap", marks=UMAP)])
def test_a_few_points_can_be_laid_out_by_every_method(rng, count, method):
    for library in {"tsne": ["sklearn"], "umap": ["umap"]}.get(method, []):
        pytest.importorskip(library, reason=f"{library} is not installed")
    assert np.isfinite(project(rng.normal(size=(count, 3)).astype(np.float32), method)).all()


def test_only_the_scope_and_the_filter_are_on_the_map(rng, tmp_path):
    with Collection.open(scope_keys=["patient_id"]) as notes:
        for patient in ("anna", "bert"):
            for d in documents(rng, 6):
                text = f"{patient} {d.text}"
                notes.scoped(patient_id=patient).add([Document(text, d.metadata, f"{patient}-{d.id}", d.vector)])
        chart = map_documents(notes.scoped(patient_id="anna"), color_by="section", filter={"n": {"$lt": 4}})
        assert chart.ids == tuple(f"anna-d{n}" for n in range(4))
        assert "bert" not in chart.save(tmp_path / "anna.html").read_text()
        with pytest.raises(ScopeRequired):
            map_documents(notes)


def test_colours_are_categories_most_frequent_first_or_ranges_of_numbers():
    labels, colors = label_values(["b", "a", "a", None, True, ["x", 1]])
    assert labels == ["b", "a", "a", "(none)", "true", "x, 1"]
    assert list(colors) == ["a", "b", "true", "x, 1", "(none)"]
    labels, colors = label_values([f"v{i}" for i in range(40)])
    assert len(colors) == len(PALETTE) + 1
    assert labels.count("(other)") == 40 - len(PALETTE)
    labels, colors = label_values([*(f"v{i}" for i in range(40)), None])
    assert len(set(colors.values())) == len(colors) == len(PALETTE) + 2  # a legend with one colour twice tells nothing
    labels, colors = label_values([*range(100), None])
    assert list(colors.values())[:-1] == list(RAMP)
    assert [labels[0], labels[99], labels[100]] == ["0 to 19.8", "79.2 to 99", "(none)"]
    assert label_values([1, 2, 2.5])[0] == ["1", "2", "2.5"]
    assert label_values([]) == ([], {})
    assert label_values(["", " ", "a"])[0] == ["(empty)", "(empty)", "a"]


def test_every_colour_stands_out_on_the_white_and_on_the_dark_page_and_shapes_tell_labels_apart_too():
    """A contrast of 3, which WCAG 2 asks of graphics."""
    for color in (*PALETTE, *RAMP, *UNNAMED.values()):
        assert min(contrast(color, "#ffffff"), contrast(color, "#14181c")) >= 3, color
    shapes = shapes_of([*"abcde", "(other)", "(none)"])
    assert len({shapes[label] for label in (*"abcd", "(other)", "(none)")}) == 6


def contrast(one, other):
    low, high = sorted(luminance(color) + 0.05 for color in (one, other))
    return high / low


def luminance(color):
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


@pytest.mark.parametrize(
    ("installed", "points", "method"),
    [({"umap", "sklearn"}, 9, "umap"), ({"sklearn"}, 9, "tsne"), ({"sklearn"}, 20_000, "pca"), (set(), 9, "pca"),
     ({"umap"}, 4, "pca")],
)  # fmt: skip
def test_a_map_takes_the_method_that_keeps_neighbours_where_it_is_installed(monkeypatch, installed, points, method):
    module = sys.modules[chosen_method.__module__]  # the package has a function of that name
    monkeypatch.setattr(module, "is_installed", installed.__contains__)
    assert chosen_method("auto", points) == method


def test_a_map_says_how_it_was_laid_out_and_what_distances_mean(notes, tmp_path):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    for method, words in (("pca", "Laid out by PCA"), ("tsne", "distances between far groups mean nothing")):
        chart = map_documents(notes, method=method)
        assert words in chart.note
        assert words in chart.save(tmp_path / "map.html").read_text("utf-8")


def test_dotted_keys_and_clusters_colour_a_map(notes):
    assert set(map_documents(notes, method="pca", color_by="seen.by").labels) == {"Dr 0", "Dr 1"}
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    clustering = cluster_documents(notes, 3)
    chart = map_documents(notes, method="pca", color_by=clustering)
    assert set(chart.labels) == {cluster.name for cluster in clustering.clusters}


def test_what_colours_nothing_is_said(notes):
    with pytest.raises(InvalidInputError, match="color_by: expected a metadata key or a Clustering, got int"):
        map_documents(notes, color_by=5)


def test_words_are_mapped_with_their_clusters():
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    vectors = WordVectors(["a", "b", "c", "d"], [[1, 0, 0], [1, 0.1, 0], [0, 1, 0], [0, 1, 0.1]])
    clustering = cluster_words(vectors, k=2)
    chart = map_words(vectors, ["a", "b", "c", "d", "zzz"], color_by=clustering)
    assert chart.ids == ("a", "b", "c", "d")
    assert chart.labels[0] == chart.labels[1] != chart.labels[2] == chart.labels[3]
    assert chart.snippets is None
    with pytest.raises(InvalidInputError, match="none of the words"):
        map_words(vectors, ["zzz"])


def test_without_snippets_no_text_is_in_any_file(notes, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    for snippets in (True, False):
        chart = map_documents(notes, method="pca", color_by="section", snippets=snippets)
        page = chart.save(tmp_path / "map.html").read_text("utf-8")
        assert ("Secret text" in page) is snippets
        assert b"Secret" not in chart.save(tmp_path / "map.svg").read_bytes()
        assert b"Secret" not in chart.save(tmp_path / "map.png").read_bytes()


def test_snippets_are_cut():
    with Collection.open() as notes:
        notes.add([Document("word " * 500, vector=[1, 0]), Document("short\n text", vector=[0, 1])])
        long, short = map_documents(notes).snippets
    assert len(long) <= 160
    assert long.endswith("…")
    assert short == "short text"


class Tags(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def test_the_page_loads_nothing_and_no_text_becomes_markup(notes, tmp_path):
    page = map_documents(notes, method="pca", title=HOSTILE).save(tmp_path / "map.html").read_text("utf-8")
    tags = Tags()
    tags.feed(page)
    assert [tag for tag, _ in tags.found].count("script") == 2
    assert not {"img", "link", "iframe", "base", "form"} & {tag for tag, _ in tags.found}
    assert not any(name in ("src", "href", "srcset", "onerror") for _, attrs in tags.found for name in attrs)
    assert not re.search(r"https?:|//\w+\.\w+|@import|url\(", page)
    policy = next(a["content"] for t, a in tags.found if t == "meta" and a.get("http-equiv"))
    assert policy.startswith("default-src 'none'")
    data = json.loads(re.search(r'type="application/json">(.*?)</script>', page, re.DOTALL)[1])
    assert data["text"][0].startswith("Secret text 0 </script>")
    assert len(data["x"]) == len(data["id"]) == 30


def test_files_are_private_and_other_endings_refused(notes, tmp_path):
    chart = map_documents(notes, method="pca")
    assert chart.save(tmp_path / "map.html").stat().st_mode & 0o077 == 0
    with pytest.raises(InvalidInputError, match=r"\.html, \.png or \.svg"):
        chart.save(tmp_path / "map.pdf")
    with pytest.raises(InvalidInputError, match="pca, tsne, umap"):
        map_documents(notes, method="mds")
    with pytest.raises(InvalidInputError, match="no document"):
        map_documents(notes, filter={"n": -1})


def test_the_picture_shows_every_colour(notes, tmp_path):
    image = pytest.importorskip("matplotlib.image", reason="matplotlib is not installed")
    chart = map_documents(notes, method="pca", color_by="section", title="cost $5 and $6 _x")
    pixels = image.imread(chart.save(tmp_path / "map.png"))
    assert_shows(pixels, chart.colors.values())


def test_a_missing_library_names_its_extra(tmp_path):
    for library, extra, call in (
        ("matplotlib", "plot", "map_documents(notes).save('x.png')"),
        ("umap", "umap", "map_documents(notes, method='umap')"),
    ):
        code = (
            f"import sys; sys.modules['{library}'] = None\n"
            "from bedside import Collection, Document\nfrom bedside.analysis.maps import map_documents\n"
            "notes = Collection.open()\nnotes.add([Document('a', vector=[i, 1]) for i in range(9)])\n" + call
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
        assert f'pip install "bedside[{extra}]"' in done.stderr


def assert_shows(pixels, colors):
    """Each colour, drawn nearly opaque on white, is in the picture."""
    for color in colors:
        rgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        distance = np.abs(pixels[..., :3] - (0.78 * rgb + 0.22)).max(axis=-1)
        assert (distance < 0.06).sum() > 30, color


def browser() -> str:
    found = os.environ.get("BEDSIDE_BROWSER") or shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("chromium is not installed, or BEDSIDE_BROWSER does not name it")
    return found


def headless(profile: Path, *arguments: str) -> str:
    command = [
        browser(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--force-color-profile=srgb",
        "--hide-scrollbars", f"--user-data-dir={profile}", "--window-size=1000,700", *arguments,
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


@pytest.mark.slow
def test_a_real_browser_draws_every_point_and_runs_none_of_the_texts(notes, tmp_path):
    image = pytest.importorskip("matplotlib.image", reason="matplotlib is not installed")
    chart = map_documents(notes, method="pca", color_by="section", title="Example notes")
    page = chart.save(tmp_path / "map.html").as_uri()
    dom = headless(tmp_path / "profile-1", "--dump-dom", page)
    assert 'data-points="30"' in dom  # the script ran to its end
    assert "<title>Example notes</title>" in dom
    assert ">30 points</p>" in dom
    for section in SECTIONS:
        assert f"<span>{section}</span><b>10</b>" in dom
    headless(tmp_path / "profile-2", f"--screenshot={tmp_path / 'shot.png'}", page)
    pixels = image.imread(tmp_path / "shot.png")
    assert_shows(pixels[60:, :700], chart.colors.values())  # the plot, without the legend's dots


@pytest.mark.slow
@pytest.mark.parametrize("snippets", [True, False])
def test_the_pointer_shows_id_label_and_text_as_text(notes, tmp_path, snippets):
    page = map_documents(notes, method="pca", color_by="section", snippets=snippets).save(tmp_path / "map.html")
    move = (
        "<script>canvas.dispatchEvent(new PointerEvent('pointermove', {clientX: screenX(4) + "
        "canvas.getBoundingClientRect().left, clientY: screenY(4) + canvas.getBoundingClientRect().top}));</script>"
    )
    moved = tmp_path / "moved.html"
    moved.write_text(page.read_text("utf-8").replace("</body>", move + "</body>"), "utf-8")
    dom = headless(tmp_path / "profile", "--dump-dom", moved.as_uri())
    tip = re.search(r'<div id="tip".*?</div>', dom, re.DOTALL)[0]
    assert "<strong>d4</strong><em>ROS</em>" in tip
    assert ("<span>Secret text 4 &lt;/script&gt;" in tip) is snippets
    assert "display: block" in tip
    assert "owned" not in dom.split("</title>")[0]
