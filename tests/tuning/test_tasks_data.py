"""Labelled data: what is read, and what is refused by name before anything is trained."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bedside.errors import BedsideWarning, InvalidInputError
from bedside.tuning.heads import (
    AnswerSpan,
    Link,
    NerExample,
    QaExample,
    RelationExample,
    Span,
    TaskSettings,
    TextExample,
    check_examples,
    read_examples,
)
from bedside.tuning.heads.checks import refuse
from bedside.tuning.heads.data import hold_out
from bedside.tuning.heads.reading import from_tags
from bedside.tuning.settings import settings_from
from task_examples import asked, classified, related, tagged


def lines(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    return path


def kinds(kind, **splits):
    return [problem.kind for problem in check_examples(kind, splits)]


def test_json_lines_csv_conll_data_sets_and_memory_give_the_same_examples(tmp_path):
    datasets = pytest.importorskip("datasets", reason="datasets is not installed: it comes with bedside[tuning]")
    wanted = [TextExample("No fever.", "ros"), TextExample('Takes "aspirin", daily.', "drugs")]
    records = [{"text": e.text, "label": e.label} for e in wanted]
    (tmp_path / "a.csv").write_text('text,label\nNo fever.,ros\n"Takes ""aspirin"", daily.",drugs\n', "utf-8")
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["drugs", "ros"])}
    )
    numbered = [{"text": r["text"], "label": ["drugs", "ros"].index(r["label"])} for r in records]
    for source in (
        lines(tmp_path / "a.jsonl", records),
        tmp_path / "a.csv",
        datasets.Dataset.from_list(numbered, features=features),
        records,
        wanted,
    ):
        assert read_examples(source, "classification") == wanted


def test_conll_words_are_joined_and_tags_become_spans_of_characters(tmp_path):
    file = tmp_path / "a.conll"
    file.write_text("No\tO\nchest\tB-Problem\npain\tI-Problem\n\n\nFever\tB-Problem\nchills\tB-Problem\n", "utf-8")
    first, second = read_examples(file, "ner")
    assert [first.text[s.start : s.end] for s in first.entities] == ["chest pain"]
    assert [second.text[s.start : s.end] for s in second.entities] == ["Fever", "chills"]


def test_squad_answers_and_entity_ids_are_understood(tmp_path):
    squad = {"question": "Which?", "context": "Gave aspirin.", "answers": {"text": ["aspirin"], "answer_start": [5]}}
    assert read_examples([squad], "qa") == [QaExample("Which?", "Gave aspirin.", (AnswerSpan("aspirin", 5),))]
    entities = [
        {"id": "T1", "label": "Drug", "start": 0, "end": 7},
        {"id": "T2", "label": "Problem", "start": 12, "end": 17},
    ]
    record = {
        "text": "aspirin for fever",
        "entities": entities,
        "relations": [{"head": "T1", "tail": "T2", "label": "treats"}],
    }
    assert read_examples([record], "relations")[0].relations == (Link(0, 1, "treats"),)
    table = tmp_path / "qa.csv"
    table.write_text("question,context,answer,start\nWhich?,Gave aspirin.,aspirin,5\nWhich?,None given.,,\n", "utf-8")
    assert [len(example.answers) for example in read_examples(table, "qa")] == [1, 0]


@pytest.mark.parametrize(
    ("name", "text", "kind", "message"),
    [
        ("a.jsonl", '{"text": "x", "label": "a"}\n{"text": 3, "label": "a"}\n', "classification", "line 2: text"),
        ("a.jsonl", '{"text": "x"}\n', "classification", "line 1: label"),
        ("a.jsonl", "{\n", "ner", "line 1: not JSON"),
        ("a.jsonl", '{"text": "x", "entities": [{"label": "A", "start": "0"}]}\n', "ner", r"entities\[0\]: start"),
        ("a.jsonl", '{"question": "q", "context": "c"}\n', "qa", "line 1: answers"),
        ("a.jsonl", '{"text": "x", "entities": [], "relations": ["r"]}\n', "relations", r"relations\[0\]"),
        ("a.csv", "text,label\na\n", "classification", "line 2: expected 2 cells"),
        ("a.conll", "fever\tI-Problem\n", "ner", "BIO violation: tag 1 is 'I-Problem' after 'O'"),
        ("a.conll", "a\tB-X\nb\tI-Y\n", "ner", "BIO violation: tag 2"),
        ("a.conll", "a\tE-X\n", "ner", "expected O, B-LABEL or I-LABEL"),
        ("a.conll", "alone\n", "ner", "expected a word and its tag"),
        ("a.conll", "a\tO\n", "qa", "CoNLL files are for ner"),
        ("a.parquet", "", "ner", "expected .jsonl"),
    ],
)
def test_a_line_of_another_form_is_named(tmp_path, name, text, kind, message):
    (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(InvalidInputError, match=message):
        read_examples(tmp_path / name, kind)


def test_data_without_a_problem_has_none():
    assert check_examples("classification", {"train": classified()}) == []
    assert check_examples("ner", {"train": tagged()}) == []
    assert check_examples("qa", {"train": asked(unanswerable=True)}) == []
    assert check_examples("relations", {"train": related()}) == []


def test_spans_outside_of_the_text_not_matching_it_or_overlapping_are_named_by_place():
    bad = NerExample("No fever.", (Span("P", 3, 80), Span("P", 3, 8, "cough"), Span("P", 4, 6), Span("P", 2, 3)))
    problems = check_examples("ner", {"train": [*tagged(), bad]})
    assert {(p.kind, p.where) for p in problems} >= {
        ("span-outside", "train[64].entities[0]"),
        ("span-text", "train[64].entities[1]"),
        ("overlap", "train[64].entities[2]"),
        ("span-text", "train[64].entities[3]"),
    }
    assert not any("fever" in str(p) or "cough" in str(p) for p in problems)


def test_answers_that_are_not_in_the_context_are_named():
    wrong = [
        QaExample("q?", "Gave aspirin.", (AnswerSpan("aspirin", 4),)),
        QaExample("q?", "Gave it.", (AnswerSpan("it", 50),)),
    ]
    assert kinds("qa", train=wrong) == ["span-text", "span-outside"]


def test_links_to_entities_that_are_not_there_or_twice_are_named():
    spans = (Span("Drug", 0, 7), Span("Problem", 12, 17))
    wrong = RelationExample("aspirin for fever", spans, (Link(0, 2, "treats"), Link(0, 0, "treats")))
    twice = RelationExample("heparin for fever", spans, (Link(0, 1, "treats"), Link(0, 1, "causes")))
    assert kinds("relations", train=[*related(), wrong, twice]) == ["link", "link", "link"]


def test_classes_without_an_example_with_one_and_a_single_class_are_named():
    train = [*classified(4), TextExample("alone", "rare")]
    assert kinds("classification", train=train, test=[TextExample("new", "unseen")]) == [
        "empty-class",
        "one-example-class",
    ]
    assert "one-class" in kinds("classification", train=[TextExample("a", "x"), TextExample("b", "x")])
    assert [p.kind for p in check_examples("classification", {"train": classified(4)}, labels=["symptom"])] == ["label"]
    empty = check_examples("classification", {"train": classified(4)}, labels=["symptom", "treatment", "plan"])
    assert [p.kind for p in empty] == ["empty-class"]
    assert kinds("ner", train=[NerExample("No entity here.")]) == ["one-class"]


def test_a_text_in_two_splits_is_leakage_whatever_its_case_and_blanks():
    leaked = TextExample(classified()[0].text.upper().replace(" ", "  "), "symptom")
    problem = check_examples("classification", {"train": classified(), "test": [leaked]})[0]
    assert (problem.kind, problem.where) == ("leakage", "test[0]")
    assert "train[0]" in problem.message


def test_a_question_asked_again_on_its_context_is_leakage_and_a_context_alone_is_warned_of():
    """Another question on a note that was read gives no answer away; the same words elsewhere are another question."""
    note, other = "Metformin 500 mg twice daily.", "Insulin at night."
    train = [QaExample("Which drug?", note, (AnswerSpan("Metformin", 0),)), QaExample("How often?", note)]
    test = [
        QaExample("WHICH  drug?", note.upper()),
        QaExample("How much?", note.replace(" ", "  ")),
        QaExample("Which drug?", other),
        QaExample("When?", other),
    ]
    problems = check_examples("qa", {"train": train, "test": test})
    assert [(p.kind, p.where) for p in problems] == [("leakage", "test[0]"), ("shared-context", "test[1]")]
    assert problems[1].message == "the same context as train[0], under another question"
    with pytest.warns(BedsideWarning, match=r"test\[1\]: the same context as train\[0\]"):
        refuse(problems[1:], [])
    with pytest.warns(BedsideWarning), pytest.raises(InvalidInputError, match=r"the data has 1 problems: test\[0\]"):
        refuse(problems, [])


def test_one_text_with_two_labels_and_mixed_schemas_are_named():
    same = [TextExample("Same.", "treatment"), TextExample("Same.", "symptom")]
    assert kinds("classification", train=[*classified(), *same]) == ["conflict"]
    assert kinds("classification", train=[*classified(), TextExample("x", ("symptom",))]) == ["label"]
    assert "no-examples" in kinds("ner", train=tagged(), test=[])
    assert "empty-text" in kinds("ner", train=[*tagged(), NerExample(" ")])


def test_what_is_allowed_is_warned_of_and_the_rest_refused():
    problems = check_examples("classification", {"train": classified(), "test": [classified()[0]]})
    with pytest.warns(BedsideWarning, match=r"test\[0\]: the same text as train\[0\]"):
        refuse(problems, ["leakage"])
    with pytest.raises(InvalidInputError, match=r"allow=\['leakage'\]"):
        refuse(problems, [])
    many = check_examples("ner", {"train": [*tagged(), *[NerExample("x", (Span("Drug", 0, 9),))] * 50]})
    with pytest.raises(InvalidInputError, match=r"50 problems.*and 40 more"):
        refuse(many, [])


def test_held_out_texts_stay_together_and_the_seed_decides_which():
    contexts = [QaExample(f"Question {i}?", f"Context {i // 3}.") for i in range(30)]
    train, valid = hold_out(contexts, "qa", 0.2, seed=1)
    assert len(valid) == 6
    assert not {e.context for e in train} & {e.context for e in valid}
    assert (train, valid) == hold_out(contexts, "qa", 0.2, seed=1)
    assert valid != hold_out(contexts, "qa", 0.2, seed=2)[1]


@pytest.mark.parametrize("seed", range(20))
def test_no_class_loses_its_last_training_example_to_the_held_out_share(seed):
    common = [TextExample(f"Common {i}.", "common") for i in range(8)]
    train, valid = hold_out(
        [*common, *(TextExample(f"Rare {i}.", "rare") for i in range(2))], "classification", 0.8, seed
    )
    assert len(valid) == 8
    assert {e.label for e in train} == {"common", "rare"}
    with pytest.raises(InvalidInputError, match="no text to spare"):
        hold_out([TextExample("a", "x"), TextExample("b", "y")], "classification", 0.5, seed)


@pytest.mark.parametrize(
    ("source", "kind", "named"),
    [
        (None, "qa", "expected a file, a data set or examples, got NoneType"),
        (5, "ner", "got int"),
        ([TextExample(None, "a")], "classification", "record 0: text: expected a text"),
        ([TextExample("a", 1)], "classification", "record 0: label: expected a name"),
        ([NerExample("a", (Span("X", 0, None),))], "ner", r"record 0: entities\[0\]: end: expected a whole number"),
        ([{"tokens": [1, 2], "tags": ["O", "O"]}], "ner", "record 0: tokens: expected a list of words"),
        ([{"tokens": None, "tags": ["O"]}], "ner", "record 0: tokens: expected a list of words"),
        ([{"question": "q", "context": "c", "answers": {"text": ["c"], "answer_start": []}}], "qa", "as many starts"),
        ([{"question": "q", "context": "c", "answers": {"text": "c", "answer_start": 0}}], "qa", "as many starts"),
        ([{"text": "a", "entities": [{"label": "x", "start": 0, "end": 1, "id": [1]}]}], "relations", "id: expected"),
        ([{"text": "a", "entities": [], "relations": 5}], "relations", "relations: expected a list"),
        (
            [{"text": "a", "entities": [], "relations": [{"head": [1], "tail": 0, "label": "x"}]}],
            "relations",
            "head: expected",
        ),
    ],
)
def test_what_is_no_example_is_named(source, kind, named):
    with pytest.raises(InvalidInputError, match=named):
        read_examples(source, kind)


def test_numbers_of_numpy_are_numbers():
    entity = {"label": "Problem", "start": np.int64(3), "end": np.int32(8)}
    (example,) = read_examples([{"text": "No fever", "entities": [entity]}], "ner")
    assert example == NerExample("No fever", (Span("Problem", 3, 8),))
    assert type(example.entities[0].start) is int


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0}, {"batch_size": 1.5}, {"learning_rate": -1}, {"learning_rate": float("inf")},
        {"overlap": 256}, {"holdout": 1.0}, {"seed": -1},
        {"precision": "float8"}, {"allow": ["span-outside"]}, {"class_weights": {"a": 0}}, {"epoch": 3},
        {"lora_rank": 0}, {"threshold": "high"}, {"class_weights": "even"},
    ],
)  # fmt: skip
def test_settings_out_of_their_range_are_named(wrong):
    with pytest.raises(InvalidInputError, match=next(iter(wrong))):
        settings_from(TaskSettings, wrong)


def test_tags_and_words_must_be_as_many():
    with pytest.raises(InvalidInputError, match="2 words and 1 tags"):
        from_tags(["a", "b"], ["O"])
    assert TaskSettings(allow=["leakage"]).allow == ("leakage",)
