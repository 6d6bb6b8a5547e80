"""The log: whole at every moment, cut back where a run goes on, and means that are means."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from openmmlo.train import logs
from openmmlo.train.curve import draw_curve
from openmmlo.train.logs import CsvLog, Window, columns, read_log, rounded


def row(step: int, **values: float) -> dict[str, float]:
    return {"step": step, "epoch": step / 10, "lr": 0.1, "loss": 1.0 / step, "seconds": 2.0} | values


def test_rows_come_back_and_validation_joins_its_step(tmp_path: Path) -> None:
    log = CsvLog(tmp_path / "log.csv", 0)
    log.add(row(2, itc=0.5))
    log.add(row(4, itc=0.25))
    log.add({"step": 4, "validation_accuracy": 0.75})
    log.add(row(6, itc=0.125))
    found = read_log(tmp_path / "log.csv")
    assert found == [
        row(2, itc=0.5),
        row(4, itc=0.25, validation_accuracy=0.75),
        row(6, itc=0.125, loss=rounded(1 / 6)),
    ]
    head = (tmp_path / "log.csv").read_text().splitlines()[0]
    assert (
        head == "step,epoch,lr,loss,itc,gradient_norm,samples_per_second,waiting,memory_mb,seconds,validation_accuracy"
    )


def test_a_run_that_goes_on_drops_the_rows_that_it_does_again(tmp_path: Path) -> None:
    log = CsvLog(tmp_path / "log.csv", 0)
    for step in (2, 4, 6):
        log.add(row(step))
    with (tmp_path / "log.csv").open("a") as file:
        file.write("8,0.8,0.")
    assert [item["step"] for item in read_log(tmp_path / "log.csv")] == [2, 4, 6]
    CsvLog(tmp_path / "log.csv", 4).add(row(6, loss=9.0))
    assert [(item["step"], item["loss"]) for item in read_log(tmp_path / "log.csv")] == [(2, 0.5), (4, 0.25), (6, 9.0)]
    CsvLog(tmp_path / "log.csv", 0)
    assert read_log(tmp_path / "log.csv") == []


def test_numbers_of_float32_survive_the_log() -> None:
    values = torch.rand(1000) * torch.logspace(-20, 20, 1000)
    again = torch.tensor([float(f"{rounded(float(value)):.9g}") for value in values])
    assert torch.equal(values, again)


def test_a_window_is_the_mean_of_what_was_added() -> None:
    window = Window()
    for value in (1.0, 2.0, 6.0):
        window.add({"loss": torch.tensor(value, dtype=torch.bfloat16), "part": torch.tensor(2 * value)})
    assert window.means().tolist() == [3.0, 6.0]
    again = Window.restored(window.state(), torch.device("cpu"))
    for one in (window, again):
        one.add({"loss": torch.tensor(7.0), "part": torch.tensor(0.0)})
    assert window.means().tolist() == again.means().tolist() == [4.0, 4.5]


def test_columns_have_one_order() -> None:
    assert columns([row(1, validation_x=1.0, part=2.0), row(2, other=1.0)])[:6] == [
        "step", "epoch", "lr", "loss", "part", "other"
    ]  # fmt: skip


def test_without_tensorboard_there_is_no_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins

    real = builtins.__import__

    def missing(name: str, *rest: object, **more: object) -> object:
        if name == "torch.utils.tensorboard":
            raise ModuleNotFoundError(name)
        return real(name, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", missing)
    assert logs.tensorboard(tmp_path, 0) is None
    assert 'pip install "openmmlo[tensorboard]"' in logs.NO_TENSORBOARD


def test_curves_are_drawn(tmp_path: Path) -> None:
    from PIL import Image

    rows = [
        row(step, itc=0.1 * step, **({"validation_accuracy": 0.5} if step % 4 == 0 else {})) for step in range(1, 20)
    ]
    draw_curve(rows, tmp_path / "curve.png", "a run")
    with Image.open(tmp_path / "curve.png") as image:
        width, height = image.size
        assert width > 3 * height  # three panels
        assert len(image.convert("RGB").getcolors(10**6) or ()) > 20
    draw_curve(rows[:3], tmp_path / "two.png", "a run")
    with Image.open(tmp_path / "two.png") as image:
        assert image.size[0] < 3 * image.size[1]
    draw_curve([], tmp_path / "none.png", "a run")
    assert not (tmp_path / "none.png").exists()
