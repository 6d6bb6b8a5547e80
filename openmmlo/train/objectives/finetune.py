"""Fine-tuning: classes of images with their captions, or of images alone, by the whole head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from openmmlo.losses import Staged
from openmmlo.losses.soft_targets import soft_target_cross_entropy
from openmmlo.models.thp.momentum import MomentumPair
from openmmlo.models.thp.router import first_choices, load_balance
from openmmlo.train.batch import Batch
from openmmlo.train.objectives.draws import uniforms
from openmmlo.train.objectives.gathering import summed
from openmmlo.train.objectives.groups import freeze, parameter_groups, rest_frozen_parts
from openmmlo.train.objectives.ramp import ramp
from openmmlo.train.state import StepState

if TYPE_CHECKING:
    from openmmlo.models.thp.model import ThpModel
    from openmmlo.train.recipe import Trains

NOT_READ = (
    "image_projection.*",
    "text_projection.*",
    "temperature",
    "kappa",
    "match_head.*",
    "text.*.causal_attention.*",
    "language_head.*",
)
"""The decoder and what only pre-training reads."""

CENTRES = ("head.centres", "head.adapter.centres")
"""But in a linear head they act through their direction alone. Weight decay would change no output but shorten them,
and the shorter a centre, the further a step turns it; so they do not decay."""

SCALES = ("head.scale", "head.adapter.scale")

BUT_FOR: Mapping[str, tuple[str, ...]] = {
    "all": (),
    "classifier": ("head.adapter.*",),
    "class-scales": ("head.adapter.*", "head.centres", "head.bias"),
}
"""What of the head stays as it is, by what is trained."""


class Finetuning(nn.Module):
    """A loss of the class head on the fused state of image and caption, with a momentum teacher by a switch.

    (1 - α) CE(labels) + α CE(teacher), both of the whole head, or without a teacher another loss; a router that leaves
    experts out adds ``balance`` · E Σ_e f_e q̄_e. Frozen parts keep their weights and run in evaluation mode: no
    dropout, and BatchNorm neither sees the batch nor counts it in.

    Args:
        model: trained in place; its configuration has the classes, the head, the experts, and whether captions are
            read.
        train_image_encoder, train_text_encoder: train them, or the head alone.
        caption_dropout: share of the samples that are read with an empty caption, so that an image alone can be
            classified; drawn by seed, step and sample.
        scale_lr_factor: of the learnt scales' learning rate; 0 leaves them at their start.
        balance: weight of the load-balance value.
        distill: a momentum copy of the classifier teaches.
        alpha: the teacher's share, reached after ``alpha_epochs``.
        momentum: of the teacher.
        loss: of logits, targets and the head's scale; cross-entropy where None. Before each step a
            :class:`~openmmlo.losses.Staged` one is told what share of the run is done.
        trains: all that is not frozen, the class layer alone (both encoders frozen, the adapter too), or the factors
            of its classes alone.

    Raises:
        ValueError: the model has no classes; a teacher of another loss; a part of the class layer is trained, but the
            encoders are not frozen, or it has no such part.
    """

    def __init__(
        self,
        model: ThpModel,
        *,
        train_image_encoder: bool = False,
        train_text_encoder: bool = True,
        caption_dropout: float = 0.0,
        scale_lr_factor: float = 500.0,
        balance: float = 0.01,
        distill: bool = True,
        alpha: float = 0.4,
        alpha_epochs: float = 1.0,
        momentum: float = 0.995,
        loss: nn.Module | None = None,
        trains: Trains = "all",
    ) -> None:
        super().__init__()
        if model.head is None:
            raise ValueError("The model has no class head; fine-tuning needs one. Give its configuration classes.")
        if distill and loss is not None:
            raise ValueError("The teacher is mixed into cross-entropy; with another loss set distill to False.")
        if trains != "all" and (train_image_encoder or train_text_encoder):
            raise ValueError(f"trains is {trains!r}: both encoders must be frozen.")
        self.model = model
        self.loss = loss
        self.caption_dropout = caption_dropout
        self.scale_lr_factor = scale_lr_factor
        self.balance = balance
        self.alpha = alpha
        self.alpha_epochs = alpha_epochs
        self.train_image_encoder = train_image_encoder
        self.train_text_encoder = train_text_encoder
        self.momentum = MomentumPair(model, momentum, classes=True) if distill else None
        self.sparse = False  # the router computes every expert
        if self.momentum is not None and not train_image_encoder:  # the teacher's would be equal
            self.momentum.teacher.image_encoder = None
        if self.momentum is not None and not self._fusion_moves:
            self.momentum.teacher.text = None
        freeze(model, NOT_READ)
        freeze(model, () if train_image_encoder else ("image_encoder.*",))
        freeze(model, () if train_text_encoder else ("text.*",))
        freeze(model, BUT_FOR[trains])
        freeze(model, () if scale_lr_factor else SCALES)

    def train(self, mode: bool = True) -> Any:
        """Frozen parts stay in evaluation mode."""
        super().train(mode)
        rest_frozen_parts(self.model, self.train_image_encoder, self.train_text_encoder)
        return self

    def forward(self, batch: Batch, state: StepState) -> dict[str, Tensor]:
        """``loss``, and its parts: ``classes`` (of the labels), ``balance`` where experts are left out."""
        tokens, mask = self._captions(batch, state)
        image_tokens = self._image_tokens(batch.pixels)
        with torch.set_grad_enabled(self._fusion_moves and torch.is_grad_enabled()):
            fused = self.model.fuse(image_tokens, tokens, mask)
        routed = self.model.route(fused)
        logits = self.model.class_logits(routed.features)
        share = ramp(self.alpha, self.alpha_epochs, state)
        taught = logits  # not read while the teacher's share is 0
        if self.momentum is None:
            share = 0.0
        elif share:
            taught = self._taught(self.momentum.teacher, batch.pixels, image_tokens, fused, tokens, mask)
        if self.loss is None:
            losses = {"classes": soft_target_cross_entropy(logits, batch.labels, taught, share)}
        else:
            head: Any = self.model.head
            losses = {"classes": self.loss(logits, batch.labels, scale=head.multiplier())}
        if self._leaves_out:
            shares = summed(first_choices(routed.probabilities), state) / state.world
            losses["balance"] = self.balance * load_balance(routed.probabilities, shares)
        return {"loss": torch.stack(list(losses.values())).sum(), **losses}

    @property
    def _leaves_out(self) -> bool:
        """Whether each sample gets the answers of some experts alone."""
        config = self.model.config
        return config.router_top_k is not None and bool(config.router_top_k < config.experts)

    @property
    def _fusion_moves(self) -> bool:
        return self.train_image_encoder or self.train_text_encoder

    def _image_tokens(self, pixels: Tensor) -> Tensor:
        with torch.set_grad_enabled(self.train_image_encoder and torch.is_grad_enabled()):
            return self.model.image_tokens(pixels)

    def _captions(self, batch: Batch, state: StepState) -> tuple[Tensor, Tensor]:
        """Tokens and mask as they are read: of all, of some, or of no sample empty."""
        if self.model.config.reads == "image":
            return self._empty(batch)
        if not self.caption_dropout:
            return batch.tokens, batch.mask
        empty = self._empty(batch, batch.tokens.shape[1])
        dropped = uniforms("empty caption", state.seed, state.step, batch.keys)[:, None] < self.caption_dropout
        return torch.where(dropped, empty[0], batch.tokens), torch.where(dropped, empty[1], batch.mask)

    def _empty(self, batch: Batch, length: int | None = None) -> tuple[Tensor, Tensor]:
        """(B, T) captions without a word, padded to a length."""
        tokens, mask = self.model.empty_captions(len(batch))
        missing = 0 if length is None else length - tokens.shape[1]
        pad = self.model.config.pad_token_id
        return functional.pad(tokens, (0, missing), value=pad), functional.pad(mask, (0, missing))

    @torch.no_grad()
    def _taught(
        self, teacher: ThpModel, pixels: Tensor, image_tokens: Tensor, fused: Tensor, tokens: Tensor, mask: Tensor
    ) -> Tensor:
        """(B, C) logits of the teacher; what is frozen is equal in both, and is not computed again."""
        if self.train_image_encoder:
            image_tokens = teacher.image_tokens(pixels)
        if self._fusion_moves:
            fused = teacher.fuse(image_tokens, tokens, mask)
        return teacher.class_logits(teacher.class_features(fused))

    def before_step(self, state: StepState) -> None:
        """The teacher moves towards the model; a loss that changes over the run is told where it stands."""
        if self.momentum is not None:
            self.momentum.update(self.model)
        if isinstance(self.loss, Staged):
            self.loss.at(state.step / state.steps)

    def after_step(self, state: StepState) -> None:
        """Nothing has bounds here."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What is not frozen; no decay of biases, norms, scales and centres; scales at their own learning rate."""
        steady = () if self.model.config.head == "linear" else CENTRES
        return parameter_groups(self.model, steady, dict.fromkeys(SCALES, self.scale_lr_factor))

    def features(self, batch: Batch) -> Tensor:
        """(B, W) that the class layer reads of images with their captions, or alone where it reads no others."""
        tokens, mask = self._empty(batch) if self.model.config.reads == "image" else (batch.tokens, batch.mask)
        return self.model.class_features(self.model.fuse(self.model.image_tokens(batch.pixels), tokens, mask))

    def validate(self, batch: Batch, state: StepState) -> dict[str, tuple[float | Tensor, int | Tensor]]:
        """:func:`top1` of the model."""
        found: dict[str, tuple[float | Tensor, int | Tensor]] = top1(self.model, batch)
        return found


@torch.no_grad()
def top1(model: ThpModel, batch: Batch) -> dict[str, tuple[float | Tensor, int | Tensor]]:
    """``top1``: share of the samples whose class is found; ``top1_classes``: right answers and samples of each class,
    (C,) each. With a model that reads captions, both as well for images alone, ``..._image_only``.

    Samples without a class do not count.
    """
    image_tokens = model.image_tokens(batch.pixels)
    memory = model.memory(image_tokens)
    readings = {"": model.empty_captions(len(batch))}
    if model.config.reads == "both":
        readings = {"": (batch.tokens, batch.mask), "_image_only": model.empty_captions(len(batch))}
    known = batch.labels >= 0
    labels = batch.labels[known]
    classes = model.config.classes
    found: dict[str, tuple[float | Tensor, int | Tensor]] = {}
    for ending, (tokens, mask) in readings.items():
        fused = model.fuse(memory, tokens, mask)
        chosen = model.class_logits(model.class_features(fused)).argmax(dim=1)
        right = labels[chosen[known] == labels].bincount(minlength=classes)
        found[f"top1{ending}"] = (float(right.sum()), len(labels))
        found[f"top1_classes{ending}"] = (right.cpu(), labels.bincount(minlength=classes).cpu())
    return found
