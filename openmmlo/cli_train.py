"""Commands that train: pre-training and fine-tuning by recipe.

Like every command they only call what the Python API offers; cli.py hangs them into ``openmmlo``.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openmmlo import cli_options as option
from openmmlo.errors import ConfigError

if TYPE_CHECKING:
    from openmmlo.train.run import Task

REFUSED = 2


def pretrain_recipes() -> list[str]:
    """For shell completion."""
    from openmmlo.config import recipe_names

    return list(recipe_names("pretrain"))


def finetune_recipes() -> list[str]:
    """For shell completion."""
    from openmmlo.config import recipe_names

    return list(recipe_names("finetune"))


_RECIPE = "A known recipe (openmmlo list), or a .yaml file."
PretrainRecipe = Annotated[
    str, typer.Argument(metavar="RECIPE", help=_RECIPE, autocompletion=pretrain_recipes, show_default=False)
]
FinetuneRecipe = Annotated[
    str, typer.Argument(metavar="RECIPE", help=_RECIPE, autocompletion=finetune_recipes, show_default=False)
]
Data = Annotated[Path | None, typer.Option(metavar="DIR", help="Folder that openmmlo build wrote; over the recipe's.")]
Out = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder of the checkpoint; run again to resume. Default: trained/KIND/RECIPE."),
]
Weights = Annotated[
    str | None, typer.Option(metavar="DIR|FILE|NAME", help="Checkpoint to start from; over the recipe's.")
]
Seed = Annotated[int | None, typer.Option(metavar="N", help="Seed of the run; over the recipe's.")]
Assignments = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any key of the recipe; repeatable.")
]
Cache = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Where images are packed; default: OPENMMLO_CACHE, else ~/.cache.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say parameters, memory, steps and target, and what would be refused.")
]


class Training(option.Sectioned):
    """``pretrain`` and ``finetune``: their options under headings."""

    sections = {  # noqa: RUF012 - declared as ClassVar above it
        "What is trained, on what": ("weights", "data", "assignments", "seed"),
        "What goes out": ("out", "cache"),
        "How it runs": ("dry_run", "device"),
    }


def pretrain(
    recipe: PretrainRecipe,
    data: Data = None,
    out: Out = None,
    assignments: Assignments = None,
    seed: Seed = None,
    device: option.Device = None,
    cache: Cache = None,
    dry_run: DryRun = False,
    json: option.Json = False,
    quiet: option.Quiet = False,
    debug: option.Debug = False,
) -> int:
    """Pre-train a model on images and captions by RECIPE."""
    from openmmlo.train.pretrain import PretrainTask
    from openmmlo.train.recipe import PretrainRecipe as Recipe

    flags = option.given(data=data, seed=seed)
    task = PretrainTask(_constructed("pretrain", recipe, Recipe, flags, assignments))
    return _carry_out(task, recipe, out, assignments, flags, device, cache, dry_run, json, quiet)


def finetune(
    recipe: FinetuneRecipe,
    weights: Weights = None,
    data: Data = None,
    out: Out = None,
    assignments: Assignments = None,
    seed: Seed = None,
    device: option.Device = None,
    cache: Cache = None,
    dry_run: DryRun = False,
    json: option.Json = False,
    quiet: option.Quiet = False,
    debug: option.Debug = False,
) -> int:
    """Fine-tune a pre-trained model for the classes of a data set by RECIPE."""
    from openmmlo.train.finetune import FinetuneTask
    from openmmlo.train.recipe import FinetuneRecipe as Recipe

    flags = option.given(weights=weights, data=data, seed=seed)
    task = FinetuneTask(_constructed("finetune", recipe, Recipe, flags, assignments))
    return _carry_out(task, recipe, out, assignments, flags, device, cache, dry_run, json, quiet)


def _constructed(kind: str, name: str, recipe: Any, flags: dict[str, Any], assignments: Sequence[str] | None) -> Any:
    """The recipe with --set over it, and flags over both."""
    from openmmlo.config import construct, load_recipe, parse_set

    sets = {key.replace("-", "_"): value for key, value in parse_set(list(assignments or ())).items()}
    twice = sorted(sets.keys() & flags.keys())
    if twice:
        raise ConfigError(f"--{twice[0]} and --set {twice[0]}=... are the same; give one.")
    return construct(recipe, load_recipe(kind, name) | sets | flags, f"{kind} recipe {name}")


def _carry_out(
    task: Task, name: str, out: Path | None, assignments: Sequence[str] | None, flags: dict[str, Any],
    device: str | None, cache: Path | None, dry_run: bool, json: bool, quiet: bool,
) -> int:  # fmt: skip
    from openmmlo import terminal, terminal_train
    from openmmlo.train.finetune import known_benchmark
    from openmmlo.train.run import run

    if dry_run:
        from openmmlo.train.dry_run import dry_run as look

        found = look(task)
        terminal.show_json(found) if json else terminal_train.show_dry_run(found)
        return REFUSED if found.refused else 0
    outcome = run(
        task, out or Path("trained") / task.kind / Path(name).stem,
        command=_command(task.kind, name, assignments, flags),
        device=device or "auto", progress=None if quiet else terminal_train.TrainingBar(), cache=cache,
    )  # fmt: skip
    if not outcome.is_main:  # under accelerate launch one process speaks for all
        return 0
    if json:
        terminal.show_json(outcome.to_json())
    else:
        name = str(outcome.training["data"]["name"])
        terminal_train.show_outcome(outcome, known_benchmark(name) or str(task.recipe.data))
    return 0


def _command(kind: str, name: str, assignments: Sequence[str] | None, flags: dict[str, Any]) -> str:
    """What was typed, without what is only this machine's: of paths that begin elsewhere the last part."""
    words = ["openmmlo", kind, Path(name).name]
    for flag, value in flags.items():
        words += [f"--{flag}", _without_place(str(value))]
    for pair in assignments or ():
        key, equals, value = pair.partition("=")
        words += ["--set", key + equals + _without_place(value)]
    return shlex.join(words)


def _without_place(value: str) -> str:
    """Of a path from the root, home or a folder above, the last part; anything else as it is."""
    path = Path(value)
    elsewhere = path.is_absolute() or (path.parts and (path.parts[0] == ".." or path.parts[0].startswith("~")))
    return path.expanduser().resolve().name if elsewhere else value
