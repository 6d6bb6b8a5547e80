"""Time from starting the program to its first batch, for a fresh and for an all but finished build.

Lists: the official Places-LT training list where ``OPENMMLO_TEST_SPLITS`` or the folder beside the checkout has it,
else one of its size; and a list of 740,000 rows over 8,142 classes. Most images are empty files: planning looks at
names.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collections_on_disk import listed_files
from measure import Line, repeated
from stubs import Describing

from openmmlo.errors import OpenmmloError

FIRST_BATCH = """
import json, resource, sys
from pathlib import Path
from openmmlo.building import BuildConfig, build
from openmmlo.errors import OpenmmloError

if __name__ == "__main__":
    options, splits = json.loads(sys.argv[3]), tuple(json.loads(sys.argv[4]))
    try:
        build(BuildConfig(sys.argv[1], Path(sys.argv[2]), options, "planning:Stopping", splits=splits, prefetch=0))
    except OpenmmloError as error:
        if "first batch" not in str(error):
            raise
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
PLAIN = """
import sys
from pathlib import Path
root = Path(sys.argv[2])
found = 0
for line in open(sys.argv[1]):
    path, label = line.rsplit(maxsplit=1)
    found += (root / path).exists()
print(found)
"""
"""What people write by hand: parse each line and ask the file system for each file."""


@dataclass(frozen=True)
class Stopping(Describing):
    """A captioner that ends the program at its first batch."""

    name: str = "stopping"

    def load(self, worker: int = 0) -> None:
        raise OpenmmloError("first batch reached")

    def caption(self, prepared: Sequence[Any]) -> list[str]:
        raise OpenmmloError("first batch reached")


def measure(pairs: int) -> list[Line]:
    """Places-LT's list in seconds; 740,000 rows in seconds and MiB; both beside a plain parse and look-up."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        places = places_list()
        large = large_list()
        lines = []
        for name, source, file_name, rows, bar in (
            ("Places-LT, 62,500 rows", "places-lt", "Places_LT_train.txt", places, 3.0),
            ("iNaturalist-like, 740,000 rows", "inaturalist2018", "iNaturalist18_train.txt", large, 20.0),
        ):
            folder = root / source
            images, lists = folder / "images", folder / "lists"
            lists.mkdir(parents=True)
            images.mkdir()
            listed_files(images, rows)
            (lists / file_name).write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
            ours = Resumed(folder, source)
            plain = [sys.executable, "-c", PLAIN, str(lists / file_name), str(images)]
            peer_seconds = timed(plain)
            lines.append(
                repeated(
                    f"Start to first batch, resumed: {name}",
                    ours.seconds,
                    unit="s",
                    bar=bar,
                    pairs=pairs,
                    peer_name="a plain parse with one file look-up a row",
                    detail=f"plain {peer_seconds:.2f} s",
                )
            )
        lines.append(
            repeated(
                "Peak memory of planning 740,000 rows",
                ours.mebibytes,
                unit="MiB",
                bar=1024,
                pairs=3,
                peer_name="none",
            )
        )
    return lines


class Resumed:
    """Starts the builder on a folder in which every shard but the last is finished."""

    def __init__(self, folder: Path, source: str) -> None:
        script = folder / "first_batch.py"
        script.write_text(FIRST_BATCH, encoding="utf-8")
        options = json.dumps({"images": str(folder / "images"), "lists": str(folder / "lists")})
        self.command = [sys.executable, str(script), source, str(folder / "out"), options, '["train"]']
        timed(self.command)
        state = json.loads((folder / "out" / ".openmmlo" / "plan.json").read_bytes())
        for shard in state["shards"][:-1]:
            (folder / "out" / "data" / f"{shard['name']}.parquet").touch()
            (folder / "out" / ".openmmlo" / "shards" / f"{shard['name']}.json").touch()
            (folder / "out" / ".openmmlo" / "journals" / f"{shard['name']}.journal").unlink(missing_ok=True)

    def seconds(self) -> float:
        return timed(self.command)

    def mebibytes(self) -> float:
        return float(subprocess.run(self.command, check=True, capture_output=True, text=True).stdout)


def timed(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def places_list() -> list[str]:
    """Rows of the official training list, or as many of the same form."""
    beside = Path(__file__).parents[2] / "shared" / "data" / "splits"
    path = Path(os.environ.get("OPENMMLO_TEST_SPLITS", beside)) / "Places_LT_train.txt.gz"
    if path.is_file():
        with gzip.open(path, "rt", encoding="utf-8") as file:
            return file.read().splitlines()
    return [f"train/class{index % 365:03d}/{index:08d}.jpg {index % 365}" for index in range(62_500)]


def large_list() -> list[str]:
    """740,000 rows over 8,142 classes, in the form of iNaturalist's list."""
    return [f"train_val2018/Aves/{index % 8142}/{index:032x}.jpg {index % 8142}" for index in range(740_000)]
