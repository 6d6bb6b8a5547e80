"""What evaluation asks of a model: images and texts become features, and logits where it has a classifier.

Letters: B batch, D features, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import torch
    from PIL import Image

Reads = Literal["image", "text", "pair"]
"""What a model can encode: an image, a text, an image with its caption."""


@dataclass(frozen=True)
class Encoding:
    """One batch through a model.

    Attributes:
        features: (B, D) float32 on the model's device, as the model gives them: nothing is normalised. For a
            classifier they are what its last layer reads.
        logits: (B, C) float32 of the model's own classifier, or None.
    """

    features: torch.Tensor
    logits: torch.Tensor | None = None


@dataclass(frozen=True, eq=False)
class Classifier:
    """The classifier that a model brings.

    Attributes:
        names: (C,) for each output every name and key it goes by (``("n01440764", "tench", "Tinca tinca")``).
        weight: (C, D) float32 where the logits are ``features @ weight.T + bias``; None where they are not linear.
        bias: (C,) float32, or None.
        centres: (C, D) float32 where the logits follow the angles between features and these rows, one a class; None
            where they do not, or where ``weight`` says more.
        keyed: names hold the class keys of openmmlo's own sources; only then does a name that is a bare number count.
    """

    names: tuple[tuple[str, ...], ...]
    weight: np.ndarray | None = None
    bias: np.ndarray | None = None
    centres: np.ndarray | None = None
    keyed: bool = False


@runtime_checkable
class Transform(Protocol):
    """Pixels as a model wants them. Picklable: it runs in loader processes."""

    def __call__(self, image: Image.Image) -> torch.Tensor:
        """An upright RGB image -> (3, H, W) float32."""
        ...

    @property
    def record(self) -> dict[str, Any]:
        """JSON value of everything that decides a pixel: sizes, crop, interpolation, mean, deviation, backend."""
        ...

    @property
    def channel_std(self) -> tuple[float, float, float]:
        """What the channels were divided by: a step of one grey level is 1 / (255 * std)."""
        ...


@runtime_checkable
class Remarks(Protocol):
    """What an encoder may have besides: sentences that its user must know beside its numbers."""

    @property
    def remarks(self) -> tuple[str, ...]: ...


@runtime_checkable
class Encoder(Protocol):
    """A model behind the one door.

    It is in eval mode, on ``device``, and tracks gradients only where the caller enabled them.
    """

    @property
    def name(self) -> str:
        """The name it was asked for."""
        ...

    @property
    def reads(self) -> frozenset[Reads]: ...

    @property
    def device(self) -> torch.device: ...

    @property
    def transform(self) -> Transform: ...

    @property
    def classifier(self) -> Classifier | None: ...

    @property
    def logit_scale(self) -> float | None:
        """What cosines of image and text features are multiplied by (CLIP: 100).

        None where it reads no texts, or where its features of texts and of images share no space.
        """
        ...

    def identity(self) -> dict[str, Any]:
        """JSON value of everything that decides a feature: architecture, weights digest, revision, text length.

        Nothing of one machine: no path, no device, no host.
        """
        ...

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Encoder:
        """Move it there in place; ``dtype`` is what it computes in (autocast). Returns itself."""
        ...

    def encode_images(self, pixels: torch.Tensor) -> Encoding:
        """(B, 3, H, W) float32 -> features. Differentiable with respect to the pixels."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """B texts -> (B, D) float32. Raises ModelError where it reads none."""
        ...

    def encode_pairs(self, pixels: torch.Tensor, texts: Sequence[str]) -> Encoding:
        """(B, 3, H, W) and B captions -> features. Raises ModelError where it reads no pairs."""
        ...

    def count_truncated(self, texts: Sequence[str]) -> int:
        """How many of the texts are longer than the model reads."""
        ...
