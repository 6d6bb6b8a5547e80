"""Statistics of 740,000 captions of 50 words: time and peak memory, and time against words counted with pandas.

Ours is the command a person runs, from start to end, over captions as written and masked: classes, words, which classes
captions name and, where WordNet is at hand, nouns and pairs of label and noun. The peer counts words alone, in one
process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from captions_on_disk import DICT, captioned
from measure import Line, interleaved, repeated
from memory import peak_memory

from openmmlo.building.wordnet_files import lay_out

ROWS = 740_000
SLICE = 148_000

WITHOUT_WORDNET = """
import sys
from openmmlo.building.measures.statistics import measure
from openmmlo.cli import main

if __name__ == "__main__":
    measure.find_wordnet = lambda: None
    sys.exit(main(sys.argv[1:]))
"""
PANDAS = """
import json, sys
from pathlib import Path
import pandas as pd

folder = Path(sys.argv[1])
found = {}
for column in ("caption", "masked_caption"):
    captions = pd.concat([pd.read_parquet(path, columns=[column])[column] for path in sorted(folder.glob("data/*"))])
    words = captions.str.lower().str.findall(r"\\[mask\\]|[a-z]+(?:['\\-][a-z]+)*")
    found[column] = words.explode().value_counts()
print(json.dumps({column: [int(counts.sum()), len(counts)] for column, counts in found.items()}))
"""
"""What people write by hand; for these captions, which are ASCII and hold no ``[mask]s``, with the same result."""


def measure(pairs: int) -> list[Line]:
    """Seconds and MiB at 740,000 captions; the ratio to pandas, words and names alone, at a fifth of them."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        bare, wordnet = root / "bare", root / "wordnet"
        with_nouns = DICT.is_dir()
        if with_nouns:
            lay_out(DICT, wordnet / "nltk_data")
        large, small = captioned(root / "large", ROWS), captioned(root / "small", SLICE)
        agree(Ours(small, bare).json(), pandas(small))
        whole = Ours(large, wordnet)
        nouns = "with nouns and label × noun pairs" if with_nouns else "no WordNet at hand, so no nouns"
        return [
            repeated(
                f"Statistics of {ROWS:,} captions of 50 words, raw and masked, {nouns}",
                whole.seconds,
                unit="s",
                bar=60,
                pairs=min(pairs, 5),
                peer_name="words alone with pandas, once, one process",
                detail=f"pandas {timed(pandas(large)):.0f} s",
            ),
            repeated(
                "Peak memory of the same, all processes",
                whole.mebibytes,
                unit="MiB",
                bar=1536,
                pairs=3,
                peer_name="words alone with pandas, once, one process",
                detail=f"pandas {peak_memory(pandas(large)):,.0f} MiB",
            ),
            interleaved(
                f"Statistics of {SLICE:,} such captions without nouns, time",
                Ours(small, bare).seconds,
                lambda: timed(pandas(small)),
                peer_name="words alone with pandas, one process",
                bar=1.0,
                at_least=False,
                pairs=pairs,
                detail=lambda mine, other: f"{mine:.1f} and {other:.1f} s",
            ),
        ]


class Ours:
    """The command on a data set, with WordNet from ``nltk_data`` in ``data`` or, where there is none, without."""

    def __init__(self, folder: Path, data: Path) -> None:
        self.command = [sys.executable, "-m", "openmmlo", "stats", str(folder), "--quiet", "--json"]
        if not (data / "nltk_data").is_dir():  # a WordNet that this machine happens to have must not decide
            self.command = [sys.executable, "-c", WITHOUT_WORDNET, *self.command[3:]]
        self.environment = {**os.environ, "OPENMMLO_DATA": str(data)}

    def seconds(self) -> float:
        return timed(self.command, self.environment)

    def mebibytes(self) -> float:
        return peak_memory(["env", f"OPENMMLO_DATA={self.environment['OPENMMLO_DATA']}", *self.command])

    def json(self) -> dict[str, Any]:
        done = subprocess.run(self.command, check=True, capture_output=True, text=True, env=self.environment)
        value: dict[str, Any] = json.loads(done.stdout)
        return value


def pandas(folder: Path) -> list[str]:
    return [sys.executable, "-c", PANDAS, str(folder)]


def timed(command: list[str], environment: dict[str, str] | None = None) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return time.perf_counter() - started


def agree(mine: dict[str, Any], other: list[str]) -> None:
    """Raises RuntimeError where the two do not count the same."""
    block = mine["splits"]["all"]
    sides = {"caption": block["raw"], "masked_caption": block["masked"]}
    counted = {column: [side["tokens"], side["types"]] for column, side in sides.items()}
    found = json.loads(subprocess.run(other, check=True, capture_output=True, text=True).stdout)
    if counted != found:
        raise RuntimeError(f"openmmlo counts {counted}, pandas {found}")
