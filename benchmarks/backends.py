"""Measure the encoder's backends side by side: speed, import, memory and disk, on a BERT of full size.

::

    python benchmarks/backends.py                                   # random weights of Bio_ClinicalBERT's shape
    python benchmarks/backends.py --output docs/benchmarks.md         # writes its section there
    python benchmarks/backends.py --only torch:float32 onnx:int8

Every backend lives in a process of its own, and every round asks each once for the same texts, beginning with another
one: whatever else the machine does slows all alike. A backend that is not installed is left out.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from bedside.errors import BedsideWarning
from report import ROOT, machine, table, today, versions, workplace, write_section
from timing import interleaved

SPECS = (
    "torch:float32", "torch:bfloat16", "onnx:float32", "onnx:int8", "openvino:float32", "openvino:bfloat16",
    "openvino:int8", "jax:float32", "tensorflow:float32",
)  # fmt: skip
LIBRARIES = {
    "torch": "torch", "onnx": "onnxruntime", "openvino": "openvino", "jax": "jax", "tensorflow": "tensorflow"
}  # fmt: skip
TEXT = (
    "patient denies chest pain dyspnea on metformin 500 mg daily with a history of hypertension and nausea after "
    "surgery no edema was seen follow up in two weeks"
)


def main() -> None:
    """Run the benchmark, or one of its workers."""
    options = _options()
    if options.worker:
        if options.cores:
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
        _work(*options.worker)
        return
    with workplace() as place:
        os.environ["BEDSIDE_CACHE"] = str(place / "cache")
        model = full_size_model(place)
        folders = {spec: _folder(model, place, spec) for spec in options.only}
        workers = {spec: Worker(spec, folder, options.cores) for spec, folder in folders.items() if folder is not None}
        section = _section(workers, options)
    if options.output:
        write_section("backends", section, options.output)
    else:
        print(section)


class Worker:
    """A process with one backend; see :func:`_work`."""

    def __init__(self, spec: str, folder: Path, cores: int | None) -> None:
        command = [sys.executable, __file__, "--worker", spec, str(folder), *(["--cores", str(cores)] if cores else [])]
        self._process = subprocess.Popen(  # noqa: S603 - this very script
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.facts: dict[str, float] = self._answer()
        self.processor_seconds: list[float] = []

    def encode(self, count: int) -> float:
        """Encode ``count`` texts and return the seconds it took."""
        print(count, file=self._process.stdin, flush=True)
        answer = self._answer()
        self.processor_seconds.append(answer["processor"])
        return answer["wall"]

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _answer(self) -> dict[str, float]:
        assert self._process.stdout is not None  # noqa: S101 - a pipe was asked for
        answer: dict[str, float] = json.loads(self._process.stdout.readline())
        return answer


def _work(spec: str, folder: str) -> None:
    """Import, load, then encode as many texts as each line of standard input says; answer each in a line of JSON."""
    say = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not be taken for an answer
    facts = _facts(spec, Path(folder))
    encoder = facts.pop("encoder")
    print(json.dumps(facts), file=say, flush=True)
    texts = _texts()
    for line in sys.stdin:
        wall, processor = time.perf_counter(), time.process_time()
        encoder.encode_documents(texts[: int(line)])
        answer = {"wall": time.perf_counter() - wall, "processor": time.process_time() - processor}
        print(json.dumps(answer), file=say, flush=True)


def _facts(spec: str, folder: Path) -> dict[str, Any]:
    backend, _, dtype = spec.partition(":")
    bare, start = _resident(), time.process_time()
    from bedside import load_encoder
    from bedside.encoders.backends import backend_module

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        backend_module(backend)
        imported, after_import = time.process_time() - start, _resident()
        encoder: Any = load_encoder(folder, backend=backend, dtype=dtype, device="cpu")
        start = time.perf_counter()
        encoder.encode_documents(["Patient denies chest pain."])
        loaded = time.perf_counter() - start
    return {
        "encoder": encoder,
        "import": imported,
        "import_memory": after_import - bare,
        "load": loaded,
        "memory": _resident() - bare,
        "disk": _network_bytes(folder, backend, "int8" if dtype == "int8" else "float32"),
        "tokens": float(np.mean(encoder.count_tokens(_texts()))),
    }


def _section(workers: dict[str, Worker], options: argparse.Namespace) -> str:
    try:
        calls: dict[str, Callable[[int], float]] = {
            spec: lambda _, worker=worker: worker.encode(options.texts)  # type: ignore[misc]
            for spec, worker in workers.items()
        }
        times = interleaved(calls, options.rounds, warm_up=1, budget=600)
    finally:
        for worker in workers.values():
            worker.close()
    processor = {spec: float(np.median(worker.processor_seconds[1:])) for spec, worker in workers.items()}
    first = processor[next(iter(workers))]
    rows = []
    for spec, worker in workers.items():
        facts = worker.facts
        rows.append(
            [
                spec.replace(":", ", "),
                f"{options.texts / times[spec].p50:.1f}",
                f"{1000 * processor[spec] / options.texts:.0f}",
                f"{first / processor[spec]:.2f}",
                f"{facts['import']:.2f}",
                f"{facts['import_memory'] / 1e6:.0f}",
                f"{facts['load']:.1f}",
                f"{facts['memory'] / 1e6:.0f}",
                f"{facts['disk'] / 1e6:.0f}",
            ]
        )
    header = [
        "backend", "texts/s", "CPU s per 1,000 texts", "times the first", "import, CPU s", "import, MB", "load, s",
        "loaded, MB", "disk, MB",
    ]  # fmt: skip
    tokens = next(iter(workers.values())).facts["tokens"]
    return (
        f"Measured {today()} on {_cores(options.cores)}{machine()}; {_libraries(workers)}. Medians of "
        f"{options.rounds} rounds of {options.texts} texts of {tokens:.0f} tokens on average.\n\n{table(header, rows)}"
    )


def _cores(count: int | None) -> str:
    return {None: "", 1: "one core of "}.get(count, f"{count} cores of ")


def _libraries(workers: Iterable[str]) -> str:
    known = importlib.metadata.packages_distributions()
    modules = dict.fromkeys(LIBRARIES[spec.partition(":")[0]] for spec in workers)
    return versions([known[module][0] for module in modules])


def full_size_model(place: Path) -> Path:
    """A BERT of Bio_ClinicalBERT's shape with seeded random weights, converted."""
    sys.path.insert(0, str(ROOT / "tests"))
    from bedside.encoders import prepare
    from checkpoints import make_bert_checkpoint  # type: ignore[import-not-found]

    return prepare(make_bert_checkpoint(place / "bert", layers=12, hidden=768, heads=12))


def _folder(model: Path, place: Path, spec: str) -> Path | None:
    """The folder that a backend loads: exported where it runs an exported network, else the model's own."""
    from bedside.encoders.export import EXPORTS, export_model

    backend, _, dtype = spec.partition(":")
    if importlib.util.find_spec(LIBRARIES[backend]) is None:
        print(f"{spec} is left out: {LIBRARIES[backend]} is not installed")
        return None
    kind = "int8" if dtype == "int8" else "float32"
    folder = place / f"{backend}-{kind}"
    if backend not in EXPORTS or folder.exists():
        return folder if folder.exists() else model
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BedsideWarning)
        export_model(model, folder, backend=backend, dtype=kind, texts=_texts() if kind == "int8" else None)
    return folder


def _texts(count: int = 128) -> list[str]:
    """Texts of 16 to 72 words, 60 tokens on average."""
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(TEXT.split(), size)) for size in rng.integers(16, 73, count)]


def _network_bytes(folder: Path, backend: str, kind: str) -> int:
    """Bytes of what the backend reads: its exported network, or the weights."""
    exported = folder / f"{backend}-{kind}"
    files = exported.rglob("*") if exported.is_dir() else folder.glob("model*.safetensors")
    return sum(file.stat().st_size for file in files if file.is_file())


def _resident() -> int:
    """Bytes of this process in memory, mapped files included."""
    import psutil  # type: ignore[import-untyped]

    return int(psutil.Process().memory_info().rss)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=list(SPECS), choices=SPECS, metavar="BACKEND:DTYPE")
    parser.add_argument("--texts", type=int, default=64, help="texts a round, at most 128")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--cores", type=int, help="cores that a backend may use (Linux; default: all)")
    parser.add_argument("--output", type=Path, help="Markdown file whose section is replaced")
    parser.add_argument("--worker", nargs=2, metavar=("SPEC", "FOLDER"), help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
