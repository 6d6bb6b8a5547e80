"""transformers models on a device: which device and number format, loading, and what to check of both beforehand."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from openmmlo.errors import ModelError
from openmmlo.models.checkpoints import (
    Checkpoint,
    cached_folder,
    fetch_command,
    has_weights,
    on_hub,
    parameter_count,
)
from openmmlo.models.loading import MATCH, device_kind, explained, quiet
from openmmlo.records import Finding

Dtype = Literal["auto", "float32", "bfloat16", "float16"]

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
_COPY = "Copy the whole checkpoint: model.safetensors, or its index and every file that names."


def worker_device(device: str, worker: int) -> str:
    """The device of one worker: of several CUDA devices worker i takes number i, counted round."""
    import torch

    kind = device_kind(device)
    if kind == "cuda" and ":" not in device:
        return f"cuda:{worker % torch.cuda.device_count()}"
    return kind if device == "auto" else device


def resolve_dtype(dtype: Dtype, device: str) -> str:
    """The number format: ``auto`` is bfloat16 on accelerators and float32 on CPUs."""
    if dtype != "auto":
        return dtype
    return "float32" if device_kind(device) == "cpu" else "bfloat16"


def check_dtype(dtype: Dtype, config: Mapping[str, Any]) -> None:
    """Raises ModelError for T5 in float16, whose activations overflow it."""
    text = config.get("text_config")
    language = text.get("model_type", "") if isinstance(text, dict) else config.get("model_type", "")
    if dtype == "float16" and "t5" in language:
        raise ModelError(
            "T5 in float16 overflows and gives NaN instead of captions. Use dtype bfloat16 (same memory), or float32."
        )


def load_model(auto_class: str, folder: Path, device: str, dtype: str) -> Any:
    """Load a model for inference, straight onto its device.

    Raises:
        ModelError: the checkpoint does not fit this class, or its package versions do not fit each other.
    """
    with quiet(), explained(folder):
        import torch
        import transformers

        model = getattr(transformers, auto_class).from_pretrained(
            folder,
            dtype=getattr(torch, dtype),
            device_map={"": device},
            local_files_only=True,
            trust_remote_code=False,
        )
        model.eval()
        for module in model.modules():
            settings = getattr(module, "generation_config", None)
            if settings is not None:
                _drop_sampling(settings)
        return model


def _drop_sampling(settings: Any) -> None:
    """Take a checkpoint's sampling defaults away: captions are searched for, never sampled."""
    settings.do_sample = False
    for name in ("temperature", "top_p", "top_k", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff"):
        if getattr(settings, name, None) is not None:
            setattr(settings, name, None)
    settings.max_length = None  # max_new_tokens is always given; both at once cause a warning a batch


def findings(checkpoint: Checkpoint, device: str, dtype: Dtype) -> list[Finding]:
    """What a build needs to know of a checkpoint and its device before any work."""
    found = [_torchvision()]
    folder = checkpoint.folder or cached_folder(checkpoint)
    count = None
    if folder is not None and has_weights(folder):
        found.append(Finding("ok", f"{checkpoint.name}: checkpoint at hand"))
        count = parameter_count(folder)
    elif checkpoint.folder is not None:
        found.append(Finding("error", f"{checkpoint.name}: the folder holds no complete weights", _COPY))
    else:
        try:
            remote = on_hub(checkpoint)
        except ModelError as error:
            found.append(Finding("error", str(error)))
        else:
            found.append(_space(checkpoint, sum(remote.weights.values())))
            count = remote.parameters
    try:
        kind = device_kind(device)
        number = resolve_dtype(dtype, device)
    except ModelError as error:
        return [*found, Finding("error", str(error))]
    if count is not None:
        found += _memory(checkpoint.name, count, kind, number)
    return found


def _torchvision() -> Finding:
    """Whether torchvision loads beside the installed torch; where not, no model class can be imported."""
    import torch

    try:
        import torchvision
    except Exception as error:
        return Finding("error", f"torchvision does not load beside torch {torch.__version__}: {error}", MATCH)
    return Finding("ok", f"torch {torch.__version__}, torchvision {torchvision.__version__}")


def _space(checkpoint: Checkpoint, size: int) -> Finding:
    """Whether the disk of the cache has room for a download."""
    from huggingface_hub import constants

    parent = Path(constants.HF_HUB_CACHE)
    while not parent.exists():
        parent = parent.parent
    free = shutil.disk_usage(parent).free
    what = f"{checkpoint.name}: {_gib(size)} will be downloaded from the Hub"
    if size > free:
        remedy = "Free space, or point HF_HOME at a larger disk."
        return Finding("error", f"{what}, but the cache's disk has {_gib(free)} left", remedy)
    return Finding("warning", what, f"Beforehand: {fetch_command(checkpoint)}")


def _memory(name: str, count: int, kind: str, dtype: str) -> list[Finding]:
    """Weights against memory; what generation needs on top depends on the batch and is not guessed."""
    needed = count * BYTES[dtype]
    free = _free_memory(kind)
    what = f"{name}: {count / 1e9:.2f} billion weights, {_gib(needed)} in {dtype} on {kind}"
    found = []
    if free is not None and needed > free:
        remedy = "Use a smaller checkpoint, --dtype bfloat16, or a device with more memory."
        found.append(Finding("error", f"{what} a worker; at most {_gib(free)} are free", remedy))
    else:
        found.append(Finding("ok", f"{what} a worker"))
    if kind == "cpu" and count > 1_000_000_000:
        remedy = "Use a machine with an accelerator, --limit for a try-out, or a captioner with fewer weights."
        found.append(Finding("warning", f"{name} on a CPU takes many seconds an image", remedy))
    return found


def _free_memory(kind: str) -> int | None:
    """Bytes free on the machine's emptiest CUDA device, or in main memory; None where it cannot be told.

    Asked of the driver's own tool: asking torch would take a few hundred megabytes of the device for its context.
    """
    if kind == "cuda":
        command = ["nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
        try:
            lines = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.split()
            return max(int(line) for line in lines) * 1024**2
        except (OSError, ValueError, subprocess.SubprocessError):
            return None
    try:
        fields = Path("/proc/meminfo").read_text(encoding="ascii").split()
        return int(fields[fields.index("MemAvailable:") + 1]) * 1024
    except (OSError, ValueError):
        return None


def _gib(size: int) -> str:
    return f"{size / 1024**3:.1f} GiB"
