"""report.html of the full Places-LT lists: time, size and peak memory, and time a thumbnail against plain Pillow.

The lists are the official ones where ``OPENMMLO_TEST_SPLITS`` or the folder beside the checkout has them, else lists of
their size and order. Images are 256 x 256 JPEGs of smooth noise, 512 different ones; captions are some 60 words.
"""

from __future__ import annotations

import gzip
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
from measure import Line, interleaved, repeated
from memory import peak_memory
from pictured_sets import Pictured, write_pictured
from stubs import jpeg

from openmmlo.records import ClassInfo, DatasetInfo

SIDE, KINDS = 256, 512
SAID = [
    "the",
    "picture",
    "shows",
    "a",
    "wide",
    "view",
    "of",
    "with",
    "several",
    "people",
    "walking",
    "near",
    "large",
    "windows",
    "behind",
    "wooden",
    "benches",
    "and",
    "under",
    "a",
    "bright",
    "sky",
    "while",
    "small",
    "trees",
    "stand",
    "along",
    "both",
    "sides",
    "in",
    "front",
    "of",
    "old",
    "brick",
    "buildings",
    "that",
    "are",
    "painted",
    "white",
]
SIZES = {"train": 62_500, "val": 7_300, "test": 36_500, "open": 6_600}

PLAIN = """
import base64, io, sys
from pathlib import Path
import pyarrow.parquet as pq
from PIL import Image

left = int(sys.argv[2])
for path in sorted(Path(sys.argv[1]).glob("data/train-*.parquet")):
    for row in pq.read_table(path, columns=["image"])["image"].to_pylist()[:40]:
        if left:
            image = Image.open(io.BytesIO(row["bytes"])).convert("RGB")
            image.thumbnail((192, 192), Image.Resampling.LANCZOS)
            buffer = io.BytesIO()
            image.save(buffer, "WEBP", quality=60)
            base64.b64encode(buffer.getvalue())
            left -= 1
if left:
    raise SystemExit(f"{left} images too few")
"""
"""What people write by hand: one image after the other, decoded whole."""


def measure(pairs: int) -> list[Line]:
    """Four lines: seconds, megabytes and MiB of the whole page, and its time over that of as many plain thumbnails."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        folder = places(root / "places")
        page = root / "report.html"
        ours = [sys.executable, "-m", "openmmlo", "report", str(folder), "--out", str(page), "--quiet", "--json"]
        timed(ours)
        images = page.read_text(encoding="utf-8").count(',"UklGR')  # how base64 of a WebP begins
        plain = [sys.executable, "-c", PLAIN, str(folder), str(images)]
        name = f"report.html of all of Places-LT ({sum(SIZES.values()):,} rows)"
        peer = f"{images:,} thumbnails one by one with Pillow, no page"
        return [
            repeated(
                name,
                lambda: timed(ours),
                unit="s",
                bar=15,
                pairs=min(pairs, 5),
                peer_name=peer,
                detail=f"Pillow {timed(plain):.1f} s",
            ),
            repeated(
                "Size of that page",
                lambda: page.stat().st_size / 10**6,
                unit="MB",
                bar=8,
                pairs=1,
                peer_name="none",
            ),
            repeated(
                "Peak memory of making it", lambda: peak_memory(ours), unit="MiB", bar=1024, pairs=3, peer_name="none"
            ),
            interleaved(
                "The same, time",
                lambda: timed(ours),
                lambda: timed(plain),
                peer_name=peer,
                bar=1.5,
                at_least=False,
                pairs=pairs,
                detail=lambda mine, other: f"{mine:.1f} and {other:.1f} s",
            ),
        ]


def places(folder: Path) -> Path:
    """Write the data set of all four lists."""
    lists = {split: read_list(split) for split in SIZES}
    counts = Counter(label for _, label in lists["train"])
    names = {label: path.split("/")[1] for path, label in lists["train"]}
    info = DatasetInfo(
        "places-lt",
        "1",
        "not ours to give",
        tuple(ClassInfo(names[label], names[label].replace("_", " "), (names[label],)) for label in sorted(names)),
        tuple(counts[label] for label in sorted(names)),
    )
    write_pictured(folder, info, {split: rows(split, lines, info) for split, lines in lists.items()})
    found = sum(pq.read_metadata(path).num_rows for path in folder.glob("data/*.parquet"))
    if found != sum(SIZES.values()):
        raise RuntimeError(f"{found} rows; expected {sum(SIZES.values())}")
    return folder


def rows(split: str, lines: list[tuple[str, int]], info: DatasetInfo) -> Iterator[Pictured]:
    generator = random.Random(split)
    images = [jpeg(kind, SIDE, SIDE) for kind in range(KINDS)]
    for number, (path, label) in enumerate(lines):
        item = info.classes[label] if label >= 0 else None
        name = item.name if item else "place"
        said = generator.choices(SAID, k=56)
        caption = " ".join(("The", name, *said, "and the", name, "again.")).capitalize()
        key = item.key if item else ""
        hidden = (name,) if item else ()
        sample = f"{split}/{path[:-4]}"
        yield Pictured(sample, label, key, caption, images[number % KINDS], hidden, (SIDE, SIDE))


def read_list(split: str) -> list[tuple[str, int]]:
    beside = Path(__file__).parents[2] / "shared" / "data" / "splits"
    path = Path(os.environ.get("OPENMMLO_TEST_SPLITS", beside)) / f"Places_LT_{split}.txt.gz"
    if path.is_file():
        with gzip.open(path, "rt", encoding="utf-8") as file:
            parted = [line.rsplit(maxsplit=1) for line in file.read().splitlines()]
        return [(name, int(label)) for name, label in parted]
    if split == "open":
        return [(f"open/{place:08d}.jpg", -1) for place in range(SIZES[split])]
    per_class = spread(SIZES[split], 365)
    return [
        (f"{split}/class{label:03d}/{place:08d}.jpg", label) for label, n in enumerate(per_class) for place in range(n)
    ]


def spread(total: int, classes: int) -> list[int]:
    return [total // classes + (place < total % classes) for place in range(classes)]


def timed(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started
