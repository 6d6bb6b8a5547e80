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

from openmmlo.errors import ModelError
from openmmlo.models.thp.configuration import ThpConfig
from openmmlo.models.thp.generation import Search, write_captions
from openmmlo.models.thp.heads import SphericalHead
from openmmlo.models.thp.image_encoder import ImageEncoder
from openmmlo.models.thp.router import Routed
from openmmlo.models.thp.text import LanguageHead, Memory, TextTransformer, select
from openmmlo.spherical.similarity import SIMILARITIES, cosines

TEMPERATURES = (0.001, 0.5)
"""Between which the temperature is kept, as released."""

KAPPAS = (0.01, 1_000.0)
"""Between which a trainable kappa is kept."""


@dataclass
class ThpOutput(ModelOutput):
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


class ThpModel(PreTrainedModel):
    """Image encoder, shared text encoder and decoder, projections, matching head and class head.

    Everything is at random at first: weights come from a checkpoint
    (:func:`~openmmlo.models.thp.checkpoint.load_model`, ``from_pretrained``), from ``load_bert`` and ``load_timm``, or
    from training.

    Attributes:
        image_encoder: pixels -> tokens.
        text: the transformer that encodes, fuses and decodes.
        language_head: states -> logits of the next word, on the table of words.
        image_projection, text_projection: first token -> D.
        match_head: fused state -> does not fit, fits.
        head: the class head; None without classes.
        temperature: scalar parameter.
        kappa: of the similarity: scalar parameter where it is trained, else a number.
    """

    config_class = ThpConfig
    base_model_prefix = "thp"
    main_input_name = "pixel_values"
    supports_gradient_checkpointing = True

    def __init__(self, config: ThpConfig) -> None:
        super().__init__(config)
        self.image_encoder = ImageEncoder(config.image_encoder, config.image_options)
        self.text = TextTransformer(config, self.image_encoder.width)
        self.language_head = LanguageHead(config)
        self.image_projection = nn.Linear(self.image_encoder.width, config.projection)
        self.text_projection = nn.Linear(config.text_width, config.projection)
        self.match_head = nn.Linear(config.text_width, 2)
        self.head = class_head(config) if config.classes else None
        self.temperature = nn.Parameter(torch.empty(()))
        self.kappa = nn.Parameter(torch.empty(())) if config.trainable_kappa else config.kappa
        self._similarity = SIMILARITIES.load(config.similarity)
        if not self.temperature.is_meta:  # timm has made its own random weights
            for module in self.image_encoder.modules():
                module._is_hf_initialized = True
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """transformers asks this for every module without weights, children before parents."""
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()

    def reset_parameters(self) -> None:
        """The scalars at their start, the text part as BERT; other parts have their own.

        transformers does not ask modules that hold parts alone and no weights, such as the text part.
        """
        self.text.reset_parameters()
        nn.init.constant_(self.temperature, self.config.temperature)
        if isinstance(self.kappa, nn.Parameter):
            nn.init.constant_(self.kappa, self.config.kappa)

    def get_input_embeddings(self) -> nn.Module:
        """The table of words."""
        words: nn.Module = self.text.embeddings.word_embeddings
        return words

    def _set_gradient_checkpointing(self, enable: bool = True, **_: Any) -> None:
        """What transformers' ``gradient_checkpointing_enable``, or ``activation_...`` in later ones, comes down to."""
        self.text.gradient_checkpointing = enable
        self.image_encoder.checkpoint_gradients(enable)

    # Embeddings

    def image_tokens(self, pixels: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) -> (B, P, image width), the pooled token first."""
        found: torch.Tensor = self.image_encoder(pixels)
        return found

    def embed_images(self, image_tokens: torch.Tensor) -> torch.Tensor:
        """(B, P, image width) -> (B, D) float32, unit."""
        return F.normalize(self.image_projection(image_tokens[:, 0]).float(), dim=-1)

    def embed_texts(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(M, T) int64, (M, T) -> (M, D) float32, unit; no image is read."""
        states = self.text.encode(tokens, mask, first=True)[:, 0]
        return F.normalize(self.text_projection(states).float(), dim=-1)

    def similarities(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """(B, D), (M, D) -> (B, M) float32: the configured similarity over the temperature."""
        return self.similarity_logits(cosines(x, y))

    def similarity_logits(self, cosine: torch.Tensor) -> torch.Tensor:
        """Cosines of any shape in float32 -> the configured similarity of each over the temperature."""
        compared: torch.Tensor = self._similarity(cosine, self.kappa)
        return compared / self.temperature

    @torch.no_grad()
    def clamp_temperature(self) -> None:
        """Bring the temperature back into [0.001, 0.5], and a trained kappa into [0.01, 1000]; after every step."""
        self.temperature.clamp_(*TEMPERATURES)
        if isinstance(self.kappa, nn.Parameter):
            self.kappa.clamp_(*KAPPAS)

    # Image and text together

    def memory(self, image_tokens: torch.Tensor) -> Memory:
        """Keys and values of the images for each text layer.

        :meth:`fuse` and :meth:`decode` take it in place of the tokens: computed once, it serves the matching pairs and
        the captions of one step.
        """
        return self.text.memory(image_tokens)

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
        memory = self._memory(image)
        if rows is not None:
            memory = select(memory, rows)
        states = self.text.encode(_begun(tokens, self.config.enc_token_id), mask, memory, first=True)
        return states[:, 0]

    def match(self, fused: torch.Tensor) -> torch.Tensor:
        """(M, W) -> (M, 2) logits: does not fit, fits."""
        found: torch.Tensor = self.match_head(fused)
        return found

    def decode_states(self, image: torch.Tensor | Memory, tokens: torch.Tensor) -> torch.Tensor:
        """(B, T) int64, padded on the right -> (B, T, W): what :meth:`word_logits` reads.

        For a loss take the states that have a next word first: the table of words is wide.
        """
        return self.text.decode(_begun(tokens, self.config.dec_token_id), self._memory(image))

    def word_logits(self, states: torch.Tensor) -> torch.Tensor:
        """(..., W) -> (..., V)."""
        found: torch.Tensor = self.language_head(states, self.text.embeddings.word_embeddings.weight)
        return found

    def decode(
        self, image: torch.Tensor | Memory, tokens: torch.Tensor, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """(B, T) int64 -> (B, T, V): at each token the logits of the next; the first token is replaced by [DEC].

        Args:
            mask: (B, T); logits at padding are zero. Padding is on the right and changes nothing before it.
        """
        logits = self.word_logits(self.decode_states(image, tokens))
        return logits if mask is None else logits * mask.unsqueeze(-1).to(logits.dtype)

    def _memory(self, image: torch.Tensor | Memory) -> Memory:
        return self.text.memory(image) if isinstance(image, torch.Tensor) else image

    # Classes

    def route(self, fused: torch.Tensor) -> Routed:
        """(B, W) -> features for the class layer, weights of experts, load-balance value (1 for one expert)."""
        return self._head().adapt(fused)

    def class_features(self, fused: torch.Tensor) -> torch.Tensor:
        """(B, W) -> (B, W) that the class layer reads."""
        return self.route(fused).features

    def class_logits(self, features: torch.Tensor) -> torch.Tensor:
        """(B, W) -> (B, C) float32."""
        return self._head().logits(features)

    def classify(
        self, pixels: torch.Tensor, tokens: torch.Tensor | None = None, mask: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, 3, H, W), with captions or without -> class features (B, W) and logits (B, C).

        An image alone is read with the empty caption, [ENC] [SEP].

        Raises:
            ModelError: the model has no classes, or reads images alone and a caption came.
        """
        return self._classified(self.image_tokens(pixels), tokens, mask)

    def empty_captions(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens and mask, (count, 2) int64 each, of captions without a word: [CLS] [SEP]."""
        ends = torch.tensor([self.config.cls_token_id, self.config.sep_token_id], device=self.device)
        return ends.expand(count, 2), torch.ones_like(ends).expand(count, 2)

    def _classified(
        self, image: torch.Tensor, tokens: torch.Tensor | None, mask: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        self._head()
        if tokens is None:
            tokens, mask = self.empty_captions(len(image))
        elif self.config.reads == "image":
            raise ModelError("This model classifies images alone: its head saw no captions. Give pixels only.")
        features = self.class_features(self.fuse(image, tokens, torch.ones_like(tokens) if mask is None else mask))
        return features, self.class_logits(features)

    def _head(self) -> SphericalHead:
        if self.head is None:
            raise ModelError(
                "This model has no class head: it was pre-trained, not fine-tuned. "
                "openmmlo finetune gives it one; embeddings and captions need none."
            )
        head: SphericalHead = self.head
        return head

    # Captions

    @torch.no_grad()
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

        Put the model into evaluation mode first. See :func:`~openmmlo.models.thp.generation.write_captions`.

        Args:
            max_length: tokens at most, [SEP] included; None is what training can show: text_length - 1.
        """
        search = Search(
            num_beams=num_beams,
            max_length=self.config.text_length - 1 if max_length is None else max_length,
            min_length=min_length,
            repetition_penalty=repetition_penalty,
            length_penalty=length_penalty,
        )
        return write_captions(self, self.memory(self.image_tokens(pixels)), search).tokens

    def forward(
        self,
        pixel_values: torch.Tensor | None = None,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        **_: Any,
    ) -> ThpOutput:
        """Embeddings of what is given; features and logits where there are pixels and classes."""
        found = ThpOutput()
        if input_ids is not None:
            attention_mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
            found.text_embeds = self.embed_texts(input_ids, attention_mask)
        if pixel_values is not None:
            image = self.image_tokens(pixel_values)
            found.image_embeds = self.embed_images(image)
            if self.head is not None:
                read = self.config.reads == "both"
                found.features, found.logits = self._classified(
                    image, input_ids if read else None, attention_mask if read else None
                )
        return found


def class_head(config: ThpConfig) -> SphericalHead:
    """The head that a configuration describes, at random."""
    return SphericalHead(
        config.text_width,
        config.classes,
        config.head,
        config.head_kappa,
        config.head_scale_start,
        config.experts,
        config.router_top_k,
        config.head_r_start,
        config.class_scales,
    )


def _begun(tokens: torch.Tensor, mark: int) -> torch.Tensor:
    """(M, T) -> the same with another first token."""
    return torch.cat([torch.full_like(tokens[:, :1], mark), tokens[:, 1:]], 1)
