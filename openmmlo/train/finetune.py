"""Fine-tuning by recipe: a pre-trained checkpoint and a built data set come in, a classifier goes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from openmmlo.errors import ModelError
from openmmlo.losses import make_feature_loss, make_loss
from openmmlo.records import DatasetInfo, Finding, digest_of
from openmmlo.train.afterwards import Afterwards, replace_class_layer
from openmmlo.train.combinations import PLAIN, remarks
from openmmlo.train.feed import PairFeed
from openmmlo.train.logs import TrainingProgress
from openmmlo.train.objective import Objective
from openmmlo.train.objectives import OBJECTIVES
from openmmlo.train.objectives.two_views import VIEWS
from openmmlo.train.order import Drawn
from openmmlo.train.outcome import Outcome, file_digest, files_digest
from openmmlo.train.posthoc import open_posthoc
from openmmlo.train.pretrain import new_model, tokenizer_of
from openmmlo.train.recipe import FinetuneRecipe
from openmmlo.train.run import run
from openmmlo.train.start import architecture_of, checkpoint_at, from_folder, from_release
from openmmlo.train.training_data import TrainingData

if TYPE_CHECKING:
    from accelerate import Accelerator


@dataclass(frozen=True)
class FinetuneTask:
    """What :func:`openmmlo.train.run.run` needs for fine-tuning."""

    recipe: FinetuneRecipe
    kind: str = "finetune"

    @cached_property
    def start(self) -> Path | None:
        """The folder or file of the weights to start from; None where the recipe describes a new model.

        Raises:
            ModelError: it is not at hand.
        """
        return checkpoint_at(self.recipe.weights)

    def start_digest(self) -> str | None:
        """SHA-256 of the weights' file or files, else of the name of published ones."""
        if self.start is None:
            return None if self.recipe.weights == "none" else digest_of(self.recipe.weights)
        return file_digest(self.start) if self.start.is_file() else files_digest(list(self.start.glob("*.safetensors")))

    def check(self, data: TrainingData) -> list[Finding]:
        """Labels that are no class, and a checkpoint whose classes or captions are not the data's."""
        findings: list[Finding] = [*remarks(self.recipe), *self._without_evidence(data)]
        self._loss(data)  # what cannot be is said here
        if self.start is not None and self.start.is_file():
            architecture_of(self.start, self.recipe)
        for pairs in (data.train, data.validation):
            unknown = 0 if pairs is None else int(np.sum(pairs.labels < 0))
            if pairs is not None and unknown:
                findings.append(
                    Finding(
                        "error",
                        f"{unknown:,} of {len(pairs):,} samples of split {pairs.split} are out of distribution (label "
                        "-1), which is no class to train",
                        "Choose a split of known classes.",
                    )
                )
        config = self._start_config()
        if config is None:
            return findings
        keys = [item.key for item in data.dataset.info.classes]
        theirs = [names[0] for names in config.get("class_names") or ()]
        count = int(config.get("classes") or 0)
        if count and (count != len(keys) or (theirs and theirs != keys)):
            what = f"{count:,} classes" if count != len(keys) else "other classes, or the same in another order"
            findings.append(
                Finding(
                    "error",
                    f"The checkpoint {self.recipe.weights!r} classifies {what}; the data have {len(keys):,}",
                    "Start from the pre-trained checkpoint, which has no classes.",
                )
            )
        findings += self._without_stage(config)
        length = int(config["text_length"])
        if length < self.recipe.text_length:
            findings.append(
                Finding(
                    "error",
                    f"text_length is {self.recipe.text_length}, and the checkpoint {self.recipe.weights!r} has places "
                    f"for {length} tokens",
                    f"--set text_length={length}, or start from one that was pre-trained with longer captions.",
                )
            )
        return findings

    def _without_stage(self, config: dict[str, Any]) -> list[Finding]:
        """What a second stage, or a step after training alone, misses in the checkpoint it is to start from."""
        recipe = self.recipe
        if recipe.trains == "all" and recipe.steps != 0:
            return []
        lacking = ""
        if not config.get("classes"):
            lacking = "has no class layer, so nothing was trained to be read by one"
        elif config.get("experts", 1) != recipe.experts:
            lacking = f"has {config.get('experts', 1)} experts, and the recipe {recipe.experts}"
        elif config.get("head") != recipe.head and recipe.trains != "classifier":
            lacking = f"has a class layer of kind {config.get('head')!r}, and the recipe says {recipe.head!r}"
        if not lacking:
            return []
        return [
            Finding(
                "error",
                f"The checkpoint {recipe.weights!r} {lacking}",
                "Start from the classifier of a first stage: --weights DIR.",
            )
        ]

    def _without_evidence(self, data: TrainingData) -> list[Finding]:
        """What a step after training goes by, and the data do not have."""
        recipe = self.recipe
        if recipe.posthoc is None:
            return []
        needs = open_posthoc(recipe.posthoc, recipe.posthoc_options).needs
        what = f"posthoc {recipe.posthoc}"
        found: list[Finding] = []
        if "validation" in needs and data.validation is None:
            remedy = "Set validation_share or validation_split, or give posthoc_options what is chosen there."
            found.append(Finding("error", f"{what} chooses on samples that are held out, and none are", remedy))
        without = int(np.sum(data.class_counts == 0))
        if "train" in needs and without:
            found.append(
                Finding("error", f"{what} needs an image of every class, and {without:,} have none", "Leave them out.")
            )
        return found

    def _start_config(self) -> dict[str, Any] | None:
        from openmmlo.models.checkpoints import read_config

        if self.start is None or not self.start.is_dir():
            return None
        config = read_config(self.start)
        kind = config.get("model_type")
        if kind != "thp":
            raise ModelError(
                f"weights is {self.recipe.weights!r}, a checkpoint of model_type {kind!r}; expected a T-hp checkpoint "
                "('thp'), as openmmlo pretrain writes it. timm:NAME takes an image encoder alone, text_weights a BERT."
            )
        return config

    def tokenizer(self, texts: Sequence[str]) -> Any:
        """The checkpoint's own; for a new model, or the authors' release, the recipe's."""
        from openmmlo.models.thp.opening import BERT
        from openmmlo.models.thp.tokenizer import open_tokenizer

        if self.start is None:
            return tokenizer_of(self.recipe.tokenizer, self.recipe.vocabulary, texts)
        return open_tokenizer(str(self.start) if self.start.is_dir() else BERT)

    def drawn_by(self, data: TrainingData) -> Drawn | None:
        """The labels, where classes are not drawn as often as they come."""
        if self.recipe.sampler == "instance":
            return None
        return tuple(data.train.labels.tolist()), self.recipe.sampler

    @property
    def views(self) -> int:
        """Two, where an objective compares them."""
        return 1 if self.recipe.objective == "classification" else VIEWS

    @property
    def method(self) -> dict[str, str]:
        """The loss, the sampler, and what of the model is trained."""
        recipe = self.recipe
        options = ", ".join(f"{name} {value:g}" for name, value in recipe.loss_options.items())
        found = {
            "loss": (recipe.loss or recipe.objective) + (f" ({options})" if options else ""),
            "sampler": recipe.sampler, "head": recipe.head, "trains": recipe.trains,
        }  # fmt: skip
        return found if recipe.posthoc is None else found | {"afterwards": recipe.posthoc}

    def objective(self, tokenizer: Any, data: TrainingData, weights: bool = True) -> Objective:
        """The class head of the recipe on the checkpoint's model; a head for the same classes is taken along."""
        from openmmlo.models.thp.opening import check_tokenizer

        recipe = self.recipe
        changes = self._changes(data.dataset.info)
        if self.start is None:
            mark = "" if weights or recipe.weights == "none" else "?"
            model = new_model(
                str(recipe.model), tokenizer, recipe.weights + mark, recipe.text_weights if weights else "none",
                text_length=recipe.text_length, **changes,
            )  # fmt: skip
        elif self.start.is_dir():
            model = from_folder(self.start, changes, recipe.new_head, recipe.trains != "all")
            check_tokenizer(model.config, tokenizer, self.start.name)
        else:
            model = from_release(self.start, recipe, changes)
        if recipe.gradient_checkpointing:
            model.activation_checkpointing_enable()
        frozen = {
            "train_image_encoder": recipe.train_image_encoder, "train_text_encoder": recipe.train_text_encoder,
        }  # fmt: skip
        loss = self._loss(data)
        objective: Objective
        if recipe.objective != "classification":
            objective = OBJECTIVES.load("two-views")(model, loss, width=recipe.contrast_width, **frozen)
            return objective
        objective = OBJECTIVES.load(self.kind)(
            model, caption_dropout=recipe.caption_dropout, scale_lr_factor=recipe.scale_lr_factor,
            balance=recipe.balance, distill=recipe.distill, alpha=recipe.alpha, alpha_epochs=recipe.alpha_epochs,
            momentum=recipe.momentum, loss=loss, trains=recipe.trains, **frozen,
        )  # fmt: skip
        return objective

    def afterwards(
        self, objective: Objective, feed: PairFeed, data: TrainingData, accelerator: Accelerator
    ) -> Afterwards | None:
        """The class layer of ``posthoc``, where the recipe names one."""
        recipe = self.recipe
        if recipe.posthoc is None:
            return None
        return replace_class_layer(
            recipe.posthoc, recipe.posthoc_options, objective, feed, data.class_counts, accelerator
        )

    def _loss(self, data: TrainingData) -> Any:
        """The recipe's loss for the data; None for cross-entropy, which the objective of classification has.

        Raises:
            UnknownName, ConfigError: no such loss or setting.
            DataError: a loss that needs images of every class, and a class without.
        """
        recipe, counts = self.recipe, data.class_counts
        if recipe.loss is None:
            return make_feature_loss(recipe.objective, len(counts), recipe.contrast_width, recipe.loss_options)
        made = make_loss(recipe.loss, torch.from_numpy(counts), recipe.loss_options)
        return None if recipe.loss == PLAIN else made

    def _changes(self, info: DatasetInfo) -> dict[str, Any]:
        recipe = self.recipe
        names = [[item.key, item.name, *(word for word in item.synonyms if word != item.name)] for item in info.classes]
        return {
            "classes": len(names), "class_names": names, "head": recipe.head, "head_kappa": recipe.head_kappa,
            "head_scale_start": recipe.head_scale_start, "experts": recipe.experts,
            "router_top_k": recipe.router_top_k, "reads": recipe.reads, "dropout": recipe.dropout,
            "head_r_start": recipe.head_r_start, "class_scales": recipe.trains == "class-scales",
            "benchmark": known_benchmark(info.name),
        }  # fmt: skip


def finetune(
    recipe: FinetuneRecipe,
    out: Path,
    *,
    command: str = "",
    device: str = "auto",
    progress: TrainingProgress | None = None,
    cache: Path | None = None,
) -> Outcome:
    """Fine-tune by a recipe; see :func:`openmmlo.train.run.run`."""
    return run(FinetuneTask(recipe), out, command=command, device=device, progress=progress, cache=cache)


def known_benchmark(name: str) -> str | None:
    """The name of a data set where it is also that of a benchmark."""
    from openmmlo.evaluate.benchmark import benchmark_names

    return name if name in benchmark_names() else None
