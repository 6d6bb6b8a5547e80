"""What captions add: planted in features, read back; and the audit of a real built set beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from banks import bank_of
from written_sets import INFO, random_splits, write_set

from openmmlo.building.measures.audit import measure_audit
from openmmlo.building.measures.store import save
from openmmlo.errors import DataError
from openmmlo.evaluate.captions import (
    CaptionBanks,
    audit_summary,
    guessing,
    measure_captions,
    own_predictions,
    side_by_side,
)
from openmmlo.evaluate.classifiers.class_means import ClassMeans
from openmmlo.evaluate.classifiers.linear_probe import LinearProbe
from openmmlo.evaluate.features.bank import FeatureBank

GROUPS = ("many", "many", "few", "few")


def banks(rows: int, seed: int, name: str, pairs: bool = False, raw: bool = True) -> CaptionBanks:
    """Images tell classes 0 and 1 from 2 and 3, masked captions even ones from odd, raw captions all."""
    generator = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(4), generator.integers(0, 4, rows - 4)])

    def bank(columns: Any, scale: float = 1.0) -> FeatureBank:
        features = scale * (np.eye(4)[columns] + 0.05 * generator.normal(size=(rows, 4)))
        return bank_of(features.astype(np.float32), labels, name)

    captions = {"masked": bank(labels % 2, 40.0)} | ({"raw": bank(labels)} if raw else {})
    return CaptionBanks(bank(labels // 2), captions, {"masked": bank(labels)} if pairs else {})  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def test_each_reading_tells_what_was_planted_in_it() -> None:
    probe = LinearProbe(100.0)
    found = measure_captions(banks(200, 0, "train"), banks(400, 1, "test"), None, 4, GROUPS, probe)
    assert found["classifier"] == "linear-probe"
    assert found["image_only"]["top1_classes"] == pytest.approx(0.5, abs=0.1)
    assert found["masked"]["caption_only"]["top1_classes"] == pytest.approx(0.5, abs=0.1)
    assert found["masked"]["both"]["top1_classes"] == 1
    assert found["masked"]["both"]["reads"] == "concatenation"
    assert found["raw"]["caption_only"]["groups"] == {"many": 1, "few": 1}
    assert found["image_only"]["choices"]["C"] == 100
    assert found["gain"]["masked"] == pytest.approx(1 - found["image_only"]["top1_classes"])
    assert found["chance"] == {
        "top1_samples": 0.25,
        "top1_classes": 0.25,
        "groups": {"many": 0.25, "few": 0.25},
    }
    assert found["majority"]["top1_classes"] == 0.25
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_pair_banks_take_the_place_of_the_concatenation_where_every_set_has_them() -> None:
    sets = [banks(200, 0, "train", pairs=True), banks(100, 1, "test", pairs=True), banks(80, 2, "val", pairs=True)]
    found = measure_captions(*sets, 4, GROUPS, ClassMeans())
    assert found["masked"]["both"]["reads"] == "pairs"
    assert found["raw"]["both"]["reads"] == "concatenation"
    assert found["classifier"] == "ncm"
    without = measure_captions(sets[0], sets[1], banks(80, 2, "val"), 4, GROUPS, ClassMeans())
    assert without["masked"]["both"]["reads"] == "concatenation"


def test_the_models_own_classifier_reads_the_image_with_and_without_the_caption() -> None:
    test = banks(400, 1, "test", pairs=True)

    def largest(bank: FeatureBank) -> Any:
        return bank.features.argmax(axis=1)

    found = own_predictions(test, largest, 4, GROUPS)
    right = np.mean(largest(test.images) == test.images.labels)
    assert found["image_only"]["top1_samples"] == right < 0.6
    assert found["masked"]["top1_classes"] == 1
    assert found["masked"]["groups"] == {"many": 1, "few": 1}
    assert found["raw"] is None  # there is no bank of images with raw captions
    assert found["gain"] == {"masked": 1 - found["image_only"]["top1_classes"]}
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    with pytest.raises(DataError, match="not of the same samples"):
        own_predictions(CaptionBanks(test.images, {}, banks(9, 1, "other", pairs=True).pairs), largest, 4, GROUPS)


def test_c_is_chosen_on_the_validation_set_of_the_same_reading() -> None:
    train, test, validation = banks(60, 0, "train"), banks(40, 1, "test"), banks(40, 2, "val")
    found = measure_captions(train, test, validation, 4, GROUPS)
    for block in (found["image_only"], found["masked"]["both"], found["raw"]["caption_only"]):
        assert block["choices"]["chosen_on"] == "val"


def test_a_wording_that_a_set_lacks_is_none() -> None:
    found = measure_captions(banks(60, 0, "train"), banks(40, 1, "test", raw=False), None, 4, (), ClassMeans())
    assert found["raw"] is None
    assert set(found["gain"]) == {"masked"}
    assert found["image_only"]["groups"] == {}


def test_banks_of_other_samples_are_refused() -> None:
    train, test = banks(60, 0, "train"), banks(40, 1, "test")
    mixed = CaptionBanks(test.images, train.captions, {})
    with pytest.raises(DataError, match="not of the same samples in one order"):
        measure_captions(train, mixed, None, 4, GROUPS, ClassMeans())


def test_side_by_side_gives_each_half_unit_length() -> None:
    images, captions = bank_of([[3.0, 4.0], [0, 0]], [0, 1]), bank_of([[0, 0, 5.0], [1, 0, 0]], [0, 1])
    np.testing.assert_allclose(
        side_by_side(images, captions).features, [[0.6, 0.8, 0, 0, 1], [0, 0, 1, 0, 0]], atol=1e-7
    )


def test_guessing_by_hand() -> None:
    found = guessing(np.array([2, 2, 0]), np.array([2, 0, 0, 1]), 4, ())
    assert found["majority"] == {"top1_samples": 0.25, "top1_classes": pytest.approx(1 / 3), "groups": {}}


def test_the_audit_of_a_built_set_is_summed_up(tmp_path: Path) -> None:
    dataset = write_set(tmp_path / "set", random_splits(1), INFO)
    assert audit_summary(dataset)["leak_rate"] is None
    assert "openmmlo audit set" in audit_summary(dataset)["reason"]
    audit = measure_audit(dataset)
    save(dataset.folder, "audit", audit)
    found = audit_summary(dataset)
    assert found["leak_rate"] == audit["leaks"]["all"]["any"]["rate"]
    assert found["leak_rate_raw"] == audit["unmasked"]["all"]["any"]["rate"] > 0
    assert found["classifier"] == audit["classifier"]["results"]
    low, high = found["interval"]
    assert low <= found["classifier"]["masked"]["all"] <= high
    assert set(found["by_shot"]) == {"many", "medium", "few"}
    assert "reason" not in found
    save(dataset.folder, "audit", {"dataset": dataset.digest})
    with pytest.raises(DataError, match="does not hold what openmmlo audit writes"):
        audit_summary(dataset)
    save(dataset.folder, "audit", audit | {"dataset": "of other data"})
    assert audit_summary(dataset)["leak_rate"] is None


def test_an_audit_without_a_classifier_says_why(tmp_path: Path) -> None:
    splits = random_splits(1)
    dataset = write_set(tmp_path / "set", {"open": splits["open"]}, INFO)
    save(dataset.folder, "audit", measure_audit(dataset))
    found = audit_summary(dataset)
    assert found["classifier"] is None
    assert "classes to train on" in found["reason"]
