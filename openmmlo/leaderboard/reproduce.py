"""A submission and the checkpoint it names come in; the checkpoint is run again, and the mark says "reproduced".

The labels of test sets are public, so predictions alone show that numbers follow from them, not that a model made them.
A maintainer who has the checkpoint shows that. Nothing that a submission names is loaded, imported or fetched: the
checkpoint is the one that the maintainer gives, and what was asked of the evaluation is taken only where it is a name
of a table of this package.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from openmmlo.errors import ConfigError, SubmissionRefused
from openmmlo.evaluate.predictions import Predictions, read_predictions
from openmmlo.leaderboard.board import Board
from openmmlo.leaderboard.guard import read_bounded
from openmmlo.leaderboard.limits import told
from openmmlo.leaderboard.marks import Mark, Reproduction
from openmmlo.leaderboard.metric_paths import numbers
from openmmlo.leaderboard.rescore import compute_mark, today
from openmmlo.leaderboard.submission import Run, Submission
from openmmlo.progress import Progress
from openmmlo.writing import write_aside

if TYPE_CHECKING:
    from openmmlo.evaluate.configuration import EvalConfig

AGREEMENT = 0.999
"""Share of the samples whose predicted class must be the same."""

DIFFERENCE = 0.005
"""Largest difference of any metric that is a rate: half a percentage point. Other machines and libraries round
otherwise, and a few samples near a boundary change sides."""


@dataclass(frozen=True, eq=False)
class Reproduced:
    """What came of running a checkpoint again.

    Attributes:
        entry: ``benchmark/entry``.
        reproduction: how far it agrees.
        reason: why that is not enough; empty where it is.
        mark: as it was written, or None.
    """

    entry: str
    reproduction: Reproduction
    reason: str
    mark: Mark | None


def reproduce(
    board: Board,
    entry: str,
    *,
    model: str | None = None,
    weights: Path | None = None,
    seed: int | None = None,
    data: Path | None = None,
    out: Path | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Reproduced:
    """Run a checkpoint again and compare it with the predictions of a submission.

    Args:
        entry: ``entry`` or ``benchmark/entry``.
        model: name or folder, as ``openmmlo eval --model`` takes it; the folder ``weights`` where None.
        weights: a checkpoint.
        seed: which run; may be None where there is one.
        data: root of images and lists.
        out: where the new result goes; nowhere to stay where None.

    Raises:
        ConfigError: no checkpoint, an unknown seed, or a board that cannot be written to.
        SubmissionRefused: another checkpoint than the result names, or an evaluation that cannot be asked for again.
        DataError: images that are not at hand.
    """
    if not board.writable:
        raise ConfigError(
            "The board is a copy of one on the Hub. Give a folder with --board: the mark is written there."
        )
    (path,) = board.find([entry])
    found = board.read(path)
    submission = found.submission
    run = _run(submission, seed)
    config = evaluation_of(submission, run, model, weights, data, device)
    _check_checkpoint(config, run, submission.label)
    mark = compute_mark(submission, found.digest, lambda item: board.predictions(item.predictions))
    with nullcontext(out) if out is not None else tempfile.TemporaryDirectory(prefix="openmmlo-") as folder:
        result, again = _evaluate(replace(config, out=Path(str(folder))), progress)
    stated = read_bounded(board.predictions(run.predictions), run.predictions.rows, "Predictions")
    made, reason = compared(run, stated, again, result)
    if reason:
        return Reproduced(submission.label, made, reason, None)
    earlier = found.mark.reproductions if found.mark is not None and found.mark.same_numbers(mark) else ()
    others = [item for item in earlier if item.seed != run.seed]
    upgraded = replace(
        mark, mark="reproduced", reproductions=tuple(sorted([*others, made], key=lambda item: item.seed))
    )
    place = board.mark_path(found.digest)
    place.parent.mkdir(exist_ok=True)
    write_aside(place, upgraded.to_bytes())
    board.marks[found.digest] = upgraded
    return Reproduced(submission.label, made, "", upgraded)


def evaluation_of(
    submission: Submission, run: Run, model: str | None, weights: Path | None, data: Path | None, device: str
) -> EvalConfig:
    """The evaluation that a result was asked for, of the checkpoint given here.

    Raises:
        ConfigError: no checkpoint was given.
        SubmissionRefused: it was asked for something that is no name of a table here.
    """
    from openmmlo.config import construct
    from openmmlo.evaluate.configuration import EvalConfig

    if model is None and weights is None:
        raise ConfigError("Which checkpoint? Give its folder with --weights, or a model's name with --model.")
    asked = _asked(run.result.get("asked") or {}, submission.label)
    values: dict[str, Any] = asked | {
        "model": model or str(weights.expanduser().resolve() if weights else ""),
        "weights": weights if model is not None else None,
        "benchmarks": (submission.benchmark,),
        "seeds": (run.seed,),
        "data": data,
        "device": device,
        "report": False,
    }
    return construct(EvalConfig, values, f"the evaluation of {submission.label}")


def compared(run: Run, stated: Predictions, again: Predictions, result: Mapping[str, Any]) -> tuple[Reproduction, str]:
    """How far a new evaluation agrees with the submitted one, and why that is not enough, if so.

    Raises:
        SubmissionRefused: not the same samples.
    """
    keys = [list(zip(item.set_names.tolist(), item.sample_ids.tolist(), strict=True)) for item in (stated, again)]
    place = {key: row for row, key in enumerate(keys[1])}
    lacking = [key for key in keys[0] if key not in place]
    if lacking or len(keys[0]) != len(keys[1]):
        raise SubmissionRefused(
            f"The new evaluation has {len(keys[1]):,} samples, the submission {len(keys[0]):,}; {len(lacking):,} are "
            "missing. Bring the images of every set that the submission was evaluated on."
        )
    rows = np.array([place[key] for key in keys[0]])
    agreement = float(np.mean(stated.predicted == again.predicted[rows]))
    one, two = numbers(run.scored), numbers(result["scored"])
    if one.keys() != two.keys():
        other = sorted(one.keys() ^ two.keys())
        raise SubmissionRefused(f"The new evaluation has other metrics, {told(other[0])} first of {len(other):,}.")
    metric = max(one, key=lambda name: abs(one[name] - two[name]))
    difference = abs(one[metric] - two[metric])
    made = Reproduction(
        seed=run.seed,
        checkpoint=str(run.result["digests"]["checkpoint"]),
        agreement=agreement,
        difference=difference,
        metric=metric,
        openmmlo=str(result["openmmlo"]),
        device=str(result["run"]["device"]),
        date=today(),
    )
    reasons = []
    if agreement < AGREEMENT:
        reasons.append(f"{agreement:.3%} of the predicted classes are the same; expected {AGREEMENT:.1%} or more")
    if difference > DIFFERENCE:
        reasons.append(f"{metric} is {two[metric]:.6g} in place of {one[metric]:.6g}; expected within {DIFFERENCE}")
    return made, "; ".join(reasons)


def _run(submission: Submission, seed: int | None) -> Run:
    if seed is None and len(submission.runs) == 1:
        return submission.runs[0]
    found = next((run for run in submission.runs if run.seed == seed), None)
    if found is None:
        raise ConfigError(
            f"{submission.label} has seeds {', '.join(map(str, submission.seeds))}. Give one with --seed."
        )
    return found


def _asked(stated: Any, label: str) -> dict[str, Any]:
    """Options of an evaluation, each a plain value of its own table; nothing that could name code or a file."""
    from openmmlo.data.transforms import TRANSFORMS
    from openmmlo.evaluate.classifiers import CLASSIFIERS
    from openmmlo.evaluate.detectors import DETECTORS

    if not isinstance(stated, Mapping):
        raise SubmissionRefused(f"{label}: what was asked for is {told(stated)}; expected an object.")
    known: dict[str, tuple[Any, ...]] = {
        "classifier": ("auto", "model", "zero-shot", *CLASSIFIERS),
        "templates": (None, "photo", "imagenet-80"),
        "class_names": ("own", "openai"),
        "transform": ("model", *TRANSFORMS),
        "captions": ("masked", "raw"),
        "dtype": ("float32", "bfloat16", "float16"),
        "precision": ("fp32", "fp16"),
        "shots": (None,),
        "descriptors": (None,),
        "limit": (None,),
        "approximate": (False,),
        "allow_missing": (False, True),
        "allow_overlap": (False, True),
    }
    found: dict[str, Any] = {}
    for key, value in stated.items():
        if key == "revision":  # of a Hub checkpoint; the one given here is held to its digest
            continue
        if key == "detectors":
            names = value if isinstance(value, list) else [value]
            wrong = [name for name in names if not isinstance(name, str) or name not in DETECTORS]
            if wrong:
                raise SubmissionRefused(f"{label} was evaluated with detector {told(wrong[0])}, which is none of ours.")
            found[key] = tuple(names)
        elif key not in known or not any(value is item or value == item for item in known[key]):
            raise SubmissionRefused(
                f"{label} was evaluated with {told(key)} = {told(value)}; that cannot be asked for again without its "
                "authors."
            )
        elif value is not None:
            found[key] = value
    return found


def _check_checkpoint(config: EvalConfig, run: Run, label: str) -> None:
    """Raises SubmissionRefused where the checkpoint given is not the one that the result names."""
    from openmmlo.models.opening import open_model
    from openmmlo.records import digest_of

    encoder = open_model(config.model, weights=config.weights, device=config.device, dtype=config.dtype)
    found, stated = digest_of(encoder.identity()), run.result["digests"]["checkpoint"]
    if found != stated:
        raise SubmissionRefused(
            f"This checkpoint's digest is {found}; the result of {label}, seed {run.seed}, names {stated}. Give the "
            "checkpoint that was evaluated."
        )


def _evaluate(config: EvalConfig, progress: Progress | None) -> tuple[Mapping[str, Any], Predictions]:
    from openmmlo.evaluate.run import evaluate

    (done,) = evaluate(config, progress).evaluations
    return done.result, read_predictions(done.folder)
