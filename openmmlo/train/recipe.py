"""What a training run is asked for: every key of a recipe, with the paper's values where it has them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from openmmlo.errors import ConfigError
from openmmlo.records import digest_of
from openmmlo.train.combinations import check_combination

Precision = Literal["fp32", "bf16", "fp16"]
Augmentation = Literal["none", "crop", "crop-flip", "blip"]
Wording = Literal["raw", "masked"]
Sampler = Literal["instance", "class-aware", "square-root"]
Trains = Literal["all", "classifier", "class-scales"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What pre-training and fine-tuning share.

    Attributes:
        data: folder that ``openmmlo build`` wrote.
        split: trained on.
        validation_split: measured every ``validate_every`` steps; None holds ``validation_share`` of ``split`` out.
        validation_share: of each class of ``split``, chosen by the SHA-256 of the sample id; 0 holds nothing out.
        captions: raw or masked.
        text_length: tokens of a caption at most; longer ones are counted, said and cut.
        batch_size: of all processes and accumulated batches together: the samples of one step.
        accumulation: batches a step; saves memory. Contrastive learning then sees fewer negatives in a batch.
        steps: of the run; None where ``epochs`` says how long it is. 0 trains nothing, where something follows.
        epochs: passes over the training samples; the ragged last batch of a pass is dropped.
        lr: highest learning rate: linear warm-up to it, then half a cosine down to ``min_lr``.
        min_lr: at the last step.
        warmup_steps: until ``lr`` is reached.
        beta1, beta2: of AdamW.
        weight_decay: of AdamW, on what the objective does not except.
        clip_norm: largest norm of the gradient, in the L2 norm over all parameters; None clips nothing.
        precision: what the forward pass computes in; weights and optimiser stay float32.
        stored: what the finished checkpoint holds its weights in; fp16 halves its size, and rounds them.
        gradient_checkpointing: computes activations again in the backward pass, for memory.
        augmentation: ``none`` (resize), ``crop`` (a random part), ``crop-flip`` (also mirrored), ``blip`` (also
            BLIP's RandAugment).
        workers: processes that read, decode and augment; 0 does it between the steps.
        seed: of weights, order, augmentation, dropout and negatives.
        log_every: steps between lines of the log.
        validate_every: steps between validations; 0 validates at the end only.
        save_every: steps between checkpoints to go on from, the last step's included; 0 keeps none.
        target: the published number the recipe aims at, in words.
    """

    data: Path | None = None
    split: str = "train"
    validation_split: str | None = None
    validation_share: float = 0.0
    captions: Wording = "raw"
    text_length: int = 512
    batch_size: int = 50
    accumulation: int = 1
    steps: int | None = 400_000
    epochs: int | None = None
    lr: float = 1e-4
    min_lr: float = 0.0
    warmup_steps: int = 1000
    beta1: float = 0.9
    beta2: float = 0.98
    weight_decay: float = 0.05
    clip_norm: float | None = None
    precision: Precision = "bf16"
    stored: Literal["fp32", "fp16"] = "fp32"
    gradient_checkpointing: bool = False
    augmentation: Augmentation = "blip"
    workers: int = 8
    seed: int = 0
    log_every: int = 50
    validate_every: int = 2000
    save_every: int = 1000
    target: str = "none"

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.epochs is None):
            both = "both are set" if self.steps is not None else "neither is set"
            raise ConfigError(f"steps or epochs says how long a run is; {both}. Set one, the other null.")
        _at_least(self, "text_length", 3)  # a word between the marks of begin and end
        for name in ("batch_size", "accumulation", "epochs", "log_every"):
            _at_least(self, name, 1)
        for name in ("steps", "warmup_steps", "workers", "validate_every", "save_every", "seed"):
            _at_least(self, name, 0)
        for name in ("lr", "clip_norm"):
            _positive(self, name)
        for name in ("min_lr", "weight_decay"):
            _at_least(self, name, 0)
        for name in ("beta1", "beta2", "validation_share"):
            _share(self, name)
        if self.min_lr > self.lr:
            raise ConfigError(f"min_lr is {self.min_lr:g}, above lr, {self.lr:g}; the rate goes down to min_lr.")
        if self.validation_split is not None and self.validation_share:
            raise ConfigError(
                f"validation_split is {self.validation_split!r} and validation_share {self.validation_share:g}; "
                "expected one of them: a split of its own, or a share of the training split (the other null or 0)."
            )
        if self.validation_split is not None and self.validation_split == self.split:
            raise ConfigError(f"validation_split is the training split, {self.split!r}; expected another one.")
        if self.batch_size % self.accumulation:
            raise ConfigError(
                f"batch_size {self.batch_size} does not part into {self.accumulation} accumulated batches of one "
                "size; choose accumulation among its divisors."
            )

    def to_json(self) -> dict[str, Any]:
        """Every key with its value, as JSON."""
        values = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        return {name: value.as_posix() if isinstance(value, Path) else value for name, value in values.items()}

    @property
    def unsaid(self) -> frozenset[str]:
        """Keys of :data:`LATER` that stand at their default."""
        fields = {item.name: item for item in dataclasses.fields(self) if item.name in LATER}
        return frozenset(name for name, item in fields.items() if getattr(self, name) == _default(item))

    @property
    def decisive(self) -> dict[str, Any]:
        """What decides the result: no place of data, no number of workers, and of local weights the name alone.

        What the data and weights hold is compared by their own digests. A path of more than two parts is no name on
        the Hub, and counts as local also where nothing is there: so a recipe that ships has one digest everywhere.
        """
        unread = INCIDENTAL | self.unsaid
        values = {name: value for name, value in self.to_json().items() if name not in unread}
        weights = values.get("weights")
        if weights is not None:
            path = Path(weights).expanduser()
            if path.exists():
                values["weights"] = path.resolve().name
            elif len(path.parts) > 2:
                values["weights"] = path.name
        return values

    @property
    def digest(self) -> str:
        """SHA-256 of :attr:`decisive`: equal for runs that must come out equal."""
        return digest_of(self.decisive)


INCIDENTAL = frozenset({"data", "workers", "log_every", "save_every", "stored", "target"})
"""Keys that change nothing of what is trained: a run may go on with other values of them."""

LATER = frozenset(
    {
        "head_r_start", "objective", "loss", "loss_options", "contrast_width", "trains", "new_head", "posthoc",
        "posthoc_options",
    }
)  # fmt: skip
"""Keys that came after weights had been published. At their defaults, which are what those runs did, they are no part
of the digest, so that a recipe from before them has the digest that it had."""


@dataclass(frozen=True, kw_only=True)
class PretrainRecipe(Recipe):
    """Contrast, matching and captioning on pairs of image and caption; the defaults are the paper's (Table 7, A.3).

    Attributes:
        model: name of an architecture.
        tokenizer: ``data`` trains one on the training captions; else a name on the Hub, or a folder.
        vocabulary: tokens of a trained tokenizer.
        image_weights: ``none``; ``timm``: the published ones of the architecture's image encoder; ``timm:NAME``.
        text_weights: ``none``, or a name on the Hub or a folder with BERT's weights.
        similarity: of the contrast.
        kappa: concentration of ``thp``.
        trainable_kappa: learn it, from ``kappa``.
        itc: contrast of images and texts.
        itm: matching of images and texts; negatives are drawn by the contrast's similarities.
        lm: captioning.
        momentum: of the copies whose features are keys.
        queue_size: keys kept of earlier batches; 0 keeps none.
        alpha: share of the momentum copies' own similarities in the targets.
        alpha_epochs: over which the share rises from 0.
        label_smoothing: of captioning.
        dropout: of the text encoder.
        temperature: at the start.
    """

    model: str = "thp-vit-b"
    tokenizer: str = "bert-base-uncased"
    vocabulary: int = 30_522
    image_weights: str = "none"
    text_weights: str = "none"
    similarity: Literal["thp", "cosine"] = "thp"
    kappa: float = 16.0
    trainable_kappa: bool = False
    itc: bool = True
    itm: bool = True
    lm: bool = True
    momentum: float = 0.995
    queue_size: int = 57_600
    alpha: float = 0.4
    alpha_epochs: float = 2.0
    label_smoothing: float = 0.1
    dropout: float = 0.1
    temperature: float = 0.07

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("kappa", "temperature"):
            _positive(self, name)
        for name in ("vocabulary", "queue_size", "alpha_epochs"):
            _at_least(self, name, 0)
        for name in ("momentum", "alpha", "label_smoothing", "dropout"):
            _share(self, name)
        if not (self.itc or self.itm or self.lm):
            raise ConfigError("itc, itm and lm are all false; expected at least one loss to train with.")
        if self.itm and not self.itc:
            raise ConfigError("itm draws its negatives by the similarities of itc; itc is false. Set both or neither.")
        if self.itc and self.batch_size // self.accumulation < 2:
            raise ConfigError(
                f"batch_size {self.batch_size} in {self.accumulation} accumulated batches gives "
                f"{self.batch_size // self.accumulation} sample a batch; contrast needs at least 2."
            )
        if self.steps == 0:
            raise ConfigError("steps is 0; expected at least 1: pre-training has nothing that follows the last step.")
        if self.itc and self.queue_size % self.batch_size:
            near = max(1, round(self.queue_size / self.batch_size)) * self.batch_size
            raise ConfigError(
                f"queue_size {self.queue_size} is no multiple of the global batch, {self.batch_size}; whole batches "
                f"enter and leave the queue. The nearest that fits: {near}."
            )


@dataclass(frozen=True, kw_only=True)
class FinetuneRecipe(Recipe):
    """Classification on top of pre-trained weights; the defaults are the paper's (Table 7, A.3).

    Attributes:
        weights: folder or Hub name of a T-hp checkpoint, or a file of the authors' release; ``timm:NAME`` takes an
            image encoder alone, ``none`` nothing, and then ``model``, ``tokenizer`` and ``text_weights`` say the rest.
        model: name of an architecture, where ``weights`` is no T-hp checkpoint.
        tokenizer, vocabulary, text_weights: as in pre-training, where ``weights`` is no T-hp checkpoint.
        head: similarity of the class layer: ``thp``, ``cosine``, ``t-vmf`` or ``wrapped-cauchy`` of directions under a
            scale; ``linear`` is a plain layer.
        head_kappa: concentration of a ``thp`` or ``t-vmf`` head.
        head_r_start: of a ``wrapped-cauchy`` head, each class's learnt concentration r at the start.
        head_scale_start: factor on the similarities at the start; the paper's is 1 + softplus(0) = 1.693.
        scale_lr_factor: the scale's learning rate, as a multiple of ``lr``; 0 leaves the scale as it starts.
        experts: of the T-router; 1 is the plain head.
        router_top_k: experts a sample goes through; None weighs all of them.
        balance: weight of the load-balance loss of a router with top_k.
        reads: ``both`` image and caption, or ``image`` alone.
        caption_dropout: share of samples that are trained with an empty caption.
        train_image_encoder, train_text_encoder: train them, or leave them as they are.
        distill: a momentum copy of the whole classifier as teacher.
        alpha: the teacher's share in the loss.
        alpha_epochs: over which the share rises from 0.
        momentum: of the teacher.
        dropout: of the text encoder.
        sampler: ``instance`` takes every sample once an epoch; ``class-aware`` draws classes evenly, ``square-root`` by
            the square root of their numbers of samples.
        objective: ``classification``; ``supcon`` and ``cider`` train the features on two views of each image, without
            a class layer, which ``posthoc: ncm`` then gives.
        loss: of the class scores, a name of :data:`openmmlo.losses.LOSSES`; null for the other objectives.
        loss_options: its own settings, or those of the other objectives' losses.
        contrast_width: of the unit vectors that ``supcon`` and ``cider`` compare.
        trains: ``all`` that is not frozen; ``classifier``: the class layer alone, on the features of the checkpoint
            (cRT); ``class-scales``: a factor for each class on the scores of its linear layer (LWS).
        new_head: begin with a class layer at random although the checkpoint has one for these classes.
        posthoc: what is done to the class layer after the last step, a name of
            :data:`openmmlo.train.posthoc.POSTHOC`; ``steps`` may then be 0.
        posthoc_options: its own settings.
    """

    steps: int | None = 18_000
    batch_size: int = 400
    lr: float = 2e-5
    warmup_steps: int = 0
    captions: Wording = "masked"

    weights: str
    model: str | None = None
    tokenizer: str = "bert-base-uncased"
    vocabulary: int = 30_522
    text_weights: str = "none"
    head: Literal["thp", "cosine", "linear", "t-vmf", "wrapped-cauchy"] = "thp"
    head_kappa: float = 16.0
    head_scale_start: float = 1.6931471805599454
    scale_lr_factor: float = 500.0
    experts: int = 1
    router_top_k: int | None = None
    balance: float = 0.01
    reads: Literal["image", "both"] = "both"
    caption_dropout: float = 0.0
    train_image_encoder: bool = False
    train_text_encoder: bool = True
    distill: bool = True
    alpha: float = 0.4
    alpha_epochs: float = 1.0
    momentum: float = 0.995
    dropout: float = 0.1
    sampler: Sampler = "instance"
    head_r_start: float = 0.5
    objective: Literal["classification", "supcon", "cider"] = "classification"
    loss: str | None = "cross-entropy"
    loss_options: dict[str, float] = field(default_factory=dict)
    contrast_width: int = 128
    trains: Trains = "all"
    new_head: bool = False
    posthoc: str | None = None
    posthoc_options: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        _positive(self, "head_kappa")
        for name in ("vocabulary", "balance", "alpha_epochs", "scale_lr_factor"):
            _at_least(self, name, 0)
        for name in ("experts", "router_top_k"):
            _at_least(self, name, 1)
        _at_least(self, "contrast_width", 2)
        for name in ("alpha", "momentum", "dropout"):
            _share(self, name)
        if not 0 < self.head_r_start < 1:
            raise ConfigError(f"head_r_start is {self.head_r_start:g}; expected between 0 and 1.")
        if not 0 <= self.caption_dropout <= 1:
            raise ConfigError(f"caption_dropout is {self.caption_dropout:g}; expected a share from 0 to 1.")
        if self.head != "linear" and not self.head_scale_start > 1:
            raise ConfigError(f"head_scale_start is {self.head_scale_start:g}; expected more than 1 (1 + softplus(a)).")
        if self.router_top_k is not None and self.router_top_k > self.experts:
            raise ConfigError(
                f"router_top_k is {self.router_top_k} of {self.experts} experts; expected fewer, or null for all."
            )
        if self.reads == "image" and self.caption_dropout:
            raise ConfigError("caption_dropout leaves captions out, and reads is 'image': none is read. Set it to 0.")
        if self.model is None and (self.weights == "none" or self.weights.startswith("timm:")):
            raise ConfigError(
                f"weights is {self.weights!r}, which is no whole model; set model to the architecture around it."
            )
        check_combination(self)


def _default(item: dataclasses.Field[Any]) -> Any:
    return item.default if item.default_factory is dataclasses.MISSING else item.default_factory()


def _at_least(recipe: Recipe, name: str, least: int) -> None:
    value = getattr(recipe, name)
    if value is not None and not value >= least:
        raise ConfigError(f"{name} is {value}; expected at least {least}.")


def _positive(recipe: Recipe, name: str) -> None:
    value = getattr(recipe, name)
    if value is not None and not value > 0:
        raise ConfigError(f"{name} is {value}; expected more than 0.")


def _share(recipe: Recipe, name: str) -> None:
    value = getattr(recipe, name)
    if not 0 <= value < 1:
        raise ConfigError(f"{name} is {value:g}; expected from 0 to below 1.")
