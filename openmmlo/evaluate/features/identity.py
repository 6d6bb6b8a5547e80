"""What decides the rows of a bank, as one JSON value: two banks with equal digests of it hold equal rows."""

from __future__ import annotations

import dataclasses
import hashlib
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from openmmlo.evaluate.head import Head
from openmmlo.records import Sample, digest_of

if TYPE_CHECKING:
    from openmmlo.models.encoder import Encoder, Reads, Transform

EXTRACTOR_VERSION = 1
"""Raised whenever the same images and weights would give other rows: every bank is then made anew."""

Precision = Literal["fp32", "fp16"]
"""What a bank stores."""

ComputeType = Literal["float32", "bfloat16", "float16"]
"""What a model computes in."""


@dataclass(frozen=True, eq=False)
class Perturbation:
    """A gradient step on the pixels before the rows are computed, as ODIN reads them.

    Attributes:
        head: whose probability of the predicted class the step raises.
        temperature: T of its softmax.
        eta: length of the step, in units of pixels from 0 to 1.
    """

    head: Head
    temperature: float
    eta: float

    def identity(self) -> dict[str, Any]:
        """JSON value of what it does to a pixel."""
        return {"head": head_digest(self.head), "temperature": self.temperature, "eta": self.eta}


def head_digest(head: Head) -> str:
    """SHA-256 of everything that decides a logit."""
    digest = hashlib.sha256(digest_of([head.kind, head.classes, head.unit_features, float(head.scale)]).encode())
    for array in (head.weight, head.bias, head.columns):
        if array is None:
            digest.update(b"none")
        else:
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def bank_identity(
    encoder: Encoder,
    samples: Sequence[Sample],
    *,
    mode: Reads,
    captions: Sequence[str] | None,
    caption_digest: str,
    transform: Transform,
    precision: Precision,
    dtype: ComputeType,
    perturb: Perturbation | None,
) -> dict[str, Any]:
    """Everything that decides a row, as protocol and mathematics have it; nothing of one machine.

    The size of a batch, the device and the number of threads are no part of it: they change a feature's last bits at
    most. Files are told apart by size and time, so that nothing is read to know whether a bank is there.
    """
    return {
        "extractor": EXTRACTOR_VERSION,
        "model": encoder.identity(),
        "transform": None if mode == "text" else transform.record,
        "list": list_digest(samples),
        "images": None if mode == "text" else images_digest(samples),
        "mode": mode,
        "captions": None if captions is None else {"source": caption_digest, "texts": _texts_digest(captions)},
        "computed": dtype,
        "stored": precision,
        "perturbed": None if perturb is None else perturb.identity(),
    }


def list_digest(samples: Sequence[Sample]) -> str:
    """SHA-256 of ids, class keys and labels in the order of the list, which is the order of the rows."""
    digest = hashlib.sha256()
    for sample in samples:
        digest.update(f"{sample.sample_id}\t{sample.class_key}\t{sample.label}\n".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def images_digest(samples: Sequence[Sample]) -> str:
    """SHA-256 of what is known of the images without reading them.

    Of an image file: its size and the time of its last change. Of any other: its locator, with size and time of the
    archive that it lies in, or of that member of an unpacked archive. Of one that its source found missing: that.
    """
    digest = hashlib.sha256()
    archives: dict[Path, str] = {}
    for sample in samples:
        if sample.problem is not None:
            known = sample.problem.value
        elif isinstance(path := getattr(sample.image, "path", None), Path):
            known = file_stamp(path)
        else:
            known = sample.image.locator
            archive = _archive(sample.image)
            if archive is not None:
                if archive not in archives:
                    archives[archive] = file_stamp(archive)
                known += f"\t{archives[archive]}"
        digest.update(f"{known}\n".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def file_stamp(path: Path) -> str:
    """Size and time of the last change of a file, as text; ``absent`` or ``no file`` where there is none."""
    try:
        found = path.stat()
    except OSError:
        return "absent"
    if not stat.S_ISREG(found.st_mode):
        return "no file"
    return f"{found.st_size} {found.st_mtime_ns}"


def _archive(image: Any) -> Path | None:
    """The file that a reference into an archive reads: its ``file``, else the path that is one of its fields."""
    if isinstance(file := getattr(image, "file", None), Path):
        return file
    if not dataclasses.is_dataclass(image):
        return None
    values = (getattr(image, item.name) for item in dataclasses.fields(image))
    return next((value for value in values if isinstance(value, Path)), None)


def _texts_digest(texts: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(f"{len(data)} ".encode())
        digest.update(data)
    return digest.hexdigest()
