"""Model checkpoints, in a local folder or on the Hugging Face Hub: found, fetched, told apart.

Captioners and evaluated models share this; nothing here needs torch or transformers.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from openmmlo.errors import ModelError

SMALL_FILES = [f"{folder}{name}" for folder in ("", "*/") for name in ("*.json", "*.jinja", "*.txt", "*.model")]
"""Configuration, tokenizers and processors; a few megabytes. The weights are the rest."""

WITHOUT_PROCESSOR = frozenset({"thp"})
"""Model types whose config.json says what others write into a file for the processor."""

HUB_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a checkpoint is: a local folder, or one commit of a repository on the Hub."""

    name: str
    folder: Path | None = None
    commit: str | None = None

    def __str__(self) -> str:
        return str(self.folder) if self.folder else f"{self.name} at {str(self.commit)[:12]}"


def locate(model: str, revision: str | None, pinned: Mapping[str, str]) -> Checkpoint:
    """Find a checkpoint without loading or downloading it.

    Args:
        model: a folder written by ``save_pretrained``, or OWNER/NAME on the Hub.
        revision: branch, tag or commit on the Hub; None takes the pinned commit, else ``main``.
        pinned: model id -> commit.

    A commit needs no network. A branch is looked up on the Hub once, within ten seconds, or in the local cache where
    the Hub cannot be reached.

    Raises:
        ModelError: no such folder, repository or revision, or the Hub cannot be reached and nothing is cached.
    """
    path = Path(model).expanduser()
    if model and path.is_dir():
        if not (path / "config.json").is_file():
            raise ModelError(
                f"Folder {model!r} holds no config.json; expected a checkpoint as transformers' save_pretrained "
                "writes it (config.json, tokenizer, processor and *.safetensors)."
            )
        return Checkpoint(path.resolve().name, folder=path)
    if not re.fullmatch(r"[\w][\w.-]*(/[\w][\w.-]*)?", model):
        raise ModelError(f"There is no folder {model!r}, and it is not the name of a model on the Hub (OWNER/NAME).")
    wanted = revision or pinned.get(model) or "main"
    if re.fullmatch(r"[0-9a-f]{40}", wanted):
        return Checkpoint(model, commit=wanted)
    return Checkpoint(model, commit=_commit(model, wanted))


def small_files(checkpoint: Checkpoint) -> Path:
    """Folder with the checkpoint's configuration, tokenizer and processor; downloads them where they are missing."""
    folder = checkpoint.folder or cached_folder(checkpoint)
    if folder is not None and (checkpoint.folder is not None or _has_small_files(folder)):
        return folder
    return _download(checkpoint, SMALL_FILES)


def all_files(checkpoint: Checkpoint) -> Path:
    """Folder with the whole checkpoint; downloads what is missing.

    Raises:
        ModelError: no weights in the folder, or they cannot be had from the Hub.
    """
    folder = checkpoint.folder or cached_folder(checkpoint)
    if folder is not None and has_weights(folder) and (checkpoint.folder is not None or _has_small_files(folder)):
        return folder
    if checkpoint.folder is not None:
        raise ModelError(
            f"Folder {checkpoint.name!r} holds no complete weights: expected model.safetensors, or "
            "model.safetensors.index.json and every file it names. Copy the whole checkpoint."
        )
    return _download(checkpoint, [*SMALL_FILES, *on_hub(checkpoint).weights])


def require_files(name: str, files: Sequence[str], revision: str | None = None) -> None:
    """Return where one of these files of a repository is cached, or the Hub can be asked for it.

    Libraries that download on their own would try for minutes without a network.

    Raises:
        ModelError: none is cached, and the Hub cannot be reached or has no such repository.
    """
    from huggingface_hub import try_to_load_from_cache

    if not any(isinstance(try_to_load_from_cache(name, file, revision=revision), str) for file in files):
        _ask_hub(Checkpoint(name), revision or "main")


def has_weights(folder: Path) -> bool:
    """Whether a folder holds one file of weights, or an index and every file it names."""
    for name in ("model.safetensors", "pytorch_model.bin"):
        if (folder / name).is_file():
            return True
        index = folder / f"{name}.index.json"
        if index.is_file():
            try:
                names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
            except (OSError, ValueError, KeyError):
                continue
            if all((folder / part).is_file() for part in names):
                return True
    return False


def read_config(folder: Path) -> dict[str, Any]:
    """The checkpoint's config.json.

    Raises:
        ModelError: not there, or not JSON.
    """
    try:
        values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"Cannot read config.json of checkpoint {folder.name!r}: {type(error).__name__}.") from error
    if not isinstance(values, dict):
        raise ModelError(f"config.json of checkpoint {folder.name!r} does not hold an object.")
    return values


def source_identity(checkpoint: Checkpoint) -> dict[str, str]:
    """What tells a checkpoint from all others, without local paths: its commit, or its name and its files' digest."""
    if checkpoint.folder is not None:
        return {"model": checkpoint.name, "sha256": folder_digest(checkpoint.folder)}
    return {"model": checkpoint.name, "commit": str(checkpoint.commit)}


def folder_digest(folder: Path) -> str:
    """SHA-256 over the names and contents of a folder's files, hidden ones left out."""
    stamps = []
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(root, name)
            if not name.startswith(".") and path.is_file():
                stat = path.stat()
                stamps.append((path.relative_to(folder).as_posix(), stat.st_size, stat.st_mtime_ns))
    return _digest(folder.resolve(), tuple(sorted(stamps)))


@lru_cache(maxsize=8)
def _digest(folder: Path, stamps: tuple[tuple[str, int, int], ...]) -> str:
    """Digest of files; asked again in one process, only changed sizes or times cause another reading."""

    def of(name: str) -> str:
        with (folder / name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    names = [name for name, _, _ in stamps]
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        lines = [f"{digest}  {name}\n" for name, digest in zip(names, pool.map(of, names), strict=True)]
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def parameter_count(folder: Path) -> int | None:
    """How many weights a folder's safetensors files hold, from their headers; None where there are none."""
    total = 0
    for path in folder.glob("*.safetensors"):
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        for name, tensor in header.items():
            if name != "__metadata__":
                count = 1
                for size in tensor["shape"]:
                    count *= size
                total += count
    return total or None


def _commit(model: str, revision: str) -> str:
    """The commit a branch or tag points to, from the Hub or, failing that, from the cache."""
    try:
        commit: str | None = _ask_hub(Checkpoint(model), revision).sha
    except ModelError:
        commit = _cached_commit(model, revision)
        if commit is None:
            raise
    if commit is None:
        raise ModelError(f"The Hub names no commit for {model} at {revision!r}.")
    return commit


def _ask_hub(checkpoint: Checkpoint, revision: str, sizes: bool = False) -> Any:
    """One quick question to the Hub; transformers' own retries would take minutes where there is no network."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    name = checkpoint.name
    if constants.HF_HUB_OFFLINE:
        raise _unreachable(checkpoint, "HF_HUB_OFFLINE is set")
    try:
        return HfApi().model_info(name, revision=revision, timeout=HUB_SECONDS, files_metadata=sizes)
    except GatedRepoError:
        raise ModelError(f"{name} is gated: accept its terms on the Hub, then run: hf auth login") from None
    except RepositoryNotFoundError:
        raise ModelError(
            f"There is no folder {name!r} and no model of that name on the Hub that you may read. "
            "Check the spelling; for a private one run: hf auth login"
        ) from None
    except RevisionNotFoundError:
        raise ModelError(f"{name} has no revision {revision!r} on the Hub.") from None
    except (HfHubHTTPError, OSError) as error:
        raise _unreachable(checkpoint, first_line(str(error))) from error
    except Exception as error:  # transport errors of the HTTP library, whose name changes between versions
        raise _unreachable(checkpoint, first_line(str(error))) from error


def _unreachable(checkpoint: Checkpoint, why: str) -> ModelError:
    return ModelError(
        f"{checkpoint.name} is not in the local cache and the Hub cannot be reached ({why}). Where there is a network: "
        f"{fetch_command(checkpoint)}; then set HF_HOME to that cache, or copy the folder and use --model DIR."
    )


def fetch_command(checkpoint: Checkpoint) -> str:
    """What to type where there is a network."""
    return f"hf download {checkpoint.name}" + (f" --revision {checkpoint.commit}" if checkpoint.commit else "")


@dataclass(frozen=True, slots=True)
class OnHub:
    """The weights of one commit on the Hub: file name -> bytes, and how many there are where the Hub says so."""

    weights: Mapping[str, int]
    parameters: int | None


def on_hub(checkpoint: Checkpoint) -> OnHub:
    """Ask the Hub for the weights of a commit; repositories often hold them twice, safetensors are taken.

    Raises:
        ModelError: the Hub cannot be reached, or the commit holds no weights.
    """
    info = _ask_hub(checkpoint, str(checkpoint.commit), sizes=True)
    sizes = {item.rfilename: item.size or 0 for item in info.siblings or ()}
    for pattern in (r"model[^/]*\.safetensors", r"pytorch_model[^/]*\.bin"):
        weights = {name: size for name, size in sizes.items() if re.fullmatch(pattern, name)}
        if weights:
            return OnHub(weights, info.safetensors.total if info.safetensors else None)
    raise ModelError(f"{checkpoint} holds no weights (model*.safetensors or pytorch_model*.bin).")


def cached_folder(checkpoint: Checkpoint) -> Path | None:
    """The cache's folder of this commit, however much of it is there."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(checkpoint.name, "config.json", revision=checkpoint.commit)
    return Path(found).parent if isinstance(found, str) else None


def _cached_commit(model: str, revision: str) -> str | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(model, "config.json", revision=revision)
    return Path(found).parent.name if isinstance(found, str) else None


def has_processor(folder: Path) -> bool:
    """Whether a folder says how images are prepared: in a file for it, or in config.json itself."""
    if any((folder / name).is_file() for name in ("preprocessor_config.json", "processor_config.json")):
        return True
    return (folder / "config.json").is_file() and read_config(folder).get("model_type") in WITHOUT_PROCESSOR


def _has_small_files(folder: Path) -> bool:
    return has_processor(folder) and any(any(folder.glob(name)) for name in ("tokenizer*", "vocab*", "spiece.model"))


def _download(checkpoint: Checkpoint, patterns: list[str]) -> Path:
    from huggingface_hub import snapshot_download

    _ask_hub(checkpoint, str(checkpoint.commit))  # fails at once where the download would retry for minutes
    try:
        return Path(snapshot_download(checkpoint.name, revision=checkpoint.commit, allow_patterns=patterns))
    except OSError as error:
        raise ModelError(
            f"The download of {checkpoint.name} stopped: {first_line(str(error))} Run the same command to go on."
        ) from error


def first_line(text: str) -> str:
    """First line of an error message, cut to a readable length."""
    lines = text.strip().splitlines()
    return lines[0][:300] if lines else "no message"
