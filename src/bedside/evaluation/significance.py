"""How sure a number is: bootstrap confidence intervals, and paired tests between two systems on the same queries.

Efron and Tibshirani (1993) for the bootstrap; Smucker, Allan and Carterette (CIKM 2007) for the randomisation test,
which assumes nothing about how the differences are distributed, and Sakai (SIGIR 2006) for the paired bootstrap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bedside.errors import InvalidInputError
from bedside.evaluation.metrics import Report
from bedside.remedies import Give

_SAMPLES = 10_000  # the least p that can be found is 1 / 10,001
_AT_ONCE = 4_000_000  # random numbers in memory

_Values = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A mean and the interval around it."""

    mean: float
    low: float
    high: float
    level: float


@dataclass(frozen=True)
class Comparison:
    """Two systems on one metric.

    Attributes:
        metric: Its name.
        queries: How many were asked.
        first: Mean of the first system.
        second: Mean of the second one.
        difference: Second minus first, with its bootstrap interval.
        p_value: Two-sided: how often chance alone makes a difference this large.
        better: Queries that the second system answers better.
        worse: Those that it answers worse.
        test: Which test gave the p-value.
    """

    metric: str
    queries: int
    first: float
    second: float
    difference: Interval
    p_value: float
    better: int
    worse: int
    test: str

    def significant(self, level: float = 0.05) -> bool:
        """Whether the p-value is below ``level``."""
        return self.p_value < level


def confidence_interval(values: ArrayLike, *, level: float = 0.95, samples: int = _SAMPLES, seed: int = 0) -> Interval:
    """Percentile bootstrap interval of a mean.

    Args:
        values: One for each query, ``[n]``.
        level: Coverage, above 0 and below 1.
        samples: Bootstrap samples.
        seed: Of the samples.

    Raises:
        InvalidInputError: No values, or values that are not finite.

    Example:
        >>> confidence_interval([0.5, 0.5, 0.5])
        Interval(mean=0.5, low=0.5, high=0.5, level=0.95)
    """
    array = _checked(values)
    _check_draws(level, samples)
    rng = np.random.default_rng(seed)
    means = np.concatenate(
        [array[rng.integers(len(array), size=(n, len(array)))].mean(axis=1) for n in _parts(samples, len(array))]
    )
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(array.mean()), float(low), float(high), level)


def compare(
    first: Report,
    second: Report,
    metric: str = "nDCG@10",
    *,
    test: Literal["randomisation", "bootstrap"] = "randomisation",
    samples: int = _SAMPLES,
    seed: int = 0,
) -> Comparison:
    """Test whether the second system differs from the first on the same queries.

    Args:
        first: The baseline's report.
        second: The other's, over the same queries.
        metric: One that both have.
        test: ``"randomisation"`` swaps the two values of a query at random (sign flips of the differences);
            ``"bootstrap"`` draws queries again from differences shifted to a mean of 0.
        samples: Of either test, and of the interval.
        seed: Of all draws.

    Raises:
        InvalidInputError: Another set of queries, a metric that one lacks, or an unknown test.

    Example:
        >>> reports = [Report({"AP": m}, {"AP": {str(i): m for i in range(20)}}) for m in (0.25, 0.5)]
        >>> compare(*reports, "AP").significant()
        True
    """
    try:
        a, b = first.per_query[metric], second.per_query[metric]
    except KeyError as error:
        raise InvalidInputError("both reports must have it", about=Give("metric", metric)) from error
    if a.keys() != b.keys():
        raise InvalidInputError(f"the reports are of different queries: {len(a.keys() ^ b.keys())} are in one alone")
    differences = _checked([b[query] - a[query] for query in a])
    if test not in ("randomisation", "bootstrap"):
        raise InvalidInputError("expected 'randomisation' or 'bootstrap'", about=Give("test", test))
    interval = confidence_interval(differences, samples=samples, seed=seed)
    chance = (_flipped if test == "randomisation" else _resampled)(differences, samples, seed)
    extreme = int((np.abs(chance) >= abs(differences.mean()) - 1e-12).sum())
    return Comparison(
        metric,
        len(differences),
        first[metric],
        second[metric],
        interval,
        (extreme + 1) / (samples + 1),
        int((differences > 0).sum()),
        int((differences < 0).sum()),
        test,
    )


def _flipped(differences: _Values, samples: int, seed: int) -> _Values:
    rng = np.random.default_rng(seed)
    n = len(differences)
    parts = [(2 * rng.integers(2, size=(m, n)) - 1) @ differences / n for m in _parts(samples, n)]
    return np.concatenate(parts)


def _resampled(differences: _Values, samples: int, seed: int) -> _Values:
    rng = np.random.default_rng(seed)
    n, centred = len(differences), differences - differences.mean()
    return np.concatenate([centred[rng.integers(n, size=(m, n))].mean(axis=1) for m in _parts(samples, n)])


def _parts(samples: int, width: int) -> Sequence[int]:
    step = max(1, _AT_ONCE // width)
    return [min(step, samples - start) for start in range(0, samples, step)]


def _check_draws(level: float, samples: int) -> None:
    if not 0 < level < 1 or samples < 1:
        raise InvalidInputError(f"level={level!r}, samples={samples!r}: expected 0 < level < 1 and at least one sample")


def _checked(values: Any) -> _Values:
    array: _Values = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not len(array) or not np.isfinite(array).all():
        raise InvalidInputError("values: expected at least one finite number for each query")
    return array
