"""``tune_encoder``: one call from a base model and data to a folder that ``load_encoder`` opens."""

from __future__ import annotations

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

from bedside.encoders.folders import new_folder
from bedside.encoders.load import load_encoder
from bedside.encoders.prepare import building
from bedside.encoders.settings import folder_settings
from bedside.errors import BedsideError, BedsideWarning
from bedside.support.files import replace_file
from bedside.tuning.folders import check_finite, only_process, open_run
from bedside.tuning.retrieval.card import papers, record
from bedside.tuning.retrieval.heldout import measure
from bedside.tuning.retrieval.network import base_folder, copy_base, open_network, save_network
from bedside.tuning.retrieval.rows import Data, Given, check_own_models, gather, prepare_rows, with_prompts
from bedside.tuning.retrieval.settings import Method, TuneSettings
from bedside.tuning.retrieval.training import train
from bedside.tuning.retrieval.unlabelled import CrossEncoder, QueryGenerator
from bedside.tuning.trainer import mixed_precision

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from typing_extensions import Unpack

log = logging.getLogger(__name__)
_ROWS = "rows.json"


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
    method: Method = "contrastive",
    settings: TuneSettings | None = None,
    query_generator: QueryGenerator | None = None,
    cross_encoder: CrossEncoder | None = None,
    resume: bool = True,
    revision: str | None = None,
    local_files_only: bool = False,
    **given: Unpack[Given],
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
        method: See above.
        settings: See :class:`TuneSettings`.
        query_generator: For GPL: several passages to questions for each.
        cross_encoder: For GPL: pairs of question and passage to scores.
        resume: Go on with an interrupted run; ``False`` begins again.
        revision: Commit, tag or branch of a hub id.
        local_files_only: Never use the network.
        **given: ``pairs``, ``triples``, ``corpus``, ``held_out``; see :class:`bedside.tuning.retrieval.rows.Given`.

    Returns:
        The folder, and the metrics before and after.

    Raises:
        InvalidInputError: Data that is missing, empty, in wrong columns or on both sides of the split; an output folder
            that is not empty, or that another process trains into; an interrupted run of other data or settings.
        InvalidModelError: The base is not a text encoder that can be trained.
        MissingExtraError: ``bedside[tuning]`` is not installed.

    Example:
        >>> pairs = [("chest pain on exertion?", "Angina is ...")]
        >>> tuned = tune_encoder("emilyalsentzer/Bio_ClinicalBERT", output="m", pairs=pairs)  # doctest: +SKIP
        >>> encoder = load_encoder(tuned.folder)  # doctest: +SKIP
    """
    if method == "gpl":
        check_own_models(query_generator, cross_encoder)
    target = new_folder(output, "output")
    source, name = base_folder(base, revision=revision, local_files_only=local_files_only)
    data = gather(method, settings, **given)
    encoder = load_encoder(source, device=data.settings.device)
    facts = {"name": name, "fingerprint": encoder.fingerprint}
    with only_process(target):
        known = {"base": facts, "method": method, "settings": asdict(data.settings), "data": dict(data.hashes)}
        run = open_run(target, known, resume=resume)
        with _nothing_left_of_a_refused(run):
            if not (run / "base").is_dir():
                with building(run / "base") as folder:
                    copy_base(source, folder)
            mixed_precision(data.settings.precision, data.settings.device)
            network = open_network(run / "base", data)
            if not (run / _ROWS).is_file():  # a resumed run learns from the very same
                made = prepare_rows(data, encoder, query_generator, cross_encoder)
                replace_file(run / _ROWS, [json.dumps(made).encode()])
        return _run(run, target, facts, network, data)


def _run(run: Path, target: Path, base: Mapping[str, Any], network: SentenceTransformer, data: Data) -> Tuned:
    known = folder_settings(run / "base")
    prompts = (known.query_prompt, known.document_prompt)

    def metrics() -> Mapping[str, float]:
        return {} if data.held_out is None else measure(network, data.held_out, prompts, data.settings.mini_batch)

    before = metrics()
    columns = with_prompts(json.loads((run / _ROWS).read_text("utf-8")), prompts)
    course = train(network, data, columns, run, metrics if data.held_out else None)
    check_finite(network, run)
    after = metrics()
    if before and after["nDCG@10"] < before["nDCG@10"]:
        warnings.warn(
            f"tuning made held-out nDCG@10 worse: {before['nDCG@10']:.3f} before, {after['nDCG@10']:.3f} after",
            BedsideWarning,
            stacklevel=3,
        )
    facts = record(base, data, course, {"before": before, "after": after} if before else {})
    with building(target) as folder:
        save_network(network, run / "base", folder, papers=papers(facts))
    shutil.rmtree(run)
    log.info("tuned %s: nDCG@10 %s before, %s after", base["name"], before.get("nDCG@10"), after.get("nDCG@10"))
    return Tuned(target, before, after, facts)


@contextmanager
def _nothing_left_of_a_refused(run: Path) -> Iterator[None]:
    """Remove a run that is refused before its first checkpoint, so that a corrected one may begin."""
    try:
        yield
    except BedsideError:
        if not any(run.glob("checkpoint-*")):
            shutil.rmtree(run)
        raise
