"""Labelled sentences written for the tests, made from templates so that every label and offset is known."""

from __future__ import annotations

import itertools

from bedside.tuning.heads import AnswerSpan, Link, NerExample, QaExample, RelationExample, Span, TextExample

DRUGS = ["aspirin", "metformin", "lisinopril", "warfarin", "heparin", "insulin", "atenolol", "digoxin"]
PROBLEMS = ["chest pain", "headache", "fever", "dry cough", "back pain", "nausea", "dizziness", "rash"]
PAIRS = list(itertools.product(DRUGS, PROBLEMS))


def marked(template: str, drug: str, problem: str) -> tuple[str, Span, Span]:
    """Fill a template in, and say where the drug and the problem stand."""
    text = template.format(drug=drug, problem=problem)
    a, b = text.index(drug), text.index(problem)
    return text, Span("Drug", a, a + len(drug), drug), Span("Problem", b, b + len(problem), problem)


def classified(count: int = 64, *, several: bool = False) -> list[TextExample]:
    """Every other text is about a drug, the rest about a problem."""
    made = []
    for i, (drug, problem) in enumerate(PAIRS[:count]):
        text = f"Visit {i}: prescribed {drug} today." if i % 2 else f"Visit {i}: complains of {problem} today."
        label = "treatment" if i % 2 else "symptom"
        made.append(TextExample(text, (label,) if several else label))
    return made


def tagged(count: int = 64) -> list[NerExample]:
    """A drug and a problem in each text."""
    templates = ("Visit {i}: {{drug}} was given for {{problem}}.", "Day {i}: {{problem}} got better on {{drug}}.")
    made = (marked(templates[i % 2].format(i=i), *pair) for i, pair in enumerate(PAIRS[:count]))
    return [NerExample(text, tuple(sorted(spans, key=lambda span: span.start))) for text, *spans in made]


def asked(count: int = 64, *, unanswerable: bool = False) -> list[QaExample]:
    """Which drug was given; every fourth context does not say where that is asked for."""
    made = []
    for i, pair in enumerate(PAIRS[:count]):
        text, drug, _ = marked(f"Visit {i}: seen for {{problem}}. The nurse gave {{drug}} at noon.", *pair)
        if unanswerable and i % 4 == 0:
            made.append(QaExample("Which drug was given?", f"Visit {i}: seen for {pair[1]}. No drug today."))
        else:
            made.append(QaExample("Which drug was given?", text, (AnswerSpan(pair[0], drug.start),)))
    return made


def related(count: int = 64) -> list[RelationExample]:
    """A drug treats a problem, causes it, or has nothing to do with it."""
    templates = (
        ("Visit {i}: {{drug}} relieved the {{problem}}.", "treats"),
        ("Visit {i}: {{drug}} brought on {{problem}}.", "causes"),
        ("Visit {i}: {{drug}} was stopped. Later {{problem}} was seen.", None),
    )
    made = []
    for i, pair in enumerate(PAIRS[:count]):
        template, label = templates[i % 3]
        text, drug, problem = marked(template.format(i=i), *pair)
        made.append(RelationExample(text, (drug, problem), (Link(0, 1, label),) if label else ()))
    return made
