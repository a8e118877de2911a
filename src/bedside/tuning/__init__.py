"""Tuning: encoders for retrieval here, heads for classification, entities, questions and relations in ``tasks``."""

from bedside.tuning.encoder import Tuned, tune_encoder
from bedside.tuning.estimate import TunePlan, plan_tuning
from bedside.tuning.negatives import mine_negatives
from bedside.tuning.pairs import Pair, read_pairs, split_pairs
from bedside.tuning.settings import TuneSettings
from bedside.tuning.tasks import load_task, tune_classifier, tune_ner, tune_qa, tune_relations
from bedside.tuning.unlabelled import pairs_from_documents

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
