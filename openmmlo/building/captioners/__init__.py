"""Images come in one batch at a time; one caption an image goes out.

A captioner is a frozen dataclass whose fields are its options. It is cheap to make and to pickle: prefetch processes
hold a copy that only prepares inputs, the worker's copy alone loads weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from openmmlo.catalog import Catalog
from openmmlo.config import construct
from openmmlo.errors import SampleFailed
from openmmlo.records import Finding, Sample

if TYPE_CHECKING:
    from PIL.Image import Image

CAPTIONERS = Catalog(
    "captioner",
    {
        "instructblip": "openmmlo.building.captioners.instructblip:InstructBlip",
        "image-text-to-text": "openmmlo.building.captioners.image_text_to_text:ImageTextToText",
        "openai-compatible": "openmmlo.building.captioners.openai_compatible:OpenAICompatible",
        "existing": "openmmlo.building.captioners.existing:Existing",
        "scene": "openmmlo.building.captioners.scene:Scene",
        "thp": "openmmlo.building.captioners.thp:Thp",
    },
)

DEFAULTS = {"miniature": "scene"}
"""Captioner a source is built with where none is named; every other source gets ``instructblip``."""

PAPER_PROMPT = (
    "What does this picture describe? Please describe in detail its size, location, color, "
    "and its relationship to the surroundings."
)
"""The paper's prompt (section 2.4), byte for byte."""


@runtime_checkable
class Captioner(Protocol):
    """What a build asks of a captioner."""

    name: str

    def identity(self) -> dict[str, Any]:
        """Everything that decides the captions: model, revision, preset, prompt, dtype. JSON values, no local paths."""
        ...

    def check(self) -> list[Finding]:
        """What a build needs to know before any work: a checkpoint that is not at hand, a device that is missing."""
        ...

    def prepare(self, sample: Sample, image: Image) -> Any:
        """Make one picklable model input from an upright RGB image. Runs in prefetch processes.

        Raises SampleFailed where this sample can have no caption.
        """
        ...

    def load(self, worker: int = 0) -> None:
        """Load weights, onto the accelerator with this worker's number where there are several."""
        ...

    def caption(self, prepared: Sequence[Any]) -> Sequence[str | SampleFailed]:
        """Caption a batch of prepared inputs, in order; SampleFailed stands where one sample can have no caption.

        Out of memory may be raised: the caller halves the batch. CaptioningStopped ends the build and keeps what the
        captioner has of the batch.
        """
        ...


@runtime_checkable
class KeepsBooks(Protocol):
    """What a build also asks of a captioner whose captions cost: its books count over all processes and resumes."""

    def open_books(self, folder: Path) -> None:
        """Keep the books in this folder, which all builders of a data set share and which may not exist yet.

        Called in each worker, before load.
        """
        ...

    def account(self, folder: Path) -> str:
        """What the books in this folder say was used so far, as a sentence; empty where nothing was."""
        ...

    def learnt(self, folder: Path) -> dict[str, Any]:
        """What was learnt of the captioner while it worked; the manifest shows it beside the identity. JSON values."""
        ...


@runtime_checkable
class LooksAtImages(Protocol):
    """What a captioner says that does not look at pixels: a recaption with it reads no image."""

    reads_images: bool


def reads_images(captioner: Captioner) -> bool:
    """Whether captions depend on pixels: so it is where a captioner does not say ``reads_images = False``."""
    return captioner.reads_images if isinstance(captioner, LooksAtImages) else True


def default_captioner(source: str) -> str:
    """Name of the captioner for a source."""
    return DEFAULTS.get(source, "instructblip")


def open_captioner(name: str, options: Mapping[str, Any] | None = None) -> Captioner:
    """Make a captioner from its name and its options.

    Raises:
        UnknownName: no such captioner.
        ConfigError: an option that it does not have.
    """
    captioner: Captioner = construct(CAPTIONERS.load(name), dict(options or {}), f"captioner {name}")
    return captioner
