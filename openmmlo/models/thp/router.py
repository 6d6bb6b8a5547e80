"""The T-router: features go to experts by their T-hp similarity to a centre of each."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from openmmlo.spherical.similarity import cosines, thp


class Routed(NamedTuple):
    """What the class layer reads.

    Attributes:
        features: (B, W).
        weights: (B, E) of each expert's answer; they sum to one.
        probabilities: (B, E) the same before experts are left out.
    """

    features: torch.Tensor
    weights: torch.Tensor
    probabilities: torch.Tensor

    @property
    def balance(self) -> torch.Tensor:
        """Scalar, :func:`load_balance` of this batch."""
        return load_balance(self.probabilities, first_choices(self.probabilities))


def first_choices(probabilities: torch.Tensor) -> torch.Tensor:
    """(B, E) -> (E,) f_e, the share of the batch whose best expert is e."""
    return F.one_hot(probabilities.argmax(-1), probabilities.shape[-1]).to(probabilities.dtype).mean(0)


def load_balance(probabilities: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """E * sum_e f_e * q_e, q_e the mean probability: scalar, 1 where all experts are used alike.

    Args:
        probabilities: (B, E); the gradient is through these.
        shares: (E,) f_e, of this batch or of the global batch that it is a part of.
    """
    return len(shares) * (shares * probabilities.mean(0)).sum()


class Expert(nn.Module):
    """Linear, ReLU, Linear at one width, without residual: the adapter of the paper's head."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width)
        self.outer = nn.Linear(width, width)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.outer(F.relu(self.inner(states)))
        return found


class Router(nn.Module):
    """Weighs the answers of experts: q = softmax((1 + softplus(b)) * S_kappa(h, m_e)), y = sum_e q_e * FFN_e(h).

    The paper names an adapter that routes features to experts and says no more: this is the least definition that
    gives the plain head for one expert.

    Args:
        width: of the features.
        experts: E.
        top_k: experts that a sample keeps, their weights renormalised; None keeps all. Every expert is computed all the
            same, so top_k saves no time, and one that nobody keeps has a gradient of zeros, not none.
        kappa: of the similarity.

    (B, W) -> :class:`Routed`. With ``top_k=1`` the one weight is 1, so nothing but the load balance moves the centres.
    """

    def __init__(self, width: int, experts: int, top_k: int | None = None, kappa: float = 16.0) -> None:
        super().__init__()
        if experts < 1 or (top_k is not None and not 1 <= top_k <= experts):
            raise ValueError(f"{experts} experts, of which {top_k} are kept; expected 1 to {experts}.")
        self.top_k = top_k
        self.kappa = kappa
        self.experts = nn.ModuleList(Expert(width) for _ in range(experts))
        self.centres = nn.Parameter(torch.empty(experts, width))
        self.scale = nn.Parameter(torch.zeros(()))
        self.reset_parameters()

    def forward(self, states: torch.Tensor) -> Routed:
        likeness = thp(cosines(states, self.centres), self.kappa)
        whole = (F.softplus(self.scale.float()) + 1) * likeness
        weights = probabilities = whole.softmax(-1)
        if self.top_k is not None:
            kept, which = weights.topk(self.top_k, dim=-1)
            weights = torch.zeros_like(weights).scatter(-1, which, kept / kept.sum(-1, keepdim=True))
        answers = torch.stack([expert(states) for expert in self.experts], 1)
        return Routed((weights.unsqueeze(-1) * answers).sum(1), weights, probabilities)

    def reset_parameters(self) -> None:
        """Random centres; the scale starts at 1 + softplus(0)."""
        nn.init.normal_(self.centres)
        nn.init.zeros_(self.scale)
