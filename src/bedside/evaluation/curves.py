"""A threshold's curve as a picture and in rows: which share of false answers comes with which share of right ones."""

from __future__ import annotations

from bedside.evaluation.threshold import Threshold, ThresholdPoint

STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Shares of false answers that a table shows."""
_SIZE, _EDGE = 240, 6


def steps(threshold: Threshold) -> list[ThresholdPoint]:
    """Return the points of a curve that a table shows: of each share, the one that keeps most, none twice."""
    within = (next((p for p in threshold.curve if p.false_answers <= share), None) for share in STEPS)
    return list(dict.fromkeys(point for point in within if point is not None))


def picture(threshold: Threshold) -> str:
    """Return the curve as an SVG: false answers to the right, questions that keep their answer upwards, both 0 to 1."""
    line = " ".join(f"{_x(p.false_answers):.1f},{_y(p.kept):.1f}" for p in threshold.curve)
    x, y = _x(threshold.false_answers), _y(threshold.kept)
    label = f"{threshold.kept:.3f} kept at {threshold.false_answers:.3f} false answers"
    return (
        f'<svg width="{_SIZE}" height="{_SIZE}" role="img" aria-label="{label}">'
        f'<rect class="track" x="{_EDGE}" y="{_EDGE}" width="{_SIZE - 2 * _EDGE}" height="{_SIZE - 2 * _EDGE}"/>'
        f'<polyline class="curve" points="{line}"/><circle class="bar" cx="{x:.1f}" cy="{y:.1f}" r="4"/></svg>'
    )


def _x(share: float) -> float:
    return _EDGE + share * (_SIZE - 2 * _EDGE)


def _y(share: float) -> float:
    return _SIZE - _x(share)
