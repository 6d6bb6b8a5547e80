"""A step of class layer and loss at iNaturalist 2018's size, each loss against cross-entropy.

A linear layer from 2,048 features to 8,142 classes, a batch of 256, float32: scores, loss, and gradients of features,
rows and bias. Class counts fall from 1,000 to 2 as those of iNaturalist do; LDAM is measured with its late weights.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from measure import Line, interleaved, seconds
from torch.nn import functional

from openmmlo.losses import LOSSES, Staged, make_loss

BATCH, WIDTH, CLASSES = 256, 2_048, 8_142
PLAIN = "cross-entropy"


def measure(pairs: int) -> list[Line]:
    """One line for each loss of the table but cross-entropy itself."""
    random = torch.Generator().manual_seed(0)
    counts = torch.logspace(3, 0.30103, CLASSES).round()
    features = torch.randn(BATCH, WIDTH, generator=random, requires_grad=True)
    rows = (torch.randn(CLASSES, WIDTH, generator=random) / WIDTH**0.5).requires_grad_()
    bias = torch.zeros(CLASSES, requires_grad=True)
    targets = torch.multinomial(counts, BATCH, replacement=True, generator=random)

    def step_with(name: str) -> Callable[[], float]:
        loss = make_loss(name, counts)
        if isinstance(loss, Staged):
            loss.at(0.9)

        def step() -> None:
            found = loss(functional.linear(features, rows, bias), targets)
            torch.autograd.grad(found, (features, rows, bias))

        step()
        return lambda: seconds(step)

    plain = step_with(PLAIN)
    return [
        interleaved(
            f"a step of class layer and {name}, {WIDTH:,} → {CLASSES:,}, batch {BATCH}",
            step_with(name),
            plain,
            peer_name=PLAIN,
            bar=1.1,
            at_least=False,
            pairs=pairs,
            detail=lambda ours, theirs: f"{1000 * ours:.0f} ms against {1000 * theirs:.0f}",
        )
        for name in LOSSES
        if name != PLAIN
    ]
