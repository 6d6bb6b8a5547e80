"""What was asked for is held to the model and the benchmark before hours of extraction, not after them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from openmmlo.data.transforms import transform_named
from openmmlo.evaluate.detectors import DETECTORS, Detector, open_detector
from openmmlo.evaluate.detectors.run import hyper_parameters
from openmmlo.evaluate.prompts.writing import unnamed, write_prompts

if TYPE_CHECKING:
    from openmmlo.evaluate.benchmark import Benchmark
    from openmmlo.evaluate.configuration import EvalConfig
    from openmmlo.evaluate.image_sets import Resolved
    from openmmlo.models.encoder import Encoder


def check_asked(config: EvalConfig, encoder: Encoder, resolved: Resolved) -> None:
    """Refuse detectors, their options, a transform or prompts that there are not.

    Raises:
        UnknownName, ConfigError, DataError: as what is asked for raises it.
    """
    detectors_of(config, resolved.benchmark)
    transform_named(config.transform, encoder.transform)
    if {"text", "image"} <= encoder.reads and not unnamed(resolved.info.classes):
        templates = config.templates or resolved.benchmark.templates
        write_prompts(resolved.info.classes, templates, config.descriptors, config.class_names)


def detectors_of(config: EvalConfig, benchmark: Benchmark) -> list[Detector]:
    """The detectors that are run, with the hyper-parameters that the benchmark sets.

    Raises:
        UnknownName: no such detector, of those that are asked for or that an option is of.
        ConfigError: an option that a detector does not have, or a value out of range.
    """
    for option in benchmark.detector_options:
        open_detector(option.rpartition(".")[0])
    names = dict.fromkeys(config.detectors or benchmark.detectors or tuple(DETECTORS))
    return [open_detector(name, _options(benchmark, name)) for name in names]


def _options(benchmark: Benchmark, detector: str) -> dict[str, Any]:
    """Hyper-parameters that the benchmark sets: those it names, and k for the detectors that have one."""
    found: dict[str, Any] = {
        key.removeprefix(f"{detector}."): value
        for key, value in benchmark.detector_options.items()
        if key.startswith(f"{detector}.")
    }
    if "k" in hyper_parameters(open_detector(detector)):
        found.setdefault("k", benchmark.neighbours)
    return found
