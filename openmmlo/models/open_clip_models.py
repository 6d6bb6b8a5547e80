"""Models of open_clip: dual encoders of images and texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openmmlo.data.transforms import LibraryTransform
from openmmlo.errors import ModelError
from openmmlo.models.checkpoints import require_files
from openmmlo.models.encoder import Encoding
from openmmlo.models.loading import explained, weights_hint
from openmmlo.models.network import NetworkEncoder, TextReader
from openmmlo.models.opening import Wanted
from openmmlo.models.weights import read_weights
from openmmlo.records import digest_of

if TYPE_CHECKING:
    import torch

FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "open_clip_pytorch_model.bin")
_SCHEMAS = ("hf-hub:", "local-dir:")


def open_openclip(wanted: Wanted) -> NetworkEncoder:
    """Open ``open_clip:NAME/PRETRAINED``, ``open_clip:hf-hub:OWNER/NAME``, or NAME with weights from a file.

    The activation follows the weights: those that were trained with QuickGELU get it, whatever the name says.

    Raises:
        ModelError: open_clip is not installed, an unknown name, weights that are not at hand or do not fit.
    """
    try:
        import open_clip
    except ImportError:
        raise ModelError('Models of open_clip need it installed: pip install "openmmlo[clip]".') from None

    architecture, options = _source(wanted)
    with explained(Path(wanted.rest)):
        if wanted.weights is not None:
            state = read_weights(wanted.weights)  # refuses what is not tensors alone, with a message of its own
        model, _, apply = open_clip.create_model_and_transforms(architecture, precision="fp32", device="cpu", **options)
        if wanted.weights is not None:
            _fill(model, state, wanted)
        tokenizer = open_clip.get_tokenizer(architecture)
    model.eval()
    settings = dict(model.visual.preprocess_cfg)
    red, green, blue = map(float, settings["std"])
    record = {key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()}
    record |= {"library": "open_clip", "backend": "pil", "steps": [repr(step) for step in apply.transforms]}
    facts = {"library": "open_clip", "architecture": type(model).__name__, "configuration": digest_of(repr(model))}
    scale = float(model.logit_scale.detach().exp())

    def images(pixels: torch.Tensor) -> Encoding:
        return Encoding(model.encode_image(pixels))

    transform = LibraryTransform(apply, record, (red, green, blue))
    texts = _text_reader(model, tokenizer)
    return NetworkEncoder(wanted.name, model, transform, facts, images, texts, logit_scale=scale)


def _source(wanted: Wanted) -> tuple[str, dict[str, Any]]:
    """The architecture's name and options of the factory, after a look at whether the weights can be had."""
    import open_clip

    if wanted.rest.startswith(_SCHEMAS):
        schema, _, where = wanted.rest.partition(":")
        if schema == "hf-hub":
            with weights_hint():
                require_files(where, FILES)
        return wanted.rest, {"load_weights": wanted.weights is None}
    architecture, _, tag = wanted.rest.partition("/")
    names = open_clip.list_models()
    if architecture not in names:
        near = get_close_matches(architecture, names, n=1)
        hint = f" Did you mean 'open_clip:{near[0]}'?" if near else ""
        raise ModelError(
            f"open_clip has no model {architecture!r}.{hint} open_clip.list_models() names all {len(names)}."
        )
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if tag not in tags and (tag or wanted.weights is None):
        near = get_close_matches(tag, tags, n=1)
        hint = f" Did you mean 'open_clip:{architecture}/{near[0]}'?" if near else ""
        what = f"no weights {tag!r}" if tag else "several weights, and none was named"
        known = f"Known: {', '.join(tags)}." if tags else "None are published."
        raise ModelError(f"open_clip has {what} for {architecture}.{hint} {known} Your own: --weights PATH.")
    if not tag:
        return architecture, {"load_weights": False}
    settings = open_clip.get_pretrained_cfg(architecture, tag)
    quick = bool(settings.get("quick_gelu"))
    if not quick and (open_clip.get_model_config(architecture) or {}).get("quick_gelu"):
        plain = architecture.removesuffix("-quickgelu")
        raise ModelError(f"Weights {tag!r} were not trained with QuickGELU. Use open_clip:{plain}/{tag}.")
    if wanted.weights is not None:
        keys = ("mean", "std", "interpolation", "resize_mode", "size")
        changes = {key: settings[key] for key in keys if settings.get(key)}
        renamed = {"mean": "image_mean", "std": "image_std", "interpolation": "image_interpolation"}
        options = {renamed[key]: value for key, value in changes.items() if key in renamed}
        return architecture, {**options, "load_weights": False, "force_quick_gelu": quick}
    hub = str(settings.get("hf_hub") or "")
    if hub:
        owner_name, _, file = hub.rpartition("/")
        with weights_hint():
            require_files(owner_name, (file, *FILES) if file else FILES)
    return architecture, {"pretrained": tag, "force_quick_gelu": quick}


def _fill(model: Any, state: Mapping[str, torch.Tensor], wanted: Wanted) -> None:
    """Load weights of a file, all of them."""
    report = model.load_state_dict(state, strict=False)
    lacking = [*report.missing_keys, *report.unexpected_keys]
    if lacking:
        raise ModelError(
            f"Weights {str(wanted.weights.name if wanted.weights else '')!r} do not fit {wanted.rest}: "
            f"{len(report.missing_keys):,} are missing and {len(report.unexpected_keys):,} are not the model's "
            f"({', '.join(lacking[:3])}). Name the architecture they were trained with."
        )


def _text_reader(model: Any, tokenizer: Any) -> TextReader:
    limit = int(tokenizer.context_length)

    def tokenize(texts: Sequence[str]) -> Mapping[str, torch.Tensor]:
        return {"text": tokenizer(list(texts))}

    def lengths(texts: Sequence[str]) -> list[int]:
        if hasattr(tokenizer, "encode"):  # open_clip's own: two marks are added to the pieces
            return [len(tokenizer.encode(text)) + 2 for text in texts]
        return [len(tokenizer.tokenizer(tokenizer.clean_fn(text))["input_ids"]) for text in texts]

    def encode(tokens: Mapping[str, torch.Tensor]) -> torch.Tensor:
        found: torch.Tensor = model.encode_text(tokens["text"])
        return found

    inner = getattr(tokenizer, "tokenizer", None)
    vocabulary = tokenizer.encoder if hasattr(tokenizer, "encoder") else inner.get_vocab() if inner else {}
    digest = digest_of([type(tokenizer).__name__, sorted(map(str, vocabulary.items()))])
    return TextReader(tokenize, encode, lengths, limit, digest)
