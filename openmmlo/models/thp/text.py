"""The text part: one transformer that encodes texts, fuses them with an image, and decodes captions.

Encoder and decoder share every weight but their self-attention, so there is one stack of layers and each layer holds
two self-attentions: ``attention`` looks both ways, ``causal_attention`` only back. Names are those of transformers'
BERT, whose weights fit. Letters: B images, M texts, T tokens, P places of an image, W width.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.utils.checkpoint import checkpoint

from openmmlo.models.thp.configuration import ThpConfig

INITIAL_DEVIATION = 0.02
"""Of BERT's weights before training."""

NORM_EPSILON = 1e-12


class KeysValues(NamedTuple):
    """What is attended to: keys and values, each (B, heads, places, W / heads)."""

    keys: torch.Tensor
    values: torch.Tensor

    def select(self, rows: torch.Tensor) -> KeysValues:
        """(M,) int64 -> those rows, in that order."""
        return KeysValues(self.keys.index_select(0, rows), self.values.index_select(0, rows))


Memory = tuple[KeysValues, ...]
"""An image as each layer's cross-attention sees it; computed once, and read by every text beside that image."""


def select(memory: Memory, rows: torch.Tensor) -> Memory:
    """(M,) int64 -> the memory of those images, in that order."""
    return tuple(layer.select(rows) for layer in memory)


class TextTransformer(nn.Module):
    """Embeddings and layers of both the text encoder and the caption decoder.

    Args:
        image_width: of the image tokens.
    """

    def __init__(self, config: ThpConfig, image_width: int) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        self.encoder = Layers(config, image_width)
        self.gradient_checkpointing = False

    def memory(self, image_tokens: torch.Tensor) -> Memory:
        """(B, P, image width) -> keys and values for each layer."""
        return tuple(layer.crossattention.look_at(image_tokens) for layer in self.encoder.layer)

    def encode(
        self, tokens: torch.Tensor, mask: torch.Tensor, memory: Memory | None = None, first: bool = False
    ) -> torch.Tensor:
        """(M, T) int64, (M, T) -> (M, T, W); with a memory of M images each text also reads its image.

        Args:
            first: give (M, 1, W), the first token's state alone; the last layer then computes no other.
        """
        seen = mask.bool()[:, None, None, :]
        states = self.embeddings(tokens)
        last = len(self.encoder.layer) - 1
        for number, layer in enumerate(self.encoder.layer):
            image = None if memory is None else memory[number]
            states = self._through(layer, states, seen, image, first and number == last)
        return states

    def decode(self, tokens: torch.Tensor, memory: Memory) -> torch.Tensor:
        """(M, T) int64 -> (M, T, W); the state of each token knows the tokens up to it and the image.

        There is no mask: padding is on the right, where nothing before it looks.
        """
        states = self.embeddings(tokens)
        for layer, image in zip(self.encoder.layer, memory, strict=True):
            states = self._through(layer, states, None, image)
        return states

    def step(self, tokens: torch.Tensor, memory: Memory, past: Memory | None) -> tuple[torch.Tensor, Memory]:
        """(M,) int64, the next token of each caption -> (M, W) its state, and the past with it added."""
        states = self.embeddings(tokens[:, None], 0 if past is None else past[0].keys.shape[2])
        now = []
        for number, layer in enumerate(self.encoder.layer):
            seen = layer.causal_attention.look_at(states)
            if past is not None:
                before = past[number]
                seen = KeysValues(torch.cat([before.keys, seen.keys], 2), torch.cat([before.values, seen.values], 2))
            now.append(seen)
            states = layer.rest(layer.causal_attention(states, seen), memory[number])
        return states[:, 0], tuple(now)

    def _through(self, layer: nn.Module, *values: Any) -> torch.Tensor:
        if self.gradient_checkpointing and self.training and torch.is_grad_enabled():
            found: torch.Tensor = checkpoint(layer, *values, use_reentrant=False)
        else:
            found = layer(*values)
        return found

    def reset_parameters(self) -> None:
        """Random weights, as BERT's were before training."""
        for module in self.modules():
            reset_as_bert(module)


def reset_as_bert(module: nn.Module) -> None:
    """BERT's initial values for one module; children are not touched."""
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.normal_(module.weight, 0.0, INITIAL_DEVIATION)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)


class Embeddings(nn.Module):
    """Words and positions: (M, T) int64 -> (M, T, W)."""

    def __init__(self, config: ThpConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.text_width)
        self.position_embeddings = nn.Embedding(config.text_length, config.text_width)
        self.LayerNorm = nn.LayerNorm(config.text_width, NORM_EPSILON)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, tokens: torch.Tensor, start: int = 0) -> torch.Tensor:
        end = start + tokens.shape[1]
        if end > self.position_embeddings.num_embeddings:
            raise ValueError(
                f"A text of {end} tokens; this model reads {self.position_embeddings.num_embeddings}. "
                "Cut it: tokenize(tokenizer, texts, length)."
            )
        states = self.word_embeddings(tokens) + self.position_embeddings.weight[start:end]
        found: torch.Tensor = self.dropout(self.LayerNorm(states))
        return found


class Layers(nn.Module):
    """Holds the layers under the name that BERT gives them."""

    def __init__(self, config: ThpConfig, image_width: int) -> None:
        super().__init__()
        self.layer = nn.ModuleList(Layer(config, image_width) for _ in range(config.text_layers))


class Layer(nn.Module):
    """Self-attention of the encoder or of the decoder; what image there is; the two-layer network."""

    def __init__(self, config: ThpConfig, image_width: int) -> None:
        super().__init__()
        self.attention = Attention(config, config.text_width)
        self.causal_attention = Attention(config, config.text_width)
        self.crossattention = Attention(config, image_width)
        self.intermediate = Intermediate(config)
        self.output = Residual(config, config.text_intermediate)

    def forward(
        self, states: torch.Tensor, mask: torch.Tensor | None, image: KeysValues | None, first: bool = False
    ) -> torch.Tensor:
        """(M, T, W) -> (M, T, W), or (M, 1, W) with ``first``.

        Args:
            mask: (M, 1, 1, T) bool for the encoder; without one the layer decodes.
        """
        own = self.causal_attention if mask is None else self.attention
        seen = own.look_at(states)
        states = own(states[:, :1] if first else states, seen, mask, causal=mask is None)
        return self.rest(states, image)

    def rest(self, states: torch.Tensor, image: KeysValues | None) -> torch.Tensor:
        """All behind the self-attention; the decoder shares it with the encoder."""
        if image is not None:
            states = self.crossattention(states, image)
        found: torch.Tensor = self.output(self.intermediate(states), states)
        return found


class Attention(nn.Module):
    """Multi-head attention with its residual; keys and values are computed apart, since some are read often."""

    def __init__(self, config: ThpConfig, source_width: int) -> None:
        super().__init__()
        self.heads = config.text_heads
        self.share = config.dropout
        self.self = Projections(config.text_width, source_width)
        self.output = Residual(config, config.text_width)

    def look_at(self, source: torch.Tensor) -> KeysValues:
        """(M, P, source width) -> what :meth:`forward` attends to."""
        return KeysValues(self._split(self.self.key(source)), self._split(self.self.value(source)))

    def forward(
        self, states: torch.Tensor, seen: KeysValues, mask: torch.Tensor | None = None, causal: bool = False
    ) -> torch.Tensor:
        queries = self._split(self.self.query(states))
        share = self.share if self.training else 0.0
        mixed = attend(queries, seen, mask, share, causal)
        found: torch.Tensor = self.output(mixed.transpose(1, 2).flatten(2), states)
        return found

    def _split(self, states: torch.Tensor) -> torch.Tensor:
        return states.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def attend(
    queries: torch.Tensor, seen: KeysValues, mask: torch.Tensor | None, share: float, causal: bool
) -> torch.Tensor:
    """Scaled dot-product attention: (M, heads, T, W / heads) -> the same.

    On a CPU it is written out: for the short sequences here the backward pass of torch's fused kernel takes several
    times as long (torch 2.15).

    Args:
        mask: (M, 1, 1, P) bool, True where it may look.
        share: of dropout.
        causal: each token looks at itself and what is before it.
    """
    if queries.device.type != "cpu":
        return F.scaled_dot_product_attention(queries, *seen, attn_mask=mask, dropout_p=share, is_causal=causal)
    scores = queries * queries.shape[-1] ** -0.5 @ seen.keys.mT
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    if causal:
        ahead = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(ahead, float("-inf"))
    weights = scores.softmax(-1, dtype=torch.float32).to(seen.values.dtype)
    if share:
        weights = F.dropout(weights, share)
    return weights @ seen.values


class Projections(nn.Module):
    """Holds the three maps under the names that BERT gives them."""

    def __init__(self, width: int, source_width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(source_width, width)
        self.value = nn.Linear(source_width, width)


class Intermediate(nn.Module):
    """The first layer of the two-layer network."""

    def __init__(self, config: ThpConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.text_width, config.text_intermediate)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return F.gelu(self.dense(states))


class Residual(nn.Module):
    """A linear map, added to what came before and normalised."""

    def __init__(self, config: ThpConfig, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, config.text_width)
        self.LayerNorm = nn.LayerNorm(config.text_width, NORM_EPSILON)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, states: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.LayerNorm(self.dropout(self.dense(states)) + before)
        return found


class LanguageHead(nn.Module):
    """States -> logits of the next token; the last map is the table of words itself, as in BERT."""

    def __init__(self, config: ThpConfig) -> None:
        super().__init__()
        self.transform = Transform(config.text_width)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, states: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        """(..., W), (V, W) -> (..., V)."""
        return F.linear(self.transform(states), words, self.bias)

    def reset_parameters(self) -> None:
        for module in self.modules():
            reset_as_bert(module)
        nn.init.zeros_(self.bias)


class Transform(nn.Module):
    """A layer before the table of words, under the names that BERT gives it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)
        self.LayerNorm = nn.LayerNorm(width, NORM_EPSILON)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.LayerNorm(F.gelu(self.dense(states)))
        return found
