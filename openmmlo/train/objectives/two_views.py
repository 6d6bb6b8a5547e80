"""Features trained by comparing two views of each image with the views of others: SupCon and CIDER."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from openmmlo.train.batch import Batch
from openmmlo.train.objectives.finetune import NOT_READ
from openmmlo.train.objectives.gathering import gathered, gathered_with_gradient
from openmmlo.train.objectives.groups import freeze, parameter_groups, rest_frozen_parts
from openmmlo.train.state import StepState

if TYPE_CHECKING:
    from openmmlo.models.thp.model import ThpModel

VIEWS = 2

CLASS_LAYER = ("head.centres", "head.scale", "head.bias", "head.concentrations", "head.class_scales")


class TwoViews(nn.Module):
    """A loss of unit features, which a projection of its own makes from what the class layer reads.

    A batch has two rows an image: first views, then second views.

    The features that are kept are those before the projection (Khosla et al., arXiv:2004.11362, section 3), so the
    projection is left behind with the objective, and the class layer is not trained: nearest class means make one
    afterwards. Images are read without a caption.

    Args:
        model: trained in place; its configuration has the classes.
        loss: of unit features (B, D) and targets (B,): a scalar, or a named tuple whose ``loss`` is it, and whose other
            parts are logged.
        width: D.
        train_image_encoder, train_text_encoder: train them, or leave them as they are.

    Raises:
        ValueError: the model has no classes.
    """

    def __init__(
        self,
        model: ThpModel,
        loss: nn.Module,
        *,
        width: int = 128,
        train_image_encoder: bool = True,
        train_text_encoder: bool = True,
    ) -> None:
        super().__init__()
        if model.head is None:
            raise ValueError("The model has no class head, whose features are trained. Give its configuration classes.")
        self.model = model
        self.loss = loss
        size = model.config.text_width
        self.projection = nn.Sequential(nn.Linear(size, size), nn.ReLU(), nn.Linear(size, width))
        self.train_image_encoder = train_image_encoder
        self.train_text_encoder = train_text_encoder
        self.sparse = False
        freeze(model, NOT_READ + CLASS_LAYER)
        freeze(model, () if train_image_encoder else ("image_encoder.*",))
        freeze(model, () if train_text_encoder else ("text.*",))

    def train(self, mode: bool = True) -> Any:
        """Frozen parts stay in evaluation mode."""
        super().train(mode)
        rest_frozen_parts(self.model, self.train_image_encoder, self.train_text_encoder)
        return self

    def features(self, batch: Batch) -> Tensor:
        """(B, W) that a class layer reads."""
        return self.model.class_features(self.model.fuse(*self._read(batch)))

    def _read(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        return self.model.image_tokens(batch.pixels), *self.model.empty_captions(len(batch))

    def forward(self, batch: Batch, state: StepState) -> dict[str, Tensor]:
        """``loss``, and its parts where it has any, of the global batch, which every process computes."""
        units = functional.normalize(self.projection(self.features(batch)).float(), dim=1)
        rows = gathered_with_gradient(units, state)
        found = self.loss(by_view(rows, state.world), by_view(gathered(batch.labels, state), state.world))
        if isinstance(found, Tensor):
            return {"loss": found}
        return {name: value if name == "loss" else value.detach() for name, value in found._asdict().items()}

    def before_step(self, state: StepState) -> None:
        """Nothing moves before a step."""

    def after_step(self, state: StepState) -> None:
        """Nothing has bounds here."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What is not frozen, and the projection; no decay of biases and norms."""
        return parameter_groups(self.model) + parameter_groups(self.projection)

    @torch.no_grad()
    def validate(self, batch: Batch, state: StepState) -> dict[str, tuple[float, int]]:
        """``neighbour``: share of the samples whose nearest other one in the batch, by the cosine of the features, is
        of their class; of those that have another of their class there."""
        units = functional.normalize(self.features(batch).float(), dim=1)
        similar = (units @ units.T).fill_diagonal_(-2.0)
        same = (batch.labels[:, None] == batch.labels[None, :]).fill_diagonal_(False)
        paired = same.any(dim=1) & (batch.labels >= 0)
        right = same.gather(1, similar.argmax(dim=1, keepdim=True))[:, 0]
        return {"neighbour": (float((right & paired).sum()), int(paired.sum()))}


def by_view(rows: Tensor, world: int) -> Tensor:
    """(B, ...) of several processes, each its first views and then its second ones -> all first views, then all others.

    So the rows are in the order of one process, which a loss that takes them one after the other depends on.
    """
    of_each = rows.reshape(world, VIEWS, len(rows) // (world * VIEWS), *rows.shape[1:])
    return of_each.transpose(0, 1).reshape(rows.shape)
