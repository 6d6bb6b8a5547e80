"""A tiny model that counts what goes through it, image files for it to read, and extractions in their own processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from openmmlo.evaluate.features.bank import FeatureBank
from openmmlo.evaluate.features.extract import extract
from openmmlo.models.encoder import Classifier, Encoding, Reads
from openmmlo.records import Sample
from openmmlo.sources.files import FileImage

HERE = Path(__file__).parent
SIDE = 8
FEATURES = 16
CLASSES = 5


@dataclass(frozen=True)
class TinyTransform:
    """Eight by eight pixels."""

    scale: float = 1.0

    def __call__(self, image: Image.Image) -> torch.Tensor:
        small = np.asarray(image.resize((SIDE, SIDE)), dtype=np.float32) / 255 * self.scale
        return torch.from_numpy(small.transpose(2, 0, 1).copy())

    @property
    def record(self) -> dict[str, Any]:
        return {"kind": "tiny", "scale": self.scale}

    @property
    def channel_std(self) -> tuple[float, float, float]:
        return (0.5, 0.25, 0.2)


class TinyEncoder:
    """Two layers on pixels, counts of letters of a text; every forward pass is counted, in a file too if one is given.

    Args:
        seed: of its weights.
        seconds: that a batch takes at least.
        tally: a file that gets a line a batch: how many rows.
    """

    name = "tiny"
    reads: frozenset[Reads] = frozenset({"image", "text", "pair"})
    classifier: Classifier | None = None
    logit_scale = 100.0

    def __init__(self, seed: int = 0, seconds: float = 0.0, tally: Path | None = None) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.seed = seed
        self.seconds = seconds
        self.tally = tally
        self.first = torch.randn(3 * SIDE * SIDE, 32, generator=generator) / 10
        self.second = torch.randn(32, FEATURES, generator=generator)
        self.last = torch.randn(FEATURES, CLASSES, generator=generator)
        self.rows = 0
        self.dtype = torch.float32
        self.transform = TinyTransform()

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    def identity(self) -> dict[str, Any]:
        return {"architecture": "tiny", "weights": self.seed}

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> TinyEncoder:
        self.dtype = dtype or self.dtype
        return self

    def encode_images(self, pixels: torch.Tensor) -> Encoding:
        self._count(len(pixels))
        features = torch.tanh(pixels.flatten(1) @ self.first) @ self.second
        return Encoding(features, features @ self.last)

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        self._count(len(texts))
        rows = [[float(text.count(letter)) for letter in "abcdefghijklmnop"] for text in texts]
        return torch.tensor(rows) + 1

    def encode_pairs(self, pixels: torch.Tensor, texts: Sequence[str]) -> Encoding:
        features = self.encode_images(pixels).features + self.encode_texts(texts)
        self.rows -= len(pixels)
        return Encoding(features, features @ self.last)

    def count_truncated(self, texts: Sequence[str]) -> int:
        return 0

    def _count(self, rows: int) -> None:
        time.sleep(self.seconds)
        self.rows += rows
        if self.tally is not None:
            with self.tally.open("a") as file:
                file.write(f"{rows}\n")

    def tallied(self) -> int:
        """Rows that went through it in any process."""
        if self.tally is None or not self.tally.exists():
            return 0
        return sum(map(int, self.tally.read_text().split()))


def pictures(folder: Path, count: int, seed: int = 0) -> list[Sample]:
    """Image files of noise, each a sample; made once."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    samples = []
    for number in range(count):
        path = folder / f"{number:05d}.png"
        pixels = random.integers(0, 256, (12, 10, 3), dtype=np.uint8)
        if not path.exists():
            Image.fromarray(pixels).save(path)
        samples.append(
            Sample(
                path.stem, FileImage(folder, path.name), number % CLASSES, "test", "noise", f"class-{number % CLASSES}"
            )
        )
    return samples


def direct(encoder: TinyEncoder, samples: Sequence[Sample]) -> Encoding:
    """All images in one forward pass, without any of the machinery."""
    pixels = []
    for sample in samples:
        assert isinstance(sample.image, FileImage)
        pixels.append(encoder.transform(Image.open(sample.image.path).convert("RGB")))
    return encoder.encode_images(torch.stack(pixels))


def files_of(cache: Path) -> dict[str, bytes]:
    """Every file of every bank of a cache, but locks."""
    return {
        path.relative_to(cache).as_posix(): path.read_bytes()
        for path in sorted(cache.rglob("*"))
        if path.is_file() and path.suffix != ".lock"
    }


def start_extraction(
    folder: Path, cache: Path, count: int, *, seconds: float = 0.0, launcher: Sequence[str] = (), **options: Any
) -> subprocess.Popen[str]:
    """Extract ``count`` pictures of a folder in another process; each forward pass is tallied in ``cache/../tally``."""
    values = {"folder": str(folder), "cache": str(cache), "count": count, "seconds": seconds, **options}
    return subprocess.Popen(
        [*(launcher or [sys.executable]), str(Path(__file__)), json.dumps(values)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)]), "OMP_NUM_THREADS": "1"},
    )


def tally_of(cache: Path) -> TinyEncoder:
    return TinyEncoder(tally=cache.parent / f"{cache.name}.tally")


def run_extraction(values: dict[str, Any]) -> FeatureBank:
    torch.set_num_threads(1)
    cache = Path(values.pop("cache"))
    encoder = tally_of(cache)
    encoder.seconds = values.pop("seconds")
    samples = pictures(Path(values.pop("folder")), values.pop("count"))
    return extract(encoder, "noise", samples, cache=cache, **values)


def without(samples: Sequence[Sample], number: int, **changes: Any) -> list[Sample]:
    """The list with one sample changed."""
    changed = list(samples)
    changed[number] = replace(changed[number], **changes)
    return changed


if __name__ == "__main__":
    from accelerate import PartialState

    state = PartialState(cpu=True)
    bank = run_extraction(json.loads(sys.argv[1]))
    assert bank.extraction is not None
    place = [state.process_index, state.num_processes]
    sys.stdout.write(json.dumps({"rows": len(bank), "computed": bank.extraction.rows, "place": place}) + "\n")
    state.destroy_process_group()
