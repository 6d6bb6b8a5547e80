"""The class head: an adapter, then unit features against unit centres under a learnt scale."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from openmmlo.models.thp.configuration import NEUTRAL_SCALE, HeadKind
from openmmlo.models.thp.router import Expert, Routed, Router
from openmmlo.spherical.similarity import SIMILARITIES, cosines

R_MOST = 0.9999
"""Of a wrapped-cauchy head; a kappa of 2 * 10^8."""


class SphericalHead(nn.Module):
    """Class scores from the fused state of image and caption.

    Args:
        width: of the state.
        classes: C.
        kind: thp is S_kappa(u, w_c) * scale, cosine is u.w_c * scale on unit vectors, both without bias; t-vmf and
            wrapped-cauchy are the same with these similarities; linear is a plain layer with bias.
        kappa: of T-hp and t-vMF, and of the router.
        scale_start: what the scores are multiplied by at the start; scale = 1 + softplus(a), a learnt.
        experts: more than one are behind a :class:`Router`.
        top_k: see there.
        r_start: of wrapped-cauchy at the start, alike for all classes; r_c = sigmoid(g_c), g learnt.
        class_scales: a learnt factor on each class's score of a linear head, bias included, 1 at the start (LWS of
            Kang et al., arXiv:1910.09217).

    Parameter names: ``adapter`` (Expert or Router), ``centres`` (C, W), ``scale`` (a; None in a linear head), ``bias``
    (C,; None but in a linear head), ``concentrations`` (C, g; None but with wrapped-cauchy), ``class_scales`` (C,; None
    without them).
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
        r_start: float = 0.5,
        class_scales: bool = False,
    ) -> None:
        super().__init__()
        if class_scales and kind != "linear":
            raise ValueError(f"Class scales of a {kind} head; they belong to a linear one.")
        self.kind = kind
        self.kappa = kappa
        self.scale_start = scale_start
        self.r_start = r_start
        self.adapter = Expert(width) if experts == 1 else Router(width, experts, top_k, kappa)
        self.centres = nn.Parameter(torch.empty(classes, width))
        self.scale = None if kind == "linear" else nn.Parameter(torch.empty(()))
        self.bias = nn.Parameter(torch.empty(classes)) if kind == "linear" else None
        self.concentrations = nn.Parameter(torch.empty(classes)) if kind == "wrapped-cauchy" else None
        self.class_scales = nn.Parameter(torch.empty(classes)) if class_scales else None
        self.reset_parameters()

    def adapt(self, states: torch.Tensor) -> Routed:
        """(B, W) -> the features that the class layer reads, and how they were routed."""
        if isinstance(self.adapter, Router):
            routed: Routed = self.adapter(states)
            return routed
        whole = torch.ones((len(states), 1), device=states.device)
        return Routed(self.adapter(states), whole, whole)

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        """(B, W) -> (B, C) float32."""
        if self.scale is None:
            scores = F.linear(features.to(self.centres.dtype), self.centres, self.bias).float()
            return scores if self.class_scales is None else scores * self.class_scales.float()
        concentration = self.kappa if self.concentrations is None else self.rs()
        compared: torch.Tensor = SIMILARITIES.load(self.kind)(cosines(features, self.centres), concentration)
        return compared * self.multiplier()

    def rs(self) -> torch.Tensor:
        """(C,) float32 r of wrapped-cauchy; at most R_MOST, where a class's greatest score is a finite number.

        Raises:
            ValueError: a head of another kind.
        """
        if self.concentrations is None:
            raise ValueError(f"A {self.kind} head has no r.")
        return self.concentrations.float().sigmoid().clamp_max(R_MOST)

    def linear_map(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(C, W), (C,): the rows and bias that a linear head comes down to, class scales multiplied in.

        Raises:
            ValueError: a head of another kind.
        """
        if self.bias is None:
            raise ValueError(f"A {self.kind} head is not linear in its features.")
        if self.class_scales is None:
            return self.centres, self.bias
        return self.centres * self.class_scales[:, None], self.bias * self.class_scales

    def multiplier(self) -> torch.Tensor:
        """What similarities are multiplied by, 1 + softplus(a): scalar; 1 in a linear head."""
        if self.scale is None:
            return torch.ones((), device=self.centres.device)
        return F.softplus(self.scale.float()) + 1

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """(B, W) -> (B, C): :meth:`adapt`, then :meth:`logits`."""
        return self.logits(self.adapt(states).features)

    def reset_parameters(self) -> None:
        """Random centres, the scale at its start; the adapter's layers stay as torch makes them."""
        if self.bias is not None:
            nn.init.normal_(self.centres, 0.0, self.centres.shape[1] ** -0.5)
            nn.init.zeros_(self.bias)
        if self.scale is not None:
            nn.init.normal_(self.centres)
            over = self.scale_start - 1
            nn.init.constant_(self.scale, over if over > 40 else math.log(math.expm1(over)))  # alike beyond float64
        if self.concentrations is not None:
            nn.init.constant_(self.concentrations, math.log(self.r_start / (1 - self.r_start)))
        if self.class_scales is not None:
            nn.init.ones_(self.class_scales)
