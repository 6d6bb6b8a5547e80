"""The whole pipeline against raw ``model.generate``: a tiny InstructBLIP slowed to 40 images/s, as on an accelerator.

The slowing sleeps, so it leaves the processor to reading, decoding and preparing, as an accelerator does. Both sides
are timed from the end of their fifth batch to the end of their last: before that, processes are still loading torch.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collections_on_disk import photographs
from measure import Line, interleaved
from PIL import Image
from tiny_checkpoints import make_instructblip
from workers import Rate

from openmmlo.building import BuildConfig, build
from openmmlo.building.captioners import PAPER_PROMPT
from openmmlo.building.captioners.instructblip import InstructBlip

IMAGES = 320
WARM_UP = 5
BATCH = 16
IMAGES_A_SECOND = 40.0
TOKENS = 8


@dataclass(frozen=True)
class Slowed(InstructBlip):
    """InstructBLIP that takes at least the time a large one would."""

    def caption(self, prepared: Sequence[Any]) -> list[str]:
        started = time.perf_counter()
        captions = super().caption(prepared)
        sleep_until(started + len(prepared) / IMAGES_A_SECOND)
        return captions


def sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.perf_counter()))


def raw_rate(model: Any, batches: list[Any]) -> float:
    """Images a second of ``generate`` alone, over batches that lie ready."""
    first = 0.0
    for number, inputs in enumerate(batches, 1):
        started = time.perf_counter()
        model.generate(**inputs, num_beams=1, max_new_tokens=TOKENS, do_sample=False)
        sleep_until(started + BATCH / IMAGES_A_SECOND)
        if number == WARM_UP:
            first = time.perf_counter()
    return (len(batches) - WARM_UP) * BATCH / (time.perf_counter() - first)


def measure(pairs: int) -> list[Line]:
    """One line: images/s of the pipeline over those of raw generate."""
    import torch
    from transformers import AutoProcessor, InstructBlipForConditionalGeneration

    with tempfile.TemporaryDirectory() as temporary, torch.inference_mode():
        root = Path(temporary)
        images = photographs(root / "images", IMAGES)
        checkpoint = make_instructblip(root / "checkpoint", "flan-t5")
        model = InstructBlipForConditionalGeneration.from_pretrained(checkpoint).eval()
        processor = AutoProcessor.from_pretrained(checkpoint)
        paths = sorted(images.rglob("*.jpg"))
        batches = []
        for start in range(0, IMAGES, BATCH):
            loaded = [Image.open(path).convert("RGB") for path in paths[start : start + BATCH]]
            batches.append(processor(images=loaded, text=[PAPER_PROMPT] * BATCH, padding=True, return_tensors="pt"))

        def pipeline_rate() -> float:
            progress = Rate(WARM_UP)
            with tempfile.TemporaryDirectory() as out:
                build(
                    BuildConfig(
                        str(images),
                        Path(out) / "out",
                        {"val": 0, "test": 0},
                        "pipeline:Slowed",
                        {"model": str(checkpoint), "preset": "greedy", "max_new_tokens": TOKENS},
                        batch_size=BATCH,
                        shard_size=100,
                        measure=False,
                    ),
                    progress,
                )
            return progress.images_per_second

        line = interleaved(
            "Pipeline, tiny InstructBLIP slowed to 40 images/s, 500 × 375 JPEG, batch 16",
            pipeline_rate,
            lambda: raw_rate(model, batches),
            peer_name="raw `model.generate`, inputs ready in memory",
            bar=0.95,
            at_least=True,
            pairs=pairs,
            detail=lambda ours, raw: f"{ours:.1f} and {raw:.1f} images/s",
        )
    return [line]
