"""Scores, targets and counts small enough to go through by hand."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch


class Case(NamedTuple):
    """Scores (B, C) in float64, targets (B,), counts (C,), and the same as plain lists."""

    logits: torch.Tensor
    targets: torch.Tensor
    counts: torch.Tensor

    @property
    def rows(self) -> list[tuple[list[float], int]]:
        return list(zip(self.logits.tolist(), self.targets.tolist(), strict=True))

    @property
    def n(self) -> list[int]:
        found: list[int] = self.counts.tolist()
        return found


@pytest.fixture
def case() -> Case:
    """Seven samples of five classes, one of which no sample has."""
    random = torch.Generator().manual_seed(3)
    logits = 2 * torch.randn(7, 5, generator=random, dtype=torch.float64)
    return Case(logits, torch.tensor([0, 4, 1, 1, 0, 3, 0]), torch.tensor([500, 120, 33, 6, 2]))
