"""Where fine-tuning starts: weights by name, folder or file come in, a model with the class layer wanted goes out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from openmmlo.errors import ConfigError, ModelError
from openmmlo.train.pretrain import FROM_TIMM

if TYPE_CHECKING:
    from openmmlo.train.recipe import FinetuneRecipe

LAYER = ("head", "head_kappa", "head_scale_start", "head_r_start", "class_scales")
"""Values of a model's configuration that are of its class layer, whatever the layer reads."""


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


def from_folder(folder: Path, changes: dict[str, Any], new_layer: bool = False, keep_adapter: bool = False) -> Any:
    """A checkpoint's model with other values of its configuration, in evaluation mode.

    A class layer of the same kind for as many classes is taken along, and so is what it reads, the adapter or router.
    Another layer begins at random, with an adapter at random.

    Args:
        changes: values of the configuration, those of the head among them.
        new_layer: begin with a layer at random although one is there; its adapter is taken along.
        keep_adapter: take the adapter along also to a layer of another kind.
    """
    from openmmlo.models.checkpoints import read_config
    from openmmlo.models.thp.checkpoint import load_model

    before = read_config(folder)
    fits = all(before.get(name) == changes[name] for name in ("classes", "experts"))
    same = before.get("head") == changes["head"] and before.get("class_scales", False) == changes["class_scales"]
    if not fits or not (same or new_layer or keep_adapter):
        return load_model(folder, new_head=True, **changes)
    if same and not new_layer:
        return load_model(folder, **changes)
    model = load_model(folder, **{name: value for name, value in changes.items() if name not in LAYER})
    return with_class_layer(model, changes, new_layer or before.get("head") != changes["head"])


def with_class_layer(model: Any, changes: dict[str, Any], new_layer: bool) -> Any:
    """The same model under another class layer; its adapter stays, and what fits of the layer unless it is new."""
    from openmmlo.models.thp.configuration import changed, values_of
    from openmmlo.models.thp.model import class_head

    config = changed(values_of(model.config), **changes)
    head = class_head(config)
    own = head.state_dict()
    kept = {
        name: value
        for name, value in model.head.state_dict().items()
        if name.startswith("adapter.") or (not new_layer and name in own)
    }
    head.load_state_dict(own | kept)
    model.config, model.head = config, head
    return model.eval()


def architecture_of(file: Path, recipe: FinetuneRecipe) -> str:
    """What a file of the authors' layout is of. Raises ConfigError where the recipe does not say it."""
    if recipe.model is None:
        raise ConfigError(
            f"weights is a file, {file.name!r}, which does not say its architecture; set model (--set model=thp-vit-b)."
        )
    return recipe.model


def from_release(file: Path, recipe: FinetuneRecipe, changes: dict[str, Any]) -> Any:
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
