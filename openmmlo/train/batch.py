"""One batch of pairs as it travels: pixels, tokens, labels, and the ids and keys that say which samples they are."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True, eq=False)
class Batch:
    """B pairs of an image and a caption.

    Attributes:
        pixels: (B, 3, H, W) float32, normalised.
        tokens: (B, T) int64.
        mask: (B, T) int64, 1 where a token is, 0 where padding is.
        labels: (B,) int64; -1 where the class is not known.
        sample_ids: B of them.
        keys: (B,) int64, :func:`sample_key` of each id, for randomness that follows a sample wherever it is computed.
    """

    pixels: torch.Tensor
    tokens: torch.Tensor
    mask: torch.Tensor
    labels: torch.Tensor
    sample_ids: tuple[str, ...]
    keys: torch.Tensor

    def __len__(self) -> int:
        return len(self.sample_ids)

    def to(self, device: torch.device | str) -> Batch:
        """The same on a device; from page-locked memory the copy goes on beside the computation."""
        return self._with(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """The same in page-locked memory."""
        return self._with(lambda tensor: tensor.pin_memory())

    def _with(self, change: Any) -> Batch:
        tensors = (self.pixels, self.tokens, self.mask, self.labels, self.keys)
        pixels, tokens, mask, labels, keys = map(change, tensors)
        return Batch(pixels, tokens, mask, labels, self.sample_ids, keys)


def sample_key(sample_id: str) -> int:
    """The first 63 bits of the SHA-256 of a sample id: equal everywhere, spread evenly, never negative."""
    return int.from_bytes(hashlib.sha256(sample_id.encode("utf-8", "surrogatepass")).digest()[:8], "big") >> 1


def sample_keys(sample_ids: Sequence[str]) -> torch.Tensor:
    """(B,) int64: :func:`sample_key` of each id."""
    return torch.tensor([sample_key(sample_id) for sample_id in sample_ids], dtype=torch.int64)
