"""What a run would be, before it is one: parameters, memory, length, and what would stand in its way."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from openmmlo.errors import OpenmmloError
from openmmlo.records import Finding
from openmmlo.train.batch import Batch, sample_keys
from openmmlo.train.objective import Objective
from openmmlo.train.optimiser import build_optimiser
from openmmlo.train.pairs import TokenTable
from openmmlo.train.recipe import Recipe
from openmmlo.train.run import Prepared, Task, Tokeniser, prepare
from openmmlo.train.state import StepState
from openmmlo.train.training_data import TrainingData, read_training_data

SAMPLES = (2, 4)
"""Batches whose forward pass is looked at; what grows between them grows with every sample."""


@dataclass(frozen=True)
class DryRun:
    """What a run would be.

    Attributes:
        kind: pretrain or finetune.
        target: the published number the recipe aims at.
        method: what is trained by which loss, and what is drawn, in words.
        samples: rows to train and to validate on.
        steps, epochs: of the run; steps_an_epoch.
        batch: samples a step; a process computes ``batch // accumulation`` at a time, where it is alone.
        parameters: part -> (all, trained).
        memory: bytes: weights, gradients, optimiser, activations, total; and how the activations were found.
        findings: what would be said, and with level error what would be refused.
    """

    kind: str
    target: str
    method: Mapping[str, str] = field(default_factory=dict)
    samples: Mapping[str, int] = field(default_factory=dict)
    steps: int = 0
    epochs: float = 0.0
    steps_an_epoch: int = 0
    batch: int = 0
    accumulation: int = 1
    parameters: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    memory: Mapping[str, int] = field(default_factory=dict)
    activations: str = ""
    findings: tuple[Finding, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether the run would not start."""
        return any(item.level == "error" for item in self.findings)


def dry_run(task: Task) -> DryRun:
    """Look at all that a run would look at; train nothing, write nothing, and say what would be refused.

    Of what is on a Hub it fetches the tokenizer, and a checkpoint to fine-tune, which says what the model is.
    """
    recipe = task.recipe
    found = DryRun(task.kind, recipe.target, task.method, batch=recipe.batch_size, accumulation=recipe.accumulation)
    try:
        task.start_digest()
        data = read_training_data(recipe)
        tokenizer = task.tokenizer(data.train.texts)
        prepared = prepare(task, data, Tokeniser(tokenizer, int(tokenizer.pad_token_id)))
        found = _counted(found, data, prepared)
        if found.refused:
            return found
        objective = task.objective(tokenizer, data, weights=False)
        return _measured(found, objective, recipe, prepared, task.views)
    except OpenmmloError as error:
        return replace(found, findings=(*found.findings, Finding("error", str(error))))


def _counted(found: DryRun, data: TrainingData, prepared: Prepared) -> DryRun:
    samples = {"training": len(data.train)}
    if data.validation is not None:
        samples["validation"] = len(data.validation)
    a_pass = prepared.order.steps_an_epoch
    steps = prepared.settings.steps
    return replace(
        found, samples=samples, steps=steps, epochs=steps / a_pass, steps_an_epoch=a_pass, findings=prepared.findings
    )


def _measured(found: DryRun, objective: Objective, recipe: Recipe, prepared: Prepared, views: int) -> DryRun:
    build_optimiser(objective, recipe.lr, recipe.beta1, recipe.beta2, recipe.weight_decay)  # says what is trained
    trained = sum(size for _, size in _parts(objective.model).values())
    weights = _stored(objective)
    size = views * recipe.batch_size // recipe.accumulation
    fixed, each = activation_bytes(objective, recipe, prepared.tables[0])
    memory = {
        "weights": weights,
        "gradients": 4 * trained,
        "optimiser": 8 * trained,
        "activations": fixed + each * size,
    }
    how = (
        f"counted: what the forward pass of {' and '.join(map(str, SAMPLES))} samples keeps for the backward pass, "
        f"scaled to the {size} samples of a batch; work space of single operations comes on top"
    )
    total = sum(memory.values())
    return replace(found, parameters=_parts(objective.model), memory=memory | {"total": total}, activations=how)


def _parts(model: Any) -> dict[str, tuple[int, int]]:
    """Part of the model -> (parameters, trained parameters); one that parts share counts with the first."""
    seen: set[int] = set()
    parts: dict[str, tuple[int, int]] = {}
    for name, parameter in model.named_parameters():
        if id(parameter) in seen:
            continue
        seen.add(id(parameter))
        part = name.split(".")[0]
        everything, trained = parts.get(part, (0, 0))
        parts[part] = everything + parameter.numel(), trained + parameter.numel() * parameter.requires_grad
    return parts


def _stored(objective: Any) -> int:
    """Bytes of weights, momentum copies and queues; shared ones once."""
    tensors = {tensor.data_ptr(): tensor for tensor in (*objective.parameters(), *objective.buffers())}
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def activation_bytes(objective: Objective, recipe: Recipe, table: TokenTable) -> tuple[int, int]:
    """(bytes whatever the batch, bytes a sample) that the forward pass keeps for the backward pass.

    Read off on the CPU for batches of ``SAMPLES``, with captions of the longest length there is. With gradient
    checkpointing, what is computed again comes on top, one layer at a time.
    """
    length = min(recipe.text_length, max(table.longest, 3))
    few, more = (_kept_bytes(objective, recipe, _made_up(objective.model.config, size, length)) for size in SAMPLES)
    each = max(0, more - few) // (SAMPLES[1] - SAMPLES[0])
    return max(0, few - each * SAMPLES[0]), each


def _made_up(config: Any, size: int, length: int) -> Batch:
    """A batch of random pixels and captions of the full length."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(size, 3, config.image_size, config.image_size, generator=generator)
    tokens = torch.randint(config.vocab_size, (size, length), generator=generator)
    labels = torch.randint(max(1, int(getattr(config, "classes", 0))), (size,), generator=generator)
    ids = tuple(f"made-up-{number}" for number in range(size))
    return Batch(pixels, tokens, torch.ones_like(tokens), labels, ids, sample_keys(ids))


def _kept_bytes(objective: Any, recipe: Recipe, batch: Batch) -> int:
    """Bytes of the tensors that one forward pass saves, each storage once, weights left out."""
    known = {tensor.untyped_storage().data_ptr() for tensor in (*objective.parameters(), *objective.buffers())}
    kept: dict[int, torch.UntypedStorage] = {}  # held, so that no address is used twice

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage
        return tensor

    state = StepState(recipe.seed, 0, 0, 0.0, 1)
    half = recipe.precision != "fp32"
    objective.train()
    context = torch.autocast("cpu", dtype=torch.bfloat16) if half else nullcontext()
    with torch.random.fork_rng(devices=[]), context, torch.autograd.graph.saved_tensors_hooks(pack, _same):
        objective(batch, state)
    return sum(storage.nbytes() for storage in kept.values())


def _same(tensor: torch.Tensor) -> torch.Tensor:
    return tensor
