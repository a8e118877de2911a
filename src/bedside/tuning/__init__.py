"""Tuning: encoders in ``retrieval``, classifiers and taggers on them in ``heads``, static encoders in ``static``."""

from bedside.tuning.heads import load_task, tune_classifier, tune_ner, tune_qa, tune_relations
from bedside.tuning.retrieval.encoder import Tuned, tune_encoder
from bedside.tuning.retrieval.estimate import TunePlan, plan_tuning
from bedside.tuning.retrieval.negatives import mine_negatives
from bedside.tuning.retrieval.pairs import Pair, read_pairs, split_pairs
from bedside.tuning.retrieval.settings import TuneSettings
from bedside.tuning.retrieval.unlabelled import pairs_from_documents

__all__ = [
    "Pair",
    "TunePlan",
    "TuneSettings",
    "Tuned",
    "load_task",
    "mine_negatives",
    "pairs_from_documents",
    "plan_tuning",
    "read_pairs",
    "split_pairs",
    "tune_classifier",
    "tune_encoder",
    "tune_ner",
    "tune_qa",
    "tune_relations",
]
