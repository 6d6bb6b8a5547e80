"""The page of the experiments: what was run, tables, plots, what follows, and where each number comes from."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openmmlo.errors import DataError
from openmmlo.experiments.angles import geometry
from openmmlo.experiments.budget import TUNING, departures, spent
from openmmlo.experiments.inputs import inputs
from openmmlo.experiments.jobs import DETECTORS, Job, jobs_of
from openmmlo.experiments.numbers import RESAMPLES, Numbers, Seeded, read_numbers
from openmmlo.experiments.plan import EXPERIMENTS, Experiment, Layout, runs_of
from openmmlo.experiments.plots import pictures
from openmmlo.experiments.run import data_folder, setting
from openmmlo.experiments.sessions import sessions
from openmmlo.experiments.tables import any_predictions, cautions, columns, score_table, scores, sweep_table
from openmmlo.markdown import table, text
from openmmlo.writing import write_aside

PAGE = "experiments.md"
IMAGES = "images"

_LAYOUTS: Mapping[Layout, Callable[[Experiment, Numbers], list[str]]] = {
    "scores": scores,
    "geometry": geometry,
    "inputs": inputs,
}

_PLOTS = {
    "baselines": (
        ("experiments-groups.svg", "Accuracy on many-, medium- and few-shot classes by method"),
        ("experiments-ood.svg", "Accuracy against OOD detection by method"),
    ),
    "table-6": (("experiments-kappa.svg", "Accuracy over the concentration"),),
}


@dataclass(frozen=True)
class Written:
    """The files that were written, and the jobs that the page lacks."""

    page: Path
    images: tuple[Path, ...]
    missing: tuple[str, ...]


def write(
    out: Path,
    docs: Path = Path("docs"),
    seeds: Sequence[int] = (0, 1, 2),
    *,
    data: Path | None = None,
    experiments: Sequence[Experiment] = EXPERIMENTS,
    resamples: int = RESAMPLES,
    **values: Any,
) -> Written:
    """Write ``experiments.md`` and its pictures from what is finished; the same results give the same bytes.

    Args:
        out: folder of ``openmmlo experiments run``.
        docs: where the page goes; pictures into its folder ``images``.
        values: benchmark, device and changes, as of :func:`openmmlo.experiments.run.run`.

    Raises:
        DataError: nothing is finished, or something finished is damaged.
    """
    out = out.expanduser().absolute()
    folder = data.expanduser().absolute() if data is not None else data_folder(out)
    jobs = jobs_of(runs_of(experiments), seeds, setting(out, folder, **values))
    numbers = read_numbers(jobs, resamples)
    if not numbers.measured:
        raise DataError(f"{out} holds no finished run. openmmlo experiments run --out {out.name} trains them.")
    (docs / IMAGES).mkdir(parents=True, exist_ok=True)
    drawn = pictures(numbers)
    for name, content in drawn.items():
        write_aside(docs / IMAGES / name, content)
    write_aside(docs / PAGE, page(out, jobs, numbers, experiments, list(drawn)))
    return Written(docs / PAGE, tuple(docs / IMAGES / name for name in drawn), numbers.missing)


def page(
    out: Path, jobs: Sequence[Job], numbers: Numbers, experiments: Sequence[Experiment], drawn: Sequence[str]
) -> str:
    """The page as Markdown."""
    blocks = ["# Experiments", _HEAD, *_what(out, jobs, numbers), "## Budget"]
    blocks += [*_paragraphs(TUNING), spent(jobs), departures(jobs)]
    for experiment in experiments:
        blocks += [f"## {experiment.title}", experiment.question]
        found = _LAYOUTS[experiment.layout](experiment, numbers)
        blocks += found or ["Not run yet."]
        blocks += [f"![{what}]({IMAGES}/{name})" for name, what in _PLOTS.get(experiment.name, ()) if name in drawn]
        blocks += experiment.remarks
    blocks += [*_detectors(experiments, numbers), "## Where each number comes from", *_origin(numbers)]
    return "\n\n".join(map(_wrapped, blocks)) + "\n"


def _paragraphs(prose: str) -> list[str]:
    """Blocks of a text, a line each paragraph and each item of a list."""
    return [block.replace("\n- ", "\0").replace("\n", " ").replace("\0", "\n- ") for block in prose.split("\n\n")]


def _wrapped(block: str) -> str:
    """Prose and lists in lines of their length; tables, code and pictures as they are."""
    if block.startswith(("|", "<!--", "#", "!")):
        return block
    lines = block.split("\n")
    return "\n".join(textwrap.fill(line, 120, subsequent_indent="  " * line.startswith("- "),
                                   break_long_words=False, break_on_hyphens=False) for line in lines)  # fmt: skip


_HEAD = """<!-- Written by openmmlo experiments write; changes by hand are lost. -->

```bash
openmmlo experiments run --out experiments        # hours; killed at any moment, the same command goes on
openmmlo experiments status --out experiments
openmmlo experiments write --out experiments      # this page and its pictures, from what is finished
```

Tables, marks and lists follow from the numbers by rule. **±** is the standard deviation over seeds (N − 1). Intervals
are 95 % intervals of paired differences by Student's t, from two variances: of the mean over seeds, and over resampled
test images, the same for both. Three seeds say little of others, so that intervals are wide where seeds differ. The
best of a column is bold only where the intervals of its lead over all others exclude zero; ECE has none. With that many
comparisons some intervals miss zero by chance alone."""


def _what(out: Path, jobs: Sequence[Job], numbers: Numbers) -> list[str]:
    """Benchmark, machine, time, and what is missing."""
    finished = len(jobs) - len(numbers.missing)
    seeds = sorted({job.seed for job in jobs})
    past = sessions(out)
    machines = dict.fromkeys(
        f"{item['jobs']} at once on {item['machine']['cores']} cores ({item['machine']['processor']})" for item in past
    )
    own = sum(sum(item.record["seconds"].values()) for found in numbers.measured.values() for item in found.seeds)
    wall = sum(item["seconds"] for item in past)
    lines = [
        f"{finished} of {len(jobs)} runs: {len(jobs) // len(seeds)} recipes with seeds {', '.join(map(str, seeds))}, "
        f"{' or '.join(machines) or 'on an unknown machine'}. Training and evaluation of these runs took "
        f"{own / 3600:.2f} hours of one process. The {len(past)} sessions of the command took {wall / 3600:.2f} hours "
        "by the clock, what was broken off or has another recipe by now included."
    ]
    predictions = any_predictions(numbers)
    if predictions is not None:
        sets = ", ".join(f"{item.name} {item.rows:,}" for item in predictions.sets)
        lines.append(
            f"Benchmark: {predictions.benchmark}, version {predictions.version} ({len(predictions.classes)} classes; "
            f"images: {sets}). *many*, *medium*, *few*: over 100, 20 to 100, under 20 training images. OOD is AUROC in "
            "%, the mean over the OOD sets."
        )
    if numbers.missing:
        lines.append(f"**Missing**, and not in these tables: {'; '.join(_by_run(numbers.missing))}.")
    return ["## What was run", *lines]


def _by_run(names: Sequence[str]) -> list[str]:
    """``finetune/tiny-ce seed 0``, ``finetune/tiny-ce seed 1`` -> ``finetune/tiny-ce (seeds 0, 1)``."""
    seeds: dict[str, list[str]] = {}
    for name in names:
        run, _, seed = name.partition(" seed ")
        seeds.setdefault(run, []).append(seed)
    return [f"{run} (seed{'s' * (len(items) > 1)} {', '.join(items)})" for run, items in seeds.items()]


def _detectors(experiments: Sequence[Experiment], numbers: Numbers) -> list[str]:
    """AUROC by every detector, for the first experiment; what is to be kept in mind; k-NN by its k."""
    predictions = any_predictions(numbers)
    if predictions is None:
        return []
    shown = [item for item in columns(predictions, DETECTORS) if item.key[2:]]
    if not shown:
        return []
    rows = experiments[0].rows
    blocks = ["## OOD detection by detector", score_table(rows, numbers, shown)]
    said = cautions(numbers)
    blocks += ["\n".join(f"- {text(one)}" for one in said)] if said else []
    sweep = sweep_table(rows, numbers)
    return blocks + (["k-NN by which neighbour is looked at, AUROC:", sweep] if sweep else [])


def _origin(numbers: Numbers) -> list[str]:
    """A line a run and seed: recipe, digests and time."""
    rows = []
    for measured in numbers.measured.values():
        for item in measured.seeds:
            rows.append((
                f"`{item.job.run.name}`", str(item.job.seed), *(_short(item, name) for name in ("recipe", "weights")),
                *(_predicted(item, name) for name in ("images", "captions")),
                f"{sum(item.record['seconds'].values()):,.0f}",
            ))  # fmt: skip
    first = next(item for own in numbers.measured.values() for item in own.seeds)
    return [
        "The first 12 characters of SHA-256 digests; whole ones stand in `training.json` of each checkpoint, in each "
        "`result.json`, and on the leaderboard. The recipe's digest covers every key that decides the weights, the "
        "seed among them. Predictions are of the benchmark, images alone, and of the built data set with its "
        f"captions. All were trained on the data `{first.job.setting.data_digest[:12]}`.",
        table(("run", "seed", "recipe", "weights", "predictions", "with captions", "seconds"), rows),
        *_versions(numbers),
    ]


def _short(item: Seeded, name: str) -> str:
    return f"`{item.training['digests'][name][:12]}`"


def _predicted(item: Seeded, name: str) -> str:
    found = item.results.get(name, {}).get("digests", {}).get("predictions")
    return "–" if found is None else f"`{found[:12]}`"


def _versions(numbers: Numbers) -> list[str]:
    """Of what trained; several where not all runs had the same."""
    found: dict[str, list[str]] = {}
    for own in numbers.measured.values():
        for item in own.seeds:
            versions = item.training.get("versions", {})
            said = ", ".join(f"{text(name)} {text(value)}" for name, value in versions.items())
            found.setdefault(said, []).append(item.job.name)
    if len(found) == 1:
        return [f"Versions: {next(iter(found))}."]
    return [f"Versions of {'; '.join(_by_run(names))}: {said}." for said, names in found.items()]
