"""The T-hp model: images and texts in one space, captions, and classes of images with their captions.

Letters: B images, M texts, T tokens, P places of an image, W width of the text part, D of the projections, C classes,
V words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from openmmlo.models.thp.configuration import ThpConfig
from openmmlo.models.thp.generation import write_captions
from openmmlo.models.thp.heads import SphericalHead
from openmmlo.models.thp.image_encoder import ImageEncoder
from openmmlo.models.thp.router import Routed
from openmmlo.models.thp.text import LanguageHead, Memory, TextTransformer, select

TEMPERATURES = (0.001, 0.5)
"""Between which the temperature is kept, as released."""

KAPPAS = (0.01, 1_000.0)
"""Between which a trainable kappa is kept."""


@dataclass
class ThpOutput(ModelOutput):  # type: ignore[misc]
    """What ``model(...)`` gives; parts whose input was missing are None.

    Attributes:
        image_embeds: (B, D) unit.
        text_embeds: (B, D) unit.
        features: (B, W) that the class layer reads.
        logits: (B, C).
    """

    image_embeds: torch.Tensor | None = None
    text_embeds: torch.Tensor | None = None
    features: torch.Tensor | None = None
    logits: torch.Tensor | None = None


class ThpModel(PreTrainedModel):  # type: ignore[misc]
    """Image encoder, shared text encoder and decoder, projections, matching head and class head.

    Everything is at random at first: weights come from a checkpoint (``from_pretrained``), from
    :func:`~openmmlo.models.thp.initial_weights.load_bert` and ``load_timm``, or from training.

    Attributes:
        image_encoder: pixels -> tokens.
        text: the transformer that encodes, fuses and decodes.
        language_head: states -> next-token logits, on the table of words.
        image_projection, text_projection: first token -> D.
        match_head: fused state -> (no match, match).
        head: the class head; None without classes.
        temperature: scalar parameter.
        log_kappa: none. kappa: scalar parameter where trainable, else a number.
    """

    config_class = ThpConfig
    base_model_prefix = "thp"
    main_input_name = "pixel_values"
    supports_gradient_checkpointing = True
    _no_split_modules = ["Layer", "Block"]  # noqa: RUF012  # transformers' own attribute

    def __init__(self, config: ThpConfig) -> None:
        super().__init__(config)
        raise NotImplementedError

    # Embeddings

    def image_tokens(self, pixels: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) -> (B, P, image width), the pooled token first."""
        raise NotImplementedError

    def embed_images(self, image_tokens: torch.Tensor) -> torch.Tensor:
        """(B, P, image width) -> (B, D) float32, unit."""
        raise NotImplementedError

    def embed_texts(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(M, T) int64, (M, T) -> (M, D) float32, unit; no image is read."""
        raise NotImplementedError

    def similarities(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """(B, D), (M, D) -> (B, M) float32: the configured similarity over the temperature."""
        raise NotImplementedError

    def clamp_temperature(self) -> None:
        """Bring the temperature back into [0.001, 0.5], and a trainable kappa above zero; after every step."""
        raise NotImplementedError

    # Image and text together

    def memory(self, image_tokens: torch.Tensor) -> Memory:
        """Keys and values of the images for each text layer.

        :meth:`fuse` and :meth:`decode` take it in place of the tokens: computed once, it serves the matching pairs and
        the captions of one step.
        """
        raise NotImplementedError

    def fuse(
        self,
        image: torch.Tensor | Memory,
        tokens: torch.Tensor,
        mask: torch.Tensor,
        rows: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The image-grounded encoder: M texts, each with an image -> (M, W), the state of [ENC].

        Args:
            image: (B, P, image width) tokens, or their memory.
            tokens: (M, T) int64; the first is replaced by [ENC].
            mask: (M, T).
            rows: (M,) int64, which image each text is read with; without it, M = B and each with its own.
        """
        raise NotImplementedError

    def match(self, fused: torch.Tensor) -> torch.Tensor:
        """(M, W) -> (M, 2) logits: does not fit, fits."""
        raise NotImplementedError

    def decode_states(self, image: torch.Tensor | Memory, tokens: torch.Tensor) -> torch.Tensor:
        """(B, T) int64, padded on the right -> (B, T, W): what :meth:`word_logits` reads.

        For a loss take the states of real tokens first: the table of words is wide.
        """
        raise NotImplementedError

    def word_logits(self, states: torch.Tensor) -> torch.Tensor:
        """(..., W) -> (..., V)."""
        raise NotImplementedError

    def decode(self, image: torch.Tensor | Memory, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(B, T) int64 -> (B, T, V): at each token the logits of the next; the first token is replaced by [DEC].

        ``mask`` (B, T) says which logits mean something; padding is on the right and changes nothing before it.
        """
        raise NotImplementedError

    # Classes

    def route(self, fused: torch.Tensor) -> Routed:
        """(B, W) -> features for the class layer, weights of experts, load-balance value (1 for one expert)."""
        raise NotImplementedError

    def class_features(self, fused: torch.Tensor) -> torch.Tensor:
        """(B, W) -> (B, W) that the class layer reads."""
        return self.route(fused).features

    def class_logits(self, features: torch.Tensor) -> torch.Tensor:
        """(B, W) -> (B, C) float32."""
        raise NotImplementedError

    def classify(
        self, pixels: torch.Tensor, tokens: torch.Tensor | None = None, mask: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, 3, H, W), with captions or without -> class features (B, W) and logits (B, C).

        An image alone is read with the empty caption, [ENC] [SEP].

        Raises:
            ModelError: the model has no classes, or reads images alone and a caption came.
        """
        raise NotImplementedError

    def empty_captions(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens and mask, (count, 2) int64 each, of captions without a word: [CLS] [SEP]."""
        raise NotImplementedError

    # Captions

    def generate_captions(
        self,
        pixels: torch.Tensor,
        *,
        num_beams: int = 1,
        max_length: int | None = None,
        min_length: int = 0,
        repetition_penalty: float = 1.0,
        length_penalty: float = 1.0,
    ) -> torch.Tensor:
        """(B, 3, H, W) -> (B, L) int64: words and their [SEP], padded behind; the [DEC] in front is left out.

        Args:
            num_beams: 1 is greedy.
            max_length: tokens at most, [SEP] included; None, and at most, what the model reads less [DEC].
            min_length: tokens before [SEP] may come.
            repetition_penalty: divides positive and multiplies negative logits of tokens already written.
            length_penalty: beams are compared by log probability / length ** length_penalty, [SEP] counted.
        """
        raise NotImplementedError

    def forward(
        self,
        pixel_values: torch.Tensor | None = None,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        **_: Any,
    ) -> ThpOutput:
        """Embeddings of what is given, and features and logits where there are pixels and classes."""
        raise NotImplementedError
