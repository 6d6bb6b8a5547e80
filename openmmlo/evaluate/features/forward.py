"""One batch through a model, in each of the modes it may read; and batches gathered into a chunk."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from openmmlo.data.batches import PixelBatch
from openmmlo.errors import ModelError
from openmmlo.evaluate.detectors.odin import perturbed_pixels
from openmmlo.evaluate.features.chunks import Chunk
from openmmlo.evaluate.features.identity import Perturbation
from openmmlo.models.encoder import Encoder, Encoding, Reads, Transform


class Forward:
    """A model with what it shall read.

    Args:
        captions: a text for each position of the list; for the modes that read them.
        perturb: a step on the pixels first.
    """

    def __init__(
        self,
        encoder: Encoder,
        mode: Reads,
        transform: Transform,
        captions: Sequence[str] | None,
        perturb: Perturbation | None,
    ) -> None:
        self.encoder = encoder
        self.mode = mode
        self.transform = transform
        self.captions = captions
        self.perturb = perturb

    def __call__(self, batch: PixelBatch) -> Encoding:
        """The rows of a batch, on the model's device."""
        texts = [self.captions[row] for row in batch.rows] if self.captions is not None else []
        if self.mode == "text":
            with torch.inference_mode():
                found = Encoding(self.encoder.encode_texts(texts))
        else:
            encode = self._encode(texts)
            if batch.pixels is None:
                raise ValueError("a batch with rows has pixels")
            pixels = batch.pixels.to(self.encoder.device, non_blocking=True)
            if self.perturb is not None:
                pixels = perturbed_pixels(
                    pixels,
                    encode,
                    self.perturb.head,
                    self.transform.channel_std,
                    self.perturb.temperature,
                    self.perturb.eta,
                )
            with torch.inference_mode():
                found = encode(pixels)
        self._check(found, len(batch.rows))
        return found

    def _encode(self, texts: list[str]) -> Callable[[torch.Tensor], Encoding]:
        if self.mode == "pair":
            return lambda pixels: self.encoder.encode_pairs(pixels, texts)
        return self.encoder.encode_images

    def _check(self, found: Encoding, rows: int) -> None:
        for what, tensor in (("features", found.features), ("logits", found.logits)):
            if tensor is not None and (tensor.ndim != 2 or len(tensor) != rows):
                raise ModelError(
                    f"Model {self.encoder.name!r} gave {what} of shape {tuple(tensor.shape)} for a batch of {rows}; "
                    f"expected ({rows}, D): one vector a sample."
                )


def gathered(batches: Sequence[PixelBatch], encodings: Sequence[Encoding], stored: torch.dtype) -> Chunk:
    """Batches and what became of them, as a chunk in main memory: one wait for the device a chunk, not one a batch."""
    rows = [row for batch in batches for row in batch.rows]
    failed = tuple(failure for batch in batches for failure in batch.failed)
    if encodings:
        features = torch.cat([encoding.features for encoding in encodings]).to(stored).cpu().numpy()
    else:
        features = np.zeros((0, 0), np.float16 if stored == torch.float16 else np.float32)
    given = [encoding.logits for encoding in encodings if encoding.logits is not None]
    return Chunk(
        rows=np.array(rows, dtype=np.int64),
        features=features,
        logits=torch.cat(given).to(stored).cpu().numpy() if given else None,
        sha256=tuple(digest for batch in batches for digest in batch.sha256),
        failed=failed,
    )
