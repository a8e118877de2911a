"""The path of a bulk load: cut files into shards, plan them, have workers load them, make the indexes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, as_completed
from pathlib import Path

from bedside.audit.log import AuditLog
from bedside.audit.verbs import beside
from bedside.bulk.job import Job, Outcome, Reading, failure, how_loaded, loaded, opened, run
from bedside.bulk.report import BulkReport, Refusals
from bedside.bulk.shards import cut
from bedside.collection import Collection
from bedside.encoding import Encoding
from bedside.engines.bulk import BulkLoading, Entry
from bedside.engines.facts import Batch
from bedside.engines.protocol import Engine
from bedside.errors import InvalidInputError
from bedside.notes.notes import splitter_for
from bedside.search.settings import SparseSettings
from bedside.support.checks import check_int
from bedside.support.progress import progress
from bedside.text.split import NoteSplitter
from bedside.types import Encoder

SHARD_BYTES = 4 << 20
"""Some thousands of documents: a second of work or more, and little to do again."""


def bulk_load(
    files: Iterable[str | os.PathLike[str]],
    place: str,
    *,
    executor: Executor | None = None,
    encoder: Encoder | str | None = None,
    scope_keys: Sequence[str] = (),
    sparse: SparseSettings | None = None,
    notes: bool = False,
    splitter: NoteSplitter | None = None,
    shard_bytes: int = SHARD_BYTES,
    audit: AuditLog | None = None,
) -> BulkReport:
    """Load files of JSON Lines into a collection on PostgreSQL, creating it if there is none, with many workers.

    The files are cut into shards. Each is read, checked, split where notes are given, encoded and tokenised by one
    worker, and then copied into the tables as one transaction, together with its entry in a ledger. So a shard is
    loaded once, whatever happens: a load that was broken off is taken up by calling this once more, and where all is
    loaded already, nothing changes. The result is that of adding the files one after another, in the order given; where
    an id comes again, the later document takes the place of the earlier one. Each shard is visible once it is loaded.
    Where the collection was empty, its indexes are made at the end; until then searches in it are slow.

    Args:
        files: What :meth:`bedside.Collection.export` writes as ``jsonl``: objects with text, metadata, id and vector.
        place: The collection's URL. Workers connect by it and by their own environment (``PGPASSWORD``).
        executor: What runs the shards: a ``concurrent.futures.ProcessPoolExecutor``, or anything with its ``submit``,
            such as Dask's ``client.get_executor()``; its workers must be able to read the files. ``None`` loads one
            shard after the other here.
        encoder: As for :meth:`bedside.Collection.open`; the name of a model is loaded once by each worker, which an
            encoder is sent to with each shard.
        scope_keys: As for :meth:`bedside.Collection.open`.
        sparse: As for :meth:`bedside.Collection.open`.
        notes: Take each line as a note, and split it, as :meth:`bedside.Collection.add_notes` does; also a note that
            did not change counts as added now.
        splitter: How notes are cut; ``None`` as ``add_notes``.
        shard_bytes: The least size of a shard.
        audit: Takes a line that says who loads into which collection, and how many lines of the files there are to
            load; it is written before the first of them is. What cannot be recorded is not done.

    Returns:
        What was loaded, what was left out and why, and which shards failed.

    Raises:
        InvalidInputError: The place is not a URL of PostgreSQL, or an argument is out of its range.
        UnreadableFileError: A file is not JSON Lines.
        ActorRequired: There is a trail, and it is not said who acts.
        BedsideError: Those of :meth:`bedside.Collection.open`.

    Example:
        >>> from concurrent.futures import ProcessPoolExecutor
        >>> with ProcessPoolExecutor(8) as workers:  # doctest: +SKIP
        ...     report = bulk_load(files, url, executor=workers, encoder="bedside/static", scope_keys=["patient_id"])
        >>> [str(refused) for refused in report.refused]  # doctest: +SKIP
        ["notes-3.jsonl, line 17 (id 'n-5'): metadata: lacks the scope key 'patient_id'; ..."]
    """
    if isinstance(files, str | os.PathLike):
        raise InvalidInputError("files: expected a list of files, got one path; wrap it in [ ]")
    if "://" not in str(place):
        raise InvalidInputError("place: expected a URL of PostgreSQL; a folder is filled with Collection.import_from")
    if splitter is not None and not notes:
        raise InvalidInputError("splitter: is for notes; give notes=True with it")
    check_int("shard_bytes", shard_bytes, 1)
    known = loaded(encoder)
    how = how_loaded((splitter or splitter_for(known)) if notes else None)
    shards = [shard for file in files for shard in cut(Path(file), shard_bytes, how)]
    jobs = {each.name: Job(place, each, encoder, notes, splitter) for each in shards}  # the same lines are loaded once
    with beside(audit, "bulk_load") as line:
        Collection.open(place, encoder=known, scope_keys=scope_keys, sparse=sparse).close()
        with opened(place, known) as (engine, loading, encoding):
            sample = _sample(jobs.values(), engine, loading, encoding)
            entries = loading.plan({name: job.shard.size for name, job in jobs.items()}, sample)
            left = [job for name, job in jobs.items() if entries[name].documents is None]
            if line is not None:
                line.about(engine.facts.id)
                line.tells("count", sum(job.shard.lines for job in left))
                line.write(durable=True)
            try:
                outcomes = list(_outcomes(executor, left))
            except Exception:
                loading.finish()
                raise
            loading.finish()  # not where it is interrupted, which ends at once: the next load makes the indexes
    return _report(outcomes, [entry for entry in entries.values() if entry.documents is not None])


def _sample(jobs: Iterable[Job], engine: Engine, loading: BulkLoading, encoding: Encoding) -> Batch:
    """Return the first document, or the first note's passages, that pass the checks."""
    readings = (Reading(job, engine.facts, encoding, loading, Refusals(job.shard)) for job in jobs)
    checked = (records for reading in readings for records in reading.checked(1) if records)
    return encoding.batch([record for _, record in next(checked, [])])


def _outcomes(executor: Executor | None, jobs: Sequence[Job]) -> Iterator[Outcome]:
    """Yield what became of each shard, as soon as it is known."""
    with progress(sum(job.shard.lines for job in jobs), "load", "line") as advance:
        for outcome in map(run, jobs) if executor is None else _run_by(executor, jobs):
            advance(outcome.shard.lines)
            yield outcome


def _run_by(executor: Executor, jobs: Sequence[Job]) -> Iterator[Outcome]:
    futures = {executor.submit(run, job): job.shard for job in jobs}
    try:
        for future in as_completed(futures):
            try:
                yield future.result()
            except BrokenExecutor:
                yield failure(futures[future], "a worker process ended before it was loaded")
    finally:
        for future in futures:
            future.cancel()


def _report(outcomes: Sequence[Outcome], before: Sequence[Entry]) -> BulkReport:
    done = [outcome for outcome in outcomes if outcome.failed is None]
    return BulkReport(
        documents=sum(outcome.documents for outcome in done),
        shards=len(done),
        skipped=len(before),
        left_out=sum(entry.refused for entry in before) + sum(outcome.left_out for outcome in done),
        refused=tuple(refused for outcome in done for refused in outcome.refused),
        failed=tuple(outcome.failed for outcome in outcomes if outcome.failed is not None),
    )
