"""Extraction from JPEG files against a bare loop over batches ready in memory: timm's ViT-B/16 on the processor.

Both sides are timed from the end of their second batch to the end of their last: before that, loader processes start.
Weights are random: they cost what trained ones cost.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from collections_on_disk import photographs
from measure import Line, interleaved
from workers import Rate

MODEL = "vit_base_patch16_224"
IMAGES = 56
BATCH = 8
WARM_UP = 2


def bare_rate(model: Any, batches: list[Any]) -> float:
    """Images a second of the model alone; outputs are kept, as a bank keeps them."""
    import torch

    kept, first = [], 0.0
    with torch.inference_mode():
        for number, pixels in enumerate(batches, 1):
            kept.append(model(pixels))
            if number == WARM_UP:
                first = time.perf_counter()
        torch.cat(kept)
    return (len(batches) - WARM_UP) * BATCH / (time.perf_counter() - first)


def measure(pairs: int) -> list[Line]:
    """One line: images/s of extraction over those of the bare loop."""
    import timm
    import torch
    from safetensors.torch import save_file

    from openmmlo.data.batches import decoded
    from openmmlo.evaluate.features.extract import extract
    from openmmlo.models import open_model
    from openmmlo.records import Sample
    from openmmlo.sources.files import FileImage

    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        images = photographs(root / "images", IMAGES)
        paths = [path.relative_to(images).as_posix() for path in sorted(images.rglob("*.jpg"))]
        samples = [Sample(path, FileImage(images, path), 0, "test", "speed", "class0") for path in paths]
        model = timm.create_model(MODEL, pretrained=False).eval()
        save_file(model.state_dict(), root / "model.safetensors")
        encoder = open_model(f"timm:{MODEL}", weights=root / "model.safetensors", device="cpu")
        pixels = torch.stack([encoder.transform(decoded(sample).image) for sample in samples])
        batches = list(pixels.split(BATCH))

        def extraction_rate() -> float:
            progress = Rate(WARM_UP)
            with tempfile.TemporaryDirectory() as cache:
                extract(encoder, "speed", samples, cache=Path(cache), batch_size=BATCH, progress=progress)
            return progress.images_per_second

        bare_rate(model, batches[: WARM_UP + 1])
        line = interleaved(
            f"Extraction, timm {MODEL}, 500 × 375 JPEG, batch {BATCH}, float32 on the processor",
            extraction_rate,
            lambda: bare_rate(model, batches),
            peer_name="bare loop over batches ready in memory",
            bar=0.95,
            at_least=True,
            pairs=pairs,
            detail=lambda ours, bare: f"{ours:.2f} and {bare:.2f} images/s",
        )
    return [line]
