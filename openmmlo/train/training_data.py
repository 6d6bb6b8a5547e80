"""A built data set and a recipe come in; the pairs to train and to validate on go out, and what is odd about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from openmmlo.data.built_source import BuiltSource, has_images
from openmmlo.data.dataset import BuiltDataset
from openmmlo.errors import ConfigError, DataError, UnknownName
from openmmlo.records import Finding
from openmmlo.train.pairs import Integers, Pairs, TokenTable, class_counts, held_out, read_pairs
from openmmlo.train.recipe import Recipe

_NAMED = 5


@dataclass(frozen=True, eq=False)
class TrainingData:
    """What a run trains and validates on.

    Attributes:
        dataset: the built data set.
        train: pairs to train on.
        validation: pairs to measure on; None where nothing is held out.
        findings: what a user should know before the first step.
    """

    dataset: BuiltDataset
    train: Pairs
    validation: Pairs | None
    findings: tuple[Finding, ...]

    @property
    def class_counts(self) -> Integers:
        """(C,) samples that are trained on."""
        return class_counts(self.train, len(self.dataset.info.classes))


def read_training_data(recipe: Recipe) -> TrainingData:
    """Read the rows that a recipe names; images stay where they are.

    Raises:
        ConfigError: the recipe names no folder.
        DataError: no finished data set, one without images, or a split without a row.
        UnknownName: a split that the data set does not have.
    """
    if recipe.data is None:
        raise ConfigError("Which data? Give the folder that openmmlo build wrote: --data DIR, or data in the recipe.")
    source = BuiltSource(Path(recipe.data))
    dataset = source.dataset
    splits = [recipe.split] + ([recipe.validation_split] if recipe.validation_split is not None else [])
    for split in splits:
        if split not in dataset.splits:
            raise UnknownName(f"split of {dataset.folder}", split, dataset.splits)
        if not has_images(dataset, split):
            raise DataError(
                f"{dataset.folder} was published without images, so split {split!r} has captions alone; training "
                "needs both. Build it from its images with openmmlo build."
            )
        if not dataset.rows(split):
            raise DataError(f"Split {split!r} of {dataset.folder} has no row; there is nothing to train on.")
    train = read_pairs(dataset, recipe.split, recipe.captions)
    validation = None
    if recipe.validation_split is not None:
        validation = read_pairs(dataset, recipe.validation_split, recipe.captions)
    elif recipe.validation_share:
        chosen = held_out(train.labels, train.keys, recipe.validation_share)
        if chosen.any():
            validation = train.subset(chosen)
        train = train.subset(~chosen)
    return TrainingData(dataset, train, validation, tuple(_findings(dataset, recipe, train, validation)))


def _findings(dataset: BuiltDataset, recipe: Recipe, train: Pairs, validation: Pairs | None) -> Iterator[Finding]:
    classes = dataset.info.classes
    for pairs in (train, validation):
        if pairs is not None and int(pairs.labels.max()) >= len(classes):
            raise DataError(
                f"Split {pairs.split!r} of {dataset.folder} has label {int(pairs.labels.max())}; its class table has "
                f"{len(classes)} classes. openmmlo verify tells what is damaged."
            )
    if recipe.validation_share and validation is None:
        yield Finding(
            "warning",
            f"validation_share {recipe.validation_share:g} of each class rounds to no sample, so nothing is validated",
            "Choose a larger share, or a validation_split.",
        )
    if validation is not None and recipe.validation_share:
        yield Finding("ok", f"{len(validation):,} of {len(validation) + len(train):,} samples are held out")
    without = [classes[label].name for label in np.flatnonzero(class_counts(train, len(classes)) == 0)]
    if without:
        yield Finding(
            "warning",
            f"{len(without):,} of {len(classes):,} classes have no training image: {_some(without)}",
            "They will not be recognised. Was the data set built from the list it is meant for?",
        )
    empty = sum(not text.strip() for text in train.texts)
    if empty:
        yield Finding("warning", f"{empty:,} of {len(train):,} training captions are empty")


def too_long(table: TokenTable, pairs: Pairs, length: int) -> Finding | None:
    """How many captions of a split lose their end; None where none does."""
    if not table.cut:
        return None
    return Finding(
        "warning",
        f"{table.cut:,} of {len(pairs):,} captions of split {pairs.split} are longer than {length} tokens (the longest "
        f"has {table.longest}) and lose their end",
        f"--set text_length={table.longest} keeps all of them.",
    )


def ragged(samples: int, batch_size: int) -> Finding | None:
    """How many samples an epoch leaves out; None where whole batches take all."""
    left = samples % batch_size
    if not left or batch_size > samples:
        return None
    return Finding(
        "ok", f"{left:,} of {samples:,} samples, other ones each epoch, form no whole batch of {batch_size} and wait"
    )


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:_NAMED])
    return shown if len(names) <= _NAMED else f"{shown} and {len(names) - _NAMED:,} more"
