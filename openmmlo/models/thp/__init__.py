"""The T-hp model: a configuration comes in; a model that embeds, captions and classifies goes out.

Names load when they are asked for. :func:`register` makes ``AutoConfig`` and ``AutoModel`` know the model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openmmlo.models.thp.architectures import ARCHITECTURES, config_for
    from openmmlo.models.thp.checkpoint import load_model
    from openmmlo.models.thp.configuration import ThpConfig
    from openmmlo.models.thp.heads import SphericalHead
    from openmmlo.models.thp.initial_weights import fetch_bert, load_bert, load_timm
    from openmmlo.models.thp.model import ThpModel, ThpOutput
    from openmmlo.models.thp.momentum import MomentumPair, Queue
    from openmmlo.models.thp.router import Routed, Router
    from openmmlo.models.thp.tokenizer import lengths, open_tokenizer, token_ids, tokenize, train_tokenizer

_HOMES = {
    "architectures": ("ARCHITECTURES", "config_for"),
    "checkpoint": ("load_model",),
    "configuration": ("ThpConfig",),
    "heads": ("SphericalHead",),
    "initial_weights": ("fetch_bert", "load_bert", "load_timm"),
    "model": ("ThpModel", "ThpOutput"),
    "momentum": ("MomentumPair", "Queue"),
    "router": ("Routed", "Router"),
    "tokenizer": ("lengths", "open_tokenizer", "token_ids", "tokenize", "train_tokenizer"),
}

__all__ = [
    "ARCHITECTURES",
    "MomentumPair",
    "Queue",
    "Routed",
    "Router",
    "SphericalHead",
    "ThpConfig",
    "ThpModel",
    "ThpOutput",
    "config_for",
    "fetch_bert",
    "lengths",
    "load_bert",
    "load_model",
    "load_timm",
    "open_tokenizer",
    "register",
    "token_ids",
    "tokenize",
    "train_tokenizer",
]


def register() -> None:
    """Tell transformers' ``AutoConfig`` and ``AutoModel`` of the model; may be called more than once."""
    from transformers import AutoConfig, AutoModel

    from openmmlo.models.thp.configuration import ThpConfig
    from openmmlo.models.thp.model import ThpModel

    AutoConfig.register(ThpConfig.model_type, ThpConfig, exist_ok=True)
    AutoModel.register(ThpConfig, ThpModel, exist_ok=True)


def __getattr__(name: str) -> Any:
    from importlib import import_module

    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
