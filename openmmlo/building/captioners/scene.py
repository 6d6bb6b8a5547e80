"""Captions of the miniature, told by the scene that drew each image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from openmmlo.errors import ModelError
from openmmlo.records import Finding, Sample
from openmmlo.sources.miniature import RenderedImage, picture_at
from openmmlo.sources.miniature_captions import CAPTIONS_VERSION, caption_of

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Scene:
    """True captions of the miniature's rendered scenes; needs no model."""

    name: str = field(default="scene", init=False)
    reads_images: ClassVar[bool] = False

    def identity(self) -> dict[str, Any]:
        return {"captioner": self.name, "version": CAPTIONS_VERSION}

    def check(self) -> list[Finding]:
        return [Finding("ok", f"Scene captions, version {CAPTIONS_VERSION}: no model, no device.")]

    def prepare(self, sample: Sample, image: Image) -> str:
        """Return the locator of a rendered scene, from which its caption follows; the pixels are not looked at.

        Raises:
            ModelError: the sample is no image of the miniature.
        """
        if not isinstance(sample.image, RenderedImage):
            raise ModelError(
                f"Captioner 'scene' describes the rendered scenes of source 'miniature' alone; {sample.sample_id!r} "
                f"comes from {sample.source!r}. Use 'instructblip', 'image-text-to-text' or 'existing'."
            )
        return sample.image.locator

    def load(self, worker: int = 0) -> None:
        """Nothing to load."""

    def caption(self, prepared: Sequence[str]) -> list[str]:
        return [caption_of(picture_at(locator)[0]) for locator in prepared]
