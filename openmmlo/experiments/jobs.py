"""A run of the plan with a seed comes in; what it is made by, where it lies and whether it is finished goes out."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from openmmlo.config import construct, load_recipe
from openmmlo.errors import DataError
from openmmlo.evaluate.configuration import EvalConfig
from openmmlo.experiments.plan import Run
from openmmlo.records import digest_of
from openmmlo.train.recipe import FinetuneRecipe, PretrainRecipe, Recipe
from openmmlo.writing import write_aside

DONE = "done.json"
LOG = "log.txt"

DETECTORS = ("msp", "energy", "mahalanobis", "knn")
"""Few, for the predictions of every run are published: one that reads probabilities, logits, densities, neighbours."""

_RECIPES: Mapping[str, type[Recipe]] = {"pretrain": PretrainRecipe, "finetune": FinetuneRecipe}


@dataclass(frozen=True)
class Setting:
    """What all runs share.

    Attributes:
        out: folder of everything.
        data: the built data set that is trained on; its captions are read from it.
        data_digest: of the data set.
        benchmark: that is evaluated on.
        device: of training and evaluation.
        changes: keys of every recipe, over what stands there; for trying the plan out.
    """

    out: Path
    data: Path
    data_digest: str
    benchmark: str = "miniature"
    device: str = "cpu"
    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """One run with one seed; cheap to hand to another process."""

    run: Run
    seed: int
    setting: Setting

    @property
    def name(self) -> str:
        """``finetune/tiny-ce seed 0``."""
        return f"{self.run.name} seed {self.seed}"

    @cached_property
    def start(self) -> Job | None:
        """The job whose weights this one starts from."""
        return None if self.run.start is None else Job(self.run.start, self.seed, self.setting)

    def recipe(self) -> Recipe:
        """The recipe as it is trained: this seed, this data, these weights.

        Images are read between the steps: processes that read ahead would only take turns with those that train. The
        file is read once and travels with the job: one that is edited while experiments run is of the next start.

        Raises:
            UnknownName: no such recipe.
            ConfigError: a key or value that it may not hold.
        """
        return self._recipe

    @cached_property
    def _recipe(self) -> Recipe:
        given = load_recipe(self.run.kind, self.run.recipe)
        given |= {key: value for key, value in self.setting.changes.items() if self._concerns(key, given)}
        given |= {"data": self.setting.data, "seed": self.seed, "workers": 0}
        if self.start is not None:
            given["weights"] = str(self.start.checkpoint)
        return construct(_RECIPES[self.run.kind], given, f"{self.run.kind} recipe {self.run.recipe}")

    def _concerns(self, key: str, given: Mapping[str, Any]) -> bool:
        """Whether a change is of this recipe: not where the key is null in it, or is one of the other kind's alone."""
        others = {item.name for kind in _RECIPES.values() for item in dataclasses.fields(kind)}
        return given[key] is not None if key in given else key not in others

    @property
    def identity(self) -> dict[str, Any]:
        """What decides its weights, as JSON: recipe, seed and data, and the same of what it starts from."""
        start = None if self.start is None else self.start.digest
        values = self.recipe().decisive
        return {"kind": self.run.kind, "recipe": values, "data": self.setting.data_digest, "start": start}

    @cached_property
    def digest(self) -> str:
        """SHA-256 of :attr:`identity`."""
        return digest_of(self.identity)

    @property
    def folder(self) -> Path:
        """Where all of it lies. A changed recipe has another folder: runs are not mixed, and none is lost."""
        return self.setting.out / "runs" / self.run.kind / self.run.recipe / f"seed-{self.seed}-{self.digest[:8]}"

    @property
    def checkpoint(self) -> Path:
        """The trained folder; results call the model by its last part, the recipe's name."""
        return self.folder / self.run.recipe

    @property
    def log(self) -> Path:
        """What training and evaluation said."""
        return self.folder / LOG

    @property
    def command(self) -> str:
        """What a person would type for the training alone."""
        weights = f" --weights {self.run.start.recipe}" if self.run.start is not None else ""
        values = self.recipe().to_json()
        changed = "".join(
            f" --set {key}={value}" for key, value in self.setting.changes.items() if values.get(key) == value
        )
        data = self.setting.data.name
        return f"openmmlo {self.run.kind} {self.run.recipe}{weights} --data {data} --seed {self.seed}{changed}"

    def evaluations(self) -> dict[str, EvalConfig]:
        """What it is evaluated on: ``images``, the benchmark; ``captions``, the built folder with its captions."""
        places = {"images": self.setting.benchmark} if self.run.scored else {}
        if self.run.read:
            places["captions"] = str(self.setting.data)
        return {
            name: EvalConfig(
                model=str(self.checkpoint), benchmarks=(place,), out=self.results, detectors=DETECTORS,
                seeds=(self.seed,), device=self.setting.device, workers=0, cache=self.banks,
                report=False,
            )
            for name, place in places.items()
        }  # fmt: skip

    @property
    def banks(self) -> Path:
        """Where features lie while they are evaluated."""
        return self.folder / "banks"

    @property
    def results(self) -> Path:
        """Folder of what ``openmmlo eval`` writes."""
        return self.folder / "results"

    @property
    def asked(self) -> str:
        """Digest of how it is evaluated."""
        found = self.evaluations().items()
        return digest_of([[name, Path(item.benchmarks[0]).name, item.asked] for name, item in found])

    def done(self) -> dict[str, Any] | None:
        """What its ``done.json`` says: seconds, digests and where the results are; None where it is not finished."""
        record = read_record(self.folder / DONE)
        whole = record.get("identity") == self.digest and record.get("asked") == self.asked
        return record if whole else None

    def finish(self, seconds: Mapping[str, float], training: Mapping[str, Any], results: Mapping[str, Path]) -> None:
        """Write ``done.json``, which says that all is there."""
        record = {
            "identity": self.digest,
            "asked": self.asked,
            "run": self.run.name,
            "seed": self.seed,
            "digests": training["digests"],
            "seconds": dict(seconds),
            "results": {name: path.relative_to(self.folder).as_posix() for name, path in results.items()},
        }
        write_aside(self.folder / DONE, json.dumps(record, indent=2) + "\n")


def jobs_of(runs: Sequence[Run], seeds: Sequence[int], setting: Setting) -> list[Job]:
    """Every run with every seed, seed by seed, so that what is stopped early has whole comparisons."""
    return [Job(run, seed, setting) for seed in seeds for run in runs]


def read_record(path: Path) -> dict[str, Any]:
    """A JSON object of a file; an empty one where there is none.

    Raises:
        DataError: the file is damaged.
    """
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read ({type(error).__name__}). Delete it; the same command writes it again."
        ) from error
    if not isinstance(value, dict):
        raise DataError(f"{path} holds no JSON object. Delete it; the same command writes it again.")
    return value
