"""The page of an evaluation: whole, the same each time, true to result.json, safe with any text, small."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluated import ALL_DETECTORS, evaluated, predicted, renamed, result_of
from read_pages import Page

from openmmlo.errors import DataError
from openmmlo.evaluate.metrics.calibration import reliability
from openmmlo.evaluate.predictions import Predictions
from openmmlo.evaluate.report import write_report
from openmmlo.evaluate.report.page import page_of
from openmmlo.pages.wording import hundredths, percent

GROUPS = ("many", "medium", "few")
OOD = ("fpr95_id_positive", "auroc", "aupr_in", "aupr_out", "fpr95_ood_positive")

HOSTILE = (
    "</script><img src=x onerror=alert(1)>",
    "<!-- <script>",
    "{{7*7}}",
    "{% raw %}",
    "\u2028\u2029\u202e\u0000\u0007",
    "ع" * 40,
    "x" * 300,
    "'\"`&amp;&lt;",
    "]]>",
    "__proto__",
    "constructor",
)


@pytest.fixture(scope="module")
def whole() -> tuple[dict[str, Any], Predictions]:
    return evaluated()


@pytest.fixture(scope="module")
def page(whole: tuple[dict[str, Any], Predictions]) -> Page:
    return read(*whole)


def read(result: dict[str, Any], predictions: Predictions | None) -> Page:
    return Page(page_of(result, predictions).decode())


def test_it_is_one_file_and_the_same_each_time(whole: Any, tmp_path: Path) -> None:
    first = write_report(*whole, tmp_path / "a.html").read_bytes()
    again = json.loads(json.dumps(whole[0]))
    assert write_report(again, whole[1], tmp_path / "b.html").read_bytes() == first
    assert str(tmp_path).encode() not in first
    for bad in ("", "missing/page.html"):
        with pytest.raises(DataError, match="no place for a file"):
            write_report(*whole, tmp_path / bad)


def test_the_policy_names_the_one_style_and_script(page: Page) -> None:
    (policy,) = (found["content"] for _, found in page.elements if found.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    _, script = page.raw["script"]
    (style,) = page.raw["style"]
    for rule, text in (("script-src", script), ("style-src", style)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    assert rules["default-src"] == "'none'"
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", script)
    for tag, found in page.elements:
        assert not [name for name in found if name.startswith("on") or name in ("style", "srcset")], tag
        for name in ("href", "src"):
            assert (found.get(name) or "#").startswith(("#", "data:")), (tag, found)


def test_headline_numbers_are_those_of_the_result(whole: Any, page: Page) -> None:
    result, head = whole[0], page.text("top")
    main = result["scored"]["classification"]["test"]
    assert f"{percent(main['top1_samples'])} 1,200 test images" in head
    for group in GROUPS:
        assert percent(main["groups"][group]) in head
    for name, item in result["scored"]["ood"].items():
        cells = [hundredths(item["detectors"][d][m]) for d in ("msp", "energy", "knn") for m in ("auroc", OOD[0])]
        assert f"{name} {item['group']} {item['rows']} {' '.join(cells)}" in head
    assert "Not run: set places365" in head
    assert "Mind: Detector gradnorm" in head


def test_tables_hold_the_numbers_of_the_result(whole: Any, page: Page) -> None:
    scored = whole[0]["scored"]
    for name, item in scored["classification"].items():
        cells = [item["top1_samples"], item["top1_classes"], *(item["groups"][group] for group in GROUPS),
                 item["worst_10_percent"], item["harmonic_mean"], item["false_head_rate"],
                 item["calibration_error"]]  # fmt: skip
        assert f"{name} {item['rows']:,} {' '.join(map(hundredths, cells))}" in page.text("accuracy")
    main = scored["classification"]["test"]
    for row in main["group_confusion"].values():
        assert " ".join(percent(row[group]) for group in GROUPS) in page.text("errors")
    for name, item in main["test_priors"].items():
        expected = f"{name.replace('-', ' ')} {item['rows']:,} {hundredths(item['top1_samples'])}"
        assert expected in page.text("errors")
    ood = page.text("ood")
    sets = list(scored["ood"])
    for metric in OOD:
        for detector in ("msp", "energy", "knn", "mahalanobis"):
            cells = [scored["ood"][name]["detectors"][detector][metric] for name in sets]
            cells += [scored["ood_groups"][group][detector][metric] for group in ("far", "all")]
            column = [hundredths(value) for value in cells]
            assert re.search(rf"{detector} {'(?: best)? '.join(map(re.escape, column))}", ood), (metric, detector)
    for name, item in scored["ood"].items():
        assert f"{name} {' · '.join(percent(item['landing'][group]) for group in GROUPS)}" in ood
        assert f"{name} {hundredths(scored['open_set'][name]['oltr_f_measure'])}" in ood
    for k, by_set in whole[0]["measured"]["k_sweep"]["knn"].items():
        assert hundredths(by_set["svhn"]["fpr95_id_positive"]) in ood
        assert f"k = {int(k):,}" in ood


def test_the_best_of_every_column_is_marked(whole: Any, page: Page) -> None:
    sets = whole[0]["scored"]["ood"]
    marked = [found for tag, found in page.elements if tag == "td" and "best" in (found.get("class") or "").split()]
    values = {float(found["data-value"] or "nan") for found in marked}
    for item in sets.values():
        for metric in OOD:
            column = [numbers[metric] for numbers in item["detectors"].values()]
            assert (min if metric.startswith("fpr") else max)(column) in values


def test_single_classes_and_pictures_are_those_of_the_predictions(whole: Any, page: Page) -> None:
    result, predictions = whole
    per_class = result["scored"]["classification"]["test"]["per_class"]
    counts = predictions.train_counts
    order = sorted(range(len(counts)), key=lambda label: (-counts[label], label))
    assert page.data["classes"] == [
        [
            predictions.classes[label][1],
            counts[label],
            round(per_class[label], 4),
            GROUPS.index(predictions.groups[label]),
        ]
        for label in order
    ]
    test = predictions.rows("test")
    for detector, picture in page.data["pictures"].items():
        for name, drawn in picture["sets"].items():
            numbers = result["scored"]["ood"][name]["detectors"][detector]
            assert drawn["rows"] == [int(test.sum()), result["scored"]["ood"][name]["rows"]]
            assert drawn["marks"][0][0] == pytest.approx(100 * numbers["fpr95_id_positive"], abs=1e-3)
            assert 100 - drawn["marks"][1][1] == pytest.approx(100 * numbers["fpr95_ood_positive"], abs=1e-3)
            assert {key: text for key, text, *_ in drawn["numbers"]} == {m: hundredths(numbers[m]) for m in OOD}
            assert [row[2:] for row in drawn["numbers"]] == [
                [hundredths(numbers["by_shot"][group][m]) for group in GROUPS] for m in OOD
            ]
            corners = [list(map(int, point.split())) for point in drawn["curve"][1:].split("L")]
            assert corners[0] == [0, 1000]
            assert corners[-1] == [10_000, 0]
            assert [round(100 * drawn["marks"][0][0]), round(1000 - 10 * drawn["marks"][0][1])] in corners
    bins = reliability(
        predictions.labels[test] == predictions.predicted[test], predictions.confidence[test]
    )  # and the table behind the diagram
    for count, confidence, accuracy in bins:
        assert f"{count:,} {hundredths(confidence)} {hundredths(accuracy)}" in page.text("errors")


def test_geometry_classifiers_captions_and_provenance(whole: Any, page: Page) -> None:
    measured = whole[0]["measured"]
    geometry = page.text("geometry")
    blocks = [*measured["geometry"]["summary"].values(), *measured["geometry"]["weights"]["summary"].values()]
    for item in blocks:
        values = [item["mean"], item["std"], *(item["by_shot"][group] for group in GROUPS), item["slope"]]
        assert " ".join(f"{value:.2f}".replace("-", "\u2212") for value in values) in geometry
    assert "distance 0.812" in geometry
    assert "uniformity of images \u22121.812" in geometry
    for item in measured["classifiers"].values():
        assert hundredths(item["top1_samples"]) in page.text("classifiers")
    assert "zero-shot scored" in page.text("classifiers")
    captions = page.text("captions")
    for item in (measured["captions"]["masked"]["both"], measured["captions"]["raw"]["caption_only"]):
        assert f"{hundredths(item['top1_samples'])} {hundredths(item['top1_classes'])}" in captions
    own = measured["captions"]["own"]
    for name, item in (("image only", own["image_only"]), ("image and masked caption", own["masked"])):
        numbers = f"{hundredths(item['top1_samples'])} {hundredths(item['top1_classes'])}"
        assert f"own classifier, {name} {numbers}" in captions
    assert "own classifier, image and caption as written" not in captions
    assert "own gain · masked 3.0%" in captions
    assert "leak rate 0.21%" in captions
    origin = page.text("origin")
    assert "knn k 50" in page.text("ood")
    assert "cosine logits: chosen for linear ones" in page.text("ood")
    assert "openmmlo score predictions.parquet --benchmark imagenet-lt" in origin
    for text in ("label map " + "e" * 64, "svhn ood far 500 500", "neighbours · search exact", "extraction 1,000.2"):
        assert text in origin


def test_hostile_text_stays_text() -> None:
    predictions = renamed(predicted(classes=12, per_class=6), HOSTILE)
    result = result_of(predictions)
    result["not_run"] = [{"what": text, "reason": text} for text in HOSTILE]
    result["warnings"] = result["departures"] = list(HOSTILE)
    result["benchmark"]["title"] = HOSTILE[0]
    result["classifier"]["kind"] = HOSTILE[0]
    result["protocol"]["detectors"] = {HOSTILE[0]: {HOSTILE[1]: HOSTILE[2]}}
    result["measured"]["classifiers"] |= {HOSTILE[3]: result["measured"]["classifiers"]["ncm"]}
    result["measured"]["audit"] = {HOSTILE[0]: HOSTILE[1]}
    result[HOSTILE[0]] = {HOSTILE[0]: HOSTILE[0]}
    text = page_of(result, predictions).decode()
    page = Page(text)
    assert len(page.raw["script"]) == 2
    assert not [tag for tag, _ in page.elements if tag == "img"]
    assert not [name for _, found in page.elements for name in found if name.startswith("on")]
    assert "{{7*7}}" in text
    assert "<img src=x" not in text
    assert not set("<>&\u2028\u2029") & set(page.raw["script"][0])
    assert {item[0] for item in page.data["classes"]} == set(HOSTILE)


def paths(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict) and len(before) < 5:
        for key, item in value.items():
            yield (*before, key)
            yield from paths(item, (*before, key))


@pytest.mark.slow
def test_a_result_that_lacks_something_has_a_page_all_the_same() -> None:
    """As one of a model without features, or written by another version: each block in turn is null, or not there."""
    result, predictions = evaluated(classes=9, per_class=4, detectors=("msp", "knn"), outside=(("svhn", "far", 20),))
    found = [path for path in paths(result) if len(path) < 4 or path[-1] in ("summary", "groups", "many")]
    for place, path in enumerate(found):
        changed = json.loads(json.dumps(result))
        parent = changed
        for key in path[:-1]:
            parent = parent[key]
        if place % 2:
            del parent[path[-1]]
        else:
            parent[path[-1]] = None
        shown = read(changed, predictions)
        assert not [section for section in shown.texts if "None" in shown.text(section)], path
    assert len(found) > 60


@pytest.mark.parametrize(
    ("change", "section", "text"),
    [
        ({"measured": {"geometry": None}}, "geometry", "No geometry was measured"),
        ({"measured": {"classifiers": {}}}, "classifiers", "No other classifier was measured"),
        ({"measured": {"captions": None, "audit": None}}, "captions", "No captions were read"),
        ({"measured": {"k_sweep": {}}}, "ood", "No sweep of k was measured"),
        ({"scored": {"ood": {}, "ood_groups": {}, "open_set": {}}}, "ood", "No OOD set was scored"),
        ({"scored": {"classification": {}}}, "accuracy", "No set was classified"),
    ],
)
def test_absent_blocks_say_so(whole: Any, change: dict[str, Any], section: str, text: str) -> None:
    result = {**whole[0], **{key: {**whole[0][key], **value} for key, value in change.items()}}
    assert text in read(result, whole[1]).text(section)


def test_without_predictions_numbers_stand_and_pictures_do_not(whole: Any) -> None:
    page = read(whole[0], None)
    assert hundredths(whole[0]["scored"]["ood"]["svhn"]["detectors"]["knn"]["auroc"]) in page.text("ood")
    assert page.text("ood").count("predictions.parquet was not at hand") == 1
    assert page.text("accuracy").count("predictions.parquet was not at hand") == 1
    assert page.data["pictures"] is None


def test_one_class_one_group_and_no_training_counts() -> None:
    one = read(*evaluated(classes=1, per_class=3, counts=[7], outside=(), shifted=False))
    assert "3 test images of 1 class" in one.text("top")
    assert "few-shot" in one.text("top")
    assert "many-shot" not in one.text("top")
    few = read(*evaluated(classes=5, per_class=3, counts=[4, 3, 3, 2, 1]))
    assert "predicted few" in few.text("errors")
    assert "predicted many" not in few.text("errors")
    plain = replace(predicted(classes=5, per_class=3), train_counts=None)
    page = read(result_of(plain), plain)
    assert "how many training images a class has is not known" in page.text("accuracy")
    assert [item[0] for item in page.data["classes"]] == [name for _, name in plain.classes]
    assert "class, in label order" in page.text("geometry")


def test_classes_of_one_size_have_a_labelled_axis() -> None:
    page = Page(page_of(*evaluated(classes=6, per_class=3, counts=[450, 480, 500, 460, 470, 490])).decode())
    assert "450 500" in page.text("accuracy")


def test_equal_scores_can_be_drawn() -> None:
    predictions = predicted(classes=4, per_class=5)
    scores = {"flat": np.zeros(len(predictions.labels)), "huge": np.full(len(predictions.labels), -1e300)}
    predictions = replace(predictions, scores=scores)
    page = read(result_of(predictions), predictions)
    assert set(page.data["pictures"]) == {"flat", "huge"}
    assert page.data["pictures"]["flat"]["sets"]["svhn"]["marks"][0] == [100.0, 100.0]


def size_of(**options: Any) -> int:
    return len(page_of(*evaluated(**options)))


@pytest.mark.slow
def test_a_page_of_imagenet_lt_and_of_inaturalist_is_small() -> None:
    outside = (("imagenet-open", "open", 18_000), ("textures", "far", 5_160))
    assert size_of(classes=1000, per_class=50, outside=outside, detectors=ALL_DETECTORS, shifted=False) < 1_000_000
    assert size_of(classes=8142, per_class=3, outside=(), shifted=False) < 3_000_000
