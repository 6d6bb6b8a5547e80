"""Contrast of images and texts against momentum features of the batch and of earlier batches, with soft targets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from openmmlo.losses.soft_targets import soft_target_cross_entropy
from openmmlo.spherical.similarity import unit_cosines

Similarity = Callable[[Tensor], Tensor]
"""Cosines -> logits: the similarity over the temperature."""


@dataclass(frozen=True, eq=False)
class Keys:
    """What the queries of the other modality are compared with; no gradient flows here.

    Attributes:
        batch: (M, D) unit momentum features of the global batch.
        queue: (D, Q) unit momentum features of earlier batches, read where they lie; None where none are kept.
    """

    batch: Tensor
    queue: Tensor | None

    def logits(self, queries: Tensor, similarity: Similarity) -> Tensor:
        """(B, D) unit queries -> (B, M + Q) float32."""
        queries = queries.float()
        cosines = unit_cosines(queries, self.batch)
        if self.queue is not None:
            cosines = torch.cat([cosines, unit_cosines(queries, self.queue.T)], dim=1)
        return similarity(cosines)


@dataclass(frozen=True, eq=False)
class Contrast:
    """The loss, and the logits within the batch that negatives are drawn by.

    Attributes:
        loss: mean over this process's rows, both directions weighed alike.
        to_texts: (B, M) logits of its images against all texts of the global batch, without gradient.
        to_images: (B, M) of its texts against all images.
    """

    loss: Tensor
    to_texts: Tensor
    to_images: Tensor


def contrast(
    images: Tensor,
    texts: Tensor,
    image_keys: Keys,
    text_keys: Keys,
    own: Tensor,
    similarity: Similarity,
    alpha: float,
) -> Contrast:
    """ALBEF's and BLIP's contrastive loss, ½(CE(q, image to text) + CE(q, text to image)), for any similarity.

    Targets are q = α·softmax(similarities of the momentum features) + (1 − α)·one-hot.

    Args:
        images, texts: (B, D) unit features of this process's rows.
        own: (B,) int64, where its rows stand in the global batch.
    """
    to_texts = text_keys.logits(images, similarity)
    to_images = image_keys.logits(texts, similarity)
    taught_texts, taught_images = to_texts, to_images  # not read at α = 0
    if alpha > 0:
        with torch.no_grad():
            taught_texts = text_keys.logits(image_keys.batch[own], similarity)
            taught_images = image_keys.logits(text_keys.batch[own], similarity)
    loss = 0.5 * (
        soft_target_cross_entropy(to_texts, own, taught_texts, alpha)
        + soft_target_cross_entropy(to_images, own, taught_images, alpha)
    )
    batch = len(text_keys.batch)
    return Contrast(loss, to_texts[:, :batch].detach(), to_images[:, :batch].detach())
