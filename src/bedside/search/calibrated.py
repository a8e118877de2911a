"""The least score of an answer, where a search asks for the one that was measured for its collection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from bedside.errors import InvalidInputError, NotCalibratedError
from bedside.remedies import Call, Give
from bedside.search.options import SearchOptions


def calibrated(options: SearchOptions, verb: str, known: Mapping[str, Mapping[str, float]]) -> SearchOptions:
    """Return the options with a number where they say ``min_score="calibrated"``.

    Args:
        options: What was asked for, its mode decided.
        verb: ``"search"`` or ``"search_notes"``: a note's score is not a passage's.
        known: What is kept with the collection, by verb and mode.

    Raises:
        NotCalibratedError: Nothing is kept for this verb and mode.
        InvalidInputError: Another option gives scores that were not measured.
    """
    if options.min_score != "calibrated":
        return options
    if changing := next(_changing(options), None):
        raise InvalidInputError(
            f"min_score: 'calibrated' was measured without {changing}, which changes scores: leave one of them out"
        )
    mode = options.halves
    if (least := known.get(verb, {}).get(mode)) is None:
        raise NotCalibratedError(
            f"min_score: no threshold was calibrated for {verb} in mode {mode!r}",
            remedies=[
                Call("calibrate", "with questions of yours", python="bedside.evaluation.choose_threshold"),
                Give("min_score", note="as a number"),
            ],
        )
    return replace(options, min_score=least)


def _changing(options: SearchOptions) -> Iterator[str]:
    """Yield the options that make a score another than that of a search without them."""
    if options.halves == "hybrid":
        if options.alpha is not None and options.alpha != options.default_alpha:
            yield "alpha"
        if options.fusion != "weighted":
            yield "fusion"
    if options.assertion == "any":
        yield "assertion='any'"
    for name in ("rerank", "recency"):
        if getattr(options, name) is not None:
            yield name
