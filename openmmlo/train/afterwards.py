"""What follows the last step: the class layer that training left is replaced by one that nothing is trained for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from openmmlo.train.batch import Batch
from openmmlo.train.feed import PairFeed
from openmmlo.train.loop import validated
from openmmlo.train.objectives.finetune import top1
from openmmlo.train.pairs import Integers
from openmmlo.train.posthoc import Evidence, Labelled, open_posthoc
from openmmlo.train.posthoc.class_layer import class_layer, put_class_layer

if TYPE_CHECKING:
    from accelerate import Accelerator


@dataclass(frozen=True)
class Afterwards:
    """What was done after the last step.

    Attributes:
        posthoc: its name, its options, and what it chose, for ``training.json``.
        measured: of the new class layer on what is held out, as columns of the log.
    """

    posthoc: Mapping[str, Any]
    measured: Mapping[str, float]


def replace_class_layer(
    name: str, options: Mapping[str, float], objective: Any, feed: PairFeed, class_counts: Integers,
    accelerator: Accelerator,
) -> Afterwards:  # fmt: skip
    """Put the class layer of a post-hoc method into the objective's model; one process does it for all.

    Features are of unaugmented images, in float32, read as ``objective.features`` reads them.

    Raises:
        UnknownName, ConfigError: no such method or option, or a class layer that it is not for.
        DataError: features that it cannot go by.
    """
    posthoc = open_posthoc(name, options)
    device = accelerator.device
    objective.eval()
    train = _read(objective, feed.unaugmented(device)) if "train" in posthoc.needs else None
    held_out = _read(objective, feed.validation(0, 1, device)) if "validation" in posthoc.needs else None
    found = posthoc.apply(class_layer(objective.model), Evidence(class_counts, train, held_out))
    put_class_layer(objective.model, found.layer)
    objective.model.eval()
    measured = validated(lambda batch: top1(objective.model, batch), feed, accelerator, 0, 1)
    return Afterwards({"name": posthoc.name, "options": dict(options), **found.choices}, measured)


@torch.no_grad()
def _read(objective: Any, batches: Iterable[Batch]) -> Labelled | None:
    """Features and labels of the samples that have a class; None of no batch."""
    features: list[torch.Tensor] = []
    labels: list[torch.Tensor] = []
    for batch in batches:
        known = batch.labels >= 0
        features.append(objective.features(batch)[known].float().cpu())
        labels.append(batch.labels[known].cpu())
    if not features:
        return None
    return Labelled(np.asarray(torch.cat(features)), np.asarray(torch.cat(labels)))
