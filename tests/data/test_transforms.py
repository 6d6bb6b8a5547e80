"""Transforms: bit for bit torchvision's on Pillow images, picklable, recorded."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision import transforms as theirs
from torchvision.transforms import InterpolationMode

from openmmlo.data.transforms import TRANSFORMS, PillowTransform, ShrunkTransform, transform_named
from openmmlo.errors import UnknownName
from openmmlo.models.encoder import Transform

MODES = {
    "nearest": InterpolationMode.NEAREST,
    "bilinear": InterpolationMode.BILINEAR,
    "bicubic": InterpolationMode.BICUBIC,
    "lanczos": InterpolationMode.LANCZOS,
}


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(1, 90),
    height=st.integers(1, 90),
    resize=st.one_of(st.none(), st.integers(1, 70), st.tuples(st.integers(1, 70), st.integers(1, 70))),
    crop=st.one_of(st.none(), st.tuples(st.integers(1, 80), st.integers(1, 80))),
    mode=st.sampled_from(sorted(MODES)),
)
def test_bits_equal_torchvisions(
    width: int, height: int, resize: int | tuple[int, int] | None, crop: tuple[int, int] | None, mode: str
) -> None:
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    steps: list[object] = []
    if resize is not None:
        steps.append(theirs.Resize(resize, MODES[mode]))
    if crop is not None:
        steps.append(theirs.CenterCrop(crop))
    compose = theirs.Compose([*steps, theirs.ToTensor(), theirs.Normalize(mean, std)])
    image = noise(width, height)
    ours = PillowTransform(resize, crop, mode, mean, std)(image)
    assert ours.dtype == torch.float32
    assert torch.equal(ours, compose(image))


@pytest.mark.parametrize("name", TRANSFORMS)
def test_presets_are_what_the_papers_say(name: str) -> None:
    preset = TRANSFORMS.load(name)()
    sides = {"oltr": (256, 224, "bilinear"), "livt": (256, 224, "bicubic"), "cifar": (32, 32, "bilinear")}
    resize, crop, mode = sides[name]
    record = preset.record
    assert (record["resize"], record["crop"], record["interpolation"]) == (resize, [crop, crop], mode)
    assert isinstance(preset, Transform)
    assert preset(noise(300, 270)).shape == (3, crop, crop)
    assert json.loads(json.dumps(record)) == record
    again = pickle.loads(pickle.dumps(preset))  # noqa: S301 - our own bytes
    assert again == preset


@pytest.mark.parametrize("size", [(32, 32), (500, 375), (36, 36), (20, 90)])
def test_images_brought_to_one_size_first_are_torchvisions(size: tuple[int, int]) -> None:
    """CIDER's Resize(32) and CenterCrop(32), then a network's own 224."""
    then = TRANSFORMS.load("livt")()
    ours = ShrunkTransform(32, then)
    first = theirs.Compose([theirs.Resize(32, MODES["bilinear"]), theirs.CenterCrop(32)])
    image = noise(*size)
    assert torch.equal(ours(image), then(first(image)))
    assert torch.equal(ShrunkTransform(32, TRANSFORMS.load("cifar")())(image), TRANSFORMS.load("cifar")()(image))
    assert ours.record == {"first": {"resize": 32, "crop": 32, "interpolation": "bilinear"}, **then.record}
    assert ours.channel_std == then.channel_std
    assert isinstance(ours, Transform)
    assert torch.equal(pickle.loads(pickle.dumps(ours))(image), ours(image))  # noqa: S301 - our own bytes


def test_a_grey_level_is_one_over_255_deviations() -> None:
    preset = TRANSFORMS.load("oltr")()
    dark, light = (preset(Image.new("RGB", (300, 300), (level,) * 3)) for level in (100, 101))
    step = (light - dark)[:, 0, 0]
    assert step.tolist() == pytest.approx([1 / (255 * std) for std in preset.channel_std], rel=1e-4)


def test_named_transforms_and_unknown_ones() -> None:
    own = PillowTransform(8, (8, 8))
    assert transform_named("model", own) is own
    assert transform_named("livt", own).record["interpolation"] == "bicubic"
    with pytest.raises(UnknownName, match=r"Did you mean 'cifar'\? Known: cifar, livt, model, oltr"):
        transform_named("cifer", own)
