"""Models of transformers: dual encoders of images and texts, image classifiers, and plain image networks.

Settings of a checkpoint's folder decide which of the three it is: ``architectures`` that end in
ForImageClassification, a class that gives image and text features, or one that pools an image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openmmlo.data.transforms import LibraryTransform
from openmmlo.errors import ModelError
from openmmlo.models.checkpoints import (
    Checkpoint,
    all_files,
    cached_folder,
    has_processor,
    has_weights,
    locate,
    read_config,
    small_files,
)
from openmmlo.models.encoder import Encoding
from openmmlo.models.last_layer import read_last_layer
from openmmlo.models.loading import explained, quiet, weights_hint
from openmmlo.models.network import NetworkEncoder, TextReader
from openmmlo.models.opening import MODELS, Wanted
from openmmlo.models.weights import read_weights
from openmmlo.records import digest_of

if TYPE_CHECKING:
    import torch
    from PIL import Image

PADDED = {"siglip", "siglip2", "align"}
"""Architectures whose texts were padded to full length in training; others are padded to the longest of a batch."""

TEXT_LENGTH = {"align": 64, "siglip2": 64}
"""Tokens that an architecture was trained to read, where its position table is longer."""

OWN_TYPES = {"thp": "openmmlo.models.thp.encoder:open_checkpoint"}
"""Model types that transformers does not have -> what opens a folder of them."""

_OF_THE_FILE = ("_name_or_path", "transformers_version", "_commit_hash", "dtype", "torch_dtype", "architectures")


def open_transformers(wanted: Wanted) -> NetworkEncoder:
    """Open ``hf:OWNER/NAME``, or a folder that ``save_pretrained`` wrote.

    Raises:
        ModelError: not at hand, of another kind, or incomplete.
    """
    folder, checkpoint, state = _place(wanted)
    own = OWN_TYPES.get(str(read_config(folder).get("model_type")))
    if own is not None:
        found: NetworkEncoder = MODELS.load(own)(wanted.name, folder, state, checkpoint.commit)
        return found
    trust = wanted.trust_remote_code
    with quiet(), explained(folder):
        import transformers

        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=trust)
        model_class = _model_class(config, wanted.name, trust)
        model = _loaded(model_class, folder, config, state, wanted)
        transform = _transform(folder, wanted)
        facts = {
            "library": "transformers",
            "architecture": type(model).__name__,
            "configuration": digest_of(_settings(config)),
            **({"revision": checkpoint.commit} if checkpoint.commit and state is None else {}),
        }
        if hasattr(model, "get_image_features"):
            texts = _text_reader(model, folder, wanted)
            images, scale = _image_features(model), _logit_scale(model)
            return NetworkEncoder(wanted.name, model, transform, facts, images, texts, logit_scale=scale)
        if type(model).__name__.endswith("ForImageClassification"):
            labels = [config.id2label[index] for index in range(config.num_labels)]
            images, classifier = read_last_layer(
                model, lambda pixels: model(pixel_values=pixels).logits, transform, labels
            )
            return NetworkEncoder(wanted.name, model, transform, facts, images, classifier=classifier)
        return NetworkEncoder(wanted.name, model, transform, facts, _pooled_images(model, wanted.name))


def _place(wanted: Wanted) -> tuple[Path, Checkpoint, dict[str, torch.Tensor] | None]:
    """The folder with configuration and processors, where it is from, and weights of a file that replace its own."""
    weights = wanted.weights
    if weights is not None and weights.is_dir():
        return weights, locate(str(weights), None, {}), None
    with weights_hint():
        checkpoint = locate(wanted.rest, wanted.revision, {})
    if weights is not None:
        state = read_weights(weights)
        return small_files(checkpoint), checkpoint, state
    cached = checkpoint.folder or cached_folder(checkpoint)
    if cached is not None and has_processor(cached) and has_weights(cached):
        return cached, checkpoint, None
    with weights_hint():
        return all_files(checkpoint), checkpoint, None


def _model_class(config: Any, name: str, trust: bool) -> Any:
    """The class that gives features: a classifier's own, else the bare model's."""
    import transformers

    remote = getattr(config, "auto_map", None) or {}
    architectures = config.architectures or []
    if any(item.endswith("ForImageClassification") for item in architectures):
        return transformers.AutoModelForImageClassification
    if "AutoModel" in remote and trust:
        return transformers.AutoModel
    try:
        found = transformers.MODEL_MAPPING[type(config)]
    except KeyError:
        found = None
    found = found[0] if isinstance(found, (tuple, list)) else found
    both = hasattr(found, "get_image_features") and hasattr(found, "get_text_features")
    if found is not None and (both or (found.main_input_name == "pixel_values" and not hasattr(config, "text_config"))):
        return transformers.AutoModel
    raise ModelError(
        f"{name} is a {config.model_type!r} ({', '.join(architectures) or 'no architecture named'}); expected an "
        "encoder of images and texts (CLIP, SigLIP, ALIGN ...), an image classifier, or an image network with pooled "
        "features."
    )


def _loaded(auto: Any, folder: Path, config: Any, state: Any, wanted: Wanted) -> Any:
    """The network in float32, complete: weights that a checkpoint lacks would be random numbers."""
    import torch

    options: dict[str, Any] = {"config": config, "dtype": torch.float32, "output_loading_info": True}
    if state is not None:
        model, report = _class_of(auto, config).from_pretrained(None, state_dict=state, **options)
    else:
        options |= {"local_files_only": True, "trust_remote_code": wanted.trust_remote_code}
        model, report = auto.from_pretrained(folder, **options)
    absent = [*report["missing_keys"], *(str(item[0]) for item in report["mismatched_keys"])]
    if absent:
        some = ", ".join(sorted(absent)[:3])
        raise ModelError(
            f"{wanted.name}: {len(absent):,} weights of {type(model).__name__} are not in the checkpoint ({some}); "
            "they would be random numbers. Name a checkpoint that holds the whole model."
        )
    return model


def _class_of(auto: Any, config: Any) -> Any:
    found = auto._model_mapping[type(config)]
    return found[0] if isinstance(found, (tuple, list)) else found


def _settings(config: Any) -> dict[str, Any]:
    """What of a configuration decides a feature: not where it was read, nor by which version it was written."""
    values = config.to_dict()
    for part in (values, *(item for item in values.values() if isinstance(item, dict))):
        for name in _OF_THE_FILE:
            part.pop(name, None)
    return {str(key): value for key, value in values.items() if key not in ("id2label", "label2id")}


@dataclass(frozen=True, eq=False)
class _Processed:
    """An image through a checkpoint's own processor. Picklable."""

    processor: Any

    def __call__(self, image: Image.Image) -> torch.Tensor:
        pixels: torch.Tensor = self.processor(images=image, return_tensors="pt")["pixel_values"][0]
        return pixels


def _transform(folder: Path, wanted: Wanted) -> LibraryTransform:
    """The checkpoint's processor, on Pillow: the torchvision backend gives other pixels for the same image."""
    from PIL import Image
    from transformers import AutoImageProcessor

    options = {"local_files_only": True, "trust_remote_code": wanted.trust_remote_code}
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil", **options)
    apply = _Processed(processor)
    shapes = {tuple(apply(Image.new("RGB", size)).shape) for size in ((64, 48), (48, 64))}
    if len(shapes) > 1 or any(len(shape) != 3 or shape[0] != 3 for shape in shapes):
        raise ModelError(
            f"{wanted.name} reads patches or images whose shape follows the image ({', '.join(map(str, shapes))}); "
            "expected 3 x H x W of one size. Of SigLIP 2, take a checkpoint of fixed resolution, such as "
            "google/siglip2-base-patch16-224."
        )
    values = {key: value for key, value in processor.to_dict().items() if not key.startswith("_")}
    settings = {key: _plain(value) for key, value in values.items()}
    scale = 255.0 * (values.get("rescale_factor", 1 / 255) if values.get("do_rescale") else 1.0)
    std = values.get("image_std") if values.get("do_normalize") else None
    red, green, blue = (float(value) / scale for value in (std or (1.0, 1.0, 1.0)))
    record = {"backend": str(getattr(processor, "backend", "unknown")), "library": "transformers", **settings}
    return LibraryTransform(apply, record, (red, green, blue))


def _plain(value: Any) -> Any:
    """A setting as JSON: enumerations by their number, size objects as tables."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return int(value) if isinstance(value, int) and not isinstance(value, bool) else value
    return str(value)


def _pooled(output: Any) -> torch.Tensor:
    """(B, D) of what a feature method gave: a tensor, or an output that holds it as ``pooler_output``."""
    found: torch.Tensor = output if hasattr(output, "shape") else output.pooler_output
    return found


def _image_features(model: Any) -> Callable[[torch.Tensor], Encoding]:
    return lambda pixels: Encoding(_pooled(model.get_image_features(pixel_values=pixels)))


def _pooled_images(model: Any, name: str) -> Callable[[torch.Tensor], Encoding]:
    def images(pixels: torch.Tensor) -> Encoding:
        found = model(pixel_values=pixels).pooler_output
        if found is None:
            raise ModelError(f"{name}: {type(model).__name__} gives no pooled features.")
        return Encoding(found.flatten(1))

    return images


def _logit_scale(model: Any) -> float | None:
    """What cosines are multiplied by: the exponent of a learnt logarithm, or one over a temperature (ALIGN)."""
    if hasattr(model, "logit_scale"):
        return float(model.logit_scale.detach().float().exp())
    if hasattr(model, "temperature"):
        return 1.0 / float(model.temperature.detach().float())
    return None


def _text_reader(model: Any, folder: Path, wanted: Wanted) -> TextReader:
    from transformers import AutoTokenizer

    options = {"local_files_only": True, "trust_remote_code": wanted.trust_remote_code}
    tokenizer = AutoTokenizer.from_pretrained(folder, **options)
    kind = model.config.model_type
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    limits = [tokenizer.model_max_length, positions, TEXT_LENGTH.get(kind)]
    limit = min(int(item) for item in limits if item is not None)
    padding = "max_length" if kind in PADDED else "longest"

    def tokenize(texts: Sequence[str]) -> Mapping[str, torch.Tensor]:
        return dict(tokenizer(list(texts), padding=padding, truncation=True, max_length=limit, return_tensors="pt"))

    def lengths(texts: Sequence[str]) -> list[int]:
        with quiet():  # it warns of every long text, which is what is being counted
            return [len(ids) for ids in tokenizer(list(texts), padding=False, truncation=False)["input_ids"]]

    def encode(tokens: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return _pooled(model.get_text_features(**tokens))

    return TextReader(tokenize, encode, lengths, limit, tokenizer_digest(tokenizer))


def tokenizer_digest(tokenizer: Any) -> str:
    """SHA-256 of everything that decides a token."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    whole = backend.to_str() if backend is not None else sorted(tokenizer.get_vocab().items())
    return digest_of([type(tokenizer).__name__, whole])
