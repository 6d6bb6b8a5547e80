"""Files of weights, read without executing anything from them, and the digest that tells weights apart."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openmmlo.errors import ModelError
from openmmlo.models.checkpoints import first_line

if TYPE_CHECKING:
    import torch

_WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model")
"""Keys under which training programs put the weights; averaged weights are preferred."""


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Name -> tensor, on the CPU.

    safetensors by its suffix, anything else through ``torch.load(weights_only=True)``, whose reader builds tensors and
    plain containers and calls nothing that a file names.

    Raises:
        ModelError: no such file, a file that holds other objects than tensors, or one that is damaged.
    """
    import torch

    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise ModelError(
            f"Weights {str(path)!r}: it {what}; expected a file of weights (.safetensors, .pt, .pth, .bin)."
        )
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            found: Any = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files raise anything from EOFError to UnpicklingError
        raise ModelError(
            f"Weights {path.name!r} cannot be read as tensors alone ({type(error).__name__}: {first_line(str(error))}) "
            "and nothing in the file was executed. Save the model's state_dict(), best as safetensors."
        ) from error
    for key in _WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
            break
    if (
        not isinstance(found, Mapping)
        or not found
        or not all(isinstance(item, torch.Tensor) for item in found.values())
    ):
        raise ModelError(f"Weights {path.name!r} hold no name -> tensor table. Save the model's state_dict().")
    state = {str(name): tensor for name, tensor in found.items()}
    if all(name.startswith("module.") for name in state):  # saved from within DistributedDataParallel
        state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    return state


def weights_digest(state: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over names, dtypes, shapes and bytes of tensors, in the order of their names.

    It is of what was loaded, not of files: the same weights in another container have the same digest.
    """
    import torch

    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        if tensor.numel():
            digest.update(memoryview(tensor.reshape(-1).view(torch.uint8).numpy()))
    return digest.hexdigest()
