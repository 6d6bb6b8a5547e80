"""Re-scoring a submission of 68,000 samples: the size of ImageNet-LT with its open set.

One seed, 50,000 test images of 1,000 classes and 18,000 out of distribution, ten detectors, drawn. Measured is what
``openmmlo leaderboard rescore`` does after its imports: the submission is read within its limits, its predictions are
held to their digest, to the limits of parquet and to the benchmark's lists, every metric is computed and compared, and
the mark is written. The benchmark is imagenet-lt-open with the hashes of the drawn lists. Wall time of one thread.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from evaluated import predicted, result_of
from measure import Line, repeated, seconds

from openmmlo.evaluate.benchmark import Benchmark, load_benchmark
from openmmlo.evaluate.predictions import Predictions, digest, write_predictions
from openmmlo.leaderboard import hub
from openmmlo.leaderboard import rescore as module
from openmmlo.leaderboard.board import Board
from openmmlo.leaderboard.submission import Place, PredictionsFile, Run, Setting, Submission
from openmmlo.records import digest_of

ROWS = 68_000
DETECTORS = ("ash-s", "energy", "gradnorm", "knn", "mahalanobis", "max-logit", "msp", "odin", "react", "vim")


def measure(pairs: int) -> list[Line]:
    """One line: seconds, against the bar of the leaderboard."""
    predictions = drawn()
    benchmark = pinned(predictions)
    module.load_benchmark = lambda name: benchmark
    with tempfile.TemporaryDirectory() as folder:
        board = written(Path(folder), predictions)

        def once() -> float:
            for mark in (board.root / "marks").glob("*.json"):
                mark.unlink()
            found: list[module.Verdict] = []
            taken = seconds(lambda: found.extend(module.rescore(Board(board.root))))
            if [item.outcome for item in found] != ["marked"]:
                raise RuntimeError(f"the entry was not marked: {found[0].outcome}, {found[0].reason}")
            return taken

        return [
            repeated(
                f"Re-scoring a submission of {ROWS:,} samples, {len(DETECTORS)} detectors",
                once, unit="s", bar=5, pairs=pairs, peer_name="the bar alone",
            )
        ]  # fmt: skip


def drawn() -> Predictions:
    """Predictions of 1,000 classes and an open set."""
    found = predicted(
        classes=1_000, per_class=50, outside=(("open", "open", 18_000),), detectors=DETECTORS, shifted=False
    )
    sizes = load_benchmark("imagenet-lt-open").group_sizes
    counts = [count for group, count in (("many", 139), ("medium", 50), ("few", 10)) for _ in range(sizes[group])]
    total = load_benchmark("imagenet-lt-open").train_rows or 0
    counts[0] += total - sum(counts)
    shuffled = np.random.default_rng(0).permutation(counts).tolist()
    return replace(found, benchmark="imagenet-lt-open", train_counts=tuple(shuffled))


def pinned(predictions: Predictions) -> Benchmark:
    """The benchmark's definition, with the hashes of these predictions."""
    benchmark = load_benchmark("imagenet-lt-open")
    listed = {item.name: item for item in predictions.sets}
    sets = tuple(
        replace(item, rows=listed[item.name].rows, list_hash=predictions.list_hash(item.name))
        if item.name in listed
        else item
        for item in benchmark.sets
    )
    return replace(benchmark, sets=sets, label_map_hash=predictions.label_map_hash)


def written(root: Path, predictions: Predictions) -> Board:
    """A board with this one entry; the predictions lie on it, as those that come from the Hub lie in the cache."""
    (root / "predictions").mkdir()
    aside = root / "predictions/aside.parquet"
    write_predictions(predictions, aside)
    sha256 = hashlib.sha256(aside.read_bytes()).hexdigest()
    size = aside.stat().st_size
    path = aside.rename(root / f"predictions/{sha256}.parquet")
    identity = {"library": "timm", "architecture": "resnet50"}
    result = result_of(predictions) | {"model": {"name": predictions.model, "identity": identity}}
    result["digests"] |= {
        "label_map": predictions.label_map_hash, "predictions": digest(predictions), "checkpoint": digest_of(identity),
    }  # fmt: skip
    place = Place("hub", "owner/name", "a" * 40, f"predictions/{sha256}.parquet")
    run = Run(predictions.seed, PredictionsFile(sha256, size, ROWS, place), json.loads(json.dumps(result)))
    made = Submission(
        "drawn", "imagenet-lt-open", 1, "Drawn", ("Nobody",), None, None, "2026-11-25", None, None,
        Setting("ResNet-50", "none", "none", "imagenet-lt"), (run,),
    )  # fmt: skip
    board = Board(root)
    target = board.submission_path("imagenet-lt-open", "drawn")
    target.parent.mkdir(parents=True)
    target.write_bytes(made.to_bytes())
    hub.fetch_predictions = lambda *place: path  # no Hub: it is at hand
    return board
