"""Task heads on an encoder: classification, named entities, question answering, relations.

Training and predicting need ``bedside[tuning]``, which is imported when they begin.
"""

from bedside.tuning.heads.checks import Problem, check_examples
from bedside.tuning.heads.classify import ClassifierTask
from bedside.tuning.heads.estimate import TaskPlan, plan_task
from bedside.tuning.heads.examples import (
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
from bedside.tuning.heads.load import load_task
from bedside.tuning.heads.ner import NerTask
from bedside.tuning.heads.qa import QaTask
from bedside.tuning.heads.reading import read_examples
from bedside.tuning.heads.relations import RelationTask
from bedside.tuning.heads.settings import TaskSettings
from bedside.tuning.heads.task import Task
from bedside.tuning.heads.tune import TuningReport, tune_classifier, tune_ner, tune_qa, tune_relations

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
