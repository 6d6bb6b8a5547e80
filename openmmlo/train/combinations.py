"""What of a fine-tuning recipe goes together: refused before anything is read, or remarked on before the first step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from openmmlo.errors import ConfigError
from openmmlo.losses import LOSSES
from openmmlo.records import Finding

if TYPE_CHECKING:
    from openmmlo.train.recipe import FinetuneRecipe

PLAIN = "cross-entropy"

BY_CLASS_COUNTS = frozenset({"balanced-softmax", "class-balanced", "lade", "ldam", "logit-adjustment"})
"""Losses that make up for how many images a class has."""

BY_PRIOR = frozenset({"balanced-softmax", "lade", "logit-adjustment"})
"""Losses that add the prior to the logits in training."""

OF_LINEAR = frozenset({"tau-norm", "logit-adjustment"})
"""Steps after training that are of linear class layers."""

BY_MEANS = "ncm"
"""The step after training that gives a class layer to features which were trained without one."""


def check_combination(recipe: FinetuneRecipe) -> None:
    """Raises ConfigError, UnknownName for keys that contradict each other, with the key to change."""
    if recipe.objective == "classification":
        _check_loss(recipe)
    else:
        _check_two_views(recipe)
    if recipe.trains != "all":
        _check_stage(recipe)
    if recipe.posthoc is None and recipe.posthoc_options:
        raise ConfigError(
            f"posthoc_options has {', '.join(recipe.posthoc_options)}, and posthoc is null; name what they are of."
        )
    if recipe.posthoc in OF_LINEAR and recipe.head != "linear":
        raise ConfigError(
            f"posthoc {recipe.posthoc} is of linear class layers, and head is {recipe.head!r}. Set head to linear."
        )
    if recipe.steps == 0:
        _check_no_step(recipe)
    if recipe.new_head and _at_random(recipe):
        raise ConfigError(
            f"new_head is true, and weights is {recipe.weights!r}, which has no class layer; every one is new. Set "
            "new_head to false."
        )


def remarks(recipe: FinetuneRecipe) -> Iterator[Finding]:
    """What works, and is seldom meant."""
    if recipe.sampler != "instance" and recipe.loss in BY_CLASS_COUNTS:
        yield Finding(
            "warning",
            f"sampler is {recipe.sampler} and loss is {recipe.loss}: both make up for the same class counts, which are "
            "those of the data, not of what is drawn",
            "--set sampler=instance is how the loss was published.",
        )
    if recipe.posthoc == "logit-adjustment" and recipe.loss in BY_PRIOR:
        yield Finding(
            "warning",
            f"posthoc takes the class prior off logits that loss {recipe.loss} has trained to do without it",
            "--set posthoc=null, or loss=cross-entropy: never both.",
        )


def _check_loss(recipe: FinetuneRecipe) -> None:
    if recipe.loss is None:
        raise ConfigError(f"loss is null; classification needs one. Set loss to one of {', '.join(LOSSES)}.")
    if recipe.loss not in LOSSES and ":" not in recipe.loss:
        LOSSES.load(recipe.loss)  # says which is the nearest
    if recipe.distill and recipe.loss != PLAIN:
        raise ConfigError(
            f"distill mixes a teacher into cross-entropy, and loss is {recipe.loss!r}. Set distill to false, or loss "
            f"to {PLAIN}."
        )


def _check_two_views(recipe: FinetuneRecipe) -> None:
    what = f"objective is {recipe.objective!r}, which compares two views of each image,"
    wanted = {
        "loss": (recipe.loss is None, "null: it has a loss of its own, whose settings are loss_options"),
        "posthoc": (recipe.posthoc == BY_MEANS, f"{BY_MEANS}: no class layer is trained, and class means make one"),
        "reads": (recipe.reads == "image", "image: the views share their caption, which would tell all"),
        "distill": (not recipe.distill, "false: there is no class layer to teach"),
        "trains": (recipe.trains == "all", "all: it trains features"),
        "augmentation": (recipe.augmentation != "none", "another: two equal views teach nothing"),
    }
    for name, (good, remedy) in wanted.items():
        if not good:
            raise ConfigError(f"{what} and {name} is {getattr(recipe, name)!r}. Set {name} to {remedy}.")


def _check_stage(recipe: FinetuneRecipe) -> None:
    """Training a part of the class layer takes the rest from a classifier."""
    if _at_random(recipe):
        raise ConfigError(
            f"trains is {recipe.trains!r}, a second stage on the features of a classifier, and weights is "
            f"{recipe.weights!r}. Give the folder of its first stage: --weights DIR."
        )
    for name in ("train_image_encoder", "train_text_encoder"):
        if getattr(recipe, name):
            raise ConfigError(f"trains is {recipe.trains!r} and {name} is true. Set {name} to false.")
    if recipe.trains == "class-scales":
        if recipe.head != "linear":
            raise ConfigError(
                f"trains is 'class-scales', factors on the scores of a linear class layer, and head is {recipe.head!r}."
                " Set head to linear, and start from a classifier with such a head."
            )
        if recipe.new_head:
            raise ConfigError("trains is 'class-scales' and new_head is true: scales of a random layer. Set it false.")


def _check_no_step(recipe: FinetuneRecipe) -> None:
    if recipe.posthoc is None:
        raise ConfigError("steps is 0 and posthoc is null: nothing would be done. Set steps, epochs or posthoc.")
    if _at_random(recipe) or (recipe.new_head and recipe.posthoc != BY_MEANS):
        raise ConfigError(
            f"steps is 0, and posthoc {recipe.posthoc!r} would be of a model at random. Give the folder of a trained "
            "classifier: --weights DIR, with new_head false."
        )


def _at_random(recipe: FinetuneRecipe) -> bool:
    return recipe.weights == "none" or recipe.weights.startswith("timm:")
