"""A checkpoint run again makes a mark "reproduced" only where it is the one that was named, and agrees."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from miniature_results import edited, predicted_miniature, result_on_miniature, with_rows, write_evaluated

import openmmlo.evaluate.run as run_module
import openmmlo.models.opening as opening
from openmmlo.cli import CHECK_FAILED, DONE, main
from openmmlo.errors import ConfigError, SubmissionRefused
from openmmlo.evaluate.configuration import EvalConfig
from openmmlo.evaluate.predictions import Predictions
from openmmlo.evaluate.run import Evaluation, Outcome
from openmmlo.leaderboard.board import Board
from openmmlo.leaderboard.marks import Mark
from openmmlo.leaderboard.reproduce import AGREEMENT, reproduce
from openmmlo.leaderboard.rescore import rescore

FOCAL = "miniature/focal-loss"


class Checkpoint:
    """Stands for the model: an identity, and the predictions that an evaluation of it writes."""

    def __init__(self, predictions: Predictions) -> None:
        self.predictions = predictions
        self.asked: list[EvalConfig] = []

    def identity(self) -> dict[str, Any]:
        found: dict[str, Any] = result_on_miniature(predicted_miniature(self.predictions.seed))["model"]["identity"]
        return found

    def evaluate(self, config: EvalConfig, progress: Any) -> Outcome:
        self.asked.append(config)
        result = result_on_miniature(self.predictions)
        folder = write_evaluated(config.out / "again", self.predictions, result)
        return Outcome([Evaluation(folder, result)])


def flipped(predictions: Predictions, count: int) -> Predictions:
    """``count`` predicted classes changed, half of them on test images that were right."""
    predicted = predictions.predicted.copy()
    predicted[:count] = (predicted[:count] + 1) % 50
    return replace(predictions, predicted=predicted)


@pytest.fixture
def checkpoint(monkeypatch: pytest.MonkeyPatch) -> Checkpoint:
    found = Checkpoint(predicted_miniature(0))
    monkeypatch.setattr(opening, "open_model", lambda *_, **__: found)
    monkeypatch.setattr(run_module, "evaluate", found.evaluate)
    return found


def mark_of(board: Board) -> Mark | None:
    return Board(board.root).entries()[0].mark


def test_the_same_predictions(board: Board, checkpoint: Checkpoint, tmp_path: Path) -> None:
    done = reproduce(board, "focal-loss", weights=tmp_path, seed=0)
    assert (done.entry, done.reason, done.reproduction.agreement, done.reproduction.difference) == (FOCAL, "", 1.0, 0.0)
    mark = mark_of(board)
    assert mark is not None
    assert (mark.mark, [item.seed for item in mark.reproductions], len(mark.runs)) == ("reproduced", [0], 2)
    (asked,) = checkpoint.asked
    assert (asked.model, asked.weights, asked.benchmarks, asked.seeds) == (str(tmp_path), None, ("miniature",), (0,))
    assert (asked.classifier, asked.detectors, asked.transform) == ("model", ("energy", "msp"), "model")
    assert not asked.trust_remote_code
    assert not asked.out.exists()  # nothing of it stays


def test_the_other_seed_comes_beside_it_and_rescoring_keeps_both(board: Board, checkpoint: Checkpoint) -> None:
    reproduce(board, FOCAL, model="tiny", seed=0)
    checkpoint.predictions = predicted_miniature(1)
    reproduce(Board(board.root), FOCAL, model="tiny", seed=1)
    mark = mark_of(board)
    assert mark is not None
    assert [item.seed for item in mark.reproductions] == [0, 1]
    assert [item.outcome for item in rescore(Board(board.root), ["focal-loss"])] == ["unchanged"]
    assert [item.outcome for item in rescore(Board(board.root), ["focal-loss"], check=True)] == ["right"]
    again = mark_of(board)
    assert again is not None
    assert again.mark == "reproduced"


def test_a_few_samples_near_a_boundary(board: Board, checkpoint: Checkpoint) -> None:
    checkpoint.predictions = flipped(predicted_miniature(0), 4)
    done = reproduce(board, FOCAL, model="tiny", seed=0)
    assert done.reproduction.agreement == 1 - 4 / 4_500 > AGREEMENT
    assert 0 < done.reproduction.difference <= 0.005
    assert done.mark is not None


def test_too_far_off(board: Board, checkpoint: Checkpoint) -> None:
    checkpoint.predictions = flipped(predicted_miniature(0), 200)
    done = reproduce(board, FOCAL, model="tiny", seed=0)
    assert done.mark is None
    assert "95.556% of the predicted classes are the same" in done.reason
    assert "expected within 0.005" in done.reason
    assert mark_of(board) is None


def test_scores_that_differ_are_seen_where_classes_agree(board: Board, checkpoint: Checkpoint) -> None:
    found = predicted_miniature(0)
    checkpoint.predictions = replace(found, scores={**found.scores, "msp": -found.scores["msp"]})
    done = reproduce(board, FOCAL, model="tiny", seed=0)
    assert done.reproduction.agreement == 1.0
    assert done.mark is None
    assert ".msp." in done.reproduction.metric


def test_another_checkpoint(board: Board, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "identity", lambda: {"weights": "others"})
    with pytest.raises(SubmissionRefused, match="Give the checkpoint that was evaluated"):
        reproduce(board, FOCAL, model="tiny", seed=0)
    assert checkpoint.asked == []


def test_wrong_numbers_are_not_reproduced(board: Board, checkpoint: Checkpoint) -> None:
    edited(
        board.submission_path("miniature", "focal-loss"),
        lambda value: value["runs"][1]["result"]["scored"]["classification"]["test"].update(top1_samples=0.99),
    )
    with pytest.raises(SubmissionRefused, match=r"0\.99 is stated"):
        reproduce(board, FOCAL, model="tiny", seed=0)


def test_fewer_sets(board: Board, checkpoint: Checkpoint) -> None:
    found = predicted_miniature(0)
    kept = with_rows(found, np.flatnonzero(found.set_names != "far-ood"))
    checkpoint.predictions = replace(kept, sets=kept.sets[:-1])
    with pytest.raises(SubmissionRefused, match="750 are missing"):
        reproduce(board, FOCAL, model="tiny", seed=0)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("detectors", ["os:system"]), ("detectors", "os:system"), ("transform", "os:getcwd"), ("templates", "{} owned"),
        ("descriptors", "/etc/passwd"), ("classifier", "os:system"), ("trust_remote_code", True), ("limit", 10),
        ("approximate", True), ("cache", "/"), ("dtype", "float8"),
    ],
)  # fmt: skip
def test_what_was_asked_for_is_a_name_of_our_tables(board: Board, checkpoint: Checkpoint, key: str, value: Any) -> None:
    edited(
        board.submission_path("miniature", "focal-loss"),
        lambda found: found["runs"][0]["result"]["asked"].update({key: value}),
    )
    with pytest.raises(SubmissionRefused, match=r"cannot be asked for again|none of ours"):
        reproduce(board, FOCAL, model="tiny", seed=0)
    assert checkpoint.asked == []


def test_which_run_and_which_checkpoint(board: Board, checkpoint: Checkpoint) -> None:
    with pytest.raises(ConfigError, match="has seeds 0, 1"):
        reproduce(board, FOCAL, model="tiny")
    with pytest.raises(ConfigError, match="--weights"):
        reproduce(board, FOCAL, seed=0)


def test_the_command(board: Board, checkpoint: Checkpoint, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["leaderboard", "reproduce", FOCAL, "--model", "tiny", "--seed", "0", "--board", str(board.root), "--quiet"]
    assert main(words) == DONE
    assert f"{FOCAL} is reproduced." in capsys.readouterr().out
    checkpoint.predictions = flipped(predicted_miniature(0), 200)
    assert main([*words, "--json"]) == CHECK_FAILED
    assert json.loads(capsys.readouterr().out)["ok"] is False
