"""Draw docs/images/miniature.png: the long tail of the miniature, and what its images and masked captions look like.

python docs/contact_sheet.py
"""

from __future__ import annotations

import io
import textwrap
from itertools import islice
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image

from openmmlo.building.captioners import open_captioner
from openmmlo.building.masking import Masker, build_lexicon
from openmmlo.records import Sample
from openmmlo.sources.miniature import Miniature

TARGET = Path(__file__).parent / "images" / "miniature.png"

COLOURS = {"many": "#2a6f97", "medium": "#e09f3e", "few": "#9e2a2b"}
TITLES = {"many": "many: over 100", "medium": "medium: 20 to 100", "few": "few: under 20"}

TILES = (
    ("train", "house", "many"), ("train", "vase", "many"), ("train", "knight", "many"), ("train", "telephone", "many"),
    ("train", "cow", "medium"), ("train", "mushroom", "medium"), ("train", "aeroplane", "few"),
    ("train", "scissors", "few"), ("sketch", "umbrella", "sketch"), ("sketch", "sailboat", "sketch"),
    ("near_ood", "writing-hand", "near-OOD"), ("far_ood", "letter", "far-OOD"),
)  # fmt: skip
"""Split, class and heading of each tile."""

LONGEST = 116
"""Captions of more characters do not fit beneath a tile."""


def main() -> None:
    """Draw the sheet."""
    source = Miniature(size=192)
    figure = Figure(figsize=(13.2, 8.4), dpi=100, facecolor="white")
    left, right = figure.subfigures(1, 2, width_ratios=(1, 2.55))
    _long_tail(left.subplots(), source)
    left.subplots_adjust(left=0.16, right=0.95, top=0.955, bottom=0.06)
    for axes, tile in zip(right.subplots(3, 4).flat, TILES, strict=True):
        _tile(axes, source, *tile)
    right.subplots_adjust(left=0.03, right=0.985, top=0.955, bottom=0.1, wspace=0.12, hspace=0.52)
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    sheet = Image.open(buffer).convert("RGB")
    sheet.save(TARGET, optimize=True)
    print(f"{TARGET.name}: {TARGET.stat().st_size / 1000:.0f} kB, {sheet.width} x {sheet.height}")


def _long_tail(axes: Axes, source: Miniature) -> None:
    info = source.info()
    ranked = sorted(zip(source.train_counts, info.shot_groups(), info.classes, strict=True), key=lambda row: -row[0])
    axes.bar(range(50), [row[0] for row in ranked], color=[COLOURS[row[1]] for row in ranked], width=0.85)
    axes.set(xlim=(-0.8, 49.8), ylim=(0, 530), xlabel="50 classes, from head to tail", ylabel="training images")
    axes.set_title(f"{sum(source.train_counts):,} training images", fontsize=11, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xticks([])
    for place in (0, 2, 6, 10, 14, 20, 26, 32, 38, 44, 49):
        count, _, item = ranked[place]
        axes.text(place + 0.7, count + 4, f"{item.name}  {count}", rotation=0 if place < 15 else 50, fontsize=8.5)
    patches = [Patch(color=colour, label=TITLES[group]) for group, colour in COLOURS.items()]
    axes.legend(
        handles=patches, frameon=False, loc="upper right", bbox_to_anchor=(1, 0.74), fontsize=9.5, title="shot groups"
    )


def _tile(axes: Axes, source: Miniature, split: str, key: str, heading: str) -> None:
    sample, masked = _fitting_one(source, split, key)
    axes.imshow(Image.open(io.BytesIO(sample.image.read())))
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_color("#bbbbbb")
    axes.set_title(heading, fontsize=9.5, loc="left", color=COLOURS.get(heading, "#444444"), fontweight="bold", pad=4)
    lines = textwrap.fill(masked, 35).replace("[mask]", r"$\mathbf{[mask]}$")
    axes.text(0.5, -0.05, lines, transform=axes.transAxes, ha="center", va="top", fontsize=8, linespacing=1.2)


def _fitting_one(source: Miniature, split: str, key: str) -> tuple[Sample, str]:
    """One of a class's first samples whose caption fills the room beneath its tile, with that caption masked."""
    info = source.info()
    captioner = open_captioner("scene")
    samples = list(islice((sample for sample in source.samples(split) if sample.class_key == key), 24))
    images = [Image.open(io.BytesIO(sample.image.read())) for sample in samples]
    texts = captioner.caption([captioner.prepare(*pair) for pair in zip(samples, images, strict=True)])
    best = min(range(len(texts)), key=lambda index: (len(texts[index]) > LONGEST, abs(LONGEST - len(texts[index]))))
    masker = Masker(build_lexicon(info, "strict"), tuple(item.key for item in info.classes))
    sample = samples[best]
    return sample, masker.mask(sample.sample_id, texts[best], key, ood=sample.label < 0).masked


if __name__ == "__main__":
    main()
