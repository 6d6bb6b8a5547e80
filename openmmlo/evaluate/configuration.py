"""What an evaluation is asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from openmmlo.data.cache import cache_folder
from openmmlo.errors import ConfigError
from openmmlo.records import ShotRule

Choice = Literal["auto", "model", "zero-shot", "linear-probe", "ncm"]
"""Whose predictions are scored. ``auto``: the model's own classifier where it knows the benchmark's classes, else
zero-shot where it reads texts, else a linear probe."""


_DECISIVE = (
    "revision", "classifier", "templates", "descriptors", "class_names", "detectors", "shots", "transform", "captions",
    "dtype", "precision", "limit", "approximate", "allow_missing", "allow_overlap",
)  # fmt: skip


@dataclass(frozen=True)
class EvalConfig:
    """What to evaluate, on what, and how.

    Attributes:
        model: a known name, ``hf:NAME``, ``timm:NAME``, ``open_clip:NAME``, a folder, or ``package.module:factory``.
        benchmarks: names, built folders or YAML files; where empty, every benchmark whose data is found.
        data: root of images and lists, in place of OPENMMLO_DATA.
        out: where results go; a folder a benchmark (and seed, where there are several) is made in it. A result that
            was asked for otherwise, or is of other weights, is not written over.
        weights: a checkpoint file or folder in place of the published one.
        revision: commit of a Hub checkpoint.
        trust_remote_code: run code that comes with a checkpoint.
        classifier: whose predictions are scored.
        templates: prompt set for zero-shot classification in place of the benchmark's.
        descriptors: file of descriptors a class, for zero-shot classification.
        class_names: what prompts call a class: ``own`` (the benchmark's) or ``openai`` (CLIP's curated ImageNet names).
        detectors: which OOD detectors; the benchmark's where empty.
        shots: rule of the shot groups in place of the benchmark's.
        transform: ``model`` (the checkpoint's own), or a named preset.
        captions: which captions a built data set's caption modes read.
        seeds: of whatever is drawn: hold-out, k-means, bootstrap.
        device: ``auto``, ``cpu``, ``cuda:0`` ...
        dtype: what the model computes in.
        precision: what feature banks store.
        batch_size: images a forward pass.
        workers: processes that read and decode; chosen from the cores where None.
        cache: where feature banks lie; ``OPENMMLO_CACHE``, else the user's cache folder, where None.
        limit: only this many images of each set, spread over it, for a try-out.
        approximate: search neighbours in an approximate index, and say its recall.
        allow_missing: go on where images of a list are missing.
        allow_overlap: go on where the same image is in and out of distribution.
        report: draw report.html.
    """

    model: str
    benchmarks: tuple[str, ...] = ()
    data: Path | None = None
    out: Path = Path("results")
    weights: Path | None = None
    revision: str | None = None
    trust_remote_code: bool = False
    classifier: Choice = "auto"
    templates: str | None = None
    descriptors: Path | None = None
    class_names: Literal["own", "openai"] = "own"
    detectors: tuple[str, ...] = ()
    shots: ShotRule | None = None
    transform: str = "model"
    captions: Literal["masked", "raw"] = "masked"
    seeds: tuple[int, ...] = (0,)
    device: str = "auto"
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    precision: Literal["fp32", "fp16"] = "fp32"
    batch_size: int = 64
    workers: int | None = None
    cache: Path | None = None
    limit: int | None = None
    approximate: bool = False
    allow_missing: bool = False
    allow_overlap: bool = False
    report: bool = True

    def __post_init__(self) -> None:
        for name in ("batch_size", "limit"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} is {value}; expected at least 1.")
        if self.workers is not None and self.workers < 0:
            raise ConfigError(f"workers is {self.workers}; expected 0 or more processes.")
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise ConfigError(f"seeds are {self.seeds}; expected one or more different whole numbers.")

    @property
    def model_name(self) -> str:
        """What results call the model: of a folder the last part, for local paths are nobody else's business."""
        path = Path(self.model).expanduser()
        return path.resolve().name if path.is_dir() else self.model

    def folder(self, benchmark: str, seed: int) -> Path:
        """Where the result of one benchmark and seed goes: ``out/BENCHMARK/MODEL[-limitN][-seedN]``."""
        model = slug(self.model_name) + (f"-limit{self.limit}" if self.limit is not None else "")
        return self.out / slug(benchmark) / (f"{model}-seed{seed}" if len(self.seeds) > 1 or seed else model)

    @property
    def asked(self) -> dict[str, Any]:
        """JSON value of the options that decide a number, beside model, weights, benchmark and seed."""
        return {
            name: value.name if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value
            for name, value in ((name, getattr(self, name)) for name in _DECISIVE)
        }

    @property
    def cache_root(self) -> Path:
        """Where feature banks lie."""
        return cache_folder("banks", self.cache)


def slug(name: str) -> str:
    """A name as one folder: ``hf:openai/clip-vit-base-patch32`` -> ``hf-openai-clip-vit-base-patch32``."""
    return re.sub(r"[^\w.-]+", "-", name.rstrip("/").removeprefix("./")).strip("-.") or "model"
