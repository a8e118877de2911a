"""Task heads on an encoder: classification, named entities, question answering, relations.

The names are loaded when they are first asked for; those that train or predict need ``bedside[tuning]``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bedside.tuning.tasks.checks import Problem, check_examples
    from bedside.tuning.tasks.classify import ClassifierTask
    from bedside.tuning.tasks.estimate import TaskPlan, plan_task
    from bedside.tuning.tasks.examples import (
        Answer,
        AnswerSpan,
        Entity,
        Label,
        Link,
        NerExample,
        QaExample,
        Relation,
        RelationExample,
        Span,
        TextExample,
    )
    from bedside.tuning.tasks.load import load_task
    from bedside.tuning.tasks.ner import NerTask
    from bedside.tuning.tasks.qa import QaTask
    from bedside.tuning.tasks.reading import read_examples
    from bedside.tuning.tasks.relations import RelationTask
    from bedside.tuning.tasks.settings import TaskSettings
    from bedside.tuning.tasks.task import Task
    from bedside.tuning.tasks.tune import TuningReport, tune_classifier, tune_ner, tune_qa, tune_relations

__all__ = [
    "Answer",
    "AnswerSpan",
    "ClassifierTask",
    "Entity",
    "Label",
    "Link",
    "NerExample",
    "NerTask",
    "Problem",
    "QaExample",
    "QaTask",
    "Relation",
    "RelationExample",
    "RelationTask",
    "Span",
    "Task",
    "TaskPlan",
    "TaskSettings",
    "TextExample",
    "TuningReport",
    "check_examples",
    "load_task",
    "plan_task",
    "read_examples",
    "tune_classifier",
    "tune_ner",
    "tune_qa",
    "tune_relations",
]

_EXAMPLES = ("Answer", "AnswerSpan", "Entity", "Label", "Link", "NerExample", "QaExample", "Relation")
_HOMES = {
    **dict.fromkeys((*_EXAMPLES, "RelationExample", "Span", "TextExample"), "examples"),
    **dict.fromkeys(("Problem", "check_examples"), "checks"),
    **dict.fromkeys(("TaskPlan", "plan_task"), "estimate"),
    **dict.fromkeys(("TuningReport", "tune_classifier", "tune_ner", "tune_qa", "tune_relations"), "tune"),
    "ClassifierTask": "classify",
    "NerTask": "ner",
    "QaTask": "qa",
    "RelationTask": "relations",
    "Task": "task",
    "TaskSettings": "settings",
    "load_task": "load",
    "read_examples": "reading",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its module."""
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
