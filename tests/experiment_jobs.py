"""Work that stands in for training, in worker processes; and finished runs made of drawn predictions."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from evaluated import predicted, result_of
from pictured_sets import Pictured, write_pictured
from stubs import jpeg

from openmmlo.errors import ModelError
from openmmlo.evaluate.predictions import Predictions, digest, write_predictions
from openmmlo.evaluate.result import PREDICTIONS, write_result
from openmmlo.evaluate.score import score
from openmmlo.experiments.jobs import Job
from openmmlo.experiments.plan import Experiment, Row, Run
from openmmlo.models.thp.training import TRAINING
from openmmlo.records import ClassInfo, DatasetInfo

NAMES = ("ant", "bee", "cat")
INFO = DatasetInfo(
    "pictures", "1", "cc0-1.0", tuple(ClassInfo(name, name, (f"{name}s",)) for name in NAMES), (30, 20, 10)
)

CE, FOCAL = Run("tiny-ce"), Run("tiny-focal")
CRT = Run("tiny-crt", CE)
ROWS = (Row("CE", CE), Row("focal", FOCAL), Row("cRT", CRT))
SMALL = (Experiment("small", "A small one", "Which?", ROWS, "CE", "scores"),)


def small_data(folder: Path) -> Path:
    """A built data set of three classes, with test and OOD images."""

    def rows(split: str, counts: Mapping[str, int], known: bool = True) -> Iterable[Pictured]:
        for label, (name, count) in enumerate(counts.items()):
            for number in range(count):
                caption = f"a small picture of the {name} number {number}"
                image = jpeg(10_000 * len(split) + 100 * label + number, 40, 36)
                key = name if known else f"other-{name}"
                yield Pictured(f"{split}/{name}-{number}", label if known else -1, key, caption, image, (name,))

    splits = {
        "train": rows("train", {"ant": 30, "bee": 20, "cat": 10}),
        "test": rows("test", dict.fromkeys(NAMES, 5)),
        "near_ood": rows("near_ood", {"dog": 6, "elk": 5}, known=False),
    }
    return write_pictured(folder, INFO, splits).folder


def pretend(job: Job) -> None:
    """Leave what a job leaves; every call adds a line to ``calls.txt``, and what stands in ``trouble.json`` happens."""
    with (job.setting.out / "calls.txt").open("a", encoding="utf-8") as file:
        file.write(f"{job.name}\n")
    sys.stdout.write(f"working at {job.name}\n")
    trouble = json.loads((job.setting.out / "trouble.json").read_text(encoding="utf-8"))
    what = trouble.get(job.name)
    if what == "fails":
        raise ModelError("there are no weights")
    if what == "breaks":
        raise ZeroDivisionError("a bug")
    if what == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "waits":
        time.sleep(60)
    job.finish({"training": 2.0, "evaluation": 1.0}, {"digests": {"recipe": "r", "weights": "w"}}, {})


def calls(out: Path) -> list[str]:
    """Jobs that were begun, in their order."""
    path = out / "calls.txt"
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def trouble(out: Path, **what: str) -> None:
    """What happens to which job: ``tiny_ce_0="dies"``."""
    out.mkdir(parents=True, exist_ok=True)
    named = {
        f"finetune/{name.rpartition('_')[0].replace('_', '-')} seed {name.rpartition('_')[2]}": value
        for name, value in what.items()
    }
    (out / "trouble.json").write_text(json.dumps(named), encoding="utf-8")


def better(predictions: Predictions, classes: Sequence[int], share: float, seed: int) -> Predictions:
    """The same predictions with this share of the wrong ones of some classes put right."""
    random = np.random.default_rng(seed)
    chosen = np.isin(predictions.labels, classes) & (random.random(len(predictions.labels)) < share)
    return replace(predictions, predicted=np.where(chosen, predictions.labels, predictions.predicted).astype(np.int32))


def drawn(model: str, seed: int, **options: Any) -> Predictions:
    """Predictions of the miniature's kind: the same images for every model and seed, other errors."""
    found = predicted(classes=20, per_class=10, outside=(("near-ood", "near", 60), ("far-ood", "far", 60)), **options)
    random = np.random.default_rng([seed, *model.encode()])
    wrong = random.random(len(found.labels)) < 0.1
    said = np.where(wrong, random.integers(0, 20, len(found.labels)), found.predicted).astype(np.int32)
    return replace(found, benchmark="miniature", model=model, seed=seed, predicted=said)


def finish(job: Job, predictions: Predictions | None, captions: Mapping[str, Any] | None = None) -> None:
    """Leave a finished job with these predictions, and a result of captions, where its run has one."""
    results = {}
    job.checkpoint.mkdir(parents=True, exist_ok=True)
    digests = {"recipe": job.recipe().digest, "weights": f"{job.seed}{job.digest[1:]}"}
    training = {"recipe": job.recipe().to_json(), "digests": digests, "versions": {"torch": "2"}}
    (job.checkpoint / TRAINING).write_text(json.dumps(training, default=str), encoding="utf-8")
    if predictions is not None:
        results["images"] = job.results / "images"
        results["images"].mkdir(parents=True)
        write_predictions(predictions, results["images"] / PREDICTIONS)
        result = result_of(predictions) | {"scored": score(predictions)}
        result["digests"]["predictions"] = digest(predictions)
        write_result(results["images"], result)
    if captions is not None:
        results["captions"] = job.results / "captions"
        results["captions"].mkdir(parents=True)
        write_result(results["captions"], dict(captions))
    job.finish({"training": 2.0, "evaluation": 1.0}, training, results)
