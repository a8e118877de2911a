"""vectra, the store in Node that keeps its index as JSON, behind the calls of the other candidates.

``npm install --prefix bench-results/node vectra@0.15.0`` puts it where this module looks for it.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bedside.types import Vector
from corpora import Rows
from peer import BUCKET, Peer
from report import RESULTS


class Vectra(Peer):
    """vectra under Node, in its own process: it times each query itself, so the pipe is not counted."""

    name = "vectra (Node)"
    package = "json"
    largest = 10_000

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.modules = RESULTS / "node" / "node_modules"
        if not (self.modules / "vectra").is_dir():
            raise ModuleNotFoundError("no module named 'vectra'", name="vectra")

    def load(self, rows: Rows) -> None:
        """Start Node and let it insert the rows of a file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        rows.vectors.tofile(self.folder / "vectors.bin")
        script = Path(__file__).with_name("vectra.cjs")
        command = ["node", str(script), str(self.modules), str(self.folder), str(rows.vectors.shape[1])]
        self.node = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603
        self._read()

    def search(self, query: Vector, k: int) -> Sequence[str]:
        """Ask over the pipe."""
        return self._ask({"vector": query.tolist(), "k": k})

    def filtered(self, query: Vector, k: int) -> Sequence[str]:
        """Ask with a metadata filter."""
        return self._ask({"vector": query.tolist(), "k": k, "filter": {"bucket": {"$eq": BUCKET}}})

    def last_seconds(self) -> float | None:
        """The seconds that Node measured."""
        return self._seconds

    def close(self) -> None:
        """End Node."""
        if self.node.stdin is not None:
            self.node.stdin.close()
        self.node.wait(timeout=60)

    def _ask(self, request: dict[str, Any]) -> list[str]:
        if self.node.stdin is not None:
            self.node.stdin.write(json.dumps(request) + "\n")
            self.node.stdin.flush()
        answer = self._read()
        self._seconds = float(answer["seconds"])
        ids: list[str] = answer["ids"]
        return ids

    def _read(self) -> dict[str, Any]:
        line = "" if self.node.stdout is None else self.node.stdout.readline()
        if not line:
            raise RuntimeError("vectra: Node ended early")
        answer: dict[str, Any] = json.loads(line)
        return answer
