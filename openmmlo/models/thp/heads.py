"""The class head: an adapter, then unit features against unit centres under a learnt scale."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from openmmlo.models.thp.configuration import NEUTRAL_SCALE, HeadKind
from openmmlo.models.thp.router import Expert, Routed, Router


class SphericalHead(nn.Module):
    """Class scores from the fused state of image and caption.

    Args:
        width: of the state.
        classes: C.
        kind: thp is S_kappa(u, w_c) * scale, cosine is u.w_c * scale on unit vectors, both without bias; linear is
            a plain layer with bias.
        kappa: of T-hp, and of the router.
        scale_start: what the scores are multiplied by at the start; scale = 1 + softplus(a), a learnt.
        experts: more than one are behind a :class:`Router`.
        top_k: see there.

    Parameter names: ``adapter`` (Expert or Router), ``centres`` (C, W), ``scale`` (a; None in a linear head), ``bias``
    (C,; None but in a linear head).
    """

    def __init__(
        self,
        width: int,
        classes: int,
        kind: HeadKind = "thp",
        kappa: float = 16.0,
        scale_start: float = NEUTRAL_SCALE,
        experts: int = 1,
        top_k: int | None = None,
    ) -> None:
        super().__init__()
        raise NotImplementedError

    def adapt(self, states: torch.Tensor) -> Routed:
        """(B, W) -> the features that the class layer reads, and how they were routed."""
        raise NotImplementedError

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        """(B, W) -> (B, C) float32."""
        raise NotImplementedError

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """(B, W) -> (B, C): :meth:`adapt`, then :meth:`logits`."""
        return self.logits(self.adapt(states).features)
