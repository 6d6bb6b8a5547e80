"""Banks hold what a direct forward pass gives; nothing is computed twice; what decides a row decides the bank."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from counted_encoders import FEATURES, TinyEncoder, TinyTransform, direct, files_of, pictures, without
from PIL import Image

from openmmlo.errors import ConfigError, DataError, ModelError
from openmmlo.evaluate.detectors.odin import perturbed_pixels
from openmmlo.evaluate.features import chunks
from openmmlo.evaluate.features.bank import FeatureBank
from openmmlo.evaluate.features.extract import extract
from openmmlo.evaluate.features.identity import Perturbation
from openmmlo.evaluate.head import Head
from openmmlo.models.encoder import Encoder, Encoding, Transform
from openmmlo.progress import Silent
from openmmlo.records import Sample, Status
from openmmlo.sources.array_images import ArrayImage
from openmmlo.sources.imagefolder import ImageFolder
from openmmlo.sources.miniature import Miniature


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(chunks, "ROWS", 8)


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    return pictures(tmp_path / "images", 21)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., FeatureBank]:
    def run(encoder: TinyEncoder, samples: list[Sample], **options: Any) -> FeatureBank:
        return extract(
            encoder, "noise", samples, cache=tmp_path / "cache", **{"batch_size": 4, "workers": 0, **options}
        )

    return run


class Told(Silent):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.started: tuple[int, int] | None = None
        self.rows = self.failed = 0
        self.said: list[str] = []
        self.closed = False

    def start(self, total: int, done: int) -> None:
        self.started = (total, done)

    def advance(self, rows: int, failed: int) -> None:
        self.rows += rows
        self.failed += failed

    def say(self, message: str) -> None:
        self.said.append(message)

    def close(self) -> None:
        self.closed = True


def test_the_tiny_encoder_is_an_encoder() -> None:
    assert isinstance(TinyEncoder(), Encoder)
    assert isinstance(TinyTransform(), Transform)


@pytest.mark.parametrize("workers", [0, 2])
def test_rows_are_those_of_a_direct_forward_pass(
    samples: list[Sample], make: Callable[..., FeatureBank], workers: int
) -> None:
    encoder = TinyEncoder()
    told = Told()
    bank = make(encoder, samples, workers=workers, progress=told)
    expected = direct(TinyEncoder(), samples)
    np.testing.assert_allclose(bank.features, expected.features, rtol=1e-5, atol=1e-6)
    assert bank.logits is not None
    assert expected.logits is not None
    np.testing.assert_allclose(bank.logits, expected.logits, rtol=1e-5, atol=1e-5)
    assert bank.features.dtype == np.float32
    assert bank.sample_ids.tolist() == [sample.sample_id for sample in samples]
    assert bank.class_keys.tolist() == [sample.class_key for sample in samples]
    assert bank.labels.tolist() == [sample.label for sample in samples]
    assert bank.labels.dtype == np.int64
    assert bank.name == "noise"
    assert encoder.rows == len(samples)
    assert told.started == (21, 0)
    assert (told.rows, told.failed, told.said, told.closed) == (21, 0, [], True)


def test_digests_are_those_of_the_files(samples: list[Sample], make: Callable[..., FeatureBank]) -> None:
    import hashlib

    bank = make(TinyEncoder(), samples)
    assert bank.sha256 is not None
    assert bank.sha256.tolist() == [hashlib.sha256(sample.image.read()).hexdigest() for sample in samples]


def test_a_second_extraction_runs_no_forward_pass(samples: list[Sample], make: Callable[..., FeatureBank]) -> None:
    first = make(TinyEncoder(), samples)
    encoder = TinyEncoder()
    second = make(encoder, samples, workers=1, batch_size=7)
    assert encoder.rows == 0
    np.testing.assert_array_equal(first.features, second.features)
    assert first.fingerprint == second.fingerprint
    assert first.extraction is not None
    assert second.extraction is not None
    assert (first.extraction.from_cache, first.extraction.rows) == (False, 21)
    assert first.extraction.rows_per_second is not None
    assert (second.extraction.from_cache, second.extraction.rows) == (True, 0)


def test_loader_processes_change_no_byte(samples: list[Sample], tmp_path: Path) -> None:
    for workers in (0, 1, 2):
        extract(TinyEncoder(), "noise", samples, cache=tmp_path / f"{workers}", batch_size=4, workers=workers)
    assert files_of(tmp_path / "0") == files_of(tmp_path / "1") == files_of(tmp_path / "2")


CHANGES: dict[str, dict[str, Any]] = {
    "transform": {"transform": TinyTransform(0.5)},
    "precision": {"precision": "fp16"},
    "dtype": {"dtype": "bfloat16"},
    "mode": {"mode": "pair", "captions": ["a"] * 21},
    "perturbation": {
        "perturb": Perturbation(Head("model", 3, weight=np.ones((3, FEATURES), np.float32)), 1000.0, 0.0014)
    },
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_decides_a_row_decides_the_bank(
    samples: list[Sample], make: Callable[..., FeatureBank], what: str
) -> None:
    plain = make(TinyEncoder(), samples)
    encoder = TinyEncoder()
    changed = make(encoder, samples, **CHANGES[what])
    assert changed.fingerprint != plain.fingerprint
    assert encoder.rows >= len(samples)


def test_weights_captions_masks_heads_and_steps_are_told_apart(
    samples: list[Sample], make: Callable[..., FeatureBank]
) -> None:
    weight = np.ones((3, FEATURES), np.float32)
    head = Head("model", 3, weight=weight)
    banks = [
        make(TinyEncoder(1), samples),
        make(TinyEncoder(), samples, mode="text", captions=["a"] * 21),
        make(TinyEncoder(), samples, mode="text", captions=["a"] * 20 + ["b"]),
        make(TinyEncoder(), samples, mode="text", captions=["a"] * 21, caption_digest="masked strictly"),
        make(TinyEncoder(), samples, perturb=Perturbation(head, 1.0, 0.1)),
        make(TinyEncoder(), samples, perturb=Perturbation(head, 2.0, 0.1)),
        make(TinyEncoder(), samples, perturb=Perturbation(head, 1.0, 0.2)),
        make(TinyEncoder(), samples, perturb=Perturbation(replace(head, weight=weight * 2), 1.0, 0.1)),
    ]
    assert len({bank.fingerprint for bank in banks}) == len(banks)


def test_the_list_is_told_apart_by_order_ids_classes_and_labels(
    samples: list[Sample], make: Callable[..., FeatureBank]
) -> None:
    lists = [
        samples,
        samples[::-1],
        samples[:-1],
        without(samples, 3, sample_id="other"),
        without(samples, 3, class_key="other"),
        without(samples, 3, label=-1),
    ]
    banks = [make(TinyEncoder(), one) for one in lists]
    assert len({bank.fingerprint for bank in banks}) == len(banks)
    np.testing.assert_allclose(banks[1].features, banks[0].features[::-1], rtol=1e-5, atol=1e-6)
    assert banks[5].labels[3] == -1


def test_a_changed_file_is_told_by_its_size_or_its_time(
    samples: list[Sample], make: Callable[..., FeatureBank], tmp_path: Path
) -> None:
    path = tmp_path / "images" / "00003.png"
    stat = path.stat()
    first = make(TinyEncoder(), samples)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    by_time = make(TinyEncoder(), samples)
    path.write_bytes(path.read_bytes() + b"\0")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    by_size = make(TinyEncoder(), samples)
    assert len({first.fingerprint, by_time.fingerprint, by_size.fingerprint}) == 3
    # The folder where the images lie decides nothing.
    moved = tmp_path / "moved"
    (tmp_path / "images").rename(moved)
    encoder = TinyEncoder()
    assert make(encoder, pictures(moved, 21)).fingerprint == by_size.fingerprint
    assert encoder.rows == 0


def test_images_that_are_no_files_are_told_by_their_locator(make: Callable[..., FeatureBank]) -> None:
    source = Miniature()
    samples = list(source.samples("test"))[:12]
    first = make(TinyEncoder(), samples)
    encoder = TinyEncoder()
    assert make(encoder, samples).fingerprint == first.fingerprint
    assert encoder.rows == 0
    other = Miniature(seed=1)
    swapped = without(samples, 0, image=next(iter(other.samples("test"))).image)
    assert make(encoder, swapped).fingerprint != first.fingerprint


def _first_pixels(archive: Path, member: str) -> np.ndarray:
    path = archive / member if archive.is_dir() else archive
    return np.frombuffer(path.read_bytes()[: 8 * 8 * 3], np.uint8).reshape(1, 8, 8, 3)


@pytest.mark.parametrize("unpacked", [False, True])
def test_rows_of_an_archive_are_told_by_the_file_that_holds_them(
    unpacked: bool, make: Callable[..., FeatureBank], tmp_path: Path
) -> None:
    archive = tmp_path / "archive"
    holds = archive / "batches" / "train" if unpacked else archive
    holds.parent.mkdir(parents=True, exist_ok=True)
    holds.write_bytes(bytes(range(192)))
    samples = [Sample("0", ArrayImage(archive, "batches/train", 0, _first_pixels), 0, "train", "rows", "kind")]
    first = make(TinyEncoder(), samples)
    assert make(encoder := TinyEncoder(), samples).fingerprint == first.fingerprint
    assert encoder.rows == 0
    stat = holds.stat()
    holds.write_bytes(bytes(reversed(range(192))))
    os.utime(holds, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    changed = make(TinyEncoder(), samples)
    assert changed.fingerprint != first.fingerprint
    assert not np.array_equal(changed.features, first.features)


def test_half_precision_is_near(samples: list[Sample], make: Callable[..., FeatureBank]) -> None:
    whole = make(TinyEncoder(), samples)
    half = make(TinyEncoder(), samples, precision="fp16")
    assert half.logits is not None
    assert (half.features.dtype, half.logits.dtype) == (np.float16, np.float16)
    # Round to nearest: half a unit in the last of 11 bits, relative to each number.
    np.testing.assert_allclose(half.features.astype(np.float32), whole.features, rtol=2**-11, atol=2**-24)


def test_texts_alone_need_no_image(samples: list[Sample], make: Callable[..., FeatureBank], tmp_path: Path) -> None:
    captions = [f"a caption of number {number}" for number in range(21)]
    for path in (tmp_path / "images").iterdir():
        path.unlink()
    bank = make(TinyEncoder(), samples, mode="text", captions=captions)
    np.testing.assert_array_equal(bank.features, TinyEncoder().encode_texts(captions))
    assert (bank.logits, bank.sha256, bank.failed) == (None, None, ())


def test_pairs_read_the_caption_of_each_image_that_can_be_read(
    samples: list[Sample], make: Callable[..., FeatureBank], tmp_path: Path
) -> None:
    captions = ["abc" * number for number in range(21)]
    (tmp_path / "images" / "00001.png").write_bytes(b"")
    bank = make(TinyEncoder(), samples, mode="pair", captions=captions)
    kept = [number for number in range(21) if number != 1]
    expected = direct(TinyEncoder(), [samples[number] for number in kept]).features
    expected = expected + TinyEncoder().encode_texts([captions[number] for number in kept])
    np.testing.assert_allclose(bank.features, expected, rtol=1e-5, atol=1e-5)
    assert bank.failed == (("00001", "unreadable", "the file is empty"),)


def test_a_perturbed_bank_is_of_pixels_after_the_step(samples: list[Sample], make: Callable[..., FeatureBank]) -> None:
    encoder = TinyEncoder()
    random = np.random.default_rng(0)
    head = Head("linear-probe", 3, weight=random.normal(size=(3, FEATURES)).astype(np.float32))
    bank = make(encoder, samples, perturb=Perturbation(head, 10.0, 0.05))
    pixels = torch.stack([encoder.transform(Image.open(sample.image.path)) for sample in samples])  # type: ignore[attr-defined]
    moved = perturbed_pixels(pixels, encoder.encode_images, head, (0.5, 0.25, 0.2), 10.0, 0.05)
    assert float((moved - pixels).abs().max()) == pytest.approx(0.05 / 0.2, rel=1e-5)
    np.testing.assert_allclose(bank.features, encoder.encode_images(moved).features, rtol=1e-4, atol=1e-5)
    plain = make(encoder, samples)
    raised = head.logits(bank).max(axis=1) - np.log(np.exp(head.logits(bank)).sum(axis=1))
    before = head.logits(plain).max(axis=1) - np.log(np.exp(head.logits(plain)).sum(axis=1))
    assert (raised > before).mean() > 0.9


@pytest.mark.parametrize("workers", [0, 2])
def test_odd_and_broken_images_fail_with_their_reasons(
    odd_images: Callable[[Path], dict[str, Status]], tmp_path: Path, make: Callable[..., FeatureBank], workers: int
) -> None:
    expected = odd_images(tmp_path / "root" / "odd")
    source = ImageFolder(tmp_path / "root", val=0.0, test=0.0)
    samples = list(source.samples("train"))
    told = Told()
    bank = make(TinyEncoder(), samples, workers=workers, progress=told)
    found = {Path(sample_id).name: status for sample_id, status, _ in bank.failed}
    found |= {Path(sample_id).name: "ok" for sample_id in bank.sample_ids}
    assert found == {name: status.value for name, status in expected.items()}
    assert all(reason and str(tmp_path) not in reason for _, _, reason in bank.failed)
    assert len(bank) + len(bank.failed) == len(samples) == told.rows
    assert told.failed == len(bank.failed)
    encoder = TinyEncoder()
    assert make(encoder, samples).failed == bank.failed
    assert encoder.rows == 0


def test_an_image_that_can_be_read_again_has_the_bank_made_anew(
    samples: list[Sample], make: Callable[..., FeatureBank], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from openmmlo.sources import files

    def refused(path: Path, most: int = -1) -> bytes:
        if path.name == "00002.png":
            raise PermissionError(13, "Permission denied")
        return path.read_bytes()

    with monkeypatch.context() as patch:
        patch.setattr(files, "read_regular", refused)
        bank = make(TinyEncoder(), samples)
    assert bank.failed == (("00002", "unreadable", "cannot be read: Permission denied"),)
    told = Told()
    again = make(TinyEncoder(), samples, progress=told)
    assert (len(again), again.failed) == (21, ())
    assert "'00002'" in told.said[0]


def test_what_cannot_be_extracted_says_so(samples: list[Sample], make: Callable[..., FeatureBank]) -> None:
    class ImagesOnly(TinyEncoder):
        reads = frozenset({"image"})

    with pytest.raises(DataError, match="noise lists no image"):
        make(TinyEncoder(), [])
    with pytest.raises(DataError, match=r"20 captions for 21 samples"):
        make(TinyEncoder(), samples, mode="pair", captions=["a"] * 20)
    with pytest.raises(DataError, match="no captions for 21 samples"):
        make(TinyEncoder(), samples, mode="text")
    with pytest.raises(ModelError, match="'tiny' does not read mode 'pair'; it reads image"):
        make(ImagesOnly(), samples, mode="pair", captions=["a"] * 21)
    with pytest.raises(ConfigError, match="batch_size is 0"):
        make(TinyEncoder(), samples, batch_size=0)


def test_no_readable_image_names_the_first_reason(make: Callable[..., FeatureBank], tmp_path: Path) -> None:
    samples = pictures(tmp_path / "images", 9)
    for path in (tmp_path / "images").iterdir():
        path.write_bytes(b"")
    with pytest.raises(
        DataError, match=r"none of 9 images could be read; the first, '00000', is unreadable: the file is"
    ):
        make(TinyEncoder(), samples)


class Spoilt(TinyEncoder):
    """Gives a value in place of some rows' features."""

    def __init__(self, value: float, rows: set[int]) -> None:
        super().__init__()
        self.value = value
        self.spoilt = rows

    def encode_images(self, pixels: torch.Tensor) -> Encoding:
        found = super().encode_images(pixels)
        for place in range(len(pixels)):
            if self.rows - len(pixels) + place in self.spoilt:
                found.features[place] = self.value
        return found


@pytest.mark.parametrize(
    ("value", "options", "words"),
    [
        (float("nan"), {}, "3 of 21 rows hold NaN or infinite numbers"),
        (float("-inf"), {}, "3 of 21 rows hold NaN or infinite numbers"),
        (1e6, {"precision": "fp16"}, "3 of 21 rows hold NaN or infinite numbers"),
    ],
)
def test_strange_features_are_named_and_counted_and_not_kept(
    samples: list[Sample], make: Callable[..., FeatureBank], tmp_path: Path, value: float, options: Any, words: str
) -> None:
    with pytest.raises(DataError, match=f"Features of noise: {words}"):
        make(Spoilt(value, {1, 2, 20}), samples, **options)
    assert not list((tmp_path / "cache").rglob("meta.json"))
    # The sound chunk (8 rows of 21) is kept, the spoilt ones are computed again.
    encoder = TinyEncoder()
    assert len(make(encoder, samples, **options)) == 21
    assert encoder.rows == 21 - 8


def test_a_row_of_zeros_is_a_row_but_nothing_else_is_no_bank(
    samples: list[Sample], make: Callable[..., FeatureBank], tmp_path: Path
) -> None:
    """A ReLU network, or the pixels themselves, may see nothing in a black image."""
    bank = make(Spoilt(0.0, {1, 20}), samples)
    assert np.flatnonzero(~bank.features.any(axis=1)).tolist() == [1, 20]
    other = pictures(tmp_path / "others", 9)
    with pytest.raises(DataError, match="Features of noise: 9 of 9 rows are zero in every feature"):
        make(Spoilt(0.0, set(range(9))), other)
    encoder = TinyEncoder()
    assert len(make(encoder, other)) == encoder.rows == 9


def test_a_model_that_gives_nothing_but_nan_is_stopped_at_once(
    samples: list[Sample], make: Callable[..., FeatureBank]
) -> None:
    encoder = Spoilt(float("nan"), set(range(21)))
    with pytest.raises(DataError, match="8 of 8 rows hold NaN"):
        make(encoder, samples)
    assert encoder.rows == 8


def test_a_transform_that_fails_names_the_image(samples: list[Sample], make: Callable[..., FeatureBank]) -> None:
    class Failing(TinyTransform):
        def __call__(self, image: Image.Image) -> torch.Tensor:
            raise RuntimeError("no such size")

    class Uneven(TinyTransform):
        def __call__(self, image: Image.Image) -> torch.Tensor:
            grey = np.asarray(image)
            return torch.zeros(3, int(grey[0, 0, 0]) + 1, 2)

    for transform, words in ((Failing(), "transform failed on image '00000', 10 x 12 pixels"), (Uneven(), "one shape")):
        with pytest.raises(DataError, match=words):
            make(TinyEncoder(), samples, transform=transform)


def test_out_of_memory_says_what_to_do(samples: list[Sample], make: Callable[..., FeatureBank]) -> None:
    class Hungry(TinyEncoder):
        def encode_images(self, pixels: torch.Tensor) -> Encoding:
            if self.rows >= 8:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().encode_images(pixels)

    with pytest.raises(Exception, match=r"Out of memory at a batch of 4 images of noise. Take a smaller --batch-size"):
        make(Hungry(), samples)
    encoder = TinyEncoder()
    assert len(make(encoder, samples)) == 21
    assert encoder.rows == 21 - 8
