"""Marks say what predictions give, whatever a submission, a mark or a file of the board says."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluated import predicted
from miniature_results import edited, files_of, predicted_miniature, with_rows, write_unchecked
from packaging.requirements import Requirement

from openmmlo.cli import CHECK_FAILED, DONE, main
from openmmlo.errors import ConfigError, HubError, UnknownName
from openmmlo.evaluate.benchmark import load_benchmark
from openmmlo.evaluate.predictions import Predictions, digest, write_predictions
from openmmlo.evaluate.score import score
from openmmlo.leaderboard import hub
from openmmlo.leaderboard.board import Board
from openmmlo.leaderboard.metric_paths import flat, numbers
from openmmlo.leaderboard.rescore import compared, most_rows, rescore

CHECKOUT = Path(__file__).parents[2]
FOCAL, OTHER = "miniature/focal-loss", "miniature/other"


def outcomes(board: Board, *entries: str, **options: bool) -> dict[str, str]:
    return {item.entry: item.outcome for item in rescore(Board(board.root), entries, **options)}


def path_of(board: Board, label: str) -> Path:
    return board.submission_path(*label.split("/"))


def test_marks_hold_what_predictions_give(board: Board) -> None:
    assert outcomes(board) == {FOCAL: "marked", OTHER: "marked"}
    entry = Board(board.root).entries()[0]
    assert entry.mark is not None
    assert (entry.mark.mark, entry.mark.submission, len(entry.mark.runs)) == ("re-scored", entry.digest, 2)
    for seed, run in enumerate(entry.mark.runs):
        predictions = predicted_miniature(seed)
        test = predictions.set_names == "test"
        right = predictions.predicted[test] == predictions.labels[test]
        few = np.array(predictions.train_counts)[predictions.labels[test]] < 20
        assert run.scored["classification.test.top1_samples"] == pytest.approx(right.mean(), abs=1e-12)
        assert run.scored["classification.test.groups.few"] == pytest.approx(right[few].mean(), abs=1e-12)
        assert run.unpinned == ()
        assert run.scored == numbers(score(predictions))


def test_done_twice_nothing_changes(board: Board) -> None:
    rescore(board)
    before = files_of(board.root)
    assert outcomes(board) == {FOCAL: "unchanged", OTHER: "unchanged"}
    assert outcomes(board, check=True) == {FOCAL: "right", OTHER: "right"}
    assert files_of(board.root) == before


def test_one_entry_alone(board: Board) -> None:
    assert outcomes(board, "other") == {OTHER: "marked"}
    assert outcomes(board, check=True) == {FOCAL: "right", OTHER: "right"}
    with pytest.raises(UnknownName):
        rescore(board, ["nothing"])


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("classification", "test", "top1_samples"), 0.9, "0.9 is stated, 0."),
        (("classification", "test", "per_class", 7), 1.0, "classification.test.per_class.7"),
        (("classification", "sketch", "groups", "few"), 0.5, "classification.sketch.groups.few"),
        (("ood", "near-ood", "detectors", "msp", "fpr95_id_positive"), 0.0, "0.0 is stated"),
        (("ood_groups", "all", "energy", "auroc"), "0.99", "'0.99' is stated"),
        (("open_set", "far-ood", "oltr_f_measure"), None, "None is stated"),
        (("classification", "test", "rows"), 2500.5, "2500.5 is stated, 2500 computed, 0.5 off"),
        (("classification", "test", "made_up"), 1.0, "1.0 is stated, 'nothing' computed"),
        (("ood", "svhn"), {"rows": 26032}, "ood.svhn.rows"),
        (("classification", "test", "groups"), {}, "'nothing' is stated"),
    ],
)
def test_an_edited_metric_is_named(board: Board, path: tuple[Any, ...], value: Any, told: str) -> None:
    def edit(submission: dict[str, Any]) -> None:
        inner = submission["runs"][0]["result"]["scored"]
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value

    edited(path_of(board, FOCAL), edit)
    before = files_of(board.root)
    verdicts = {item.entry: item for item in rescore(board, [FOCAL])}
    assert verdicts[FOCAL].outcome == "differs"
    assert told in "; ".join(map(str, verdicts[FOCAL].differences))
    assert all(item.seed == 0 for item in verdicts[FOCAL].differences)
    assert files_of(board.root) == before


def test_every_leaf_is_compared() -> None:
    """Whatever leaf of a scored block is changed, it is found: brute force over all of them."""
    scored = score(predicted(classes=10, per_class=4, outside=(("near", "near", 30), ("far", "far", 30))))

    def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        found = [leaf for key, inner in items for leaf in leaves(inner, (*path, key))]
        return found if isinstance(value, (dict, list)) else [path]

    everywhere = leaves(scored)
    assert len(everywhere) > 300
    for path in everywhere:
        other = json.loads(json.dumps(scored))
        inner = other
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = "x" if isinstance(inner[path[-1]], str) else (inner[path[-1]] or 0) + 1e-6
        assert [item.metric for item in compared(0, other, scored)] == [".".join(map(str, path))]
    assert compared(0, json.loads(json.dumps(scored)), scored) == []
    more = {**scored, "mark": "nothing"}  # the word that stands for what is absent
    assert [item.metric for item in compared(0, more, scored)] == ["mark"]
    assert set(flat(scored)) < set(flat(scored, lists=True))


def tampered(board: Board, change: Callable[[Predictions], Predictions]) -> None:
    """Other predictions for seed 0 of ``focal-loss``, with digests and metrics of their own wherever there are any."""
    made = change(predicted_miniature(0))
    aside = board.root.parent / "made.parquet"
    write_unchecked(aside, made)
    sha256 = hashlib.sha256(aside.read_bytes()).hexdigest()
    shutil.move(aside, board.predictions_path(sha256))

    def edit(submission: dict[str, Any]) -> None:
        run = submission["runs"][0]
        run["predictions"] |= {
            "sha256": sha256, "bytes": board.predictions_path(sha256).stat().st_size, "rows": len(made.labels),
        }  # fmt: skip
        run["result"]["digests"] |= {"predictions": digest(made), "label_map": made.label_map_hash}

    edited(path_of(board, FOCAL), edit)


def test_tampering_that_agrees_with_itself_is_scored(board: Board) -> None:
    """The frame of the tests below is right: without a change the entry gets its mark."""
    tampered(board, lambda found: found)
    assert outcomes(board, FOCAL) == {FOCAL: "marked"}


def without_first(found: Predictions) -> Predictions:
    return with_rows(found, np.arange(1, len(found.labels)))


def first_twice(found: Predictions) -> Predictions:
    return with_rows(found, [0, 0, *range(2, len(found.labels))])


def stranger(found: Predictions) -> Predictions:
    ids = found.sample_ids.copy()
    ids[0] = "test/\x1b[2Jstranger"
    return replace(found, sample_ids=ids)


def not_a_number(found: Predictions) -> Predictions:
    return replace(found, scores={**found.scores, "msp": np.full(len(found.labels), np.nan)})


def one_class_less(found: Predictions) -> Predictions:
    return replace(found, classes=found.classes[:-1], train_counts=(found.train_counts or ())[:-1])


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (without_first, "rows of set 'test' is 2499"),
        (first_twice, "1 samples more than once"),
        (stranger, "list hash of set 'test'"),
        (not_a_number, "4,500 of 4,500 rows have a score of detector 'msp' that is NaN"),
        (one_class_less, "have a label outside -1 to 48"),
    ],
)
def test_hostile_predictions_get_no_mark(
    board: Board, change: Callable[[Predictions], Predictions], match: str
) -> None:
    tampered(board, change)
    before = files_of(board.root)
    (verdict,) = rescore(board, [FOCAL])
    assert verdict.outcome == "refused"
    assert match in verdict.reason
    assert verdict.reason.isprintable()
    assert files_of(board.root) == before


def test_the_digest_of_another_file(board: Board) -> None:
    """The predictions of the other entry, better ones, under one's own name."""
    other = json.loads(path_of(board, OTHER).read_bytes())["runs"][0]["predictions"]
    edited(path_of(board, FOCAL), lambda value: value["runs"][0].update(predictions=other))
    (verdict,) = rescore(board, [FOCAL])
    assert (verdict.outcome, verdict.mark) == ("refused", None)
    assert "another model ('other')" in verdict.reason


def test_a_file_that_is_not_what_its_name_says(board: Board) -> None:
    runs = json.loads(path_of(board, FOCAL).read_bytes())["runs"]
    one, two = (board.predictions_path(run["predictions"]["sha256"]) for run in runs)
    shutil.copy(one, two)
    (verdict,) = rescore(board, [FOCAL])
    assert verdict.outcome == "refused"
    assert "not these" in verdict.reason or "bytes; the submission says" in verdict.reason


def test_pickled_predictions(board: Board, tmp_path: Path) -> None:
    data = pickle.dumps({"harm": True})
    sha256 = hashlib.sha256(data).hexdigest()
    board.predictions_path(sha256).write_bytes(data)
    edited(
        path_of(board, FOCAL),
        lambda value: value["runs"][0]["predictions"].update(sha256=sha256, bytes=len(data)),
    )
    (verdict,) = rescore(board, [FOCAL])
    assert "it is a pickle; nothing of it was loaded" in verdict.reason


def test_one_bad_entry_stops_no_other(board: Board) -> None:
    path_of(board, FOCAL).write_bytes(b"[" * 10_000 + b"]" * 10_000)
    large = board.submission_path("miniature", "large")
    with large.open("wb") as file:
        file.truncate(200_000_000)
    verdicts = {item.entry: item for item in rescore(board)}
    assert {name: item.outcome for name, item in verdicts.items()} == {
        FOCAL: "refused", "miniature/large": "refused", OTHER: "marked",
    }  # fmt: skip
    assert "deeper than 60 levels" in verdicts[FOCAL].reason
    assert "200,000,000 bytes" in verdicts["miniature/large"].reason


def test_a_mark_set_by_hand_is_found(board: Board) -> None:
    rescore(board)
    (entry,) = (item for item in Board(board.root).entries() if item.submission.label == FOCAL)
    path = board.mark_path(entry.digest)

    def better(value: dict[str, Any]) -> None:
        value["runs"][1]["scored"]["classification.test.groups.few"] += 0.1

    edited(path, better)
    before = files_of(board.root)
    verdicts = {item.entry: item for item in rescore(Board(board.root), check=True)}
    assert (verdicts[FOCAL].outcome, verdicts[OTHER].outcome) == ("differs", "right")
    assert "classification.test.groups.few, seed 1" in verdicts[FOCAL].reason
    assert "0.1 off" in verdicts[FOCAL].reason
    assert files_of(board.root) == before
    assert outcomes(board) == {FOCAL: "marked", OTHER: "unchanged"}
    assert outcomes(board, check=True) == {FOCAL: "right", OTHER: "right"}


@pytest.mark.slow
def test_every_mark_of_this_checkout_was_written_by_rescoring() -> None:
    """A submission that is new here has none yet; one that is set by hand differs."""
    board = Board(CHECKOUT / "leaderboard")
    labels = [
        item.submission.label
        for item in board.entries()
        if all(run.predictions.place.kind == "board" for run in item.submission.runs)
    ]
    found = rescore(board, labels, check=True) if labels else []
    assert {item.entry: (item.outcome, item.reason) for item in found if not item.ok} == {}
    assert [item.entry for item in found] == labels


def test_a_mark_without_numbers_to_it(board: Board) -> None:
    """Somebody copies a mark to their own submission and changes what it is given to."""
    rescore(board, [FOCAL])
    (mark,) = (board.root / "marks").iterdir()
    own = hashlib.sha256(path_of(board, OTHER).read_bytes()).hexdigest()
    value = json.loads(mark.read_bytes()) | {"entry": "other", "submission": own}
    value["runs"] = value["runs"][:1]
    value["runs"][0]["predictions"] = json.loads(path_of(board, OTHER).read_bytes())["runs"][0]["predictions"]["sha256"]
    board.mark_path(own).write_text(json.dumps(value))
    assert outcomes(board, check=True) == {FOCAL: "right", OTHER: "differs"}


def test_marks_of_what_is_gone_are_told_and_pruned(board: Board) -> None:
    rescore(board)
    edited(path_of(board, FOCAL), lambda value: value.update(note="Changed."))
    path_of(board, OTHER).unlink()
    again = Board(board.root)
    stale = [item for item in rescore(again, check=True) if item.outcome == "stale"]
    assert sorted(item.entry for item in stale) == [FOCAL, OTHER]
    assert not any(item.ok for item in stale)
    orphan = sum(len(files) for _, _, files in os.walk(board.root / "predictions"))
    assert outcomes(board) == {FOCAL: "stale", OTHER: "stale"}  # each entry's verdict, then those of the marks
    assert outcomes(board, prune=True) == {FOCAL: "unchanged"}
    assert len(Board(board.root).marks) == 1
    assert len(board.stored_predictions()) == orphan - 1
    with pytest.raises(ConfigError, match="looks at the whole board"):
        rescore(board, check=True, prune=True)


def test_predictions_are_fetched_from_nowhere_but_the_hub(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    place = {"kind": "hub", "repo": "owner/name", "revision": "a" * 40, "path": "x.parquet"}
    sha256 = json.loads(path_of(board, OTHER).read_bytes())["runs"][0]["predictions"]["sha256"]
    edited(path_of(board, OTHER), lambda value: value["runs"][0]["predictions"].update(place=place))
    asked: list[Any] = []

    def fetch(*words: Any) -> Path:
        asked.append(words)
        return board.predictions_path(sha256)

    monkeypatch.setattr(hub, "fetch_predictions", fetch)
    assert outcomes(board, OTHER) == {OTHER: "marked"}
    size = board.predictions_path(sha256).stat().st_size
    assert asked == [("owner/name", "a" * 40, "x.parquet", sha256, size)]

    def unreachable(*words: Any) -> Path:
        raise HubError("https://huggingface.co cannot be reached: \x1b[31mno route.")

    monkeypatch.setattr(hub, "fetch_predictions", unreachable)
    (verdict,) = rescore(Board(board.root), [OTHER])
    assert verdict.outcome == "unreached"
    assert verdict.reason.isprintable()

    asked.clear()
    monkeypatch.setattr(hub, "fetch_predictions", fetch)
    for wrong in ({"kind": "url", "url": "http://127.0.0.1/"}, place | {"revision": "main"}, place | {"repo": "../x"}):
        edited(path_of(board, OTHER), lambda value, wrong=wrong: value["runs"][0]["predictions"].update(place=wrong))
        assert outcomes(board, OTHER) == {OTHER: "refused"}
    assert asked == []


def test_a_copy_of_the_hub_is_read_alone(board: Board) -> None:
    origin = hub.Origin("owner/board", "a" * 40, board.root)
    verdicts = rescore(Board(board.root, origin))
    assert [item.outcome for item in verdicts] == ["right", "right"]
    assert not (board.root / "marks").exists()


def test_sets_that_the_benchmark_does_not_pin(tmp_path: Path) -> None:
    """CIFAR-100's test list is not pinned by hash; a mark says so."""
    benchmark = load_benchmark("cifar100-lt-ood")
    assert most_rows(benchmark) > 10_000
    unpinned = {item.name for item in benchmark.sets if item.list_hash is None}
    assert "test" in unpinned


def test_the_command(board: Board, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["leaderboard", "rescore", "--board", str(board.root)]
    assert main([*words, "other"]) == DONE
    assert "1 re-scored." in capsys.readouterr().out
    edited(path_of(board, FOCAL), lambda value: value["runs"][0]["result"]["scored"]["classification"]["test"].update(
        top1_samples=0.99))  # fmt: skip
    assert main(words) == CHECK_FAILED
    shown = capsys.readouterr().out
    assert "classification.test.top1_samples, seed 0: 0.99 is stated" in shown
    assert "1 ok, 1 differs." in shown
    assert main([*words, "--check", "--json"]) == CHECK_FAILED
    found = json.loads(capsys.readouterr().out)
    assert {item["entry"]: item["ok"] for item in found["verdicts"]} == {FOCAL: False, OTHER: True}
    assert found["verdicts"][0]["differences"][0]["stated"] == 0.99


ALONE = """
import sys

ALLOWED = set(sys.argv[2:])

class Wall:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in ALLOWED and top not in sys.stdlib_module_names and not top.startswith("_sysconfig"):
            raise ModuleNotFoundError(f"{name} is not installed here", name=name)

sys.meta_path.insert(0, Wall())
from openmmlo.cli import main
code = main(["leaderboard", "rescore", "--board", sys.argv[1]])
assert code == 0, code
assert not {"torch", "PIL", "scipy", "pandas", "huggingface_hub", "httpx"} & set(sys.modules)
"""


def modules_of(*names: str) -> set[str]:
    """Top-level modules of these distributions and of whatever they require on this machine."""
    found: set[str] = set()
    waiting, seen = list(names), set()
    while waiting:
        item = distribution(waiting.pop())
        if item.name in seen:
            continue
        seen.add(item.name)
        found |= {file.parts[0].removesuffix(".py").partition(".")[0] for file in item.files or ()}
        needs = map(Requirement, item.requires or ())
        waiting += [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    return found


def test_four_packages_are_enough(board: Board) -> None:
    allowed = modules_of("numpy", "pyarrow", "pyyaml", "typer")
    assert allowed.isdisjoint({"torch", "PIL", "huggingface_hub", "filelock"})
    done = subprocess.run(
        [sys.executable, "-c", ALONE, board.root, "openmmlo", *allowed], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(Board(board.root).marks) == 2


def test_a_submission_of_a_large_benchmark(board: Board, tmp_path: Path) -> None:
    """Predictions of another benchmark under this one's name are no way in."""
    write_predictions(replace(predicted(classes=50), benchmark="miniature"), tmp_path / "x.parquet")
    data = (tmp_path / "x.parquet").read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    board.predictions_path(sha256).write_bytes(data)
    edited(
        path_of(board, OTHER),
        lambda value: value["runs"][0]["predictions"].update(sha256=sha256, bytes=len(data), rows=2_700),
    )
    (verdict,) = rescore(board, [OTHER])
    assert "the label map's hash" in verdict.reason
