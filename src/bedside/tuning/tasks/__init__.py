"""Task heads on an encoder: classification, named entities, question answering, relations.

Training and predicting need ``bedside[tuning]``, which is imported when they begin.
"""

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
