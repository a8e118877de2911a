"""``tune_encoder``: one call from a base model and data to a folder that ``load_encoder`` opens."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bedside.encoders.load import load_encoder
from bedside.encoders.prepare import building
from bedside.encoders.settings import folder_settings
from bedside.errors import BedsideError, BedsideWarning, InvalidInputError
from bedside.tuning.card import papers, record
from bedside.tuning.folders import check_finite, new_folder, only_process
from bedside.tuning.heldout import measure
from bedside.tuning.network import base_folder, copy_base, open_network, save_network
from bedside.tuning.options import check_settings
from bedside.tuning.pairs import Pairs
from bedside.tuning.rows import Columns, Corpus, Data, check_own_models, gather, prepare_rows, with_prompts
from bedside.tuning.settings import Method, TuneSettings, check_method
from bedside.tuning.training import mixed_precision, train
from bedside.tuning.unlabelled import CrossEncoder, QueryGenerator
from bedside.types import Encoder

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tuned:
    """What :func:`tune_encoder` made.

    Attributes:
        folder: Opens with ``load_encoder(folder)``.
        before: Held-out metrics of the base (of the untrained student in a distillation); empty where nothing was held
            out.
        after: Those of the saved weights.
        facts: Base, data, settings, losses, metrics: the content of ``tuning.json``.
    """

    folder: Path
    before: Mapping[str, float]
    after: Mapping[str, float]
    facts: Mapping[str, Any]


def tune_encoder(
    base: str | os.PathLike[str],
    *,
    output: str | os.PathLike[str],
    pairs: Pairs | None = None,
    triples: Pairs | None = None,
    corpus: Corpus | None = None,
    held_out: Pairs | None = None,
    method: Method = "contrastive",
    settings: TuneSettings | None = None,
    query_generator: QueryGenerator | None = None,
    cross_encoder: CrossEncoder | None = None,
    resume: bool = True,
    revision: str | None = None,
    local_files_only: bool = False,
) -> Tuned:
    """Tune a text encoder for retrieval.

    ==============  ==========================================================================================
    method          learns from
    ==============  ==========================================================================================
    contrastive     ``pairs`` or ``triples``, else titles and section headings of ``corpus``: the passages of all
                    other rows of a step are negatives (InfoNCE), mined or given ones among them
    tsdae           ``corpus``: rebuild a text from the vector of what deletions left of it
    simcse          ``corpus``: a text is its own positive under another dropout; published as no help for retrieval
    gpl             ``corpus``, ``query_generator``, ``cross_encoder``: margins of generated questions
    distill         ``corpus``: a student with ``settings.layers`` of the base's layers learns the base's vectors
    ==============  ==========================================================================================

    Everything is checked before training starts. An interrupted run goes on from its last checkpoint when it is called
    again with the same arguments, and on a CPU with the same number of threads ends with the same weights as one that
    was never interrupted. Checkpoints stand in ``OUTPUT.run`` until the model is saved; they hold training texts.

    Args:
        base: A hub id or a folder. Its pooling, length and prompts are kept; a calibration is not, since it was made
            for other vectors.
        output: A new or empty folder.
        pairs: What belongs together; see :func:`bedside.tuning.read_pairs`.
        triples: The same, each row with a negative.
        corpus: Texts without labels; beside ``pairs`` more passages to mine negatives from.
        held_out: Pairs for early stopping and the metrics; default: a share of the pairs. For the methods that learn
            from texts alone, titles and section headings of the corpus where it has any.
        method: See above.
        settings: See :class:`TuneSettings`.
        query_generator: For GPL: several passages to questions for each.
        cross_encoder: For GPL: pairs of question and passage to scores.
        resume: Go on with an interrupted run; ``False`` begins again.
        revision: Commit, tag or branch of a hub id.
        local_files_only: Never use the network.

    Returns:
        The folder, and the metrics before and after.

    Raises:
        InvalidInputError: Data that is missing, empty, in wrong columns or on both sides of the split; an output folder
            that is not empty, or that another process trains into; an interrupted run of other data or settings.
        InvalidModelError: The base is no text encoder that can be trained.
        MissingExtraError: ``bedside[tuning]`` is not installed.

    Example:
        >>> pairs = [("chest pain on exertion?", "Angina is ...")]
        >>> tuned = tune_encoder("emilyalsentzer/Bio_ClinicalBERT", output="m", pairs=pairs)  # doctest: +SKIP
        >>> encoder = load_encoder(tuned.folder)  # doctest: +SKIP
    """
    check_method(method)
    settings = check_settings(TuneSettings, settings)
    if method == "gpl":
        check_own_models(query_generator, cross_encoder)
    target = new_folder(output)
    source, name = base_folder(base, revision=revision, local_files_only=local_files_only)
    data = gather(method, settings, pairs=pairs, triples=triples, corpus=corpus, held_out=held_out)
    encoder = load_encoder(source, device=settings.device)
    facts = {"name": name, "fingerprint": encoder.fingerprint}
    with only_process(target):
        run = _open_run(target, source, _digest(facts, method, data, settings), resume=resume)
        with _nothing_left_of_a_refused(run):
            mixed_precision(settings.precision, settings.device)
            network = open_network(run / "base", settings, layers=settings.layers if method == "distill" else None)
            columns = _rows(run, method, data, settings, encoder, query_generator, cross_encoder)
        return _run(run, target, facts, method, network, columns, data, settings)


def _run(
    run: Path,
    target: Path,
    base: Mapping[str, Any],
    method: Method,
    network: SentenceTransformer,
    columns: Columns,
    data: Data,
    settings: TuneSettings,
) -> Tuned:
    known = folder_settings(run / "base")
    prompts = (known.query_prompt, known.document_prompt)

    def held_out_metrics(tuned: Any) -> Mapping[str, float]:
        return {} if data.held_out is None else measure(tuned, data.held_out, prompts, settings.mini_batch)

    before = held_out_metrics(network)
    outcome = train(
        network,
        method,
        with_prompts(columns, prompts),
        settings,
        run / "checkpoints",
        held_out_metrics if data.held_out else None,
    )
    check_finite(network, run)
    after = held_out_metrics(network)
    if before and after["nDCG@10"] < before["nDCG@10"]:
        warnings.warn(
            f"tuning made held-out nDCG@10 worse: {before['nDCG@10']:.3f} before, {after['nDCG@10']:.3f} after",
            BedsideWarning,
            stacklevel=3,
        )
    facts = record(base, method, data, settings, outcome, {"before": before, "after": after} if before else {})
    with building(target) as folder:
        save_network(network, run / "base", folder, papers=papers(facts))
    shutil.rmtree(run)
    log.info("tuned %s: nDCG@10 %s before, %s after", base["name"], before.get("nDCG@10"), after.get("nDCG@10"))
    return Tuned(target, before, after, facts)


def _rows(
    run: Path,
    method: Method,
    data: Data,
    settings: TuneSettings,
    encoder: Encoder,
    query_generator: QueryGenerator | None,
    cross_encoder: CrossEncoder | None,
) -> Columns:
    """The training rows, made once: a resumed run learns from the very same."""
    file = run / "rows.json"
    if not file.is_file():
        made = prepare_rows(method, data, settings, encoder, query_generator, cross_encoder)
        part = file.with_suffix(".part")
        part.write_text(json.dumps(made), "utf-8")
        part.replace(file)
    columns: Columns = json.loads(file.read_text("utf-8"))
    return columns


def _open_run(target: Path, source: Path, digest: str, *, resume: bool) -> Path:
    """The folder of a run: a new one, or that of an interrupted run with the same digest.

    Raises:
        InvalidInputError: It belongs to a run of other data or settings.
    """
    run = target.with_name(f"{target.name}.run")
    if run.exists() and not resume:
        shutil.rmtree(run)
    if (run / "run.json").is_file():
        if json.loads((run / "run.json").read_text("utf-8")) != {"digest": digest}:
            raise InvalidInputError(
                f"{run} holds an interrupted run with another base, data or settings; resume=False discards it"
            )
        return run
    shutil.rmtree(run, ignore_errors=True)
    run.mkdir(mode=0o700)
    copy_base(source, run / "base")
    (run / "checkpoints").mkdir()
    (run / "run.json").write_text(json.dumps({"digest": digest}), "utf-8")
    return run


@contextmanager
def _nothing_left_of_a_refused(run: Path) -> Iterator[None]:
    """Remove a run that is refused before its first checkpoint, so that a corrected one may begin."""
    try:
        yield
    except BedsideError:
        if not any((run / "checkpoints").iterdir()):
            shutil.rmtree(run)
        raise


def _digest(base: Mapping[str, Any], method: Method, data: Data, settings: TuneSettings) -> str:
    parts = [dict(base), method, asdict(settings), dict(data.hashes)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
