"""What a T-hp model is, as config.json of its checkpoint says it."""

from __future__ import annotations

from dataclasses import fields
from difflib import get_close_matches
from typing import Any, Literal, get_args

from transformers import PreTrainedConfig

from openmmlo.errors import ConfigError

Similarity = Literal["thp", "cosine"]
HeadKind = Literal["thp", "cosine", "linear", "t-vmf", "wrapped-cauchy"]
HeadReads = Literal["image", "both"]

NEUTRAL_SCALE = 1.6931471805599453
"""1 + softplus(0): what class scores are multiplied by at the start, as released."""


class ThpConfig(PreTrainedConfig):
    """Configuration of :class:`~openmmlo.models.thp.model.ThpModel`; the defaults are those of ``thp-vit-b``.

    Attributes:
        architecture: its name among ``ARCHITECTURES``; says where the values are from and decides nothing.
        image_encoder: a timm model; ``image_options`` go to ``timm.create_model``.
        image_size: side of the square that is read, in pixels; ``image_options["img_size"]``, where given, is the same.
        image_mean, image_std: of RGB values in [0, 1]. interpolation: of the resize, as Pillow names it.
        vocab_size: rows of the table of words, marks included.
        text_width, text_layers, text_heads, text_intermediate: of the text part, which encoder and decoder share.
        text_length: positions: the longest text that is read, in tokens, first and last mark included. Recipes may
            read less of each text, never more.
        dropout: of the text part's states and attention, in training.
        projection: width of the unit vectors of images and texts.
        similarity: what compares them; ``kappa`` of T-hp, a parameter where ``trainable_kappa``.
        temperature: at the start of training; it is a parameter.
        pad_token_id ... dec_token_id: of [PAD], [CLS], [SEP], [MASK], [ENC] and [DEC].
        classes: of the class head; 0 where there is none.
        class_names: (classes,) of key, name and synonyms each.
        head: thp, cosine, t-vmf and wrapped-cauchy compare unit vectors under a learnt scale; linear is a plain layer
            with bias.
        head_kappa: of a thp or t-vmf head, and of the router.
        head_scale_start: what the class scores are multiplied by at the start, above 1.
        head_r_start: r of every class of a wrapped-cauchy head at the start: 0.5 is WCDAS's for CIFAR, 0.269 (g = -1)
            for ImageNet-LT, 0.731 (g = 1) for iNaturalist.
        class_scales: a learnt factor on each class's score of a linear head.
        experts: 1 is the plain head of the paper; more are behind a router.
        router_top_k: experts whose answer a sample gets; None is all, weighted.
        reads: what the class head was trained on: images alone, or images with captions.
        benchmark: the benchmark whose training images it saw, if any.
        recipe_digest: SHA-256 of the recipe that trained it.
    """

    model_type = "thp"

    architecture: str = "thp-vit-b"
    image_encoder: str = "vit_base_patch16_224"
    image_options: dict[str, Any] | None = None
    image_size: int = 224
    image_mean: list[float] | tuple[float, ...] = (0.48145466, 0.4578275, 0.40821073)
    image_std: list[float] | tuple[float, ...] = (0.26862954, 0.26130258, 0.27577711)
    interpolation: str = "bicubic"
    vocab_size: int = 30_524
    text_width: int = 768
    text_layers: int = 12
    text_heads: int = 12
    text_intermediate: int = 3_072
    text_length: int = 512
    dropout: float = 0.1
    projection: int = 256
    similarity: Similarity = "thp"
    kappa: float = 16.0
    trainable_kappa: bool = False
    temperature: float = 0.07
    pad_token_id: int | None = 0
    cls_token_id: int = 101
    sep_token_id: int = 102
    mask_token_id: int = 103
    dec_token_id: int = 30_522
    enc_token_id: int = 30_523
    classes: int = 0
    class_names: list[list[str]] | None = None
    head: HeadKind = "thp"
    head_kappa: float = 16.0
    head_scale_start: float = NEUTRAL_SCALE
    head_r_start: float = 0.5
    class_scales: bool = False
    experts: int = 1
    router_top_k: int | None = None
    reads: HeadReads = "both"
    benchmark: str | None = None
    recipe_digest: str | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        """Raises ConfigError: values that contradict each other or are out of range."""
        self.image_options = dict(self.image_options or {})
        self.image_mean, self.image_std = list(self.image_mean), list(self.image_std)
        self.class_names = [list(names) for names in self.class_names or ()]
        super().__post_init__(**kwargs)
        self._check()

    def _check(self) -> None:
        for name, kinds in (("similarity", Similarity), ("head", HeadKind), ("reads", HeadReads)):
            if getattr(self, name) not in get_args(kinds):
                raise ConfigError(f"{name} is {getattr(self, name)!r}; expected {' or '.join(get_args(kinds))}.")
        for name in ("image_size", "vocab_size", "text_width", "text_layers", "text_heads", "text_intermediate"):
            self._least(name, 1)
        for name, least in (("text_length", 3), ("projection", 2), ("classes", 0), ("experts", 1)):
            self._least(name, least)
        if self.text_width % self.text_heads:
            raise ConfigError(f"text_width {self.text_width} is no multiple of text_heads {self.text_heads}.")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout is {self.dropout}; expected a share from 0 to below 1.")
        for name in ("kappa", "head_kappa", "temperature"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; expected above 0.")
        if not self.head_scale_start > 1:
            raise ConfigError(f"head_scale_start is {self.head_scale_start}; expected above 1: it is 1 + softplus(a).")
        if not 0 < self.head_r_start < 1:
            raise ConfigError(f"head_r_start is {self.head_r_start}; expected above 0 and below 1: it is sigmoid(g).")
        if self.class_scales and self.head != "linear":
            raise ConfigError(f"class_scales is true and head is {self.head!r}; they are factors of a linear head.")
        if self.router_top_k is not None and not 1 <= self.router_top_k <= self.experts:
            raise ConfigError(f"router_top_k is {self.router_top_k}; expected 1 to {self.experts}, or null for all.")
        side = (self.image_options or {}).get("img_size", self.image_size)
        if side != self.image_size:
            raise ConfigError(f"image_size is {self.image_size}, but image_options has img_size {side}.")
        if self.class_names and len(self.class_names) != self.classes:
            raise ConfigError(f"class_names has {len(self.class_names)} entries for {self.classes} classes.")
        marks = [getattr(self, f"{mark}_token_id") for mark in ("pad", "cls", "sep", "mask", "enc", "dec")]
        if len(set(marks)) < len(marks) or not all(0 <= mark < self.vocab_size for mark in marks):
            raise ConfigError(
                f"Ids of [PAD], [CLS], [SEP], [MASK], [ENC], [DEC] are {marks}; expected six different ones below "
                f"vocab_size, {self.vocab_size}. token_ids(tokenizer) gives them."
            )

    def _least(self, name: str, least: int) -> None:
        if getattr(self, name) < least:
            raise ConfigError(f"{name} is {getattr(self, name)}; expected at least {least}.")


def changed(values: dict[str, Any], **changes: Any) -> ThpConfig:
    """A configuration of ``values`` with some replaced.

    ``image_size`` also sets ``img_size`` of the image encoder, where it has one.

    Raises:
        ConfigError: no such value, or one out of range.
    """
    known = {item.name for item in fields(ThpConfig)}
    for name in changes:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            raise ConfigError(f"A T-hp model has no value {name!r}." + (f" Did you mean {near[0]!r}?" if near else ""))
    options = values.get("image_options") or {}
    if "image_size" in changes and "img_size" in options:
        changes.setdefault("image_options", {**options, "img_size": changes["image_size"]})
    return ThpConfig(**{**values, **changes})


def values_of(config: ThpConfig) -> dict[str, Any]:
    """Every value of a configuration, as :func:`changed` takes them."""
    return {item.name: getattr(config, item.name) for item in fields(config)}
