"""A name comes in, a model behind the one door goes out."""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from openmmlo.catalog import Catalog
from openmmlo.errors import ModelError, OpenmmloError
from openmmlo.models.encoder import Encoder

if TYPE_CHECKING:
    import torch

MODELS = Catalog(
    "model",
    {
        "pixels": "openmmlo.models.pixels:open_pixels",
        "thp-mini": "openmmlo.models.thp.encoder:thp_mini",
        "thp-mini-pretrained": "openmmlo.models.thp.encoder:thp_mini_pretrained",
        "thp-resnext50": "openmmlo.models.thp.encoder:thp_resnext50",
        "thp-vit-b": "openmmlo.models.thp.encoder:thp_vit_b",
        "thp-vit-l": "openmmlo.models.thp.encoder:thp_vit_l",
    },
)

PREFIXES = {
    "hf": "openmmlo.models.transformers_models:open_transformers",
    "timm": "openmmlo.models.timm_models:open_timm",
    "open_clip": "openmmlo.models.open_clip_models:open_openclip",
}
"""Prefix before the first colon -> what opens the rest of the name."""


@dataclass(frozen=True)
class Wanted:
    """What was asked for.

    Attributes:
        name: the whole name.
        rest: of it after the prefix; the folder where a folder was named.
        weights: a file or folder that is loaded in place of what the name stands for.
        revision: branch, tag or commit on the Hub.
        trust_remote_code: whether code that comes with a checkpoint may run.
    """

    name: str
    rest: str
    weights: Path | None = None
    revision: str | None = None
    trust_remote_code: bool = False


def open_model(
    name: str,
    *,
    weights: Path | None = None,
    device: str = "auto",
    dtype: str | torch.dtype | None = None,
    trust_remote_code: bool = False,
    revision: str | None = None,
) -> Encoder:
    """Open a model by name; in this order, known names and prefixes before a folder or a module of that name.

    A name of ``MODELS``; ``hf:NAME`` (transformers), ``timm:NAME``, ``open_clip:NAME[/PRETRAINED]``; a folder with a
    checkpoint of one of these libraries; ``package.module:factory``, called without arguments.

    Args:
        weights: a file or folder of weights in place of those the name stands for.
        device: auto, cpu, mps, cuda or cuda:N.
        dtype: what matrices are multiplied in: float32 (None), bfloat16 or float16; features are float32 always.
        trust_remote_code: run code that comes with a checkpoint; off unless asked for.
        revision: branch, tag or commit, for ``hf:NAME``.

    Raises:
        ModelError: an unknown name, weights that are not at hand, or a checkpoint that does not fit.
    """
    from openmmlo.models.network import chosen_device, chosen_dtype

    place, number = chosen_device(device), chosen_dtype(dtype)
    prefix, colon, rest = name.partition(":")
    known = PREFIXES.get(prefix) if colon else None
    if revision is not None and known != PREFIXES["hf"]:
        raise ModelError(
            f"A revision is for models of the Hub, hf:OWNER/NAME; {name!r} has none. Leave --revision out."
        )
    encoder: Encoder
    if name in MODELS:
        encoder = MODELS.load(name)(weights=weights)
    elif known is not None:
        if not rest:
            raise ModelError(f"{name!r} names no model: expected {prefix}:NAME.")
        wanted = Wanted(name, rest, weights, revision, trust_remote_code)
        encoder = MODELS.load(known)(wanted)
    elif name and Path(name).expanduser().is_dir():
        encoder = _open_folder(name, weights, trust_remote_code)
    elif colon:
        encoder = _from_factory(name, weights)
    else:
        raise ModelError(_unknown(name))
    return encoder.to(place, number)


def _open_folder(name: str, weights: Path | None, trust_remote_code: bool) -> Encoder:
    """A checkpoint's folder, told apart by its files."""
    folder = Path(name).expanduser()
    prefix, rest = "hf", str(folder)
    if (folder / "open_clip_config.json").is_file():
        prefix, rest = "open_clip", f"local-dir:{folder}"
    elif "architecture" in _config_keys(folder):
        prefix, rest = "timm", f"local-dir:{folder}"
    wanted = Wanted(name, rest, weights, None, trust_remote_code)
    found: Encoder = MODELS.load(PREFIXES[prefix])(wanted)
    return found


def _config_keys(folder: Path) -> frozenset[str]:
    try:
        values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return frozenset()
    return frozenset(values) if isinstance(values, dict) and "model_type" not in values else frozenset()


def _from_factory(name: str, weights: Path | None) -> Encoder:
    """What ``package.module:factory`` gives, checked against the Protocol."""
    if weights is not None:
        raise ModelError(f"--weights does not apply to {name!r}: the factory loads its own weights.")
    try:
        factory = MODELS.load(name)
    except OpenmmloError as error:
        raise ModelError(f"{error} {_unknown(name)}") from error
    if not callable(factory):
        raise ModelError(f"{name!r} is {type(factory).__name__}; expected a function or class that gives an Encoder.")
    try:
        inspect.signature(factory).bind()
    except TypeError as error:
        raise ModelError(f"{name!r} is called without arguments, and does not allow it: {error}.") from error
    except ValueError:
        pass  # a builtin without signature; calling it will tell
    found = factory()
    if missing := missing_parts(found):
        raise ModelError(
            f"{name!r} gave a {type(found).__name__} without {', '.join(missing)}. "
            "Expected what openmmlo.models.Encoder describes."
        )
    encoder: Encoder = found
    return encoder


def missing_parts(found: object) -> tuple[str, ...]:
    """Names of the Encoder Protocol that an object lacks; its properties are not computed."""
    absent = object()
    wanted = [name for name in vars(Encoder) if not name.startswith("_")]
    return tuple(
        name
        for name in wanted
        if inspect.getattr_static(found, name, absent) is absent and name not in getattr(found, "__dict__", {})
    )


def _unknown(name: str) -> str:
    prefix, colon, rest = name.partition(":")
    if colon:
        near = [f"{known}:{rest}" for known in get_close_matches(prefix, PREFIXES, n=1)]
    else:
        near = get_close_matches(name, MODELS, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return (
        f"No model named {name!r}, and no folder.{hint} Known: {', '.join(MODELS)}, hf:OWNER/NAME, timm:NAME, "
        "open_clip:NAME/PRETRAINED, a folder with a checkpoint, package.module:factory."
    )
