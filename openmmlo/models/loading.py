"""Before and around loading a network: which device is meant, quiet libraries, errors with a remedy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from openmmlo.errors import ModelError
from openmmlo.models.checkpoints import first_line

MATCH = "Install both from one index, for example: pip install --upgrade torch torchvision"
"""What to do where torchvision does not load beside torch."""


def device_kind(device: str) -> str:
    """``cuda``, ``mps`` or ``cpu`` (or another torch device type) that a device option means on this machine.

    Creates no CUDA context, so that the process that only plans takes no memory of the accelerator.

    Raises:
        ModelError: not a device, or not on this machine.
    """
    import torch

    if device == "auto":
        if torch.cuda.device_count():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        asked = torch.device(device)
    except RuntimeError:
        raise ModelError(f"No device {device!r}: expected auto, cpu, mps, cuda, or cuda:N.") from None
    count = torch.cuda.device_count()
    if asked.type == "cuda" and (asked.index or 0) >= count:
        raise ModelError(
            f"Device {device!r} is not on this machine: torch {torch.__version__} sees {count} CUDA devices."
        )
    if asked.type == "mps" and not torch.backends.mps.is_available():
        raise ModelError("Device 'mps' is not on this machine.")
    return str(asked.type)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' progress bars and advice off the terminal; errors still pass."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def weights_hint() -> Iterator[None]:
    """Add to what is said of weights that are not at hand the way out that every library's model has: a file."""
    try:
        yield
    except ModelError as error:
        raise ModelError(f"{error} With weights at hand: --weights PATH.") from error


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn what loading throws into a ModelError with a remedy; out of memory passes as it is."""
    try:
        yield
    except (ModelError, MemoryError):
        raise
    except Exception as error:
        if type(error).__name__ == "OutOfMemoryError":
            raise
        text = str(error)
        if "torchvision" in text or "torchaudio" in text:
            raise ModelError(f"torch and torchvision do not fit each other ({first_line(text)}). {MATCH}") from error
        raise ModelError(
            f"Checkpoint {folder.name!r} cannot be loaded: {type(error).__name__}: {first_line(text)} "
            "If files are missing or damaged, fetch the checkpoint again."
        ) from error
