"""A folder that ``save_pretrained`` wrote becomes a model again, with other settings or another head where wanted."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openmmlo.errors import ModelError
from openmmlo.models.checkpoints import has_weights, read_config

if TYPE_CHECKING:
    from openmmlo.models.thp.model import ThpModel


def load_model(folder: Path, *, new_head: bool = False, **changes: Any) -> ThpModel:
    """Load a checkpoint in float32, complete, in evaluation mode.

    Args:
        new_head: leave its class head behind; one at random takes its place where ``classes`` is above 0.
        changes: values of :class:`ThpConfig` that replace the checkpoint's, such as ``classes`` or ``dropout``. A
            linear head without class scales may be given them: they start at 1, which changes no score.

    Raises:
        ModelError: no T-hp checkpoint, weights are missing, or some are of another shape.
        ConfigError: no such value, or one out of range.
    """
    import torch

    from openmmlo.models.loading import explained, quiet
    from openmmlo.models.thp.configuration import ThpConfig, changed, values_of
    from openmmlo.models.thp.model import ThpModel, class_head

    kind = read_config(folder).get("model_type")
    if kind != ThpConfig.model_type:
        raise ModelError(f"Checkpoint {folder.name!r} is a {kind!r}; expected model_type {ThpConfig.model_type!r}.")
    if not has_weights(folder):
        raise ModelError(f"Checkpoint {folder.name!r} holds no model.safetensors. Copy the whole folder.")
    stored = ThpConfig.from_pretrained(folder, local_files_only=True)
    config = changed(values_of(stored), **changes)
    body = changed(values_of(config), classes=0, class_names=[]) if new_head else config
    with explained(folder), quiet():
        model, report = ThpModel.from_pretrained(
            folder,
            config=body,
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
        )
    _complete(folder, report, new_head, () if stored.class_scales else ("head.class_scales",))
    if new_head:
        model.config = config
        model.head = class_head(config) if config.classes else None
    model.eval()
    found: ThpModel = model
    return found


def _complete(folder: Path, report: Any, new_head: bool, given: Collection[str]) -> None:
    """Refuse what would leave random numbers in the model, or weights out of it; ``given`` are at their start."""
    shapes = [f"{name} {tuple(theirs)} for {tuple(ours)}" for name, theirs, ours in report["mismatched_keys"]]
    absent = sorted(set(report["missing_keys"]).difference(given))
    extra = sorted(name for name in report["unexpected_keys"] if not (new_head and name.startswith("head.")))
    for what, names in (("of another shape", shapes), ("missing", absent), ("of no use to it", extra)):
        if names:
            head = all(name.startswith("head.") for name in names)
            hint = "The class head is of other classes or another kind: take a new one. " if head else ""
            raise ModelError(
                f"Checkpoint {folder.name!r}: {len(names)} weights are {what} ({', '.join(names[:3])}). {hint}"
                "Expected a checkpoint of the same sizes; config.json beside it names them."
            )
