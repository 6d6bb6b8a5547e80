"""A built data set is a benchmark: images, captions and both, by a model that reads texts; several seeds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from openmmlo.cli import DONE, main

pytestmark = pytest.mark.slow


def test_a_built_data_set_is_evaluated_with_its_captions(
    tiny_encoder: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    built = tmp_path / "built"
    words = [
        "build",
        "miniature",
        "--out",
        str(built),
        "--quiet",
        "--no-measure",
        "--split",
        "train",
        "--split",
        "test",
    ]
    options = {"size": 32, "largest": 12, "ratio": 4, "test_per_class": 2, "near_per_class": 3}
    settings = [word for key, value in options.items() for word in ("--set", f"{key}={value}")]
    assert main([*words, "--split", "near_ood", *settings]) == DONE
    words = [
        "eval",
        "--model",
        str(tiny_encoder("clip")),
        "--benchmark",
        str(built),
        "--out",
        str(tmp_path / "results"),
    ]
    more = ["--cache", str(tmp_path / "cache"), "--workers", "0", "--quiet", "--json", "--seed", "0", "--seed", "1"]
    capsys.readouterr()
    assert main([*words, *more]) == DONE
    found = json.loads(capsys.readouterr().out)
    assert [item["result"]["seed"] for item in found["results"]] == [0, 1]
    result = found["results"][0]["result"]
    assert result["classifier"]["kind"] == "zero-shot"
    assert result["model"]["name"] == "clip"
    assert str(tmp_path) not in json.dumps(result)
    assert "mcm" in next(iter(result["scored"]["ood"].values()))["detectors"]
    measured = result["measured"]
    assert {"zero-shot", "linear-probe", "ncm", "knn"} == set(measured["classifiers"])
    assert measured["geometry"]["basis"] == "captions"
    assert measured["captions"]["image_only"]["reads"] == "images"
    assert measured["captions"]["masked"]["both"]["reads"] == "concatenation"
    for wording in ("masked", "raw"):  # its network is random, so nothing is said of how well it reads
        assert measured["captions"][wording]["caption_only"]["rows"] == 100
    assert measured["audit"]["leak_rate"] is None
    assert "openmmlo audit" in measured["audit"]["reason"]
    (deviations,) = found["deviations"].values()
    assert len(deviations["results"][0]["seeds"]) == 2
    assert (Path(found["results"][0]["folder"]) / "report.html").is_file()
