"""Tuning: encoders for retrieval here, heads for classification, entities, questions and relations in ``tasks``."""

from typing import TYPE_CHECKING, Any

from bedside.tuning.encoder import Tuned, tune_encoder
from bedside.tuning.estimate import TunePlan, plan_tuning
from bedside.tuning.negatives import mine_negatives
from bedside.tuning.pairs import Pair, read_pairs, split_pairs
from bedside.tuning.settings import TuneSettings
from bedside.tuning.unlabelled import pairs_from_documents

if TYPE_CHECKING:
    from bedside.tuning.tasks import load_task, tune_classifier, tune_ner, tune_qa, tune_relations

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


def __getattr__(name: str) -> Any:
    """Load the task heads when they are first asked for."""
    if name in __all__:
        from bedside.tuning import tasks

        return getattr(tasks, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
