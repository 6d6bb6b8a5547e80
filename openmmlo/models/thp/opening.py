"""Where a T-hp checkpoint is comes in, the model with its tokenizer goes out.

A folder that ``save_pretrained`` wrote, a name whose weights ship with the package, a file of weights beside its
``config.json``, or a file in the authors' released layout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openmmlo.config import load_recipe, recipe_names
from openmmlo.errors import ModelError, UnknownName
from openmmlo.models.checkpoints import read_config
from openmmlo.models.loading import explained, quiet
from openmmlo.models.thp.released import CONVOLUTIONAL, as_released, is_released, read_released
from openmmlo.models.weights import read_weights

if TYPE_CHECKING:
    import torch

    from openmmlo.models.thp.configuration import ThpConfig
    from openmmlo.models.thp.model import ThpModel

NAMES = {
    "thp-mini": "thp-mini",
    "thp-mini-pretrained": "thp-mini",
    "thp-resnext50": "thp-resnext50",
    "thp-vit-b": "thp-vit-b",
    "thp-vit-l": "thp-vit-l",
}
"""Known name -> its architecture."""

MINIATURE = ("thp-mini", "thp-mini-pretrained")
"""Names that the authors did not release anything of."""

SHIPPED = Path(__file__).parents[1] / "shipped"
"""Holds a folder for each name whose weights are part of the package."""

BERT = "bert-base-uncased"
"""The tokenizer of the release, and of weights that come without one."""


def _unchanged(text: str) -> str:
    return text


@dataclass(frozen=True, eq=False)
class Opened:
    """A model and all that belongs to it.

    Attributes:
        model: in evaluation mode, float32, on the CPU.
        text_length: tokens of a text that are read.
        reword: a text as the model was trained to read it.
        lacks: parts that its weights do not hold: "text decoder", "projections", "matching head".
        remarks: what its user must know.
    """

    model: ThpModel
    tokenizer: Any
    text_length: int
    reword: Callable[[str], str] = _unchanged
    lacks: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def open_named(name: str, weights: Path | None = None) -> Opened:
    """A known name, with the weights that ship with the package or with others.

    Raises:
        UnknownName: not a name of NAMES.
        ModelError: no weights at hand, or they do not fit.
    """
    if name not in NAMES:
        raise UnknownName("T-hp model", name, NAMES)
    if weights is None:
        folder = SHIPPED / name
        if name not in shipped():
            raise ModelError(_without_weights(name))
        return open_folder(folder)
    if weights.is_dir():
        _check_architecture(name, read_config(weights), weights)
        return open_folder(weights)
    return _open_file(name, weights)


def open_folder(folder: Path, state: Mapping[str, torch.Tensor] | None = None) -> Opened:
    """A checkpoint's folder: config.json, model.safetensors and the tokenizer.

    Args:
        state: weights in place of the folder's.

    Raises:
        ModelError: a file is missing or damaged, or the weights do not fit the configuration.
    """
    from openmmlo.models.thp.checkpoint import load_model
    from openmmlo.models.thp.configuration import ThpConfig
    from openmmlo.models.thp.tokenizer import open_tokenizer

    with quiet(), explained(folder):
        model = load_model(folder) if state is None else _filled(ThpConfig.from_pretrained(folder), state, folder.name)
        tokenizer = open_tokenizer(str(folder))
    check_tokenizer(model.config, tokenizer, folder.name)
    return Opened(model, tokenizer, model.config.text_length)


def _open_file(name: str, file: Path) -> Opened:
    from openmmlo.models.thp.tokenizer import open_tokenizer

    state = read_weights(file)
    if is_released(state):
        found = read_released(state, NAMES[name], file.name)
        model = _filled(found.config, found.state, file.name)
        tokenizer = open_tokenizer(BERT)
        check_tokenizer(model.config, tokenizer, file.name)
        return Opened(model, tokenizer, found.text_length, as_released, found.lacks, found.remarks)
    if (file.parent / "config.json").is_file():
        _check_architecture(name, read_config(file.parent), file)
        return open_folder(file.parent, state)
    raise ModelError(
        f"Weights {file.name!r} are not of the released layout, and no config.json lies beside them, which says what "
        f"{name} they are of. Give the checkpoint's folder (config.json, model.safetensors, tokenizer): --weights DIR."
    )


def _filled(config: ThpConfig, state: Mapping[str, torch.Tensor], name: str) -> ThpModel:
    """A model of this configuration with these weights, all of them."""
    from openmmlo.models.thp.model import ThpModel

    model = ThpModel(config)
    own = model.state_dict()
    misshaped = {key for key in own.keys() & state.keys() if own[key].shape != state[key].shape}
    wrong = sorted((own.keys() ^ state.keys()) | misshaped)
    if wrong:
        some = ", ".join(wrong[:3]) + (" ..." if len(wrong) > 3 else "")
        raise ModelError(
            f"Weights {name!r} do not fit {config.architecture or 'the model'}: {len(wrong):,} are missing, of another "
            f"shape or not the model's ({some}). Give the config.json that they were saved with."
        )
    model.load_state_dict(state)
    model.eval()
    return model


def _check_architecture(name: str, config: Mapping[str, Any], weights: Path) -> None:
    if config.get("model_type") != "thp":
        kind = config.get("model_type") or "nameless"
        raise ModelError(f"Weights {weights.name!r} are of a {kind} model, not of a T-hp one. Leave out {name}.")
    if config.get("architecture") != NAMES[name]:
        raise ModelError(
            f"Weights {weights.name!r} are of {config.get('architecture')!r}; {name} is {NAMES[name]!r}. A folder is "
            "opened by itself: --model DIR."
        )


def check_tokenizer(config: ThpConfig, tokenizer: Any, name: str) -> None:
    """Refuse a tokenizer whose marks are not where the model was trained to find them."""
    from openmmlo.models.thp.tokenizer import token_ids

    for key, value in token_ids(tokenizer).items():
        if getattr(config, key) != value:
            raise ModelError(
                f"Checkpoint {name!r}: {key} is {getattr(config, key)} in config.json and {value} in the tokenizer. "
                "They are of different models; copy the whole folder again."
            )


def shipped() -> tuple[str, ...]:
    """Known names whose weights are part of the package."""
    return tuple(name for name in NAMES if (SHIPPED / name / "config.json").is_file())


def _without_weights(name: str) -> str:
    """Why a name alone is not enough, and what to do."""
    model = NAMES[name]
    recipes = [item for item in recipe_names("pretrain") if load_recipe("pretrain", item).get("model") == model]
    trained = f"openmmlo pretrain {recipes[0]}" if recipes else f"openmmlo pretrain RECIPE --set model={model}"
    others = f", or one of {', '.join(recipes[1:])}" if recipes[1:] else ""
    released = "" if model in CONVOLUTIONAL or name in MINIATURE else ", or a file of the authors' release"
    return (
        f"{name} has no weights at hand. Hub id: none, no weights are published. Recipe: {trained}{others}, then "
        "openmmlo finetune; openmmlo list pretraining names all. Weights of your own (a checkpoint's folder)"
        f"{released}: --weights PATH. Until then: --model hf:openai/clip-vit-base-patch16, "
        "open_clip:ViT-B-16/laion2b_s34b_b88k, or pixels, which needs no weights."
    )
