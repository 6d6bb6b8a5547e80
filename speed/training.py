"""The training loop against a bare loop over batches ready in memory; what T-hp and momentum add to a step.

The bare loop is written by hand: the same model, losses, batches, AdamW and autocast, and nothing else: no loader, no
log, no check for numbers that are none, no schedule of the learning rate. Both sides are timed from the end of their
second step to the end of their last. Weights are random: they cost what trained ones cost.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from measure import Line, interleaved, repeated, seconds
from workers import Rate

WARM_UP = 2
MINI_STEPS, LARGE_STEPS = 22, 6
LARGE_BATCH = 8
WORDS = 40


class TrainingRate(Rate):
    """Samples a second of a run."""

    def note(self, values: Mapping[str, float]) -> None:
        return


def measure(pairs: int) -> list[Line]:
    """Five lines: two of throughput, T-hp's share of a step, the share of momentum and queue, waiting for data."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        small, large = _built(root / "small", 64, 20), _built(root / "large", 224, 2)
        mini = _pretraining(data=small, steps=MINI_STEPS)
        return [
            _throughput("thp-mini, pre-training, batch 64, bf16 on the processor", mini, MINI_STEPS, root, pairs),
            _throughput(
                f"ViT-B/16 at 224 px, fine-tuning, batch {LARGE_BATCH}, bf16 on the processor", _finetuning(large),
                LARGE_STEPS, root, pairs,
            ),
            _similarity(pairs),
            _momentum(pairs),
            _waiting(mini, root, pairs),
        ]  # fmt: skip


def _built(out: Path, size: int, largest: int) -> Path:
    from openmmlo.building import BuildConfig, build

    options = {"size": size, "largest": largest, "ratio": 1, "test_per_class": 0, "near_per_class": 0}
    build(
        BuildConfig(
            "miniature", out, options | {"far_per_kind": 0, "sketch_per_class": 0}, splits=("train",), measure=False
        )
    )
    return out


def _pretraining(**values: Any) -> Any:
    """thp-mini by its recipe, without what a run does now and then."""
    from openmmlo.config import construct, load_recipe
    from openmmlo.train.pretrain import PretrainTask
    from openmmlo.train.recipe import PretrainRecipe

    changed = {"epochs": None, "warmup_steps": 1, "validation_share": 0, "log_every": 1000, "validate_every": 0}
    recipe = load_recipe("pretrain", "thp-mini") | changed | {"save_every": 0} | values
    return PretrainTask(construct(PretrainRecipe, recipe, "speed"))


def _finetuning(data: Path) -> Any:
    """ViT-B/16 with BERT-base and a class head, everything trained."""
    from openmmlo.config import construct, load_recipe
    from openmmlo.train.finetune import FinetuneTask
    from openmmlo.train.recipe import FinetuneRecipe

    changed = {
        "weights": "none", "model": "thp-vit-b", "tokenizer": "data", "vocabulary": 1000, "text_length": 80,
        "data": data, "steps": LARGE_STEPS, "epochs": None, "warmup_steps": 1, "batch_size": LARGE_BATCH,
        "validation_share": 0, "log_every": 1000, "validate_every": 0, "save_every": 0,
    }  # fmt: skip
    return FinetuneTask(construct(FinetuneRecipe, load_recipe("finetune", "thp-mini") | changed, "speed"))


def _throughput(name: str, task: Any, steps: int, root: Path, pairs: int) -> Line:
    """Samples a second of a whole run over those of the bare loop."""
    objective, batches = _in_memory(task, root, steps)
    return interleaved(
        f"Training, {name}",
        lambda: _run(task, root).images_per_second,
        lambda: bare_rate(objective, batches, task.recipe),
        peer_name="bare PyTorch loop over batches ready in memory",
        bar=0.95,
        at_least=True,
        pairs=pairs,
        detail=lambda ours, bare: f"{ours:.3g} and {bare:.3g} samples/s",
    )


def _run(task: Any, root: Path) -> TrainingRate:
    from openmmlo.train.run import run

    progress = TrainingRate(WARM_UP)
    with tempfile.TemporaryDirectory() as out:
        run(task, Path(out) / "out", device="cpu", progress=progress, cache=root / "cache")
    return progress


def _in_memory(task: Any, root: Path, steps: int) -> tuple[Any, list[Any]]:
    """The objective of a task, and the batches of its run."""
    from openmmlo.train.augmentation import View
    from openmmlo.train.feed import PairFeed
    from openmmlo.train.logs import SilentTraining
    from openmmlo.train.packed import pack
    from openmmlo.train.run import Tokeniser, prepare
    from openmmlo.train.training_data import read_training_data

    data = read_training_data(task.recipe)
    tokenizer = task.tokenizer(data.train.texts)
    prepared = prepare(task, data, Tokeniser(tokenizer, int(tokenizer.pad_token_id)))
    objective: Any = task.objective(tokenizer, data)
    config = objective.model.config
    feed = PairFeed(
        prepared.order, data.train, prepared.tables[0],
        pack(data.dataset, data.train.split, root / "cache", SilentTraining()),
        View(config.image_size, task.recipe.augmentation, config.interpolation, task.recipe.seed),
        config.image_mean, config.image_std, 0,
    )  # fmt: skip
    return objective, list(feed.training(0, steps, 0, 1, torch.device("cpu")))


def bare_rate(objective: Any, batches: Sequence[Any], recipe: Any) -> float:
    """Samples a second of the model, its losses and AdamW alone."""
    from openmmlo.train.state import StepState

    optimiser = torch.optim.AdamW(
        [parameter for parameter in objective.parameters() if parameter.requires_grad],
        lr=recipe.lr, betas=(recipe.beta1, recipe.beta2), weight_decay=recipe.weight_decay, fused=True,
    )  # fmt: skip
    objective.train()
    first = 0.0
    for step, batch in enumerate(batches):
        state = StepState(0, step, 0, step / len(batches), len(batches))  # soft targets cost, so their share rises
        objective.before_step(state)
        with torch.autocast("cpu", torch.bfloat16):
            loss = objective(batch, state)["loss"]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(objective.parameters(), recipe.clip_norm)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        objective.after_step(state)
        if step + 1 == WARM_UP:
            first = time.perf_counter()
    return (len(batches) - WARM_UP) * len(batches[0].sample_ids) / (time.perf_counter() - first)


@dataclass(frozen=True, eq=False)
class Step:
    """One step of pre-training on a batch of random pairs."""

    objective: Any
    batch: Any
    state: Any
    optimiser: Any

    def __call__(self) -> None:
        """Momentum update, forward, backward, optimiser, queue: all of it."""
        self.objective.before_step(self.state)
        with torch.autocast("cpu", torch.bfloat16):
            loss = self.objective(self.batch, self.state)["loss"]
        loss.backward()
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.objective.after_step(self.state)


def _step(architecture: str, size: int, queue_size: int, similarity: str = "thp") -> Step:
    from openmmlo.models.thp.architectures import config_for
    from openmmlo.models.thp.model import ThpModel
    from openmmlo.train.batch import Batch, sample_keys
    from openmmlo.train.objectives.pretrain import Pretraining
    from openmmlo.train.state import StepState

    torch.manual_seed(0)
    marks = {"pad": 0, "cls": 2, "sep": 3, "mask": 4, "enc": 5, "dec": 6}
    ids = {f"{name}_token_id": number for name, number in marks.items()}
    config = config_for(architecture, vocab_size=1000, dropout=0.0, similarity=similarity, **ids)
    objective = Pretraining(ThpModel(config), queue_size=queue_size).train()
    tokens = torch.randint(7, 1000, (size, WORDS))
    names = tuple(map(str, range(size)))
    pixels = torch.randn(size, 3, config.image_size, config.image_size)
    batch = Batch(
        pixels, tokens, torch.ones_like(tokens), torch.zeros(size, dtype=torch.int64), names, sample_keys(names)
    )
    optimiser = torch.optim.AdamW([item for item in objective.parameters() if item.requires_grad], lr=1e-6)
    return Step(objective, batch, StepState(0, 0, 0, 0.5, 1), optimiser)


def _similarity(pairs: int) -> Line:
    """Seconds of a whole thp-vit-b step with T-hp over one with the cosine; the same batch of random pairs."""
    thp, cosine = (_step("thp-vit-b", 2, 57_600, similarity) for similarity in ("thp", "cosine"))
    seconds(thp), seconds(cosine)  # the first step makes the optimiser's state
    return interleaved(
        "A pre-training step of thp-vit-b, batch 2, queue of 57,600, bf16 on the processor, T-hp",
        lambda: seconds(thp),
        lambda: seconds(cosine),
        peer_name="the same with the cosine",
        bar=1.03,
        at_least=False,
        pairs=pairs,
        detail=lambda ours, theirs: f"{ours:.2f} and {theirs:.2f} s",
    )


def _momentum(pairs: int) -> Line:
    """Seconds that momentum copies and queue add to a thp-mini step, over a forward pass of what is copied."""
    step = _step("thp-mini", 64, 1024)
    model, momentum, queue, batch = step.objective.model, step.objective.momentum, step.objective.queue, step.batch

    def forward() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            model.embed_images(model.image_tokens(batch.pixels))
            model.embed_texts(batch.tokens, batch.mask)

    def added() -> None:
        momentum.update(model)
        teacher = momentum.teacher
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            images = teacher.embed_images(teacher.image_tokens(batch.pixels))
            texts = teacher.embed_texts(batch.tokens, batch.mask)
        queue.push(image=images, text=texts)

    seconds(forward), seconds(added)
    return interleaved(
        "What momentum copies and queue add to a step of thp-mini, batch 64",
        lambda: seconds(added),
        lambda: seconds(forward),
        peer_name="a forward pass of the copied parts, as training takes it",
        bar=1.0,
        at_least=False,
        pairs=pairs,
        detail=lambda ours, theirs: f"{ours * 1e3:.0f} and {theirs * 1e3:.0f} ms",
    )


def _waiting(task: Any, root: Path, pairs: int) -> Line:
    """Share of a run's steps that waits for batches from two loader processes."""
    from openmmlo.train.run import run

    task = replace(task, recipe=replace(task.recipe, workers=2))

    def share() -> float:
        with tempfile.TemporaryDirectory() as out:
            outcome = run(task, Path(out) / "out", device="cpu", cache=root / "cache")
        return 100 * float(outcome.training["log"]["waiting"])

    return repeated(
        "Waiting for data, thp-mini pre-training, two loader processes", share, unit="% of step time", bar=5,
        pairs=pairs, peer_name="none",
    )  # fmt: skip
