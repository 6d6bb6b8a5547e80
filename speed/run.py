"""Measure everything and print the table: ``python speed/run.py [--pairs 15] [--only pipeline ...]``."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).parent
TOPICS = (
    "planning",
    "workers",
    "pipeline",
    "memory",
    "masking",
    "audit",
    "word_statistics",
    "report",
    "metrics",
    "detectors",
    "neighbours",
    "extraction",
    "training",
    "leaderboard",
    "leaderboard_site",
    "losses",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=15, help="interleaved pairs a line (15)")
    parser.add_argument("--only", nargs="*", choices=TOPICS, default=TOPICS, help="topics to measure (all)")
    arguments = parser.parse_args()
    paths = [str(HERE), str(HERE.parent / "tests")]  # the stub source and captioners are shared with the tests
    sys.path[:0] = paths
    os.environ["PYTHONPATH"] = os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")])
    from measure import table

    lines = [line for topic in arguments.only for line in import_module(topic).measure(arguments.pairs)]
    print(table(lines))


if __name__ == "__main__":
    main()
