"""Captioning: the next word of each image's caption, under teacher forcing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from openmmlo.models.thp.model import ThpModel
    from openmmlo.models.thp.text import Memory


def caption_loss(
    model: ThpModel, image: Tensor | Memory, tokens: Tensor, mask: Tensor, label_smoothing: float
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of every word after the first place, which is [DEC], in nats: its sum, and how many words (scalar).

    The sum, not the mean: processes hold different numbers of words, and the mean over all is wanted. Only states that
    have a next word reach the table of words.

    Args:
        image: (B, P, D) tokens of the images, or their memory.
        tokens, mask: (B, T) captions, padded on the right; padding does not count.
        label_smoothing: share of the target that is spread evenly over the vocabulary; 0.1 in BLIP.
    """
    follows = mask[:, 1:].bool()
    states = model.decode_states(image, tokens[:, :-1])[follows]
    logits = model.word_logits(states).float()
    loss = functional.cross_entropy(logits, tokens[:, 1:][follows], reduction="sum", label_smoothing=label_smoothing)
    return loss, follows.sum()
