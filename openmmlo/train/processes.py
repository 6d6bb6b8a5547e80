"""The processes of a run: one, or those that ``accelerate launch`` or torchrun started."""

from __future__ import annotations

import hashlib
import os
import random
import sys
import warnings
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.state import AcceleratorState

from openmmlo.errors import ConfigError
from openmmlo.models.launch import launched
from openmmlo.models.loading import device_kind
from openmmlo.train.recipe import Precision


def start_processes(device: str, precision: Precision) -> Accelerator:
    """Accelerate's view of this process: its device, its number among the others, and what it computes in.

    Args:
        device: auto, cpu, mps, cuda or cuda:N; under several processes each takes its own, and N means nothing.

    Raises:
        ModelError: no such device.
        ConfigError: it does not compute in this precision.
    """
    several = launched()[1] > 1
    kind = device_kind(device)
    before = os.environ.get("ACCELERATE_TORCH_DEVICE")
    if not several:
        AcceleratorState._reset_state(reset_partial_state=True)  # of an earlier run in this process
        if device != "auto" and kind != "cpu":
            os.environ["ACCELERATE_TORCH_DEVICE"] = device
    else:
        AcceleratorState._reset_state()
    try:
        accelerator = Accelerator(
            cpu=kind == "cpu",
            mixed_precision="no" if precision == "fp32" else precision,
        )
    except ValueError as error:
        raise ConfigError(f"precision is {precision!r}, which this device does not offer: {error}") from error
    finally:
        if before is None:
            os.environ.pop("ACCELERATE_TORCH_DEVICE", None)
        else:
            os.environ["ACCELERATE_TORCH_DEVICE"] = before
    if precision == "fp16" and accelerator.device.type == "cpu":
        raise ConfigError("precision is 'fp16', which needs an accelerator; on a CPU use bf16 or fp32.")
    return accelerator


def shared(objective: Any, accelerator: Accelerator) -> Any:
    """What the loop calls for losses: the objective, wrapped for the precision and, among several, the processes.

    Buffers stay each process's own: queues are filled from gathered features, which are the same everywhere.
    """
    accelerator.ddp_handler = DistributedDataParallelKwargs(
        find_unused_parameters=objective.sparse, broadcast_buffers=False, gradient_as_bucket_view=True
    )
    with warnings.catch_warnings():  # torch has another name for it, which accelerate does not know yet
        warnings.filterwarnings("ignore", "`broadcast_buffers`", FutureWarning)
        return accelerator.prepare_model(objective)


def seed_everything(seed: int, *parts: int) -> None:
    """Seed Python, NumPy and torch, devices included, by (seed, parts)."""
    digest = hashlib.sha256(repr((seed, *parts)).encode()).digest()
    number = int.from_bytes(digest[:4], "big")
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)


def memory_mb(device: torch.device) -> float:
    """The most memory this process has held: of an accelerator what was allocated there, else of the process."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device)) / 10**6
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    most: int = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 10**6 if sys.platform == "darwin" else most * 1024 / 10**6
