"""Measure retrieval: on judged queries with confidence intervals and paired tests, and without any judgments.

A test set says which documents answer which query. A run says what a search returned. A report holds each metric's
mean and its value for every query; a query that the run lacks counts as 0, so leaving out the hard ones gains nothing.

Example:
    >>> judged = {"q1": {"a": 2, "b": 1}, "q2": {"c": 1}}
    >>> report = evaluate({"q1": ["a", "b"]}, judged, metrics=["nDCG@10"])
    >>> report.means
    {'nDCG@10': 0.5}
"""

from bedside.evaluation.collection import evaluate_collection
from bedside.evaluation.metrics import (
    METRICS,
    Judgments,
    Report,
    RetrievalSet,
    Run,
    evaluate,
    load_queries,
    load_retrieval_set,
    search_run,
)
from bedside.evaluation.probes import PROBES, Probe, probe
from bedside.evaluation.search_tuning import SearchSettings, SearchTuning, tune_search
from bedside.evaluation.significance import Comparison, Interval, compare, confidence_interval
from bedside.evaluation.summary import Summary
from bedside.evaluation.threshold import Threshold, ThresholdPoint, choose_threshold, load_questions

__all__ = [
    "METRICS",
    "PROBES",
    "Comparison",
    "Interval",
    "Judgments",
    "Probe",
    "Report",
    "RetrievalSet",
    "Run",
    "SearchSettings",
    "SearchTuning",
    "Summary",
    "Threshold",
    "ThresholdPoint",
    "choose_threshold",
    "compare",
    "confidence_interval",
    "evaluate",
    "evaluate_collection",
    "load_queries",
    "load_questions",
    "load_retrieval_set",
    "probe",
    "search_run",
    "tune_search",
]
