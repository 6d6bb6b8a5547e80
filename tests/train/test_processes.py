"""Two processes with gloo train what one trains: the same samples a step, the same gradients, one log."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from training import free_port, one_of, processes, run_loop, same, unclocked, weights_of

from openmmlo.errors import ModelError
from openmmlo.train.logs import LOG, read_log
from openmmlo.train.processes import memory_mb, seed_everything, start_processes


def together(out: Path, world: int = 2, **settings: Any) -> list[dict[str, Any]]:
    """Run processes that train together; what each left, nothing where they stopped on the way."""
    out.mkdir(parents=True, exist_ok=True)
    port = free_port()
    workers = [processes().Process(target=one_of, args=(rank, world, port, out, settings)) for rank in range(world)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=120)
    stopped = "stop" in settings
    assert [worker.exitcode for worker in workers] == [7 if stopped else 0] * world
    return [] if stopped else [torch.load(out / f"rank{rank}.pt", weights_only=False) for rank in range(world)]


@pytest.mark.slow
@pytest.mark.parametrize("accumulation", [1, 2])
def test_two_processes_equal_one(tmp_path: Path, accumulation: int) -> None:
    settings = {"clip_norm": 0.5, "validate_every": 3, "accumulation": accumulation}
    alone, trained = run_loop(tmp_path / "one", **settings)
    pair = together(tmp_path / "two", **settings)
    assert same(pair[0]["weights"], pair[1]["weights"])
    for name, value in weights_of(alone).items():
        torch.testing.assert_close(pair[0]["weights"][name], value, rtol=1e-5, atol=1e-6)
    for one, *shares in zip(alone.batches, *(item["batches"] for item in pair), strict=True):
        assert one == (shares[0][0], shares[0][1] + shares[1][1])
    for mine, theirs in zip(*(unclocked(read_log(tmp_path / who / LOG)) for who in ("one", "two")), strict=True):
        assert theirs == pytest.approx(mine, rel=1e-4)
    assert trained.last["validation_accuracy"] == pair[0]["last"]["validation_accuracy"]


@pytest.mark.slow
def test_two_processes_go_on_bit_for_bit(tmp_path: Path) -> None:
    whole = together(tmp_path / "whole", dropout=0.3)
    together(tmp_path / "parts", dropout=0.3, stop=5)
    states = torch.load(tmp_path / "parts" / "checkpoint.pt", weights_only=True)["random"]
    assert len(states) == 2
    assert not same(states[0]["torch"], states[1]["torch"])  # dropout of each is its own
    resumed = together(tmp_path / "parts", dropout=0.3)
    assert same([item["weights"] for item in resumed], [item["weights"] for item in whole])
    assert [step for step, _ in resumed[0]["batches"]] == [4, 5, 6, 7, 8]


@pytest.mark.slow
def test_a_run_of_two_processes_may_go_on_in_one(tmp_path: Path) -> None:
    together(tmp_path / "parts", stop=5)
    resumed, trained = run_loop(tmp_path / "parts")
    whole, _ = run_loop(tmp_path / "whole")
    assert trained.resumed == 4
    for name, value in weights_of(whole).items():
        torch.testing.assert_close(weights_of(resumed)[name], value, rtol=1e-5, atol=1e-6)


def test_seeds_are_of_all_their_parts() -> None:
    def drawn(*parts: int) -> float:
        seed_everything(*parts)
        return float(torch.rand(()))

    assert drawn(1) == drawn(1)
    assert len({drawn(1), drawn(2), drawn(1, 0), drawn(1, 1), drawn(1, 1, 1)}) == 5


def test_devices_that_are_not_there_are_refused() -> None:
    with pytest.raises(ModelError, match="No device 'gpu'"):
        start_processes("gpu", "fp32")
    if not torch.cuda.is_available():
        with pytest.raises(ModelError, match="not on this machine"):
            start_processes("cuda", "fp32")
    assert "ACCELERATE_TORCH_DEVICE" not in os.environ


def test_precision_may_change_between_runs_of_one_process() -> None:
    assert start_processes("cpu", "bf16").mixed_precision == "bf16"
    assert start_processes("cpu", "fp32").mixed_precision == "no"


@pytest.mark.slow
def test_batch_norm_of_two_processes_equals_that_of_one(tmp_path: Path) -> None:
    """Weights, gradients through the statistics, and running statistics."""
    settings = {"normed": True, "clip_norm": 0.5, "validate_every": 3}
    alone, _ = run_loop(tmp_path / "one", **settings)
    pair = together(tmp_path / "two", **settings)
    whole = weights_of(alone)
    assert whole["model.norm.running_mean"].abs().max() > 0.01
    assert not torch.equal(whole["model.norm.weight"], torch.ones(8))
    assert same(pair[0]["weights"], pair[1]["weights"])
    for name, value in whole.items():
        torch.testing.assert_close(pair[0]["weights"][name], value, rtol=1e-4, atol=1e-5)


def test_memory_is_the_most_that_was_held() -> None:
    before = memory_mb(torch.device("cpu"))
    held = torch.ones(int(before * 10**6 / 4) + 25_000_000)  # more than there ever was, by 100 MB
    assert memory_mb(torch.device("cpu")) >= before + 100
    del held
    assert memory_mb(torch.device("cpu")) >= before + 100
