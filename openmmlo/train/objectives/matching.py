"""Image-text matching: does this caption belong to this image, asked of hard pairs that do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from openmmlo.models.thp.text import KeysValues, Memory, select
from openmmlo.train.batch import Batch
from openmmlo.train.objectives.draws import uniforms
from openmmlo.train.objectives.gathering import gathered, gathered_with_gradient, own_rows
from openmmlo.train.state import StepState

if TYPE_CHECKING:
    from openmmlo.models.thp.model import ThpModel

_FLOOR = 1e-4  # BLIP: no other row of the batch is out of the question


@torch.no_grad()
def draw_negatives(purpose: str, logits: Tensor, keys: Tensor, all_keys: Tensor, state: StepState) -> Tensor:
    """For each of this process's B rows, another row of the global batch: (B,) int64.

    Row j is drawn with a probability in proportion to softmax(logits)_j + 1e-4, never the row itself. The draw is a
    race: the row with the largest weight_j / −log u_j wins, u_j uniform and decided by the seed, the step and both
    samples' keys. So it depends neither on the number of processes nor on the order of the batch.

    Args:
        logits: (B, M) of this process's rows against the M rows of the global batch.
        keys: (B,) of this process's samples; ``all_keys`` (M,) of all.
    """
    own = own_rows(len(keys), state, logits.device)
    weights = logits.float().softmax(dim=1) + _FLOOR
    weights[torch.arange(len(keys), device=logits.device), own] = 0.0
    arrivals = -uniforms(purpose, state.seed, state.step, keys[:, None], all_keys[None, :]).log()
    return (weights / arrivals).argmax(dim=1)


def matching_loss(
    model: ThpModel,
    image_tokens: Tensor,
    memory: Memory,
    batch: Batch,
    to_texts: Tensor,
    to_images: Tensor,
    state: StepState,
) -> Tensor:
    """Binary cross-entropy over 3B pairs: each image with its text, with a negative text, each text with such an image.

    All pairs go through the fused encoder in one call. Negatives may be another process's rows: gradients flow there.

    Args:
        image_tokens: (B, P, D) of this process's images, and ``memory`` of them.
        to_texts: (B, M) logits of its images against all texts; ``to_images`` of its texts against all images.
    """
    rows = len(batch)
    tokens, mask = batch.tokens, batch.mask
    width = tokens.shape[1]
    texts = gathered(torch.cat([tokens, mask, batch.keys[:, None]], dim=1), state)
    all_tokens, all_mask, all_keys = texts[:, :width], texts[:, width:-1], texts[:, -1]
    other_texts = draw_negatives("negative text", to_texts, batch.keys, all_keys, state)
    other_images = draw_negatives("negative image", to_images, batch.keys, all_keys, state)
    if state.world == 1:
        others = select(memory, other_images)
    else:
        others = model.memory(gathered_with_gradient(image_tokens, state)[other_images])
    fused = model.fuse(
        tuple(_thrice(own, other) for own, other in zip(memory, others, strict=True)),
        torch.cat([tokens, all_tokens[other_texts], tokens]),
        torch.cat([mask, all_mask[other_texts], mask]),
    )
    belongs = torch.zeros(3 * rows, dtype=torch.int64, device=tokens.device)
    belongs[:rows] = 1
    return functional.cross_entropy(model.match(fused).float(), belongs)


def _thrice(own: KeysValues, other: KeysValues) -> KeysValues:
    """The images of all pairs, as one layer sees them: own, own again, others."""
    return KeysValues(torch.cat([own.keys, own.keys, other.keys]), torch.cat([own.values, own.values, other.values]))
