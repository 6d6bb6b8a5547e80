"""A feature bank: what a model made of a list of images, row by row."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Extraction:
    """How a bank came to be at hand, for the record of a run.

    Attributes:
        seconds: wall time of this call.
        rows: that went through the model in this call and process; 0 where all of them were there.
        rows_per_second: of these; None where there were none.
        from_cache: the bank stood in the cache, whole and sound.
        workers: loader processes.
        device: what the model ran on.
        distrusted: why an entry of the cache was made anew; empty where none was.
    """

    seconds: float
    rows: int
    rows_per_second: float | None
    from_cache: bool
    workers: int = 0
    device: str = ""
    distrusted: str = ""

    @property
    def line(self) -> str:
        """One line for a log."""
        if self.from_cache:
            return f"from the cache in {self.seconds:.1f} s"
        rate = f", {self.rows_per_second:,.1f} a second" if self.rows_per_second else ""
        return f"{self.rows:,} rows in {self.seconds:.1f} s{rate} on {self.device}"


@dataclass(frozen=True, eq=False)
class FeatureBank:
    """Raw features of one set of images, in list order; who needs unit vectors normalises.

    Arrays may be memory-mapped. Letters: N samples, D features, C classes.

    Attributes:
        name: the set ("train", "test", "svhn").
        sample_ids: (N,) str.
        class_keys: (N,) str, empty where an image's class is unknown.
        labels: (N,) int64; -1 is out of distribution.
        features: (N, D) float16 or float32, as the model gave them.
        logits: (N, C) of the model's own classifier in its own order, or None.
        sha256: (N,) hexadecimal digests of the images' bytes, or None where no image was read.
        fingerprint: digest of everything that decides a row.
        failed: (sample_id, status, reason) of images that have no row.
        perturbed: the same rows after a gradient step on the pixels (ODIN), or None.
        extraction: how it came to be at hand, or None.
    """

    name: str
    sample_ids: Array
    class_keys: Array
    labels: Array
    features: Array
    logits: Array | None = None
    sha256: Array | None = None
    fingerprint: str = ""
    failed: tuple[tuple[str, str, str], ...] = ()
    perturbed: FeatureBank | None = field(default=None, repr=False)
    extraction: Extraction | None = None

    def __len__(self) -> int:
        return len(self.sample_ids)
