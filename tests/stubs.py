"""A source and captioners that tests and speed measurements put through the real engine."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from openmmlo.errors import SampleFailed
from openmmlo.records import ClassInfo, DatasetInfo, Finding, Sample, Status


@lru_cache(maxsize=64)
def jpeg(seed: int, width: int, height: int) -> bytes:
    """A JPEG of smooth noise; equal arguments give equal bytes."""
    coarse = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


@dataclass(frozen=True, slots=True)
class GeneratedImage:
    locator: str

    def read(self) -> bytes:
        seed, width, height = (int(part) for part in self.locator.split("-")[1:])
        return jpeg(seed, width, height)


@dataclass(frozen=True)
class Generated:
    """A source of generated JPEGs: ``train`` and ``test``, four classes, out-of-distribution images in ``open``."""

    images_per_split: int = 60
    kinds: int = 50
    width: int = 48
    height: int = 32
    name: str = "generated"

    def info(self) -> DatasetInfo:
        names = ("red fox", "umbrella", "tree frog", "teapot")
        classes = tuple(ClassInfo(f"c{index}", name, (name,)) for index, name in enumerate(names))
        return DatasetInfo("generated", "1", "apache-2.0", classes, (40, 10, 6, 4))

    def splits(self) -> tuple[str, ...]:
        return ("train", "test", "open")

    def samples(self, split: str) -> Iterator[Sample]:
        offset = self.splits().index(split)
        for index in range(self.images_per_split):
            locator = f"{split}{index:06d}-{(index * 3 + offset) % self.kinds}-{self.width}-{self.height}"
            label = -1 if split == "open" else index % 4
            key = "" if split == "open" else f"c{label}"
            yield Sample(f"{split}/{index:06d}", self.image(locator), label, split, self.name, key)

    def image(self, locator: str) -> GeneratedImage:
        return GeneratedImage(locator)

    def check(self, splits: tuple[str, ...] = (), look: bool = True) -> list[Finding]:
        return [Finding("ok", "generated images")]


@dataclass(frozen=True)
class Describing:
    """A deterministic captioner: what it says depends on the pixels alone.

    ``seconds`` are slept a batch; ``spin`` is CPU time burnt an image.
    """

    seconds: float = 0.0
    spin: float = 0.0
    name: str = "describing"

    def identity(self) -> dict[str, Any]:
        return {"captioner": self.name, "version": "1"}

    def check(self) -> list[Finding]:
        return []

    def prepare(self, sample: Sample, image: Image.Image) -> Any:
        return hashlib.sha256(image.tobytes()).hexdigest()

    def load(self, worker: int = 0) -> None:
        return

    def caption(self, prepared: Sequence[Any]) -> list[str]:
        time.sleep(self.seconds)
        end = time.process_time() + self.spin * len(prepared)
        while time.process_time() < end:
            sum(range(1000))
        names = ("red fox", "umbrella", "tree frog", "teapot")
        return [f"A {names[int(code[0], 16) % 4]} of shade {code[:6]} beside two {names[0]}es." for code in prepared]


@dataclass(frozen=True)
class Counting(Describing):
    """Describing, with a line in a file for every caption it makes."""

    log: str = ""
    name: str = "counting"

    def caption(self, prepared: Sequence[Any]) -> list[str]:
        captions = super().caption(prepared)
        with open(self.log, "a", encoding="utf-8") as file:  # noqa: PTH123
            file.write("".join(f"{caption}\n" for caption in captions))
        return captions


@dataclass(frozen=True)
class Crashing(Describing):
    """Describing, but preparing an image of ``fatal`` kills the process, as a broken C decoder would."""

    fatal: str = ""
    name: str = "crashing"

    def prepare(self, sample: Sample, image: Image.Image) -> Any:
        if sample.sample_id == self.fatal:
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().prepare(sample, image)


@dataclass(frozen=True)
class Suicidal(Describing):
    """Describing, but the worker that captions is killed at once, as by the system's memory guard."""

    name: str = "suicidal"

    def caption(self, prepared: Sequence[Any]) -> list[str]:
        os.kill(os.getpid(), signal.SIGKILL)
        return []


@dataclass(frozen=True)
class Broken(Describing):
    """Describing until ``flag`` (a file) exists no more: while it does, images of one class have no caption."""

    flag: str = ""
    name: str = "broken"

    def prepare(self, sample: Sample, image: Image.Image) -> Any:
        if sample.label == 2 and Path(self.flag).exists():
            raise SampleFailed(Status.NO_CAPTION, "no caption for this class today")
        return super().prepare(sample, image)


@dataclass(frozen=True)
class Numbering(Describing):
    """Tells a sample's id and nothing of its pixels, and says that it does not look at them."""

    name: str = "numbering"
    reads_images: ClassVar[bool] = False

    def prepare(self, sample: Sample, image: Image.Image) -> Any:
        return sample.sample_id

    def caption(self, prepared: Sequence[Any]) -> list[str]:
        time.sleep(self.seconds)
        return [f"Number {item}: a fox, a red fox or an umbrella." for item in prepared]
