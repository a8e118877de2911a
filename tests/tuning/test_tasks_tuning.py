"""Tuning a head: it learns, it is saved as a model that everything opens, and what it predicts has exact places."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bedside import Collection, Document, load_encoder
from bedside.encoders import verify
from bedside.errors import BedsideWarning, InvalidInputError
from checkpoints import DATA, make_bert_checkpoint, minilm_folder
from task_examples import PAIRS, asked, classified, marked, related, tagged

for needed in ("torch", "transformers", "accelerate", "peft", "seqeval", "sklearn"):
    pytest.importorskip(needed, reason=f"{needed} is not installed: tuning needs bedside[tuning]")

from bedside.tuning import load_task, tune_classifier, tune_ner, tune_qa, tune_relations  # noqa: E402
from bedside.tuning.folders import only_process  # noqa: E402
from bedside.tuning.heads import NerExample, Span, TaskSettings, plan_task, read_examples  # noqa: E402
from bedside.tuning.heads.checks import text_key  # noqa: E402


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return make_bert_checkpoint(
        tmp_path_factory.mktemp("base") / "tiny", layers=1, hidden=64, heads=4, positions=64, spread=0.1
    )


def how(**changes) -> TaskSettings:
    return TaskSettings(**{"epochs": 8, "learning_rate": 3e-3, "batch_size": 8, "max_length": 48, "overlap": 8,
                           "device": "cpu", **changes})  # fmt: skip


def fell(report):
    losses = [loss for _, loss in report.losses]
    return losses[-1] < losses[0] / 2


@pytest.fixture(scope="module")
def ner(base, tmp_path_factory):
    return tune_ner(tagged(), tmp_path_factory.mktemp("ner") / "task", base=base, settings=how())


def test_a_tagger_learns_and_finds_entities_at_their_exact_places(ner):
    assert fell(ner)
    assert ner.after["f1"] > 0.9 > ner.before["f1"]
    task = load_task(ner.folder, device="cpu")
    text, drug, problem = marked("Day 3: {problem} got better on {drug}.", "heparin", "dry cough")
    twice = f"{text}\n\n\t{text}  {text}"  # three windows
    found = task.predict([twice])[0]
    assert all(entity.text == twice[entity.start : entity.end] for entity in found)
    assert {(e.label, e.start, e.end) for e in found} >= {(s.label, s.start, s.end) for s in (drug, problem)}
    assert task.predict([]) == []
    assert task.predict([""]) == [()]


def test_a_tuned_tagger_annotates_a_collection(ner):
    notes = Collection.open()
    notes.add([Document(text, id=str(i), vector=[1.0, i]) for i, text in enumerate(e.text for e in tagged(4))])
    assert notes.annotate(load_task(ner.folder, device="cpu"), key="found") == 4
    drugs = {str(i): {e.text for e in example.entities if e.label == "Drug"} for i, example in enumerate(tagged(4))}
    hits = [(d.id, set(d.metadata["found"].get("Drug", []))) for d in notes.get(filter={})]
    assert sum(drugs[id] <= said for id, said in hits) >= 3
    assert all({"label", "start", "end", "score"} == set(span) for d in notes for span in d.metadata["found_spans"])


def test_texts_are_a_list_or_any_iterable_of_them_and_never_one_text(ner):
    task = load_task(ner.folder, device="cpu")
    texts = ["Fever on day 3.", "Heparin was stopped."]
    assert task.predict(iter(texts)) == task.predict(np.array(texts)) == task.predict(texts)
    for wrong, named in (("Fever.", "got one str"), (None, "got NoneType"), (["a", None], r"texts\[1\]")):
        with pytest.raises(InvalidInputError, match=named):
            task.predict(wrong)
    notes = Collection.open()
    notes.add([Document("Fever on day 3.")])
    for wrong in (None, str(ner.folder)):
        with pytest.raises(InvalidInputError, match="task: expected what load_task returns"):
            notes.annotate(wrong, key="findings")
    with pytest.raises(InvalidInputError, match="key=None"):
        notes.annotate(task, key=None)


def test_the_folder_is_whole_tells_how_it_was_made_and_opens_as_an_encoder(ner, base):
    verify(ner.folder)
    names = {path.name for path in ner.folder.iterdir()}
    assert names >= {"config.json", "model.safetensors", "tokenizer.json", "vocab.txt", "task.json", "README.md"}
    card = (ner.folder / "README.md").read_text("utf-8")
    facts = json.loads((ner.folder / "manifest.json").read_text("utf-8"))["tuning"]
    assert facts["base"] == base.name in card
    assert facts["data"]["train"]["sha256"][:16] in card
    assert f"| f1 | {ner.before['f1']:.3f} | {ner.after['f1']:.3f} | {ner.baseline['f1']:.3f} |" in card
    assert "held out of the training data" in card
    assert not any(example.text in card for example in tagged())
    encoder = load_encoder(ner.folder, device="cpu", dtype="float32")
    vector = encoder.encode_documents(["Fever on day 3."])
    changed = load_encoder(base, device="cpu", dtype="float32").encode_documents(["Fever on day 3."])
    assert np.abs(vector - changed).max() > 1e-3
    auto = pytest.importorskip("transformers")
    tokenizer = auto.AutoTokenizer.from_pretrained(ner.folder)
    model = auto.AutoModel.from_pretrained(ner.folder).eval()
    states = model(**tokenizer("Fever on day 3.", return_tensors="pt")).last_hidden_state[0].detach().numpy()
    mean = states.mean(axis=0)
    np.testing.assert_allclose(vector[0], mean / np.linalg.norm(mean), atol=1e-5)


def test_a_classifier_learns_with_class_weights_and_returns_to_its_best_weights(base, tmp_path):
    report = tune_classifier(classified(), tmp_path / "task", base=base, settings=how(class_weights="balanced"))
    assert report.after["macro_f1"] == max(measured["macro_f1"] for _, measured in report.measured)
    assert report.after["macro_f1"] > 0.9 > report.baseline["macro_f1"]
    task = load_task(tmp_path / "task", device="cpu")
    assert [labels[0].label for labels in task.predict([e.text for e in classified(6)])] == ["symptom", "treatment"] * 3


def test_lists_of_labels_make_a_multi_label_task(base, tmp_path):
    both = [*classified(several=True), *(
        type(e)(e.text.replace(" today.", f" and has {problem}."), ("treatment", "symptom"))
        for e, (_, problem) in zip(classified(48)[1::2], PAIRS, strict=False)
    )]  # fmt: skip
    report = tune_classifier(both, tmp_path / "task", base=base, settings=how(epochs=12))
    assert report.after["micro_f1"] > max(0.8, report.baseline["micro_f1"])
    task = load_task(tmp_path / "task", device="cpu")
    assert sorted(label.label for label in task.predict([both[-1].text])[0]) == ["symptom", "treatment"]
    assert task.as_metadata(task.predict([both[-1].text])[0], "kinds")["kinds"][0] in ("symptom", "treatment")


def test_a_question_answerer_learns_and_beats_the_first_words(base, tmp_path):
    report = tune_qa(asked(unanswerable=True), tmp_path / "task", base=base, settings=how(epochs=20))
    assert fell(report)
    assert report.after["exact_match"] > report.baseline["exact_match"] + 0.3
    assert report.after["f1"] > report.before["f1"] + 0.3
    context = asked(8)[5].context
    answer = load_task(tmp_path / "task", device="cpu").predict([context], question="Which drug was given?")[0]
    assert answer.text == context[answer.start : answer.end]


def test_a_relation_classifier_learns_and_beats_the_most_frequent_relation(base, tmp_path):
    report = tune_relations(related(), tmp_path / "task", base=base, settings=how(epochs=20, holdout=0.2))
    assert fell(report)
    assert report.after["f1"] > report.baseline["f1"] + 0.2
    task = load_task(tmp_path / "task", device="cpu")
    text, drug, problem = marked("Visit 9: {drug} brought on {problem}.", "warfarin", "rash")
    found = task.predict([text], entities=[[drug, problem]])[0]
    assert [(r.label, r.head.text, r.tail.text) for r in found] == [("causes", "warfarin", "rash")]
    assert task.as_metadata(found, "links")["links"] == {"causes": ["warfarin > rash"]}


def test_adapters_train_a_share_of_the_weights_and_are_merged_when_saved(base, tmp_path):
    settings = how(lora_rank=8, learning_rate=1e-2, gradient_checkpointing=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers under a name of its own past
        report = tune_ner(tagged(), tmp_path / "task", base=base, settings=settings)
        plan = plan_task("ner", tagged(), base=base, settings=settings)
    assert report.after["f1"] > report.before["f1"] + 0.3
    assert plan.trainable < plan.parameters / 10
    from safetensors.numpy import load_file

    tuned = load_file(tmp_path / "task" / "model.safetensors")
    assert not any("lora" in name for name in tuned)
    assert load_task(tmp_path / "task", device="cpu").measure(tagged())["f1"] > 0.5


def test_a_run_is_refused_before_it_trains(base, tmp_path):
    outside = [*tagged(), NerExample("Fever.", (Span("Problem", 0, 60),))]
    for train, settings, message in (
        (outside, how(), "span-outside"),
        (tagged(), how(max_length=65), "max_length=65: this model takes 3 to 64"),
        (tagged(), how(early_stopping=2, holdout=0), "early_stopping: nothing is measured"),
        (tagged(), how(precision="float16"), "precision='float16': only a GPU has it"),
        (tagged(), {"epochs": 1}, "settings: expected TaskSettings, got dict"),
        (tagged(), how(learning_rate=1e38, holdout=0), "diverged"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            tune_ner(train, tmp_path / "task", base=base, settings=settings)
    with pytest.raises(InvalidInputError, match="leakage"):
        tune_ner(tagged(), tmp_path / "task", base=base, test=tagged()[:3], settings=how())
    with pytest.raises(InvalidInputError, match="question answering has no classes"):
        tune_qa(asked(), tmp_path / "task", base=base, settings=how(class_weights="balanced"))
    none = [replace(e, relations=tuple(replace(link, label="none") for link in e.relations)) for e in related()]
    with pytest.raises(InvalidInputError, match="no relation but 'none'"):
        tune_relations(none, tmp_path / "task", base=base, settings=how())
    with only_process(tmp_path / "task"), pytest.raises(InvalidInputError, match="another process"):
        tune_ner(tagged(), tmp_path / "task", base=base, settings=how())
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note").write_text("kept")
    with pytest.raises(InvalidInputError, match="not empty"):
        tune_ner(tagged(), tmp_path / "full", base=base, settings=how())
    assert [path.name for path in tmp_path.rglob("*")] == ["full", "note"]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["onnx", "openvino", "jax"])
def test_a_tuned_body_gives_the_same_vectors_in_every_backend(ner, backend):
    pytest.importorskip({"onnx": "onnxruntime"}.get(backend, backend), reason=f"{backend} is not installed")
    texts = ["Fever on day 3.", "Heparin was stopped. " * 20]
    wanted = load_encoder(ner.folder, device="cpu", dtype="float32").encode_documents(texts)
    found = load_encoder(ner.folder, backend=backend, device="cpu", dtype="float32").encode_documents(texts)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ner", "qa"])
def test_onnx_runtime_predicts_what_torch_does(ner, base, tmp_path, kind):
    for needed in ("onnxruntime", "onnx", "onnxscript"):
        pytest.importorskip(needed, reason=f"{needed} is not installed: it comes with bedside[onnx,export]")
    options = {"question": "Which drug was given?"} if kind == "qa" else {}
    folder = tune_qa(asked(), tmp_path / "qa", base=base, settings=how()).folder if kind == "qa" else ner.folder
    texts = [example.context for example in asked(8)] + ["Fever. " * 60]
    exact, found = load_task(folder, device="cpu"), load_task(folder, backend="onnx", device="cpu")
    rows = exact.rows(asked(8) if kind == "qa" else tagged(8))
    for a, b in zip(exact.network.logits(rows), found.network.logits(rows), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
    assert len(found.predict(texts, **options)) == len(texts)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_minilm_finds_diseases_better_than_a_dictionary_of_them(tmp_path):
    """On a quarter of the NCBI disease training sentences; the whole of it is in the benchmarks."""
    folder = DATA / "ner" / "ncbi_disease"
    if not folder.is_dir():
        pytest.skip(f"{folder} is missing; set BEDSIDE_DATA to the data's dev folder")
    train, test = (read_examples(folder / f"{name}.conll", "ner") for name in ("train", "valid"))
    known = {text_key(example) for example in test}
    kept = [example for example in train if text_key(example) not in known][:500]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BedsideWarning)
        settings = TaskSettings(epochs=4, learning_rate=3e-4, holdout=0, device="cpu", allow=("conflict",))
        report = tune_ner(kept, tmp_path / "task", base=minilm_folder(), test=test[:300], settings=settings)
    assert report.after["f1"] > report.baseline["f1"] + 0.05
