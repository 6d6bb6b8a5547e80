"""Checkpoints: whole at every moment, without code in them, and random states that come back."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from openmmlo.errors import TrainingRefused
from openmmlo.train.checkpoint import (
    NAME,
    differences,
    load_checkpoint,
    random_states,
    restore_random_states,
    save_checkpoint,
)

CPU = torch.device("cpu")


def draws() -> list[float]:
    return [
        random.random(),
        float(np.random.rand()),
        float(np.random.randn()),
        float(torch.rand(())),
        random.gauss(0, 1),
    ]


def test_random_states_come_back_through_a_file(tmp_path: Path) -> None:
    draws()
    save_checkpoint(tmp_path, {"random": [random_states(CPU)]})
    expected = draws()
    assert draws() != expected
    found = load_checkpoint(tmp_path)
    assert found is not None
    restore_random_states(found["random"][0], CPU)
    assert draws() == expected


def test_shared_weights_are_stored_once_and_come_back(tmp_path: Path) -> None:
    weight = torch.randn(1000, 100)
    save_checkpoint(tmp_path, {"objective": {"one": weight, "other": weight}, "step": 3})
    assert (tmp_path / NAME).stat().st_size < 1.5 * weight.numel() * 4
    found = load_checkpoint(tmp_path)
    assert found is not None
    assert torch.equal(found["objective"]["other"], weight)


def test_the_old_one_stands_until_the_new_one_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_checkpoint(tmp_path) is None
    save_checkpoint(tmp_path, {"step": 1})

    def failing(_content: object, file: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", failing)
        with pytest.raises(KeyboardInterrupt):
            save_checkpoint(tmp_path, {"step": 2})
    assert load_checkpoint(tmp_path) == {"step": 1}
    save_checkpoint(tmp_path, {"step": 3})
    assert load_checkpoint(tmp_path) == {"step": 3}


@pytest.mark.parametrize("content", [b"", b"half of a checkpoint", None])
def test_a_damaged_one_or_one_with_code_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is None:
        torch.save({"step": Path("code runs when this is read")}, tmp_path / NAME)
    else:
        (tmp_path / NAME).write_bytes(content)
    with pytest.raises(TrainingRefused, match="cannot be read"):
        load_checkpoint(tmp_path)


def test_differences_name_every_key() -> None:
    before = {"recipe": {"lr": 0.1, "seed": 0, "old": 1}, "data": "a"}
    now = {"recipe": {"lr": 0.2, "seed": 0, "new": 2}, "data": "a"}
    assert differences(before, now) == [
        "recipe.lr: 0.1 before, 0.2 now", "recipe.new: None before, 2 now", "recipe.old: 1 before, None now"
    ]  # fmt: skip
    assert differences(before, before) == []
