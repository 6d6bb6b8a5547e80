"""A T-hp checkpoint as captioner: its captions are the model's own, its identity is of the weights."""

from __future__ import annotations

import io
import json
import pickle
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import tiny_thp
import torch
from noise_images import noise_images
from PIL import Image

from openmmlo.building.captioners import Captioner, open_captioner
from openmmlo.cli import DONE, main
from openmmlo.errors import ConfigError, ModelError, UnknownName
from openmmlo.models.thp import ThpModel
from openmmlo.models.thp.opening import Opened
from openmmlo.records import Sample
from openmmlo.sources.files import FileImage


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_thp.save(tmp_path_factory.mktemp("thp") / "writer", seed=6)


def captioner_of(checkpoint: Path, **options: Any) -> Captioner:
    return open_captioner("thp", {"model": str(checkpoint), "device": "cpu", "max_new_tokens": 9, **options})


def prepared(captioner: Captioner, count: int = 3) -> list[Any]:
    sample = Sample("x", FileImage(Path(), "x.png"), 0, "train", "photos")
    return [captioner.prepare(sample, image) for image in noise_images(count)]


@pytest.mark.parametrize(
    ("options", "search"),
    [
        ({}, {}),
        ({"preset": "lavis"}, {"num_beams": 5, "repetition_penalty": 1.5, "min_length": 1}),
        ({"num_beams": 3, "min_length": 6, "length_penalty": 0.5},
         {"num_beams": 3, "min_length": 6, "length_penalty": 0.5}),
    ],
)  # fmt: skip
def test_captions_are_those_that_the_model_writes(
    checkpoint: Path, options: dict[str, Any], search: dict[str, Any]
) -> None:
    captioner = captioner_of(checkpoint, **options)
    assert isinstance(captioner, Captioner)
    captioner.load()
    inputs = prepared(captioner)
    captions = captioner.caption(inputs)
    model: ThpModel = tiny_thp.model(6)
    written = model.generate_captions(torch.stack([torch.from_numpy(item) for item in inputs]), max_length=9, **search)
    words = tiny_thp.tokenizer()
    for caption, row in zip(captions, written.tolist(), strict=True):
        kept = [token for token in row if token not in (words.pad_token_id, words.sep_token_id)]
        pieces = [word for word in words.convert_ids_to_tokens(kept) if word == "[MASK]" or word[0] != "["]
        joined = "".join(piece.removeprefix("##") if place else piece for place, piece in enumerate(pieces))
        assert caption.replace(" ", "") == joined.replace("[MASK]", "[mask]")
    assert any(captions)
    assert captions == [captioner.caption([item])[0] for item in inputs]


def test_the_mask_is_kept_and_other_marks_are_not(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = tiny_thp.tokenizer()
    ids = words.convert_tokens_to_ids(["a", "[MASK]", "lies", "beside", "[UNK]", "[MASK]", ".", "[SEP]", "[PAD]"])
    monkeypatch.setattr(ThpModel, "generate_captions", lambda model, pixels, **_: torch.tensor([ids] * len(pixels)))
    captioner = captioner_of(checkpoint)
    assert captioner.caption(prepared(captioner, 2)) == ["a [mask] lies beside [mask]."] * 2


def test_identity_is_of_the_weights_and_the_search_not_of_the_place(checkpoint: Path, tmp_path: Path) -> None:
    found = captioner_of(checkpoint).identity()
    assert found["captioner"] == "thp"
    assert found["model"] == "writer"
    assert found["generation"]["max_new_tokens"] == 9
    assert all(len(found[key]) == 64 for key in ("weights", "tokenizer", "configuration"))
    assert str(checkpoint.parent) not in json.dumps(found)
    copied = tiny_thp.save(tmp_path / "writer", seed=6)
    assert captioner_of(copied).identity() == found
    assert captioner_of(checkpoint, num_beams=2).identity() != found
    other = captioner_of(tiny_thp.save(tmp_path / "other" / "writer", seed=7)).identity()
    assert {key for key in found if found[key] != other[key]} == {"weights"}
    assert captioner_of(checkpoint, max_new_tokens=256).identity()["generation"]["max_new_tokens"] == 23  # of 24


def test_processes_that_prepare_images_load_no_weights(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    captioner = captioner_of(checkpoint)
    expected = prepared(captioner, 1)[0]
    copy = pickle.loads(pickle.dumps(captioner))  # noqa: S301 - made on the same line
    assert copy == captioner
    monkeypatch.setattr("openmmlo.models.thp.opening.open_folder", None)
    assert (prepared(copy, 1)[0] == expected).all()
    assert copy.identity() == captioner.identity()


def test_check_tells_what_is_wrong_before_any_work(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [finding.level for finding in captioner_of(checkpoint).check()] == ["ok"]
    fine = captioner_of(tiny_thp.save(tmp_path / "fine", classes=3)).check()
    assert [finding.level for finding in fine] == ["ok", "warning"]
    assert "fine-tuned" in fine[1].what
    monkeypatch.setattr("openmmlo.models.thp.opening.SHIPPED", tmp_path)
    (unknown,) = open_captioner("thp").check()
    assert unknown.level == "error"
    assert "thp-mini-pretrained has no weights" in unknown.what
    (absent,) = captioner_of(tmp_path / "nowhere").check()
    assert absent.level == "error"
    (weights,) = captioner_of(checkpoint, weights=tmp_path / "w.pt").check()
    assert "replace those of a known name" in weights.what
    lacking = Opened(tiny_thp.model(), tiny_thp.tokenizer(), 24, lacks=("text decoder",))
    monkeypatch.setattr("openmmlo.models.thp.opening.open_named", lambda name, weights: lacking)
    with pytest.raises(ModelError, match="holds no text decoder"):
        open_captioner("thp", {"model": "thp-vit-b", "weights": "release.pth"}).load()


@pytest.mark.parametrize("options", [{"preset": "wild"}, {"num_beams": 0}, {"dtype": "int8"}, {"beams": 2}])
def test_options_that_mean_nothing_are_refused(checkpoint: Path, options: dict[str, Any]) -> None:
    with pytest.raises((ConfigError, UnknownName), match=next(iter(options))):
        captioner_of(checkpoint, **options)


def test_bfloat16_captions_too(checkpoint: Path) -> None:
    captioner = captioner_of(checkpoint, dtype="bfloat16")
    assert len(captioner.caption(prepared(captioner))) == 3
    assert captioner.identity()["dtype"] == "bfloat16"


@pytest.mark.slow
def test_a_folder_of_images_is_built_with_its_captions(checkpoint: Path, tmp_path: Path) -> None:
    for kind in ("cat", "dog"):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for place, image in enumerate(noise_images(3)):
            image.save(tmp_path / "photos" / kind / f"{kind}{place}.png")
    words = ["build", str(tmp_path / "photos"), "--out", str(tmp_path / "built"), "--captioner", "thp", "--quiet"]
    more = ["--model", str(checkpoint), "--set", "captioner.max_new_tokens=9", "--no-measure", "--prefetch", "0"]
    assert main([*words, *more, "--device", "cpu"]) == DONE
    manifest = json.loads((tmp_path / "built" / "manifest.json").read_text())
    assert manifest["captioner"]["weights"] == captioner_of(checkpoint).identity()["weights"]
    parts = (tmp_path / "built" / "data").glob("*.parquet")
    rows = [row for part in parts for row in pq.read_table(part).to_pylist()]
    assert len(rows) == 6
    captioner = captioner_of(checkpoint)
    sample = Sample("x", FileImage(Path(), "x.png"), 0, "train", "photos")
    for row in rows:
        image = Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB")
        assert row["caption"] == captioner.caption([captioner.prepare(sample, image)])[0]
