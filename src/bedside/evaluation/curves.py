"""A threshold's curve in rows: which share of false answers comes with which share of right ones."""

from __future__ import annotations

from bedside.evaluation.threshold import Threshold, ThresholdPoint

STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Shares of false answers that a table shows."""


def steps(threshold: Threshold) -> list[ThresholdPoint]:
    """Return the points of a curve that a table shows: of each share, the one that keeps most, none twice."""
    within = (next((p for p in threshold.curve if p.false_answers <= share), None) for share in STEPS)
    return list(dict.fromkeys(point for point in within if point is not None))
