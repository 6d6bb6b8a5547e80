"""Random numbers that belong to a sample: the same on one process and on many, and again after a resume."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

_MULTIPLIERS = (0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64)  # as int64
_BITS = 23  # with the half that keeps 0 and 1 out, what float32 holds exactly


def uniforms(purpose: str, seed: int, step: int, *keys: Tensor) -> Tensor:
    """Numbers in (0, 1), float32, decided by the purpose, the seed, the step and the keys alone.

    Not by the rank, the order of the batch, the device or torch's generators. Steele et al.'s SplitMix64 finaliser
    (OOPSLA 2014) mixes in one key after another.

    Args:
        purpose: keeps draws for different things apart.
        keys: int64, of shapes that broadcast: (B,) gives a number a sample, (B, 1) and (1, M) a number a pair.
    """
    words = hashlib.sha256(f"{purpose}|{seed}|{step}".encode()).digest()
    mixed = torch.full_like(keys[0], int.from_bytes(words[:8], "big", signed=True))
    for key in keys:
        mixed = _mix(_mix(mixed) + key)
    return (_shifted(_mix(mixed), 64 - _BITS) + 0.5) * 2.0**-_BITS


def _mix(words: Tensor) -> Tensor:
    """SplitMix64's finaliser; int64 products wrap around."""
    words = (words ^ _shifted(words, 30)) * _MULTIPLIERS[0]
    words = (words ^ _shifted(words, 27)) * _MULTIPLIERS[1]
    return words ^ _shifted(words, 31)


def _shifted(words: Tensor, bits: int) -> Tensor:
    """Shift to the right that brings in zeros; torch's own brings in the sign."""
    return (words >> bits) & ((1 << (64 - bits)) - 1)
