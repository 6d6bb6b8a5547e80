"""A folder that ``save_pretrained`` wrote becomes a model again, with another head or other settings where wanted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openmmlo.models.thp.model import ThpModel


def load_model(folder: Path, **changes: Any) -> ThpModel:
    """Load a checkpoint in float32, complete.

    Args:
        changes: values of :class:`ThpConfig` that replace the checkpoint's, such as ``classes`` or ``dropout``. A class
            head that the checkpoint lacks, or has for other classes or experts, starts at random where ``classes`` is
            among them.

    Raises:
        ModelError: no T-hp checkpoint, weights are missing, or one is of another shape.
        ConfigError: no such value, or one out of range.
    """
    raise NotImplementedError
