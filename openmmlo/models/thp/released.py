"""The authors' released layout of a checkpoint becomes a T-hp model.

The release (github.com/XiaoyuYoung/ConceptDriftMLLMs) builds on LAVIS' BLIP; its files hold, under ``model``:

==================================== ==================================================================================
``visual_encoder.*``                 a ViT in timm's layout; left out of files of runs that froze it
``text_encoder.*``                   BERT with cross-attention
``text_decoder.bert.*``              the same tensors again, but for the self-attention (``attention``)
``text_decoder.cls.predictions.*``   the language head, whose ``decoder`` is the table of words again
``vision_proj``, ``text_proj``       projections; ``temp``: temperature; ``itm_head``: matching
``cls_head.0``, ``.2``, ``.3``       of fine-tuned ones: Linear, (ReLU,) Linear, class layer (``weight``, and ``s_`` of
                                     T-hp); ``.0`` and ``.2`` alone are a plain head
``*_m.*``, ``*_queue``, ``queue_ptr`` momentum copies and queues: not read
``*.position_ids``                   0, 1, 2, ...: not read
==================================== ==================================================================================

A fine-tuned file has no decoder, projections and matching head; a pre-trained one no class head. In fine-tuning the
text that is read with an image begins with [CLS], not with [ENC]: the model gets the vector of the one under the other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from openmmlo.errors import ModelError
from openmmlo.models.thp.architectures import config_for

if TYPE_CHECKING:
    import torch

    from openmmlo.models.thp.configuration import ThpConfig

State = dict[str, "torch.Tensor"]

PRETRAINED_LENGTH = 30
"""Tokens of a caption that the released pre-training reads; fine-tuning reads all that there are positions for."""

CONVOLUTIONAL = frozenset({"thp-mini", "thp-resnext50"})
"""Architectures that the release names and has no code and no layout for."""

UNTRAINED_HEAD = (
    "The release's fine-tuning takes the first two modules of its head for logits, so that the T-hp layer in its files "
    "was never trained: predictions of a class from these weights are those of random centres. Features are not "
    "concerned; fine-tune the head: openmmlo finetune."
)

_IGNORED = re.compile(
    r"(visual_encoder|text_encoder|vision_proj|text_proj|cls_head)_m\..*|(image|text|idx)_queue|queue_ptr"
    r"|.*\.position_ids"
)

_ATTENTION = r"encoder\.layer\.\d+\.attention\..*"

_RENAMED: tuple[tuple[str, str], ...] = (
    (r"visual_encoder\.(.*)", r"image_encoder.network.\1"),
    (r"text_encoder\.(.*)", r"text.\1"),
    (r"text_decoder\.bert\.(encoder\.layer\.\d+\.)attention(\..*)", r"text.\1causal_attention\2"),
    (r"text_decoder\.bert\.(.*)", r"text.\1"),
    (r"text_decoder\.cls\.predictions\.decoder\.weight", "text.embeddings.word_embeddings.weight"),
    (r"text_decoder\.cls\.predictions\.decoder\.bias", "language_head.bias"),
    (r"text_decoder\.cls\.predictions\.(.*)", r"language_head.\1"),
    (r"vision_proj\.(.*)", r"image_projection.\1"),
    (r"text_proj\.(.*)", r"text_projection.\1"),
    (r"itm_head\.(.*)", r"match_head.\1"),
    (r"temp", "temperature"),
    (r"cls_head\.0\.(.*)", r"head.adapter.inner.\1"),
    (r"cls_head\.2\.(.*)", r"head.adapter.outer.\1"),
    (r"cls_head\.3\.weight", "head.centres"),
    (r"cls_head\.3\.s_", "head.scale"),
)
"""Name in the release -> name here; two names that come to one are of shared weights, and must hold the same."""

_PARTS = {
    "text decoder": re.compile(r"language_head\..*|text\.encoder\.layer\.\d+\.causal_attention\..*"),
    "projections": re.compile(r"(image|text)_projection\..*|temperature"),
    "matching head": re.compile(r"match_head\..*"),
}
"""What a file may lack as a whole."""


@dataclass(frozen=True, eq=False)
class Released:
    """A released checkpoint as this package names its parts.

    Attributes:
        config: with every size that the tensors show.
        state: of a ``ThpModel`` of that configuration, complete; parts that the file lacks are zero, and the decoder's
            self-attention the encoder's.
        lacks: names of the parts that the file does not hold.
        text_length: tokens of a caption that it was trained to read.
        remarks: what its user must know.
    """

    config: ThpConfig
    state: State
    lacks: tuple[str, ...]
    text_length: int
    remarks: tuple[str, ...]


def is_released(state: Mapping[str, Any]) -> bool:
    """Whether names are those of the release."""
    return any(name.startswith(("visual_encoder.", "text_encoder.", "text_decoder.")) for name in state)


def read_released(state: Mapping[str, torch.Tensor], architecture: str, name: str, **sizes: Any) -> Released:
    """Turn a state in the released layout into one of a ``ThpModel``.

    Args:
        architecture: a name of ``ARCHITECTURES``, with a ViT.
        name: of the file, for messages.
        sizes: values of the configuration that replace the architecture's.

    Raises:
        ModelError: a name that is none of the layout's, a tensor of another shape, shared weights that differ, a part
            that is there by half, or no image encoder.
    """
    import torch

    if architecture in CONVOLUTIONAL:
        raise ModelError(
            f"{architecture} from {name!r}: the release has no code for its convolutional image encoder, so there is "
            "no released layout of it. Weights that this package wrote are read."
        )
    found = _renamed(state, name)
    if not any(key.startswith("image_encoder.") for key in found):
        raise ModelError(
            f"{name!r} holds no visual_encoder.*: runs that freeze the image encoder leave it out of their files. Put "
            "the visual_encoder.* of the pre-trained file they began from into the same state dict."
        )
    kind = _set_head(found)
    config = config_for(architecture, **(_sizes(found, architecture, name, sizes) | sizes | kind))
    lacks = tuple(part for part, pattern in _PARTS.items() if not any(pattern.fullmatch(key) for key in found))
    expected = _shapes(config)
    _fill(found, expected, lacks)
    _check_shapes(found, expected, name)
    words = found["text.embeddings.word_embeddings.weight"]
    remarks = []
    text_length = min(PRETRAINED_LENGTH, config.text_length)
    if config.classes:
        words = words.clone()
        words[config.enc_token_id] = words[config.cls_token_id]
        text_length = config.text_length
        if config.head == "thp":
            remarks.append(UNTRAINED_HEAD)
    if lacks:
        remarks.append(f"{name!r} holds no {', no '.join(lacks)}: what needs them is not there.")
    found["text.embeddings.word_embeddings.weight"] = words
    complete = {key: found[key].to(torch.float32) for key in expected}
    return Released(config, complete, lacks, text_length, tuple(remarks))


def as_released(text: str) -> str:
    """A caption as the released models were trained to read it: in lower case, without ``. ! " ( ) * # : ; ~``.

    The mask is three tokens to them, ``[ mask ]``, not BERT's [MASK].
    """
    apart = re.sub(r"([\[\],])", r" \1 ", text.lower())
    return " ".join(re.sub(r"[.!\"()*#:;~]", " ", apart).split())


def _renamed(state: Mapping[str, torch.Tensor], name: str) -> State:
    import torch

    found: State = {}
    origin: dict[str, str] = {}
    unknown = []
    for old in sorted(state):
        if _IGNORED.fullmatch(old):
            continue
        new = next((re.sub(before, after, old) for before, after in _RENAMED if re.fullmatch(before, old)), None)
        if new is None:
            unknown.append(old)
        elif new in found:
            if found[new].shape != state[old].shape or not torch.equal(found[new], state[old]):
                raise ModelError(
                    f"{name!r}: {origin[new]} and {old} are one weight in the released model, and differ here. This is "
                    "not a checkpoint of it."
                )
        else:
            found[new], origin[new] = state[old], old
    if unknown:
        some = ", ".join(unknown[:3]) + (" ..." if len(unknown) > 3 else "")
        raise ModelError(
            f"{name!r}: {len(unknown):,} names are not of the released layout ({some}). Expected visual_encoder.*, "
            "text_encoder.*, text_decoder.*, vision_proj, text_proj, temp, itm_head, cls_head and momentum copies."
        )
    return found


def _set_head(found: State) -> dict[str, Any]:
    """Bring the class head into the shape it has here; what the configuration says of it."""
    import torch

    if not any(key.startswith("head.") for key in found):
        return {"classes": 0}
    scale = found.get("head.scale")
    if scale is not None:  # (1,) there
        found["head.scale"] = scale.reshape(())
        return {"head": "thp"}
    if "head.centres" in found:  # cosines as they are: 1 + softplus(-30) is 1 in float32
        found["head.scale"] = torch.tensor(-30.0)
        return {"head": "cosine"}
    # Linear, ReLU, Linear to the classes: what the last one reads passes through an adapter that changes nothing.
    found["head.centres"] = found.pop("head.adapter.outer.weight")
    found["head.bias"] = found.pop("head.adapter.outer.bias")
    width = found["head.centres"].shape[1]
    found["head.adapter.outer.weight"], found["head.adapter.outer.bias"] = torch.eye(width), torch.zeros(width)
    return {"head": "linear"}


def _sizes(found: State, architecture: str, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Values of the configuration that tensors show; whether the others fit is seen when all shapes are compared."""
    plain = config_for(architecture, **given)
    places = found.get("image_encoder.network.pos_embed")
    patch = found.get("image_encoder.network.patch_embed.proj.weight")
    side = plain.image_size
    if places is not None and patch is not None and places.ndim == 3 and patch.ndim == 4:
        count = round((places.shape[1] - 1) ** 0.5)
        if count * count != places.shape[1] - 1:
            raise ModelError(f"{name!r}: visual_encoder.pos_embed has {places.shape[1]} places; expected 1 + n * n.")
        side = count * int(patch.shape[2])
    sizes: dict[str, Any] = {"image_size": side}
    for value, key in (
        ("vocab_size", "text.embeddings.word_embeddings.weight"),
        ("text_length", "text.embeddings.position_embeddings.weight"),
        ("projection", "image_projection.weight"),
        ("classes", "head.centres"),
    ):
        if key in found and found[key].ndim == 2:
            sizes[value] = int(found[key].shape[0])
    if "image_options" in given:
        sizes.pop("image_size")
    return sizes


def _shapes(config: ThpConfig) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor of a model, without making one."""
    import torch

    from openmmlo.models.thp.model import ThpModel

    with torch.device("meta"):
        return {key: tuple(value.shape) for key, value in ThpModel(config).state_dict().items()}


def _fill(found: State, expected: Mapping[str, tuple[int, ...]], lacks: tuple[str, ...]) -> None:
    """Give the parts that a file lacks as a whole values that are the same every time."""
    import torch

    for part in lacks:
        for key in expected:
            if _PARTS[part].fullmatch(key):
                twin = found.get(key.replace(".causal_attention.", ".attention."))
                found[key] = twin if twin is not None else torch.zeros(expected[key])
    if "projections" in lacks:
        found["temperature"] = torch.tensor(0.07)


def _check_shapes(found: State, expected: Mapping[str, tuple[int, ...]], name: str) -> None:
    missing = [key for key in expected if key not in found]
    surplus = [key for key in found if key not in expected]
    misshaped = [
        f"{key} {tuple(found[key].shape)}, expected {shape}"
        for key, shape in expected.items()
        if key in found and tuple(found[key].shape) != shape
    ]
    problems = {"are missing": missing, "are of no part of the model": surplus, "are misshaped": misshaped}
    for what, keys in problems.items():
        if keys:
            some = "; ".join(_as_there(key) for key in keys[:3]) + (" ..." if len(keys) > 3 else "")
            raise ModelError(
                f"{name!r}: {len(keys):,} weights of the released layout {what} ({some}). Name the architecture they "
                "were trained with, and give the whole file."
            )


_THERE: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("image_encoder.network.", lambda rest: f"visual_encoder.{rest}"),
    ("text.", lambda rest: f"text_encoder.{rest}"),
    ("language_head.", lambda rest: f"text_decoder.cls.predictions.{rest}"),
    ("image_projection.", lambda rest: f"vision_proj.{rest}"),
    ("text_projection.", lambda rest: f"text_proj.{rest}"),
    ("match_head.", lambda rest: f"itm_head.{rest}"),
    ("head.centres", lambda rest: f"cls_head.3.weight{rest}"),
)


def _as_there(key: str) -> str:
    """A name here as the file's owner knows it."""
    if ".causal_attention." in key:
        return key.replace("text.", "text_decoder.bert.", 1).replace(".causal_attention.", ".attention.")
    return next((make(key.removeprefix(start)) for start, make in _THERE if key.startswith(start)), key)
