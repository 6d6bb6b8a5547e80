"""Two processes and the same global batch: the losses, gradients, weights, copies and queues of one process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from objective_runs import pretraining, run_processes

STEPS, ROWS = 3, 8

RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "pre-training with T-hp": ("pretrain", {}),
    "pre-training with cosine": ("pretrain", {"similarity": "cosine"}),
    "fine-tuning of everything, one expert a sample": (
        "finetune",
        {"train_image_encoder": True, "experts": 3, "router_top_k": 1, "balance": 0.5, "caption_dropout": 0.4},
    ),
    "prototypes, moved by one view after the other": ("two-views", {"loss": "cider"}),
}


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """What two processes did, by rank and run; starting them is dear, so they do all runs."""
    return run_processes(2, tmp_path_factory.mktemp("two"), list(RUNS.values()), STEPS, ROWS)


@pytest.mark.slow
@pytest.mark.parametrize("run", RUNS)
def test_two_processes_do_what_one_does(run: str, processes: list[Any], tmp_path: Path) -> None:
    ((alone,),) = run_processes(1, tmp_path, [RUNS[run]], STEPS, ROWS)
    first, second = (done[list(RUNS).index(run)] for done in processes)
    for step in range(STEPS):
        expected = alone["history"][step]
        found = [other["history"][step] for other in (first, second)]
        assert found[0]["losses"].keys() == expected["losses"].keys()
        for part, value in expected["losses"].items():
            mean = (found[0]["losses"][part] + found[1]["losses"][part]) / 2
            torch.testing.assert_close(mean, value, rtol=1e-5, atol=1e-6)
        each_its_own = RUNS[run][0] != "two-views"  # there every process computes the loss of the global batch
        assert (found[0]["losses"]["loss"] != found[1]["losses"]["loss"]) == each_its_own
        assert found[0]["gradients"].keys() == expected["gradients"].keys()
        for key, value in expected["gradients"].items():
            for gradients in (found[0]["gradients"], found[1]["gradients"]):
                torch.testing.assert_close(gradients[key], value, rtol=1e-3, atol=2e-6, msg=f"{key}: {{}}".format)
        assert sum(float(value.abs().sum()) for value in expected["gradients"].values()) > 1
    for key, value in alone["state"].items():
        torch.testing.assert_close(first["state"][key], value, rtol=1e-4, atol=1e-5)
        assert torch.equal(first["state"][key], second["state"][key]), key


@pytest.mark.slow
def test_the_queue_went_once_round_and_no_key_of_its_start_is_left(processes: list[Any]) -> None:
    state = processes[1][0]["state"]
    fresh = pretraining().state_dict()
    assert int(state["queue.pointer"]) == 0
    for name in ("queue.image_features", "queue.text_features"):
        assert not bool((state[name] == fresh[name]).all(dim=0).any())
