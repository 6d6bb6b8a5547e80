"""A folder of images becomes a data set, a pre-trained model, a classifier and its numbers, by commands alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from stubs import jpeg

from openmmlo.cli import BAD_INPUT, DONE, main

pytestmark = pytest.mark.slow

COUNTS = {"red_fox": 14, "teapot": 9, "umbrella": 5}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for number, (name, count) in enumerate(COUNTS.items()):
        (folder / name).mkdir(parents=True)
        for index in range(count):
            (folder / name / f"{index:02d}.jpg").write_bytes(jpeg(100 * number + index, 60, 50))
    return folder


def test_from_a_folder_of_images_to_the_numbers_of_its_classifier(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENMMLO_CACHE", str(tmp_path / "cache"))
    torch.set_num_threads(1)
    built, before, after = (str(tmp_path / name) for name in ("built", "before", "after"))
    words = ["build", str(photos), "--out", built, "--captioner", "stubs:Describing", "--no-measure", "--quiet"]
    assert main([*words, "--prefetch", "0"]) == DONE

    settings = ["batch_size=4", "epochs=2", "warmup_steps=1", "workers=0", "validation_share=0.3", "text_length=10"]
    common = ["--data", built, "--device", "cpu", *(word for pair in settings for word in ("--set", pair))]
    pretraining = ["pretrain", "thp-mini", "--out", before, *common, "--set", "queue_size=8", "--set", "vocabulary=200"]
    capsys.readouterr()
    assert main([*pretraining, "--dry-run"]) == DONE
    assert "Nothing was trained." in capsys.readouterr().out
    assert main(pretraining) == DONE
    said = capsys.readouterr()
    long, *others = (line for line in said.err.splitlines() if "are longer than 10 tokens" in line)
    assert long.startswith("Warning: ")
    assert said.err.index(long) < said.err.index("samples/s")  # before the first step
    assert len(others) <= 1  # of the validation captions
    assert f"openmmlo eval --model {before} --benchmark {built}" in said.out

    finetuning = ["finetune", "thp-mini", "--weights", before, "--out", after, *common]
    assert main([*finetuning, "--set", "head_kapa=1"]) == BAD_INPUT
    assert "Did you mean 'head_kappa'" in capsys.readouterr().err
    assert main(finetuning) == DONE
    said = capsys.readouterr()
    assert "validation top1" in said.out

    evaluation = ["eval", "--model", after, "--benchmark", built, "--out", str(tmp_path / "results"), "--workers", "0"]
    assert main([*evaluation, "--json", "--quiet"]) == DONE
    (found,) = json.loads(capsys.readouterr().out)["results"]
    assert found["result"]["benchmark"]["classes"] == len(COUNTS)
    training = json.loads((tmp_path / "after" / "training.json").read_text(encoding="utf-8"))
    assert found["result"]["digests"]["recipe"] == training["digests"]["recipe"]
    assert training["command"].startswith("openmmlo finetune thp-mini --weights before --data built")
