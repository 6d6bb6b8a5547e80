"""Geometry in degrees: closed forms, loops over pairs, invariances, and what is undefined."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from banks import bank_of, clustered
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import linregress, ortho_group

from openmmlo.errors import DataError
from openmmlo.evaluate.features import blocks
from openmmlo.evaluate.geometry import measure_geometry
from openmmlo.evaluate.geometry.class_angles import class_centres, mean_angles, outside_angles
from openmmlo.evaluate.geometry.over_classes import over_classes, slope
from openmmlo.evaluate.head import Head

COUNTS = (400, 150, 60, 25, 10, 5)
GROUPS = ("many", "many", "medium", "medium", "few", "few")


def angle(first: np.ndarray, second: np.ndarray) -> float:
    """In degrees, by the formula that keeps its precision at small angles."""
    u, v = first / np.linalg.norm(first), second / np.linalg.norm(second)
    return math.degrees(2 * math.atan2(np.linalg.norm(u - v), np.linalg.norm(u + v)))


def mean_of_units(rows: np.ndarray) -> np.ndarray:
    return np.mean([row / np.linalg.norm(row) for row in rows.astype(np.float64)], axis=0)


@pytest.fixture(scope="module")
def parts() -> dict[str, Any]:
    generator = np.random.default_rng(3)
    test = clustered(60, 6, 8, seed=0)
    return {
        "test": test,
        "captions": (test.features + generator.normal(size=test.features.shape)).astype(np.float32),
        "ood": [bank_of(generator.normal(size=(5, 8)).astype(np.float32), np.full(5, -1), name) for name in ("a", "b")],
        "ood_texts": [generator.normal(size=(7, 8)).astype(np.float32)],
        "head": Head(kind="model", classes=6, weight=generator.normal(size=(6, 8)).astype(np.float32)),
    }


def measured(parts: dict[str, Any], **changed: Any) -> dict[str, Any]:
    given_parts = {"train_counts": COUNTS, "groups": GROUPS, **parts, **changed}
    return measure_geometry(given_parts.pop("test"), 6, **given_parts)


def test_angles_are_those_of_loops_over_pairs(parts: dict[str, Any]) -> None:
    test, found = parts["test"], measured(parts)
    images = [mean_of_units(test.features[test.labels == c]) for c in range(6)]
    texts = [mean_of_units(parts["captions"][test.labels == c]) for c in range(6)]
    outside = np.concatenate([bank.features for bank in parts["ood"]])
    # With fewer rows than centres every row is one, so that k-means has nothing to decide.
    expected = {
        "intra": [angle(images[c], texts[c]) for c in range(6)],
        "inter": [np.mean([angle(images[c], texts[d]) for d in range(6) if d != c]) for c in range(6)],
        "ood": [np.mean([angle(images[c], row) for row in parts["ood_texts"][0]]) for c in range(6)],
        "image_intra": [
            np.mean([angle(row, images[c]) for row in test.features[test.labels == c].astype(np.float64)])
            for c in range(6)
        ],
        "image_inter": [np.mean([angle(images[c], images[d]) for d in range(6) if d != c]) for c in range(6)],
        "image_ood": [np.mean([angle(images[c], row) for row in outside.astype(np.float64)]) for c in range(6)],
    }
    assert found["basis"] == "captions"
    assert found["centres"]["image"] == 10
    assert found["centres"]["text"] == 7
    for name, values in expected.items():
        np.testing.assert_allclose(found["classes"][name], values, rtol=0, atol=1e-6, err_msg=name)
        assert found["summary"][name]["mean"] == pytest.approx(np.mean(values))
        assert found["summary"][name]["std"] == pytest.approx(np.std(values), abs=1e-6)
        assert found["summary"][name]["by_shot"]["few"] == pytest.approx(np.mean(values[4:]))
    weights = parts["head"].weight.astype(np.float64)
    for c in range(6):
        others = [angle(weights[c], weights[d]) for d in range(6) if d != c]
        assert found["weights"]["classes"]["inter"][c] == pytest.approx(np.mean(others))
        to_ood = [angle(weights[c], row) for row in outside.astype(np.float64)]
        assert found["weights"]["classes"]["ood"][c] == pytest.approx(np.mean(to_ood))
    assert found["weights"]["rows"] == 10
    assert found["reasons"] == {}
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_orthonormal_classes_are_at_ninety_degrees() -> None:
    features = np.repeat(np.eye(4, 6, dtype=np.float32), 3, axis=0)
    found = measure_geometry(bank_of(features, np.repeat(np.arange(4), 3)), 4, prompts=np.eye(4, 6, dtype=np.float32))
    assert found["classes"]["inter"] == [90.0] * 4
    assert found["classes"]["image_inter"] == [90.0] * 4
    assert found["classes"]["intra"] == [0.0] * 4
    assert found["summary"]["inter"]["std"] == 0
    assert found["modality_gap"] == {"distance": pytest.approx(0, abs=1e-12), "angle": pytest.approx(0, abs=1e-5)}
    assert found["alignment"] == 0
    assert found["basis"] == "prompts"


def test_a_rotation_and_a_scale_change_nothing(parts: dict[str, Any]) -> None:
    turn = ortho_group.rvs(8, random_state=1)

    def turned(rows: np.ndarray, scale: float = 1.0) -> np.ndarray:
        return scale * (rows.astype(np.float64) @ turn)

    head = Head(kind="model", classes=6, weight=turned(parts["head"].weight))
    other = measured(
        parts,
        test=bank_of(turned(parts["test"].features, 3.0), parts["test"].labels),
        captions=turned(parts["captions"], 0.1),
        ood=[bank_of(turned(bank.features, 7.0), bank.labels, bank.name) for bank in parts["ood"]],
        ood_texts=[turned(rows) for rows in parts["ood_texts"]],
        head=head,
    )
    found = measured(parts)
    for name, values in found["classes"].items():
        np.testing.assert_allclose(other["classes"][name], values, atol=1e-6, err_msg=name)
    for name in ("uniformity", "uniformity_texts", "alignment"):
        assert other[name] == pytest.approx(found[name])
    for name, value in found["modality_gap"].items():
        assert other["modality_gap"][name] == pytest.approx(value)
    for name, value in found["neural_collapse"].items():
        assert other["neural_collapse"][name] == (value if isinstance(value, str) else pytest.approx(value)), name
    np.testing.assert_allclose(other["weights"]["classes"]["ood"], found["weights"]["classes"]["ood"], atol=1e-4)


def test_classes_by_another_name_are_the_same_classes(parts: dict[str, Any]) -> None:
    order = np.array([3, 0, 5, 1, 4, 2])
    test = bank_of(parts["test"].features, order[parts["test"].labels])
    found, other = measured(parts), measured(parts, test=test)
    for name in ("intra", "inter", "ood", "image_intra", "image_inter"):
        np.testing.assert_allclose(np.array(other["classes"][name])[order], found["classes"][name], atol=1e-9)


@pytest.mark.parametrize("numbers", [1, 40, 1000])
def test_blocks_of_any_size_and_mapped_half_precision_give_the_same(
    parts: dict[str, Any], numbers: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    halved = parts["test"].features.astype(np.float16)
    np.save(tmp_path / "features.npy", halved)
    mapped = bank_of(halved, parts["test"].labels)
    mapped = type(mapped)(**{**vars(mapped), "features": np.load(tmp_path / "features.npy", mmap_mode="r")})
    found = measured(parts, test=bank_of(halved.astype(np.float32), parts["test"].labels))
    for module in ("features.blocks", "geometry.class_angles", "geometry.spread", "geometry.neural_collapse"):
        monkeypatch.setattr(f"openmmlo.evaluate.{module}.BLOCK_NUMBERS", numbers)
    other = measured(parts, test=mapped)
    for name, values in found["classes"].items():
        np.testing.assert_allclose(other["classes"][name], values, atol=1e-7, err_msg=name)
    assert other["uniformity"] == pytest.approx(found["uniformity"], rel=1e-12)
    assert other["alignment"] == pytest.approx(found["alignment"], rel=1e-12)
    for name in ("nc1", "nc2_equinorm", "nc2_equiangular", "nc2_angle"):
        assert other["neural_collapse"][name] == pytest.approx(found["neural_collapse"][name], rel=1e-9), name
    assert mapped.features.dtype == np.float16


def test_one_seed_gives_one_result(parts: dict[str, Any]) -> None:
    ood = [clustered(500, 20, 8, seed=5, name="ood")]
    ood = [bank_of(ood[0].features, np.full(500, -1), "ood")]
    first, second = (measured(parts, ood=ood, centres=20) for _ in range(2))
    assert first == second
    assert first["centres"]["image"] == 20
    assert measured(parts, ood=ood, centres=20, seed=1)["classes"]["image_ood"] != first["classes"]["image_ood"]


def test_models_without_texts_have_no_number_of_the_papers_names(parts: dict[str, Any]) -> None:
    found = measured(parts, captions=None, ood_texts=[])
    assert found["basis"] == "images"
    assert [found["classes"][name] for name in ("intra", "inter", "ood")] == [None] * 3
    assert found["modality_gap"] is None
    assert found["alignment"] is None
    assert found["summary"]["image_intra"]["mean"] > 0
    for name in ("intra", "inter", "ood", "modality_gap", "alignment", "uniformity_texts"):
        assert "no texts" in found["reasons"][name]


def test_angles_among_texts_alone_are_called_so(parts: dict[str, Any]) -> None:
    alone = {"captions": None, "ood_texts": []}
    images, texts = measured(parts, **alone), measured(parts, **alone, alone="text")
    assert texts["basis"] == "texts"
    for name in ("intra", "inter", "ood"):
        assert texts["classes"][f"text_{name}"] == images["classes"][f"image_{name}"]
        assert f"image_{name}" not in texts["classes"]
    assert texts["centres"] == {**images["centres"], "image": None, "text": 10, "rows": {"image": None, "text": 10}}
    assert measured(parts, **alone, alone="text", ood=[])["reasons"]["text_ood"] == "no features of OOD samples"


def test_the_reason_why_there_are_no_texts_is_the_callers(parts: dict[str, Any]) -> None:
    found = measured(parts, captions=None, ood_texts=[], without_texts="no shared space")
    for name in ("intra", "inter", "ood", "modality_gap", "alignment", "uniformity_texts"):
        assert found["reasons"][name] == "no shared space"


def test_ood_to_text_centres_needs_texts_of_ood_samples(parts: dict[str, Any]) -> None:
    found = measured(parts, captions=None, prompts=np.eye(6, 8, dtype=np.float32), ood_texts=[])
    assert found["classes"]["ood"] is None
    assert "image_ood" in found["reasons"]["ood"]
    assert found["summary"]["image_ood"] is not None
    assert found["summary"]["intra"] is not None


def test_what_is_undefined_is_none_with_a_reason(parts: dict[str, Any]) -> None:
    test = parts["test"]
    some = bank_of(test.features[test.labels != 2], test.labels[test.labels != 2])
    found = measured(parts, test=some, captions=parts["captions"][test.labels != 2], ood=[], head=None)
    assert found["classes"]["intra"][2] is None
    assert None not in found["classes"]["intra"][3:]
    assert found["summary"]["intra"]["classes"] == 5
    assert found["classes"]["image_ood"] is None
    assert set(found["reasons"]) == {"image_ood", "weights"}
    alone = measure_geometry(bank_of(test.features[:3], [0, 0, 0]), 1)
    assert alone["summary"]["image_inter"] is None
    assert "by itself" in alone["reasons"]["image_inter"]
    assert alone["neural_collapse"]["nc1"] is None
    assert "1 classes" in alone["neural_collapse"]["reason"]
    assert alone["summary"]["image_intra"]["slope"] is None


def test_zero_rows_are_counted_and_left_out(parts: dict[str, Any]) -> None:
    test = parts["test"]
    padded = bank_of(np.vstack([test.features, np.zeros((2, 8), np.float32)]), [*test.labels, 0, 1])
    captions = np.vstack([parts["captions"], np.ones((2, 8), np.float32)])
    found, other = measured(parts, captions=None), measured(parts, test=padded, captions=None)
    assert other["rows"]["zero"] == 2
    for name in ("image_intra", "image_inter", "image_ood"):
        np.testing.assert_allclose(other["classes"][name], found["classes"][name])
    assert measured(parts, test=padded, captions=captions)["alignment"] == pytest.approx(measured(parts)["alignment"])


def test_bad_banks_are_refused_with_their_number(parts: dict[str, Any]) -> None:
    test = parts["test"]
    broken = test.features.copy()
    broken[[3, 50], 0] = np.nan, np.inf
    with pytest.raises(DataError, match=r"Bank 'test' has 2 of 60 rows with NaN"):
        measured(parts, test=bank_of(broken, test.labels))
    with pytest.raises(DataError, match=r"has 60 labels outside 0 to 5"):
        measured(parts, test=bank_of(test.features, np.full(60, -1)))
    with pytest.raises(DataError, match="all-zero features"):
        measured(parts, test=bank_of(np.zeros((60, 8), np.float32), test.labels))
    with pytest.raises(DataError, match="captions: 5 features a row"):
        measured(parts, captions=np.ones((60, 5), np.float32))
    with pytest.raises(DataError, match="its captions 59"):
        measured(parts, captions=np.ones((59, 8), np.float32))
    with pytest.raises(DataError, match="7 class embeddings for 6 classes"):
        measured(parts, captions=None, prompts=np.ones((7, 8), np.float32))
    nan = np.full((6, 8), np.nan, np.float32)
    many = np.vstack([np.ones((9000, 8), np.float32), nan])
    for head in (None, parts["head"]):
        with pytest.raises(DataError, match=r"Bank 'svhn' has 6 of 9,006 rows"):
            measured(parts, ood=[*parts["ood"], bank_of(many, np.full(9006, -1), "svhn")], head=head)
    with pytest.raises(DataError, match="model head has 6 rows with NaN"):
        measured(parts, head=Head(kind="model", classes=6, weight=nan))


def test_a_class_whose_features_cancel_has_no_direction() -> None:
    features = np.array([[1, 0], [-1, 0], [0, 1], [0, 2]], np.float64)
    found = class_centres(features, np.array([0, 0, 1, 1]), 3, "bank")
    assert np.isnan(found[[0, 2]]).all()
    assert found[1].tolist() == [0, 1]
    assert np.isnan(mean_angles(found, found, leave_out_own=True)).all()  # class 1 has no other left


@given(st.integers(1, 5), st.integers(2, 40), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_samples_outside_in_any_parts_have_one_mean(cuts: int, rows: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    samples, directions = generator.normal(size=(rows, 4)), np.eye(3, 4)
    whole, count = outside_angles(directions, [samples], ["ood"])
    split, same = outside_angles(directions, np.array_split(samples, cuts), ["ood"] * cuts)
    assert count == same == rows
    np.testing.assert_allclose(split, whole, rtol=1e-12)


def test_slope_is_that_of_linregress_against_tenfold_images() -> None:
    generator = np.random.default_rng(0)
    counts = generator.integers(5, 1000, 40)
    values = 80 - 3 * np.log10(counts) + generator.normal(size=40)
    values[7], counts[9] = np.nan, 0
    found = over_classes(values, (), counts.tolist())
    kept = ~np.isnan(values) & (counts > 0)
    peer = linregress(np.log10(counts[kept]), values[kept])
    from scipy.stats import t

    assert found is not None
    assert found["slope"] == pytest.approx(peer.slope)
    assert found["r_squared"] == pytest.approx(peer.rvalue**2)
    half = t.ppf(0.975, 36) * peer.stderr
    assert found["slope_interval"] == pytest.approx([peer.slope - half, peer.slope + half])
    assert (found["classes"], found["slope_classes"]) == (39, 38)
    assert found["by_shot"] == {}


def test_slope_of_few_or_equal_classes_is_none() -> None:
    assert slope(np.array([1.0, 2.0]), np.array([3.0, 4.0]))["slope"] is None
    assert slope(np.full(5, 2.0), np.arange(5.0))["slope"] is None
    level = slope(np.arange(4.0), np.full(4, 7.0))
    assert (level["slope"], level["r_squared"]) == (0, None)


def test_samples_of_many_rows_are_seeded_and_in_order() -> None:
    rows = np.eye(50)
    first = blocks.unit_sample([rows[:20], rows[20:]], ["a", "b"], 10, 4)
    assert len(first) == 10
    assert (np.diff(first.argmax(axis=1)) > 0).all()
    assert (first == blocks.unit_sample([rows], ["a"], 10, 4)).all()
    assert (first != blocks.unit_sample([rows], ["a"], 10, 5)).any()
    with pytest.raises(DataError, match="a, b: 50 and 51 features"):
        blocks.unit_sample([rows, np.ones((1, 51))], ["a", "b"], 10, 4)
