"""Words of the command line come in; values for the dataclasses they configure go out.

Each option is written here once. Only what a person gave is handed on, so that a source or captioner which does not
know an option refuses it by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

from typer import Argument, Option
from typer.core import TyperCommand

from openmmlo.errors import ConfigError


def source_names() -> list[str]:
    """For shell completion."""
    from openmmlo.sources import SOURCES

    return list(SOURCES)


def captioner_names() -> list[str]:
    """For shell completion."""
    from openmmlo.building.captioners import CAPTIONERS

    return list(CAPTIONERS)


def building_recipes() -> list[str]:
    """For shell completion."""
    from openmmlo.config import recipe_names

    return list(recipe_names("building"))


# main() finds --debug and --json among the words itself, because a mistake may keep the words from being parsed.
# Here they are known, explained and, for --json, handed to the command.
Debug = Annotated[bool, Option("--debug", help="Show the traceback of an error.")]
Json = Annotated[bool, Option("--json", help="Print one JSON object on stdout; progress goes to stderr.")]
Quiet = Annotated[bool, Option("--quiet", help="No progress.")]

# What becomes options of the source.
_SOURCE_HELP = "A known name, a folder of images, or package.module:Class."
Source = Annotated[str, Argument(metavar="SOURCE", help=_SOURCE_HELP, autocompletion=source_names)]
SourceOrRecipe = Annotated[
    str | None, Argument(metavar="SOURCE", help=_SOURCE_HELP, autocompletion=source_names, show_default=False)
]
Images = Annotated[Path | None, Option(metavar="DIR", help="Folder of the images; default: under OPENMMLO_DATA.")]
Lists = Annotated[Path | None, Option(metavar="DIR", help="Folder of the official lists; default: as for images.")]
OpenImages = Annotated[Path | None, Option(metavar="DIR", help="Folder of the open-set images; default: likewise.")]
FollowLinks = Annotated[bool, Option("--follow-links", help="Read images that are links out of their folder.")]
Ratio = Annotated[float | None, Option(metavar="R", help="Imbalance: images in the largest class / the smallest.")]
Longtail = Annotated[float | None, Option(metavar="R", help="Carve a long-tailed subset of this ratio from a folder.")]
SplitsFile = Annotated[Path | None, Option("--splits", metavar="FILE", help="Says which image is in which split.")]
Classes = Annotated[Path | None, Option(metavar="FILE", help="Class names and synonyms, as CSV.")]
Seed = Annotated[int | None, Option(metavar="N", help="Seed of whatever the source draws.")]
Assignments = Annotated[
    list[str] | None,
    Option("--set", metavar="KEY=VALUE", help="Any option of the source, or captioner.KEY=VALUE; repeatable."),
]

# What becomes options of the captioner.
Model = Annotated[str | None, Option(metavar="NAME|DIR", help="Checkpoint: its Hub name or a folder.")]
Revision = Annotated[str | None, Option(metavar="COMMIT", help="Commit of the checkpoint.")]
Preset = Annotated[str | None, Option(metavar="NAME", help="Named generation parameters.")]
Prompt = Annotated[str | None, Option(metavar="TEXT", help="What the model is asked; default: the paper's prompt.")]
Dtype = Annotated[
    str | None, Option(metavar="NAME", help="bfloat16, float16 or float32; default: what suits the device.")
]
Device = Annotated[str | None, Option(metavar="NAME", help="cuda, cuda:1, mps or cpu; default: the best there is.")]
Captions = Annotated[Path | None, Option(metavar="FILE", help="Captions that exist already.")]
Column = Annotated[str | None, Option(metavar="NAME", help="The column of that file that holds the caption.")]

# What becomes fields of a BuildConfig.
Out = Annotated[Path | None, Option(metavar="DIR", help="Folder of the data set; run again to resume.")]
Split = Annotated[list[str] | None, Option(metavar="NAME", help="Only this split; repeatable.")]
Captioner = Annotated[
    str | None,
    Option(metavar="NAME", help="Who writes the captions; see: openmmlo list.", autocompletion=captioner_names),
]
MaskLevel = Annotated[str | None, Option(metavar="strict|head|hypernym", help="How much of a class's names is hidden.")]
Lexicon = Annotated[Path | None, Option(metavar="FILE", help="Mask with this lexicon (openmmlo lexicon build).")]
BatchSize = Annotated[int | None, Option(metavar="N", help="Images a batch.")]
Workers = Annotated[int | None, Option(metavar="N", help="Processes; on GPUs worker i takes device i.")]
Prefetch = Annotated[int | None, Option(metavar="N", help="Processes a worker that decode ahead.")]
Slice = Annotated[str | None, Option("--shard", metavar="I/N", help="Build slice i of n; others build the rest.")]
ShardSize = Annotated[int | None, Option(metavar="N", help="Most images a shard.")]
Limit = Annotated[int | None, Option(metavar="N", help="Try out on this many images, spread over all splits.")]
Retry = Annotated[list[str] | None, Option(metavar="failed|STATUS", help="Try failed images again; repeatable.")]
MaxPixels = Annotated[int | None, Option(metavar="N", help="Larger images become error rows.")]
WithImages = Annotated[
    bool | None, Option("--with-images/--without-images", help="Whether the data set holds the images.")
]
Recaption = Annotated[
    bool, Option("--recaption", help="Change captioner, mask level or lexicon of what DIR holds; decode no image anew.")
]
Measure = Annotated[
    bool | None,
    Option("--measure/--no-measure", help="Whether statistics, quality, leaks and a report follow; default: yes."),
]
AllowMissing = Annotated[bool, Option("--allow-missing", help="Missing images become error rows.")]
Recipe = Annotated[
    str | None,
    Option(metavar="NAME|FILE", help="Start from a recipe; flags override it.", autocompletion=building_recipes),
]
DryRun = Annotated[bool, Option("--dry-run", help="Say what would be built; write nothing.")]


SECTIONS: Mapping[str, Sequence[str]] = {
    "What comes in": (
        "images", "lists", "open_images", "split", "limit", "splits", "classes", "longtail", "ratio", "seed",
        "follow_links", "allow_missing", "max_pixels",
    ),
    "Captions": (
        "captioner", "model", "revision", "preset", "prompt", "dtype", "device", "captions", "column", "batch_size",
    ),
    "Masks": ("mask_level", "lexicon"),
    "What goes out": ("out", "with_images", "shard_size", "measure"),
    "How it runs": ("dry_run", "workers", "prefetch", "shard", "retry", "recaption"),
    "From a file, or for anything else": ("recipe", "assignments"),
}  # fmt: skip
"""Heading in the help of ``build`` -> its options, by parameter; those that are not named here come last."""


class Sectioned(TyperCommand):
    """A command whose help shows its options under headings."""

    sections: ClassVar[Mapping[str, Sequence[str]]] = SECTIONS

    def format_options(self, ctx: Any, formatter: Any) -> None:
        shown = {item.name: (item, record) for item in self.get_params(ctx) if (record := item.get_help_record(ctx))}
        headings = {name: heading for heading, names in self.sections.items() for name in names}
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": []}
        for name in [*headings, *shown]:
            if name in shown:
                item, record = shown.pop(name)
                heading = "Arguments" if item.param_type_name == "argument" else headings.get(name, "Other")
                sections.setdefault(heading, []).append(record)
        for heading, records in sections.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)


def given(**flags: Any) -> dict[str, Any]:
    """The flags that a person gave: no Nones, no empty lists, no switches left off."""
    return {name: value for name, value in flags.items() if value is not None and value != []}


def switched(on: bool) -> bool | None:
    """A switch that a person can only turn on: what a recipe says stands where it was left alone."""
    return True if on else None


def assigned(pairs: Sequence[str] | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """``--set`` words, parted into options of the source and of the captioner."""
    from openmmlo.config import parse_set

    prefix = "captioner."
    source: dict[str, Any] = {}
    captioner: dict[str, Any] = {}
    for key, value in parse_set(list(pairs or ())).items():
        if key.startswith(prefix):
            captioner[key.removeprefix(prefix)] = value
        else:
            source[key] = value
    return source, captioner


def override(
    recipe: dict[str, Any], flags: dict[str, Any], source_options: dict[str, Any], captioner_options: dict[str, Any]
) -> dict[str, Any]:
    """A recipe's values with the flags over them.

    Options belong to the source or captioner that they were written for: naming another one drops the recipe's.
    """
    values = recipe | flags
    for owner, options in (("source", source_options), ("captioner", captioner_options)):
        key = f"{owner}_options"
        kept = recipe.get(key) or {}
        if not isinstance(kept, dict):
            raise ConfigError(f"{key} is {kept!r}; expected a mapping of option to value.")
        if owner in flags and flags[owner] != recipe.get(owner):
            kept = {}
        values[key] = kept | options
    return values
