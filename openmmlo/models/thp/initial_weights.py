"""Weights that others trained, as a start: BERT's for the text part, timm's for the image part."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from openmmlo.models.thp.model import ThpModel


def load_bert(model: ThpModel, state: Mapping[str, torch.Tensor]) -> None:
    """Put a BERT's weights into the text part: embeddings, both self-attentions, networks, and the language head.

    Args:
        state: of transformers' ``BertModel`` or ``BertForPreTraining``, of the model's width, depth and length; words
            that BERT does not know ([DEC], [ENC]) keep their random vectors, and so does the cross-attention. The
            vector of BERT's first sentence is added to the positions, so that texts without image read alike.

    Raises:
        ModelError: a weight is missing or of another shape.
    """
    raise NotImplementedError


def fetch_bert(name: str = "bert-base-uncased") -> dict[str, torch.Tensor]:
    """State of a BERT in a folder, in the cache or on the Hub. Raises ModelError where it is not at hand."""
    raise NotImplementedError


def load_timm(model: ThpModel, file: Path | None = None) -> None:
    """Put timm's pretrained weights into the image part; positions are resampled to the image size by timm.

    Args:
        file: weights of the same timm model at hand, in place of those on the Hub.

    Raises:
        ModelError: no such weights, or they are not at hand.
    """
    raise NotImplementedError
