"""Tuning: encoders for retrieval here, heads for classification, entities, questions and relations in ``tasks``."""

from bedside.tuning.encoder import Tuned, tune_encoder
from bedside.tuning.negatives import mine_negatives
from bedside.tuning.pairs import Pair, read_pairs, split_pairs
from bedside.tuning.settings import TuneSettings
from bedside.tuning.unlabelled import pairs_from_documents

__all__ = [
    "Pair",
    "TuneSettings",
    "Tuned",
    "mine_negatives",
    "pairs_from_documents",
    "read_pairs",
    "split_pairs",
    "tune_encoder",
]
