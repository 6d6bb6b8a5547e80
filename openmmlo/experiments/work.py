"""One job from recipe to results: it is trained, evaluated, and its record written last."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from openmmlo.evaluate import evaluate
from openmmlo.experiments.jobs import Job
from openmmlo.train.finetune import FinetuneTask
from openmmlo.train.pretrain import PretrainTask
from openmmlo.train.run import run as train

_TASKS: Mapping[str, Any] = {"pretrain": PretrainTask, "finetune": FinetuneTask}


class Lines:
    """A TrainingProgress that prints what is said, for a log; no bar."""

    def start(self, total: int, done: int) -> None:
        return

    def advance(self, rows: int, failed: int) -> None:
        return

    def say(self, message: str) -> None:
        sys.stdout.write(f"{time.strftime('%H:%M:%S', time.gmtime())} {message}\n")
        sys.stdout.flush()

    def close(self) -> None:
        return

    def note(self, values: Mapping[str, float]) -> None:
        return


def work(job: Job) -> None:
    """Do what is missing of a job; killed at any moment, the same call goes on.

    Raises:
        OpenmmloError: it cannot be trained or evaluated.
    """
    lines = Lines()
    began = time.monotonic()
    lines.say(job.command)
    outcome = train(
        _TASKS[job.run.kind](job.recipe()), job.checkpoint, command=job.command, device=job.setting.device,
        progress=lines, cache=job.setting.out / "cache" / "packed",
    )  # fmt: skip
    log = outcome.training["log"]
    lines.say(f"Trained: {', '.join(f'{name} {value}' for name, value in log.items())}")
    trained = max(time.monotonic() - began, float(log["seconds"]))  # of all starts, where it was stopped
    began = time.monotonic()
    shutil.rmtree(job.results, ignore_errors=True)  # of an evaluation that was not finished, or asked otherwise
    results: dict[str, Path] = {}
    for name, config in job.evaluations().items():
        lines.say(f"Evaluating: {name}")
        (results[name],) = (item.folder for item in evaluate(config, lines).evaluations)
    shutil.rmtree(job.banks, ignore_errors=True)
    seconds = {"training": round(trained, 1), "evaluation": round(time.monotonic() - began, 1)}
    job.finish(seconds, outcome.training, results)
    lines.say(f"Finished: {seconds}")
