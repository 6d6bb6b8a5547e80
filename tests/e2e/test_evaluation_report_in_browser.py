"""The page of an evaluation in a real browser: choosing, sorting, finding, reading by keyboard, at every width."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsers import launched, opened
from evaluated import evaluated, predicted, renamed, result_of

from openmmlo.evaluate.predictions import Predictions
from openmmlo.evaluate.report import write_report
from openmmlo.pages.wording import hundredths

pytest.importorskip("playwright.sync_api", reason="the extra dev has playwright")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    yield from launched()


@pytest.fixture(scope="module")
def evaluation() -> tuple[dict[str, Any], Predictions]:
    return evaluated()


@pytest.fixture(scope="module")
def report(evaluation: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(*evaluation, tmp_path_factory.mktemp("browser") / "report.html")


@pytest.mark.parametrize("width", [320, 390, 768, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_opens_quietly_at_every_width(browser: Any, report: Path, width: int, scheme: str) -> None:
    it = opened(browser, report, width=width, color_scheme=scheme)
    for summary in it.page.locator("summary").all():
        summary.click()
    assert it.overflow() == 0
    assert it.complaints == []
    assert it.requests == [report.as_uri()]


def test_choosing_shows_what_the_result_says_of_that_pair(browser: Any, report: Path, evaluation: Any) -> None:
    it = opened(browser, report)
    table = it.page.locator("#pair-table tbody tr")
    for detector, name in (("knn", "textures"), ("mahalanobis", "svhn"), ("msp", "near-open")):
        it.page.select_option("#choose-detector", detector)
        it.page.select_option("#choose-set", name)
        numbers = evaluation[0]["scored"]["ood"][name]["detectors"][detector]
        assert f"{detector} against {name}" in it.page.inner_text("#pair-table caption")
        first = table.first.locator("td").all_inner_texts()
        shots = [numbers["by_shot"][group]["fpr95_id_positive"] for group in ("many", "medium", "few")]
        assert first == [hundredths(value) for value in (numbers["fpr95_id_positive"], *shots)]
        mark = float(it.page.get_attribute("#mark-id", "cx").removesuffix("%"))
        assert mark == pytest.approx(100 * numbers["fpr95_id_positive"], abs=1e-3)
        assert name in it.page.get_attribute("#roc", "aria-label") or detector in it.page.get_attribute(
            "#roc", "aria-label"
        )
        assert it.page.locator(".curve.roc.chosen").count() == 1
        assert it.page.locator("#histogram .ticks text").count() >= 2
        assert {item.get_attribute("data-set") for item in it.page.locator(".sweep.chosen").all()} == {name}
    assert it.complaints == []


def test_a_metric_at_a_time_in_any_order(browser: Any, report: Path, evaluation: Any) -> None:
    it = opened(browser, report)
    tables = it.page.locator("[data-metric]:visible")
    assert tables.count() == 1
    it.page.locator("#metric-choice label", has_text="AUROC").click()
    assert tables.count() == 1
    assert tables.first.get_attribute("data-metric") == "auroc"
    column = [item["detectors"] for item in evaluation[0]["scored"]["ood"].values()][1]
    falling = sorted(column, key=lambda name: -column[name]["auroc"])
    table = it.page.locator('[data-metric="auroc"] table')
    button = table.locator("thead button").nth(2)
    button.focus()
    for expected, order in ((falling, "descending"), (falling[::-1], "ascending")):
        it.page.keyboard.press("Enter")
        assert table.locator("tbody th").all_inner_texts() == expected
        assert table.locator("thead th").nth(2).get_attribute("aria-sort") == order
    table.locator("thead button").first.click()
    assert table.locator("tbody th").all_inner_texts() == sorted(column)
    assert it.page.locator('[data-metric="auroc"] [aria-sort]').count() == 1
    assert it.complaints == []


def test_classes_are_found_and_ordered(browser: Any, report: Path, evaluation: Any) -> None:
    it = opened(browser, report)
    result, predictions = evaluation
    names = it.page.locator("#class-table tbody th")
    values = result["scored"]["classification"]["test"]["per_class"]
    assert it.page.locator("#class-table tbody td").nth(2).inner_text() == hundredths(min(values))
    it.page.select_option("#class-order", "head")
    largest = max(range(60), key=lambda label: (predictions.train_counts[label], -label))
    assert names.first.inner_text() == predictions.classes[largest][1]
    it.page.fill("#class-search", "FROG")
    frogs = [name for _, name in predictions.classes if "frog" in name]
    assert set(names.all_inner_texts()) <= set(frogs)
    assert f"of {len(frogs)} classes shown" in it.page.inner_text("#class-count")
    it.page.locator("#class-groups label", has_text="few").click()
    some = [name for (_, name), group in zip(predictions.classes, predictions.groups, strict=True)
            if "frog" in name and group == "few"]  # fmt: skip
    assert sorted(names.all_inner_texts()) == sorted(some)


def test_charts_name_their_classes_by_pointer_and_by_keys(browser: Any, report: Path, evaluation: Any) -> None:
    it = opened(browser, report)
    _, predictions = evaluation
    plot = it.page.locator("#class-plot")
    plot.focus()
    it.page.keyboard.press("End")
    smallest = min(range(60), key=lambda label: (predictions.train_counts[label], -label))
    text = plot.get_attribute("aria-valuetext")
    assert text.startswith(predictions.classes[smallest][1])
    assert f"{predictions.train_counts[smallest]} training images, few" in text
    assert it.page.inner_text("#class-tip").startswith(predictions.classes[smallest][1])
    it.page.keyboard.press("Escape")
    assert it.page.locator("#class-tip").is_hidden()
    angles = it.page.locator('[data-angles="texts"]')
    angles.scroll_into_view_if_needed()
    box = angles.locator("svg.frame").bounding_box()
    it.page.mouse.move(box["x"] + 0.001 * box["width"], box["y"] + 0.5 * box["height"])
    tip = angles.locator(".tip").inner_text()
    geometry = evaluation[0]["measured"]["geometry"]["classes"]
    largest = max(range(60), key=lambda label: (predictions.train_counts[label], -label))
    assert tip.startswith(predictions.classes[largest][1])
    assert f"intra-class {geometry['intra'][largest]:.1f}°" in tip
    assert it.complaints == []


HOSTILE = (
    "</script><img src=x onerror=window.harmed=1>", "<svg onload=window.harmed=1>", "{{7*7}}", "\u2028\u2029",
    "ع" * 60, "x" * 300, "'\"`&amp;", "__proto__", "constructor",
)  # fmt: skip

WIDE = """() => {
  const clipped = (element) => {
    for (let at = element; at && at !== document.body; at = at.parentElement)
      if (getComputedStyle(at).overflowX !== "visible") return true;
    return false;
  };
  return [...document.querySelectorAll("main *")]
    .filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
    .filter((element) => !element.closest("svg") && !clipped(element))
    .map((element) => element.outerHTML.slice(0, 80));
}"""
"""Elements that reach out of the page at the right, and are neither clipped nor scrolled."""


@pytest.mark.parametrize("width", [390, 1440])
def test_hostile_names_run_nothing_and_break_nothing(browser: Any, tmp_path: Path, width: int) -> None:
    predictions = renamed(predicted(classes=12, per_class=6, detectors=(HOSTILE[0], HOSTILE[5], "__proto__")), HOSTILE)
    result = result_of(predictions)
    result["warnings"] = result["departures"] = list(HOSTILE)
    page = write_report(result, predictions, tmp_path / "report.html")
    it = opened(browser, page, width=width)
    for place in range(3):
        it.page.select_option("#choose-detector", index=place)
        it.page.select_option("#choose-set", index=place % it.page.locator("#choose-set option").count())
    it.page.locator("#class-plot").focus()
    for _ in range(12):
        it.page.keyboard.press("ArrowRight")
    for order in ("best", "head", "tail"):
        it.page.select_option("#class-order", order)
    for summary in it.page.locator("summary").all():
        summary.click()
    assert it.overflow() == 0
    assert it.page.evaluate(WIDE) == []
    assert it.page.evaluate("window.harmed") is None
    assert it.page.evaluate("document.querySelectorAll('img[src=x], svg[onload]').length") == 0
    assert it.complaints == []
    assert it.requests == [page.as_uri()]


def test_without_scripts_every_number_is_there(browser: Any, report: Path) -> None:
    it = opened(browser, report, java_script_enabled=False)
    assert it.page.locator("[data-metric]:visible").count() == 5
    assert it.page.locator("#score-choice").is_hidden()
    assert it.page.locator("#class-finder").is_hidden()
    assert it.page.locator("#histogram").is_visible()
    assert it.page.locator("#class-table tbody tr").count() == 12


def contrast(one: str, two: str) -> float:
    """Contrast of two "rgb(r, g, b)" by WCAG 2.2."""
    lights = []
    for colour in (one, two):
        parts = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        lights.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(lights) + 0.05) / (min(lights) + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_names_of_shot_groups_can_be_read(browser: Any, report: Path, scheme: str) -> None:
    it = opened(browser, report, color_scheme=scheme)
    ground = it.page.evaluate("getComputedStyle(document.body).backgroundColor")
    for selector in (".bands .many", ".bands .medium", ".bands .few", ".ticks text", ".threshold-name"):
        fill = it.page.evaluate("(where) => getComputedStyle(document.querySelector(where)).fill", selector)
        assert contrast(fill, ground) >= 4.5, selector
