"""Commands that evaluate: a model on benchmarks, predictions alone, results side by side.

Like every command they only call what the Python API offers; cli.py hangs them into ``openmmlo``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openmmlo import cli_options as option


def benchmark_names() -> list[str]:
    """For shell completion."""
    from openmmlo.evaluate.benchmark import benchmark_names

    return list(benchmark_names())


def detector_names() -> list[str]:
    """For shell completion."""
    from openmmlo.evaluate.detectors import DETECTORS

    return list(DETECTORS)


Benchmarks = Annotated[
    list[str] | None,
    typer.Option(
        "--benchmark", metavar="NAME|DIR|FILE", autocompletion=benchmark_names,
        help="A known benchmark, a folder that openmmlo build wrote, or a .yaml; repeatable. Default: all with data.",
    ),
]  # fmt: skip
Benchmark = Annotated[
    str | None,
    typer.Option(metavar="NAME|FILE", autocompletion=benchmark_names, help="Hold the predictions to this definition."),
]
Detectors = Annotated[
    list[str] | None,
    typer.Option(
        "--detector", metavar="NAME", autocompletion=detector_names, help="Only this OOD detector; repeatable."
    ),
]


class Evaluating(option.Sectioned):
    """``eval``: its options under headings."""

    sections = {  # noqa: RUF012 - declared as ClassVar above it
        "What is evaluated": ("model", "weights", "revision", "trust_remote_code"),
        "On what": ("benchmark", "data", "limit", "allow_missing", "allow_overlap"),
        "By which rules": (
            "classifier", "detector", "templates", "descriptors", "class_names", "shots", "transform", "captions",
            "seed", "approximate",
        ),
        "What goes out": ("out", "cache", "precision", "report"),
        "How it runs": ("device", "dtype", "batch_size", "workers"),
    }  # fmt: skip


def evaluate(
    model: Annotated[
        str,
        typer.Option(metavar="NAME", help="hf:NAME, timm:NAME, open_clip:NAME, pixels, a folder, or package.module:f."),
    ],
    benchmark: Benchmarks = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Root of images and lists; default: OPENMMLO_DATA.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where results go; default: results.")] = None,
    classifier: Annotated[
        str | None,
        typer.Option(
            metavar="auto|model|zero-shot|linear-probe|ncm",
            help="Whose predictions are scored; auto: the model's own where its classes fit, else zero-shot ...",
        ),
    ] = None,
    detector: Detectors = None,
    templates: Annotated[str | None, typer.Option(metavar="NAME", help="Prompts for zero-shot classification.")] = None,
    descriptors: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Descriptors a class, for zero-shot classification.")
    ] = None,
    class_names: Annotated[
        str | None, typer.Option(metavar="own|openai", help="What prompts call the classes of ImageNet.")
    ] = None,
    shots: Annotated[str | None, typer.Option(metavar="paper|oltr", help="Rule of the shot groups.")] = None,
    transform: Annotated[
        str | None, typer.Option(metavar="model|oltr|livt|cifar", help="Pixels in; default: the checkpoint's own.")
    ] = None,
    captions: Annotated[
        str | None, typer.Option(metavar="masked|raw", help="Captions that the caption modes read.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(metavar="PATH", help="A checkpoint in place of the published one.")
    ] = None,
    revision: option.Revision = None,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run code that comes with the checkpoint.")
    ] = False,
    seed: Annotated[list[int] | None, typer.Option(metavar="N", help="Seed of what is drawn; repeatable.")] = None,
    device: option.Device = None,
    dtype: Annotated[
        str | None, typer.Option(metavar="float32|bfloat16|float16", help="What the model computes in.")
    ] = None,
    precision: Annotated[str | None, typer.Option(metavar="fp32|fp16", help="What feature banks store.")] = None,
    batch_size: option.BatchSize = None,
    workers: Annotated[int | None, typer.Option(metavar="N", help="Processes that read and decode.")] = None,
    cache: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where feature banks lie; default: OPENMMLO_CACHE, else ~/.cache."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(metavar="N", help="Try out on this many images of each set; no benchmark number.")
    ] = None,
    approximate: Annotated[
        bool, typer.Option("--approximate", help="Search neighbours in an approximate index; its recall is printed.")
    ] = False,
    allow_missing: Annotated[bool, typer.Option("--allow-missing", help="Go on where images are missing.")] = False,
    allow_overlap: Annotated[
        bool, typer.Option("--allow-overlap", help="Go on where an image is both in and out of distribution.")
    ] = False,
    report: Annotated[bool, typer.Option("--report/--no-report", help="Whether report.html is drawn.")] = True,
    json: option.Json = False,
    quiet: option.Quiet = False,
    debug: option.Debug = False,
) -> int:
    """Score MODEL on long-tailed benchmarks: accuracy, OOD detection, geometry."""
    from openmmlo import terminal, terminal_eval
    from openmmlo.config import construct
    from openmmlo.evaluate import EvalConfig
    from openmmlo.evaluate import evaluate as run

    values = option.given(
        model=model, benchmarks=benchmark, data=data, out=out, classifier=classifier, detectors=detector,
        templates=templates, descriptors=descriptors, class_names=class_names, shots=shots,
        transform=transform, captions=captions,
        weights=weights, revision=revision, trust_remote_code=option.switched(trust_remote_code), seeds=seed,
        device=device, dtype=dtype, precision=precision, batch_size=batch_size, workers=workers, cache=cache,
        limit=limit, approximate=option.switched(approximate), allow_missing=option.switched(allow_missing),
        allow_overlap=option.switched(allow_overlap), report=report,
    )  # fmt: skip
    outcome = run(construct(EvalConfig, values, "openmmlo eval"), None if quiet else terminal.ProgressBar())
    if not outcome.is_main:  # under accelerate launch one process speaks for all
        return 0
    terminal.show_json(outcome.to_json()) if json else terminal_eval.show_outcome(outcome)
    return 2 if not outcome.evaluations else 0


def score(
    predictions: Annotated[Path, typer.Argument(metavar="FILE", help="predictions.parquet, or its folder.")],
    benchmark: Benchmark = None,
    json: option.Json = False,
    debug: option.Debug = False,
) -> int:
    """Compute the scored numbers again from predictions alone; torch is not needed."""
    from openmmlo import terminal, terminal_eval
    from openmmlo.evaluate.benchmark import load_benchmark
    from openmmlo.evaluate.score import score_file

    found = score_file(predictions, load_benchmark(benchmark) if benchmark else None)
    terminal.show_json(found) if json else terminal_eval.show_score(found)
    return 0


def compare(
    results: Annotated[list[Path], typer.Argument(metavar="DIR ...", help="Folders that openmmlo eval wrote.")],
    resamples: Annotated[int, typer.Option(metavar="N", help="Bootstrap resamples.")] = 1000,
    json: option.Json = False,
    debug: option.Debug = False,
) -> int:
    """Put results side by side, with paired bootstrap intervals of their differences."""
    from openmmlo import terminal, terminal_eval
    from openmmlo.evaluate.compare import compare as side_by_side

    found = side_by_side(results, resamples=resamples)
    terminal.show_json(found) if json else terminal_eval.show_comparison(found)
    return 0
