"""Pre-training by recipe: a built data set comes in, a model that embeds and captions goes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openmmlo.errors import ConfigError
from openmmlo.records import Finding
from openmmlo.train.logs import TrainingProgress
from openmmlo.train.objective import Objective
from openmmlo.train.objectives import OBJECTIVES
from openmmlo.train.order import Drawn
from openmmlo.train.outcome import Outcome
from openmmlo.train.recipe import PretrainRecipe
from openmmlo.train.run import run
from openmmlo.train.training_data import TrainingData

FROM_TIMM = "timm:"


@dataclass(frozen=True)
class PretrainTask:
    """What :func:`openmmlo.train.run.run` needs for pre-training."""

    recipe: PretrainRecipe
    kind: str = "pretrain"

    def start_digest(self) -> str | None:
        """None: published weights to start from are named in the recipe."""
        return None

    def check(self, data: TrainingData) -> list[Finding]:
        """Captions alone are read; any label will do."""
        return []

    def tokenizer(self, texts: Sequence[str]) -> Any:
        """Trained on the captions, or opened."""
        return tokenizer_of(self.recipe.tokenizer, self.recipe.vocabulary, texts)

    def drawn_by(self, data: TrainingData) -> Drawn | None:
        """Every pair once an epoch."""
        return None

    @property
    def views(self) -> int:
        """One of each image."""
        return 1

    @property
    def method(self) -> dict[str, str]:
        """The losses, and the similarity of the contrast."""
        recipe = self.recipe
        losses = [name for name in ("itc", "itm", "lm") if getattr(recipe, name)]
        return {"loss": " + ".join(losses), "similarity": recipe.similarity, "sampler": "instance"}

    def objective(self, tokenizer: Any, data: TrainingData, weights: bool = True) -> Objective:
        """The losses of the recipe around a model at random, or with published weights."""
        recipe = self.recipe
        model = new_model(
            recipe.model, tokenizer, recipe.image_weights if weights else recipe.image_weights + "?",
            recipe.text_weights if weights else "none", text_length=recipe.text_length, dropout=recipe.dropout,
            similarity=recipe.similarity, kappa=recipe.kappa, trainable_kappa=recipe.trainable_kappa,
            temperature=recipe.temperature, benchmark=None,
        )  # fmt: skip
        if recipe.gradient_checkpointing:
            model.activation_checkpointing_enable()
        objective: Objective = OBJECTIVES.load(self.kind)(
            model, itc=recipe.itc, itm=recipe.itm, lm=recipe.lm, momentum=recipe.momentum,
            queue_size=recipe.queue_size, alpha=recipe.alpha, alpha_epochs=recipe.alpha_epochs,
            label_smoothing=recipe.label_smoothing, seed=recipe.seed,
        )  # fmt: skip
        return objective

    def afterwards(self, *_: Any) -> None:
        """Nothing."""


def pretrain(
    recipe: PretrainRecipe,
    out: Path,
    *,
    command: str = "",
    device: str = "auto",
    progress: TrainingProgress | None = None,
    cache: Path | None = None,
) -> Outcome:
    """Pre-train by a recipe; see :func:`openmmlo.train.run.run`."""
    return run(PretrainTask(recipe), out, command=command, device=device, progress=progress, cache=cache)


def tokenizer_of(name: str, vocabulary: int, texts: Sequence[str]) -> Any:
    """``data`` trains a tokenizer on the texts; any other name is opened."""
    from openmmlo.models.thp.tokenizer import open_tokenizer, train_tokenizer

    return train_tokenizer(texts, vocabulary) if name == "data" else open_tokenizer(name)


def new_model(architecture: str, tokenizer: Any, image_weights: str, text_weights: str, **values: Any) -> Any:
    """A T-hp model of an architecture for a tokenizer, with published weights where they are named.

    Args:
        image_weights: none, timm, timm:NAME; a question mark behind it takes the network without its weights.
        text_weights: none, or the name or folder of a BERT.
        values: of the configuration.

    Raises:
        UnknownName: no such architecture.
        ConfigError: a value out of range.
        ModelError: weights that are not at hand, or do not fit.
    """
    from openmmlo.models.thp.architectures import ARCHITECTURES, config_for
    from openmmlo.models.thp.configuration import ThpConfig
    from openmmlo.models.thp.initial_weights import fetch_bert, load_bert, load_timm
    from openmmlo.models.thp.model import ThpModel
    from openmmlo.models.thp.tokenizer import token_ids

    source = image_weights.removesuffix("?")
    if source.startswith(FROM_TIMM):
        values["image_encoder"] = source.removeprefix(FROM_TIMM)
    elif source not in {"none", "timm"}:
        raise ConfigError(f"image_weights is {source!r}; expected none, timm or timm:NAME.")
    if text_weights != "none" and architecture in ARCHITECTURES:
        # Positions beyond those that are read now keep BERT's vectors, for a fine-tuning that reads longer captions.
        its = ARCHITECTURES[architecture].values.get("text_length", ThpConfig.text_length)
        values["text_length"] = max(values["text_length"], its)
    model = ThpModel(config_for(architecture, **token_ids(tokenizer), **values))
    if source != "none" and not image_weights.endswith("?"):
        load_timm(model)
    if text_weights != "none":
        load_bert(model, fetch_bert(text_weights))
    return model
