"""From characters to tokens and back: what a perfect network says is decoded to exactly what was labelled."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkpoints import make_bert_checkpoint
from task_examples import DRUGS, related

for needed in ("torch", "transformers", "seqeval", "sklearn"):
    pytest.importorskip(needed, reason=f"{needed} is not installed: tuning needs bedside[tuning]")

from bedside.encoders.prepare import prepare  # noqa: E402
from bedside.errors import InvalidInputError, InvalidModelError  # noqa: E402
from bedside.tuning.heads import (  # noqa: E402
    AnswerSpan,
    ClassifierTask,
    Entity,
    NerExample,
    NerTask,
    QaExample,
    QaTask,
    RelationExample,
    RelationTask,
    Span,
    TaskSettings,
    TextExample,
    load_task,
)
from bedside.tuning.heads.ner import IGNORED, best_tags, entity_scores  # noqa: E402
from bedside.tuning.heads.network import TorchNetwork, open_model  # noqa: E402
from bedside.tuning.heads.qa import answer_scores  # noqa: E402
from bedside.tuning.heads.task import class_weights  # noqa: E402
from bedside.tuning.heads.tokens import TaskTokenizer  # noqa: E402

WORDS = [
    "Fever",
    "naïve",
    "µg",
    "CD4+",
    "HbA1c",
    "120/80",
    "pain,",
    "(left)",
    "Überwachung",
    "😀",
    "Tachykardie",
    "o.d.",
]


class Oracle:
    """A network that says what the training rows hold, and noise where they say nothing."""

    def __init__(self, rows, width):
        self.known = {tuple(row.ids): row.labels for row in rows}
        self.width, self.rng = width, np.random.default_rng(0)

    def logits(self, rows):
        return [self._row(row) for row in rows]

    def _row(self, row):
        labels = self.known.get(tuple(row.ids))
        out = self.rng.normal(size=(len(row.ids), self.width)).astype(np.float32)
        for i, label in enumerate(labels or ()):
            if label != IGNORED:
                out[i] = 0
                out[i, label] = 20
        return out


class SpanOracle:
    """Points at the start and end that the training rows hold."""

    def __init__(self, rows):
        self.known = {tuple(row.ids): row.labels for row in rows}

    def logits(self, rows):
        found = []
        for row in rows:
            out = np.zeros((len(row.ids), 2), dtype=np.float32)
            start, end = self.known[tuple(row.ids)]
            out[start, 0] = out[end, 1] = 9
            found.append(out)
        return found


class Silent:
    """A network that nobody asks."""

    def logits(self, rows):
        if rows:
            raise AssertionError("it was asked")
        return []


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return prepare(
        make_bert_checkpoint(
            tmp_path_factory.mktemp("base") / "tiny", layers=1, hidden=32, heads=2, positions=64, spread=0.1
        )
    )


@st.composite
def tagged(draw):
    """Texts of numbered words, so that no two windows are alike, with entities that begin and end where words do."""
    words = [f"{draw(st.sampled_from(WORDS))} {i}" for i in range(draw(st.integers(1, 25)))]
    gaps = [draw(st.sampled_from([" ", "  ", "\n", "\t"])) for _ in words]
    text, places = "", []
    for word, gap in zip(words, gaps, strict=True):
        places.append((len(text), len(text) + len(word)))
        text += word + gap
    entities, i = [], 0
    while i < len(words):
        size = draw(st.integers(0, 6))
        if size:
            stop = min(i + size, len(words)) - 1
            entities.append(Span(draw(st.sampled_from(["Problem", "Drug"])), places[i][0], places[stop][1]))
        i += max(1, size)
    return NerExample(text, tuple(entities))


@settings(max_examples=30, deadline=None)
@given(example=tagged(), whole_words=st.booleans())
def test_entities_come_back_exactly_whatever_windows_they_cross(folder, example, whole_words):
    how = TaskSettings(max_length=16, overlap=5, whole_words=whole_words)
    base = [NerExample("a b", (Span("Problem", 0, 1), Span("Drug", 2, 3)))]
    spec = NerTask.spec_for(base, how)
    tokenizer = TaskTokenizer(folder, spec.max_length, spec.overlap)
    rows = NerTask(spec, tokenizer, Silent()).rows([example])
    assert max(len(row.ids) for row in rows) <= 16
    task = NerTask(spec, tokenizer, Oracle(rows, len(NerTask.outputs(spec))))
    found = task.predict([example.text])[0]
    assert [(e.label, e.start, e.end) for e in found] == [(e.label, e.start, e.end) for e in example.entities]
    assert all(e.text == example.text[e.start : e.end] for e in found)
    if example.entities:
        assert task.measure([example])["f1"] == 1.0


def test_an_entity_within_a_word_is_exact_with_pieces_and_widened_with_whole_words(folder):
    text = "Gave heparin5000units now."
    example = NerExample(text, (Span("Drug", 5, 12),))
    for whole_words, wanted in ((False, "heparin"), (True, "heparin5000units")):
        spec = NerTask.spec_for([example], TaskSettings(max_length=48, whole_words=whole_words))
        tokenizer = TaskTokenizer(folder, 48, 8)
        rows = NerTask(spec, tokenizer, Silent()).rows([example])
        found = NerTask(spec, tokenizer, Oracle(rows, 3)).predict([text])[0]
        assert [e.text for e in found] == [wanted]


def test_the_cased_vocabulary_is_read_as_it_is_cased(folder):
    upper, lower = (tokens.ids for tokens in TaskTokenizer(folder, 48, 8).read(["Pain", "pain"]))
    assert upper != lower
    vocabulary = (folder / "vocab.txt").read_text("utf-8").split("\n")
    assert (upper, lower) == ([vocabulary.index("Pain")], [vocabulary.index("pain")])


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.lists(st.floats(0.001, 1), min_size=5, max_size=5), min_size=1, max_size=4),
)
def test_the_best_path_is_that_of_trying_them_all(rows):
    names = ("O", "B-X", "I-X", "B-Y", "I-Y")
    scores = np.array(rows, dtype=np.float32)

    def legal(path):
        before = "O"
        for tag in (names[i] for i in path):
            if tag.startswith("I-") and before[2:] != tag[2:]:
                return False
            before = tag
        return True

    def value(path):
        return sum(math.log(scores[i, tag]) for i, tag in enumerate(path))

    every = [p for p in np.ndindex(*(5,) * len(rows)) if legal(p)]
    path = best_tags(scores, names)
    assert legal(path)
    assert value(path) == pytest.approx(max(map(value, every)))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_seqeval_scores_are_those_of_comparing_sets_of_spans(data):
    def spans():
        edges = sorted(data.draw(st.sets(st.integers(0, 30), max_size=10)))
        pairs = list(zip(edges[::2], edges[1::2], strict=False))
        return [(data.draw(st.sampled_from("XY")), a, b) for a, b in pairs]

    gold, said = spans(), spans()
    example = NerExample("x" * 31, tuple(Span(*span) for span in gold))
    scores = entity_scores([example], [[Entity(*span, "") for span in said]])
    right = len(set(gold) & set(said))
    assert scores["precision"] == pytest.approx(right / len(said) if said and gold else 0)
    assert scores["recall"] == pytest.approx(right / len(gold) if gold else 0)


def test_answers_in_long_contexts_are_found_in_the_window_that_holds_them(folder):
    filler = " ".join(f"Item {i} is normal." for i in range(40))
    context = f"{filler} She received  Heparin 5,000 units at noon. {filler.replace('Item', 'Note')}"
    start = context.index("Heparin")
    example = QaExample("Which drug?", context, (AnswerSpan("Heparin 5,000 units", start),))
    spec = QaTask.spec_for([example], TaskSettings(max_length=32, overlap=12))
    tokenizer = TaskTokenizer(folder, 32, 12)
    rows = QaTask(spec, tokenizer, Silent()).rows([example])
    assert len(rows) > 10
    assert all(len(row.ids) <= 32 and set(row.types) == {0, 1} for row in rows)
    task = QaTask(spec, tokenizer, SpanOracle(rows))
    answer = task.predict([context], question="Which drug?")[0]
    assert (answer.text, answer.start, answer.end) == ("Heparin 5,000 units", start, start + 19)
    assert answer.found
    assert task.measure([example]) == {"exact_match": 1.0, "f1": 1.0}


def test_no_answer_is_given_only_by_a_task_that_has_seen_unanswerable_questions(folder):
    empty = QaExample("Which drug?", "No drug was given.")
    full = QaExample("Who?", "The nurse came.", (AnswerSpan("The nurse", 0),))
    tokenizer = TaskTokenizer(folder, 48, 8)
    for examples, found in (([empty, full], False), ([full], True)):
        spec = QaTask.spec_for(examples, TaskSettings(max_length=48))
        task = QaTask(spec, tokenizer, SpanOracle(QaTask(spec, tokenizer, Silent()).rows([empty])))
        answer = task.predict([empty.context], question="Which drug?")[0]
        assert answer.found is found
        assert answer.text == empty.context[answer.start : answer.end]
    with pytest.raises(InvalidInputError, match="question"):
        task.predict(["x", "y"], question=["one"])


def test_answers_are_scored_as_squad_defines_it():
    gold = [QaExample("q", "c", (AnswerSpan("The left arm.", 0), AnswerSpan("arm", 0))), QaExample("q", "d")]
    assert answer_scores(gold, ["left  ARM", ""]) == {"exact_match": 1.0, "f1": 1.0}
    assert answer_scores(gold[:1], ["left leg"])["f1"] == pytest.approx(0.5)
    assert answer_scores(gold[1:], ["something"]) == {"exact_match": 0.0, "f1": 0.0}


def test_pairs_are_marked_by_type_and_long_texts_keep_what_is_near_them(folder):
    tokenizer = TaskTokenizer(folder, 40, 8)
    examples = related(6)
    spec = RelationTask.spec_for(examples, TaskSettings(max_length=40))
    assert spec.labels == ("none", "causes", "treats")
    assert spec.pairs == (("Drug", "Problem"),)
    task = RelationTask(spec, tokenizer, Silent())
    far = "word " * 60
    text = f"{far}{DRUGS[0]} {far}fever {far}"
    tail = text.index("fever")
    long = RelationExample(text, (Span("Drug", 300, 307), Span("Problem", tail, tail + 5)))
    row = task.rows([long])[0]
    vocabulary = (folder / "vocab.txt").read_text("utf-8").split("\n")
    read = " ".join(vocabulary[i] for i in row.ids)
    assert len(row.ids) <= 40
    assert "@ * drug * as ##pi ##rin @" in read
    assert "# ^ problem ^ fever #" in read
    assert task.predict(["No pair."], entities=[[Span("Drug", 0, 2)]]) == [()]
    with pytest.raises(InvalidInputError, match=r"entities\[0\]\[0\]: 5 to 90"):
        task.predict(["Fever."], entities=[[Span("Drug", 5, 90)]])
    with pytest.raises(InvalidInputError, match="entities"):
        task.predict(["Fever."])


def test_a_long_text_has_the_probabilities_of_its_windows_weighted_by_their_lengths(folder):
    """Held against transformers' own tokenizer and model."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    examples = [TextExample("a", "x"), TextExample("b", "y"), TextExample("c", "z")]
    spec = ClassifierTask.spec_for(examples, TaskSettings(max_length=24, overlap=6))
    model = open_model(folder, "SequenceClassification", spec.labels, seed=3)
    task = ClassifierTask(spec, TaskTokenizer(folder, 24, 6), TorchNetwork(model, 0, "cpu"))
    text = " ".join(f"Visit {i}: Fever of {37 + i} °C." for i in range(9))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    windows = [[101, *ids[a:b], 102] for a, b in task.tokenizer.windows(len(ids))]
    assert len(windows) > 3
    with torch.no_grad():
        each = [model(torch.tensor([window])).logits.softmax(-1)[0].numpy() for window in windows]
    weights = np.array([len(window) for window in windows], dtype=np.float32)
    wanted = np.average(each, axis=0, weights=weights)
    np.testing.assert_allclose(task.probabilities([text, "short"])[0], wanted, atol=1e-6)
    assert task.probabilities([]).shape == (0, 3)
    assert len(task.predict([""])[0]) == 1


def test_balanced_weights_are_those_of_scikit_learn_and_named_ones_are_checked():
    from sklearn.utils.class_weight import compute_class_weight

    labels = np.array([0] * 7 + [1] * 2 + [2])
    wanted = compute_class_weight("balanced", classes=np.array([0, 1, 2]), y=labels)
    assert class_weights(TaskSettings(class_weights="balanced"), "abc", [7, 2, 1]) == pytest.approx(list(wanted))
    tags = ("O", "B-X", "I-X")
    assert class_weights(TaskSettings(class_weights={"X": 3, "O": 0.5}), tags, [1, 1, 1]) == [0.5, 3.0, 3.0]
    with pytest.raises(InvalidInputError, match="class_weights: Z"):
        class_weights(TaskSettings(class_weights={"Z": 3}), tags, [1, 1, 1])


def test_a_folder_without_a_task_or_of_another_format_is_refused(folder, tmp_path):
    with pytest.raises(InvalidModelError, match=r"task\.json"):
        load_task(folder)
    with pytest.raises(InvalidInputError, match="backend='jax'"):
        load_task(folder, backend="jax")
    (tmp_path / "task.json").write_text(json.dumps({"format": 9}))
    for name in ("config.json", "model.safetensors", "tokenizer.json", "vocab.txt"):
        (tmp_path / name).symlink_to(folder / name)
    with pytest.raises(InvalidModelError, match="this release reads"):
        load_task(tmp_path)
