"""Fine-tuning by recipe: a pre-trained checkpoint and a built data set come in, a classifier goes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from openmmlo.errors import ConfigError, ModelError
from openmmlo.records import DatasetInfo, Finding, digest_of
from openmmlo.train.logs import TrainingProgress
from openmmlo.train.objective import Objective
from openmmlo.train.objectives import OBJECTIVES
from openmmlo.train.outcome import Outcome, file_digest, files_digest
from openmmlo.train.pretrain import FROM_TIMM, new_model, tokenizer_of
from openmmlo.train.recipe import FinetuneRecipe
from openmmlo.train.run import run
from openmmlo.train.training_data import TrainingData


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
        findings: list[Finding] = []
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

    def drawn_by(self, data: TrainingData) -> tuple[int, ...] | None:
        """The labels, where classes are drawn evenly."""
        return tuple(data.train.labels.tolist()) if self.recipe.sampler == "class-aware" else None

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
            model = _from_folder(self.start, changes)
            check_tokenizer(model.config, tokenizer, self.start.name)
        else:
            model = _from_release(self.start, recipe, changes)
        if recipe.gradient_checkpointing:
            model.activation_checkpointing_enable()
        objective: Objective = OBJECTIVES.load(self.kind)(
            model, train_image_encoder=recipe.train_image_encoder, train_text_encoder=recipe.train_text_encoder,
            caption_dropout=recipe.caption_dropout, scale_lr_factor=recipe.scale_lr_factor, balance=recipe.balance,
            distill=recipe.distill, alpha=recipe.alpha, alpha_epochs=recipe.alpha_epochs, momentum=recipe.momentum,
        )  # fmt: skip
        return objective

    def _changes(self, info: DatasetInfo) -> dict[str, Any]:
        recipe = self.recipe
        names = [[item.key, item.name, *(word for word in item.synonyms if word != item.name)] for item in info.classes]
        return {
            "classes": len(names), "class_names": names, "head": recipe.head, "head_kappa": recipe.head_kappa,
            "head_scale_start": recipe.head_scale_start, "experts": recipe.experts,
            "router_top_k": recipe.router_top_k, "reads": recipe.reads, "dropout": recipe.dropout,
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


def checkpoint_at(weights: str) -> Path | None:
    """Where weights are: a folder, a file, a name that ships with the package, or a name on the Hub; None for none.

    Raises:
        ModelError: nowhere, or not a T-hp checkpoint's name.
    """
    from openmmlo.models.checkpoints import all_files, locate
    from openmmlo.models.thp.opening import SHIPPED

    if weights == "none" or weights.startswith(FROM_TIMM):
        return None
    path = Path(weights).expanduser()
    if path.is_file():
        return path
    if not path.is_dir() and (SHIPPED / weights / "config.json").is_file():
        return SHIPPED / weights
    return all_files(locate(weights, None, {}))


def known_benchmark(name: str) -> str | None:
    """The name of a data set where it is also that of a benchmark."""
    from openmmlo.evaluate.benchmark import benchmark_names

    return name if name in benchmark_names() else None


def _from_folder(folder: Path, changes: dict[str, Any]) -> Any:
    from openmmlo.models.checkpoints import read_config
    from openmmlo.models.thp.checkpoint import load_model

    before = read_config(folder)
    shape = ("classes", "head", "experts")
    kept = all(before.get(name) == changes[name] for name in shape)
    return load_model(folder, new_head=not kept, **changes)


def architecture_of(file: Path, recipe: FinetuneRecipe) -> str:
    """What a file of the authors' layout is of. Raises ConfigError where the recipe does not say it."""
    if recipe.model is None:
        raise ConfigError(
            f"weights is a file, {file.name!r}, which does not say its architecture; set model (--set model=thp-vit-b)."
        )
    return recipe.model


def _from_release(file: Path, recipe: FinetuneRecipe, changes: dict[str, Any]) -> Any:
    """The authors' weights under a new head: theirs was trained without its class layer.

    Captions are read as this package writes them, with one mask token, not as the release did.
    """
    from openmmlo.models.thp.configuration import changed, values_of
    from openmmlo.models.thp.model import ThpModel
    from openmmlo.models.thp.opening import open_named

    architecture = architecture_of(file, recipe)
    found = open_named(architecture, file).model
    if found.config.text_length < recipe.text_length:
        raise ModelError(
            f"text_length is {recipe.text_length}, and weights {file.name!r} have places for "
            f"{found.config.text_length} tokens: --set text_length={found.config.text_length}."
        )
    model = ThpModel(changed(values_of(found.config), **changes))
    state = {name: value for name, value in found.state_dict().items() if not name.startswith("head.")}
    report = model.load_state_dict(state, strict=False)
    absent = [name for name in report.missing_keys if not name.startswith("head.")]
    if absent or report.unexpected_keys:
        raise ModelError(f"Weights {file.name!r} do not fit {architecture}: {[*absent, *report.unexpected_keys][:3]}.")
    return model
