"""An upright RGB image in, pixels as a network wants them out; on Pillow, which gives equal results everywhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image

from openmmlo.catalog import Catalog
from openmmlo.errors import UnknownName

if TYPE_CHECKING:
    import torch

    from openmmlo.models.encoder import Transform

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]
Channels = tuple[float, float, float]

IMAGENET_MEAN: Channels = (0.485, 0.456, 0.406)
IMAGENET_STD: Channels = (0.229, 0.224, 0.225)
CIFAR100_MEAN: Channels = (129.3 / 255, 124.1 / 255, 112.4 / 255)
CIFAR100_STD: Channels = (68.2 / 255, 65.4 / 255, 70.4 / 255)

TRANSFORMS = Catalog(
    "transform",
    {
        "oltr": "openmmlo.data.transforms:oltr",
        "livt": "openmmlo.data.transforms:livt",
        "cifar": "openmmlo.data.transforms:cifar",
    },
)

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True)
class PillowTransform:
    """Resize, crop the centre, scale to [0, 1], normalise: bit for bit what torchvision does to Pillow images.

    Attributes:
        resize: the shorter side, or (height, width); None leaves the size.
        crop: (height, width) of the centre; a smaller image is padded with black. None crops nothing.
        interpolation: Pillow's filter.
        mean: subtracted from the channels.
        std: divides them.
    """

    resize: int | tuple[int, int] | None
    crop: tuple[int, int] | None
    interpolation: Interpolation = "bilinear"
    mean: Channels = (0.0, 0.0, 0.0)
    std: Channels = (1.0, 1.0, 1.0)

    def __call__(self, image: Image.Image) -> torch.Tensor:
        """An upright RGB image -> (3, H, W) float32."""
        import torch

        pixels = np.asarray(self.image(image))
        channels = torch.from_numpy(pixels.transpose(2, 0, 1).copy()).to(torch.float32).div(255)
        mean = torch.tensor(self.mean, dtype=torch.float32).view(3, 1, 1)
        std = torch.tensor(self.std, dtype=torch.float32).view(3, 1, 1)
        return channels.sub_(mean).div_(std)

    def image(self, image: Image.Image) -> Image.Image:
        """The image resized and cropped, still as an image."""
        return _centre(self._resized(image.convert("RGB")), self.crop)

    @property
    def record(self) -> dict[str, Any]:
        return {
            "backend": "pillow",
            "resize": list(self.resize) if isinstance(self.resize, tuple) else self.resize,
            "crop": None if self.crop is None else list(self.crop),
            "interpolation": self.interpolation,
            "mean": list(self.mean),
            "std": list(self.std),
        }

    @property
    def channel_std(self) -> Channels:
        return self.std

    def _resized(self, image: Image.Image) -> Image.Image:
        if self.resize is None:
            return image
        width, height = image.size
        if isinstance(self.resize, tuple):
            size = (self.resize[1], self.resize[0])
        elif width <= height:
            size = (self.resize, int(self.resize * height / width))
        else:
            size = (int(self.resize * width / height), self.resize)
        return image if size == image.size else image.resize(size, _FILTERS[self.interpolation])


@dataclass(frozen=True, eq=False)
class LibraryTransform:
    """What a library made for its checkpoint, kept as it is.

    Attributes:
        apply: an image -> (3, H, W); picklable.
        settings: JSON value of everything that decides a pixel.
        std: what a grey level divided by 255 ends up divided by.
    """

    apply: Callable[[Image.Image], torch.Tensor]
    settings: Mapping[str, Any] = field(default_factory=dict)
    std: Channels = (1.0, 1.0, 1.0)

    def __call__(self, image: Image.Image) -> torch.Tensor:
        """An upright RGB image -> (3, H, W) float32."""
        return self.apply(image).float()

    @property
    def record(self) -> dict[str, Any]:
        return dict(self.settings)

    @property
    def channel_std(self) -> Channels:
        return self.std


@dataclass(frozen=True, eq=False)
class ShrunkTransform:
    """Another transform on images that are first brought to one small size, as OOD suites of CIFAR do.

    Images of other sets would else be told by their sharpness alone, whatever they show.

    Attributes:
        size: the shorter side, bilinear, and the side of the centre that is kept.
        then: what a network wants.
    """

    size: int
    then: Transform

    def __call__(self, image: Image.Image) -> torch.Tensor:
        """An upright RGB image -> (3, H, W) float32."""
        return self.then(self._first.image(image))

    @property
    def record(self) -> dict[str, Any]:
        return {"first": {"resize": self.size, "crop": self.size, "interpolation": "bilinear"}, **self.then.record}

    @property
    def channel_std(self) -> Channels:
        return self.then.channel_std

    @property
    def _first(self) -> PillowTransform:
        return PillowTransform(self.size, (self.size, self.size))


def transform_named(name: str, own: Transform) -> Transform:
    """The transform of an option: ``model`` is the checkpoint's own, any other name one of TRANSFORMS.

    A transform of the table also normalises; it is for networks that were trained with it, not for CLIP.

    Raises:
        UnknownName: no such transform.
    """
    if name == "model":
        return own
    if name not in TRANSFORMS and ":" not in name:
        raise UnknownName(TRANSFORMS.kind, name, ["model", *TRANSFORMS])
    found: Transform = TRANSFORMS.load(name)()
    return found


def oltr() -> PillowTransform:
    """Resize 256, centre 224, bilinear, ImageNet mean and deviation, as OLTR, classifier-balancing and LIFT test."""
    return PillowTransform(256, (224, 224), "bilinear", IMAGENET_MEAN, IMAGENET_STD)


def livt() -> PillowTransform:
    """Resize 256, centre 224, bicubic, ImageNet mean and deviation, as LiVT tests."""
    return PillowTransform(256, (224, 224), "bicubic", IMAGENET_MEAN, IMAGENET_STD)


def cifar() -> PillowTransform:
    """Resize 32, centre 32, bilinear, as CIDER tests; mean and deviation of CIFAR-100's training pixels."""
    return PillowTransform(32, (32, 32), "bilinear", CIFAR100_MEAN, CIFAR100_STD)


def _centre(image: Image.Image, crop: tuple[int, int] | None) -> Image.Image:
    """The middle of an image; half pixels go to the even side, as in torchvision."""
    if crop is None:
        return image
    height, width = crop
    if image.width < width or image.height < height:
        wide, high = max(image.width, width), max(image.height, height)
        padded = Image.new("RGB", (wide, high))
        padded.paste(image, (max(0, (width - image.width) // 2), max(0, (height - image.height) // 2)))
        image = padded
    left, top = round((image.width - width) / 2.0), round((image.height - height) / 2.0)
    return image.crop((left, top, left + width, top + height))
