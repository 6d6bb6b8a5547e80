"""Pre-training: contrast, matching and captioning of pairs of image and caption, with unit weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from openmmlo.models.thp.momentum import MomentumPair, Queue
from openmmlo.train.batch import Batch
from openmmlo.train.objectives.captioning import caption_loss
from openmmlo.train.objectives.contrastive import Contrast, Keys, contrast
from openmmlo.train.objectives.gathering import gathered, own_rows, summed
from openmmlo.train.objectives.groups import freeze, parameter_groups
from openmmlo.train.objectives.matching import matching_loss
from openmmlo.train.objectives.ramp import ramp
from openmmlo.train.state import StepState

if TYPE_CHECKING:
    from openmmlo.models.thp.model import ThpModel

ONLY_CONTRAST = ("image_projection.*", "text_projection.*", "text.*.attention.*", "temperature", "kappa")
ONLY_MATCHING = ("match_head.*",)
ONLY_CAPTIONS = ("text.*.causal_attention.*", "language_head.*")
ONLY_WITH_IMAGES = ("text.*.crossattention.*",)


class Pretraining(nn.Module):
    """BLIP's pre-training (arXiv:2201.12086) with the model's similarity in the contrast: L = L_itc + L_itm + L_lm.

    Keys of the contrast are momentum features: of the global batch, then of a queue of earlier batches, which takes
    this step's in after the step. The momentum copies move before the step. Of the model only what the chosen losses
    read is trained.

    Args:
        model: trained in place; its configuration names the similarity, kappa and the first temperature.
        itc: contrast of images and texts.
        itm: matching, with negatives drawn by the contrast's logits.
        lm: captioning.
        momentum: of the copies.
        queue_size: keys of earlier batches, a multiple of the global batch; 0 keeps none.
        alpha: share of the momentum copies' similarities in the targets, reached after ``alpha_epochs``.
        label_smoothing: of captioning.
        seed: of the keys in the queue before any batch was.

    Raises:
        ValueError: no loss, or matching without contrast; in a step, a batch of fewer than two pairs, or keys that
            enter a queue whose size is no multiple of the batch.
    """

    def __init__(
        self,
        model: ThpModel,
        *,
        itc: bool = True,
        itm: bool = True,
        lm: bool = True,
        momentum: float = 0.995,
        queue_size: int = 57_600,
        alpha: float = 0.4,
        alpha_epochs: float = 2.0,
        label_smoothing: float = 0.1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not (itc or lm):
            raise ValueError(
                "Pre-training needs a loss: itc, or lm, or both; itm draws its negatives by the similarities of itc."
                if itm
                else "itc, itm and lm are all off; pre-training needs at least one loss."
            )
        if itm and not itc:
            raise ValueError("itm draws its negatives by the similarities of itc, which is off. Set both or neither.")
        self.model = model
        self.itm = itm
        self.lm = lm
        self.alpha = alpha
        self.alpha_epochs = alpha_epochs
        self.label_smoothing = label_smoothing
        self.momentum = MomentumPair(model, momentum) if itc else None
        self.sparse = False
        self.queue = Queue(model.config.projection, queue_size, seed=seed) if itc and queue_size else None
        self._arriving: list[dict[str, Tensor]] = []
        unread: tuple[str, ...] = ("head.*",)
        unread += () if itc else ONLY_CONTRAST
        unread += () if itm else ONLY_MATCHING
        unread += () if lm else ONLY_CAPTIONS
        unread += () if itm or lm else ONLY_WITH_IMAGES
        freeze(model, unread)

    def forward(self, batch: Batch, state: StepState) -> dict[str, Tensor]:
        """The losses of this process's share of a batch: ``loss``, and of ``itc``, ``itm``, ``lm`` those that are on.

        Their mean over processes is the loss of the global batch.
        """
        image_tokens = self.model.image_tokens(batch.pixels)
        losses: dict[str, Tensor] = {}
        memory = self.model.memory(image_tokens) if self.itm or self.lm else ()
        if self.momentum is not None:
            self._check(batch, state)
            found = self._contrast(self.momentum, image_tokens, batch, state)
            losses["itc"] = found.loss
            if self.itm:
                losses["itm"] = matching_loss(
                    self.model, image_tokens, memory, batch, found.to_texts, found.to_images, state
                )
        if self.lm:
            total, words = caption_loss(self.model, memory, batch.tokens, batch.mask, self.label_smoothing)
            losses["lm"] = total * state.world / summed(words, state)
        return {"loss": torch.stack(list(losses.values())).sum(), **losses}

    def _contrast(self, momentum: MomentumPair, image_tokens: Tensor, batch: Batch, state: StepState) -> Contrast:
        images = self.model.embed_images(image_tokens)
        texts = self.model.embed_texts(batch.tokens, batch.mask)
        with torch.no_grad():
            teacher = momentum.teacher
            own_images = teacher.embed_images(teacher.image_tokens(batch.pixels))
            own_texts = teacher.embed_texts(batch.tokens, batch.mask)
            both = gathered(torch.stack([own_images, own_texts], dim=1).float(), state)
        arriving = {"image": both[:, 0], "text": both[:, 1]}
        self._arriving.append(arriving)
        image_keys, text_keys = (Keys(arriving[name], self._queued(name)) for name in ("image", "text"))
        own = own_rows(len(batch), state, both.device)
        share = ramp(self.alpha, self.alpha_epochs, state)
        return contrast(images, texts, image_keys, text_keys, own, self.model.similarity_logits, share)

    def _queued(self, name: str) -> Tensor | None:
        return None if self.queue is None else self.queue[name]

    def _check(self, batch: Batch, state: StepState) -> None:
        rows = len(batch) * state.world
        if rows < 2:
            raise ValueError(
                f"A batch of {rows} pair for contrastive learning, which compares pairs with each other; expected at "
                "least 2. Raise batch_size, or lower accumulation."
            )

    def before_step(self, state: StepState) -> None:
        """The momentum copies move towards the model."""
        self._arriving.clear()
        if self.momentum is not None:
            self.momentum.update(self.model)

    def after_step(self, state: StepState) -> None:
        """The temperature stays within bounds; the step's keys enter the queue, now that no gradient reads it."""
        self.model.clamp_temperature()
        if self.queue is not None:
            for arriving in self._arriving:
                self.queue.push(**arriving)
        self._arriving.clear()

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Everything that the losses read; biases, norms, temperature and kappa without weight decay."""
        return parameter_groups(self.model)

    @torch.no_grad()
    def validate(self, batch: Batch, state: StepState) -> dict[str, tuple[float, int]]:
        """``image_to_text`` and ``text_to_image``: share of rows whose own partner is the nearest in this process's
        batch; ``lm``: nats a word, without label smoothing."""
        image_tokens = self.model.image_tokens(batch.pixels)
        found: dict[str, tuple[float, int]] = {}
        if self.momentum is not None:
            images = self.model.embed_images(image_tokens)
            texts = self.model.embed_texts(batch.tokens, batch.mask)
            similar = self.model.similarities(images, texts)
            own = torch.arange(len(batch), device=similar.device)
            found["image_to_text"] = (float((similar.argmax(dim=1) == own).sum()), len(batch))
            found["text_to_image"] = (float((similar.argmax(dim=0) == own).sum()), len(batch))
        if self.lm:
            total, words = caption_loss(self.model, image_tokens, batch.tokens, batch.mask, label_smoothing=0.0)
            found["lm"] = (float(total), int(words))
        return found
