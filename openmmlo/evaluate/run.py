"""One evaluation from end to end: images → feature banks → classifiers → detectors → predictions → result → page."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from openmmlo import __version__
from openmmlo.data.transforms import ShrunkTransform, transform_named
from openmmlo.errors import OpenmmloError
from openmmlo.evaluate.banks import Banks
from openmmlo.evaluate.benchmark import Benchmark, benchmark_names, load_benchmark
from openmmlo.evaluate.classifiers import CLASSIFIERS, FittedClassifier, open_classifier
from openmmlo.evaluate.configuration import EvalConfig
from openmmlo.evaluate.detectors import open_detector
from openmmlo.evaluate.detectors.choose import choose as choose_settings
from openmmlo.evaluate.detectors.choose import validation_banks
from openmmlo.evaluate.detectors.odin import ODIN
from openmmlo.evaluate.detectors.run import Detections, detect
from openmmlo.evaluate.door import check_asked, detectors_of
from openmmlo.evaluate.earlier import keep_earlier
from openmmlo.evaluate.features.bank import FeatureBank
from openmmlo.evaluate.head import Head
from openmmlo.evaluate.heads import Candidate, choose, model_head, predict
from openmmlo.evaluate.image_sets import Resolved, data_at, found_benchmarks, resolve
from openmmlo.evaluate.measured import measure
from openmmlo.evaluate.predictions import PredictedSet, Predictions, digest, write_predictions
from openmmlo.evaluate.prompts.writing import unnamed
from openmmlo.evaluate.result import FORMAT, PREDICTIONS, REPORT, Notes, impersonal, run_block, write_result
from openmmlo.evaluate.score import check_against, score_file
from openmmlo.models.encoder import Encoder
from openmmlo.models.launch import launched
from openmmlo.progress import Progress, Silent
from openmmlo.records import digest_of


@dataclass(frozen=True)
class Evaluation:
    """One finished evaluation: its folder, its result, and its page where one was drawn."""

    folder: Path
    result: dict[str, Any]
    report: Path | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of all that was asked for.

    Attributes:
        evaluations: finished ones, a benchmark and seed each.
        not_run: benchmark -> why not.
        deviations: benchmark -> mean and deviation over seeds, where there are several.
        is_main: whether this process speaks for all of an ``accelerate launch``.
    """

    evaluations: list[Evaluation] = field(default_factory=list)
    not_run: dict[str, str] = field(default_factory=dict)
    deviations: dict[str, Any] | None = None
    is_main: bool = True

    def to_json(self) -> dict[str, Any]:
        return {
            "results": [
                {"folder": str(item.folder), "report": item.report, "result": item.result} for item in self.evaluations
            ],
            "not_run": self.not_run,
            "deviations": self.deviations,
        }


def evaluate(config: EvalConfig, progress: Progress | None = None) -> Outcome:
    """Evaluate a model on benchmarks and write a folder of results for each.

    Raises:
        UnknownName, ModelError: no such model, benchmark or detector; weights that are not at hand.
        DataError: a test set that is not at hand or not what its definition pins; features or scores that are no
            numbers; images both in and out of distribution.
    """
    from openmmlo.models.opening import open_model

    progress = progress or Silent()
    for name in config.detectors:
        open_detector(name)
    with data_at(config.data):
        encoder = open_model(
            config.model, weights=config.weights, device=config.device, dtype=config.dtype, revision=config.revision,
            trust_remote_code=config.trust_remote_code,
        )  # fmt: skip
        resolved, not_run = _benchmarks(config, encoder, progress)
        keep_earlier(config, digest_of(encoder.identity()), [item.benchmark for item in resolved])
        outcome = Outcome(not_run=not_run, is_main=launched()[0] == 0)
        for item in resolved:
            with _told(config, item, not_run):
                check_asked(config, encoder, item)
        for item in resolved:
            if item.benchmark.name in not_run:
                continue
            with _told(config, item, not_run):
                for seed in config.seeds:
                    done = _evaluate(config, encoder, item, seed, progress)
                    if done is not None:
                        outcome.evaluations.append(done)
    if len(config.seeds) > 1 and outcome.evaluations:
        from openmmlo.evaluate.compare import compare

        folders: dict[str, list[Path]] = {}
        for finished in outcome.evaluations:
            folders.setdefault(finished.result["benchmark"]["name"], []).append(finished.folder)
        deviations = {name: compare(runs) for name, runs in folders.items()}
        return Outcome(outcome.evaluations, not_run, deviations, outcome.is_main)
    return outcome


@contextmanager
def _told(config: EvalConfig, item: Resolved, not_run: dict[str, str]) -> Iterator[None]:
    """What goes wrong ends the run where benchmarks were named; else it is why this one was not run."""
    try:
        yield
    except OpenmmloError as error:
        if config.benchmarks:
            raise
        not_run[item.benchmark.name] = str(error)


def _benchmarks(config: EvalConfig, encoder: Encoder, progress: Progress) -> tuple[list[Resolved], dict[str, str]]:
    """What is run: what was asked for, else the checkpoint's own benchmark, else all whose data is found."""
    own = encoder.identity().get("benchmark")
    names: Sequence[str] = config.benchmarks or ([str(own)] if own else [])
    if names:
        return [resolve(open_benchmark(name), config.allow_missing) for name in names], {}
    found, absent = found_benchmarks(config.allow_missing)
    progress.say(
        f"Benchmarks whose data is found: {', '.join(item.benchmark.name for item in found) or 'none'}. Others need "
        "--data DIR or OPENMMLO_DATA; openmmlo list benchmarks names them."
    )
    return found, absent


def open_benchmark(name: str) -> Benchmark:
    """A known benchmark, a YAML file, or a folder that ``openmmlo build`` wrote.

    Known names come first, as they do for models: a folder called like one is named ``./miniature``.
    """
    if name not in benchmark_names() and Path(name).is_dir():
        from openmmlo.evaluate.built import benchmark_of_folder

        return benchmark_of_folder(Path(name))
    return load_benchmark(name)


def _evaluate(
    config: EvalConfig, encoder: Encoder, resolved: Resolved, seed: int, progress: Progress
) -> Evaluation | None:
    began, notes = time.monotonic(), Notes()
    benchmark = resolved.benchmark
    shots = config.shots or benchmark.shots
    groups = resolved.info.shot_groups(shots)
    notes.not_run.extend((f"set {item.name}", item.reason) for item in resolved.sets if item.reason is not None)
    _note_departures(config, resolved, notes)

    transform = None if config.transform == "model" else transform_named(config.transform, encoder.transform)
    if benchmark.image_size is not None:
        transform = ShrunkTransform(benchmark.image_size, transform or encoder.transform)
    banks = Banks(config, encoder, resolved, notes, progress, transform)
    with _timed(notes, "extraction"):
        banks.extract()
    banks.refuse_overlap()
    with _timed(notes, "classifiers"):
        candidates, fitted, reasons = _classifiers(config, encoder, resolved, banks, seed, progress)
    kind = choose(candidates, config.classifier, reasons, encoder.name)
    head = candidates[kind].head
    detectors = detectors_of(config, benchmark)
    outside = banks.with_role("ood", "ood-validation")
    for detector in detectors if outside else ():
        if isinstance(detector, ODIN) and detector.eta:
            with _timed(notes, "perturbed extraction"):
                banks.perturb(head, detector)
    if not banks.is_main:
        return None

    scored_banks = banks.with_role("test", "shifted", "ood", "ood-validation")
    detections = Detections()
    chosen: dict[str, Any] = {}
    if outside:
        with _timed(notes, "detectors"):
            tuning = validation_banks(benchmark, banks.with_role("validation", "ood-validation"))
            if tuning is not None:
                able, choices = choose_settings(detectors, head, banks.train, benchmark, *tuning)
                detectors, chosen = list(able), {name: vars(item) for name, item in choices.items()}
            detections = detect(
                detectors,
                head,
                banks.train,
                scored_banks,
                sweep=benchmark.neighbour_sweep,
                approximate=config.approximate,
                progress=progress,
            )
    notes.not_run.extend((f"detector {name}", reason) for name, reason in detections.not_run.items())
    notes.warnings.extend(detections.remarks)

    folder = config.folder(benchmark.name, seed)
    folder.mkdir(parents=True, exist_ok=True)
    predictions = _predictions(
        resolved, shots, config.model_name, seed, head, scored_banks, detections, notes.departures
    )
    if not notes.departures:
        check_against(predictions, benchmark)
    write_predictions(predictions, folder / PREDICTIONS)
    with _timed(notes, "scores"):
        scored = score_file(folder / PREDICTIONS)
    with _timed(notes, "measures"):
        measured = measure(resolved, banks, head, candidates, fitted, detections, groups, seed)
    identity = encoder.identity()
    result: dict[str, Any] = {
        "format": FORMAT,
        "openmmlo": __version__,
        "benchmark": {
            "name": benchmark.name, "version": benchmark.version, "title": benchmark.title, "shots": shots,
            "classes": benchmark.classes, "papers": list(benchmark.papers),
        },
        "model": {"name": config.model_name, "identity": identity},
        "seed": seed,
        "asked": config.asked,
        "classifier": {"kind": kind, "choices": candidates[kind].choices, "not_available": reasons},
        "protocol": {
            "transform": banks.transform_record,
            "precision": {"computed": config.dtype, "stored": config.precision},
            "batch_size": config.batch_size,
            "detectors": detections.choices,
            "chosen_on_validation": chosen,
            "cautions": {name: list(items) for name, items in detections.cautions.items() if items},
        },
        "sets": banks.records(),
        "digests": {
            "definition": benchmark.digest,
            "label_map": resolved.info.label_map_hash,
            "lists": {item.name: item.list_hash for item in resolved.sets if item.list_hash},
            "checkpoint": digest_of(identity),
            "recipe": identity.get("recipe"),
            "predictions": digest(predictions),
            "banks": banks.fingerprints(),
        },
        "scored": scored,
        "measured": measured,
        **notes.to_json(),
    }  # fmt: skip
    result["run"] = run_block(notes, began, str(encoder.device)) | {"extraction": banks.log}
    result = impersonal(result)
    write_result(folder, result)
    report = None
    if config.report:
        from openmmlo.evaluate.report import write_report

        report = write_report(result, predictions, folder / REPORT)
    return Evaluation(folder, result, report)


def _note_departures(config: EvalConfig, resolved: Resolved, notes: Notes) -> None:
    benchmark = resolved.benchmark
    if config.limit is not None:
        notes.departures.append(f"at most {config.limit:,} images of each set")
    if config.shots not in (None, benchmark.shots):
        notes.departures.append(f"shot groups by rule {config.shots!r} in place of {benchmark.shots!r}")
    if config.approximate:
        notes.departures.append("neighbours by an approximate index")
    missing = sum(item.missing for item in resolved.sets if item.reason is None)
    if missing:
        notes.departures.append(f"{missing:,} images of its lists are missing")


def _classifiers(
    config: EvalConfig, encoder: Encoder, resolved: Resolved, banks: Banks, seed: int, progress: Progress
) -> tuple[dict[str, Candidate], dict[str, FittedClassifier], dict[str, str]]:
    """Heads by kind, classifiers fitted on features, and why the others are not there."""
    from openmmlo.models.labels import label_columns

    candidates: dict[str, Candidate] = {}
    fitted: dict[str, FittedClassifier] = {}
    reasons: dict[str, str] = {}
    if encoder.classifier is None:
        reasons["model"] = "It has no classifier of its own."
    else:
        columns = label_columns(encoder.classifier, resolved.info.classes)
        if columns.columns is None:
            reasons["model"] = columns.reason
        else:
            candidates["model"] = Candidate(model_head(encoder.classifier, columns.columns))
    if banks.texts_apart:
        reasons["zero-shot"] = "Its features of texts and of images share no space."
    elif "text" not in encoder.reads or "image" not in encoder.reads:
        reasons["zero-shot"] = "It reads no texts beside images."
    elif reason := unnamed(resolved.info.classes):
        reasons["zero-shot"] = reason
    else:
        from openmmlo.evaluate.zero_shot import zero_shot_head

        templates = config.templates or resolved.benchmark.templates
        zero_shot = zero_shot_head(
            encoder,
            resolved.info.classes,
            templates,
            descriptors=config.descriptors,
            class_names=config.class_names,
            progress=progress,
        )
        candidates["zero-shot"] = Candidate(zero_shot.head, zero_shot.choices)
    for name in CLASSIFIERS:
        if banks.train is None:
            reasons[name] = "There is no training set at hand."
            continue
        try:
            classifier = open_classifier(name, encoder.device)
            made = classifier.fit(banks.train, resolved.benchmark.classes, banks.validation, seed)
        except OpenmmloError as error:
            reasons[name] = str(error)
            continue
        fitted[name] = made
        if made.head is not None:
            candidates[name] = Candidate(made.head, made.choices)
    return candidates, fitted, reasons


def _predictions(
    resolved: Resolved, shots: Any, model: str, seed: int, head: Head, banks: Sequence[FeatureBank],
    detections: Detections, departures: Sequence[str],
) -> Predictions:  # fmt: skip
    roles = {item.name: item.definition for item in resolved.sets}
    parts = [predict(head, bank) for bank in banks]
    return Predictions(
        benchmark=resolved.benchmark.name,
        version=resolved.benchmark.version,
        definition=resolved.benchmark.digest,
        shots=shots,
        classes=tuple((item.key, item.name) for item in resolved.info.classes),
        train_counts=resolved.info.train_counts,
        sets=tuple(PredictedSet(bank.name, roles[bank.name].role, roles[bank.name].group, len(bank)) for bank in banks),
        model=model,
        seed=seed,
        sample_ids=np.concatenate([bank.sample_ids for bank in banks]),
        set_names=np.concatenate([np.full(len(bank), bank.name, dtype=object) for bank in banks]),
        class_keys=np.concatenate([bank.class_keys for bank in banks]),
        labels=np.concatenate([bank.labels for bank in banks]).astype(np.int32),
        predicted=np.concatenate([predicted for predicted, _ in parts]),
        confidence=np.concatenate([confidence for _, confidence in parts]),
        scores={
            name: np.concatenate([by_set[bank.name] for bank in banks]) for name, by_set in detections.scores.items()
        },
        departures=tuple(departures),
    )


@contextmanager
def _timed(notes: Notes, stage: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    notes.seconds[stage] = notes.seconds.get(stage, 0.0) + time.monotonic() - began
