"""The report in a real browser: its filters, its counts, and that nothing in a data set can run a script."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsers import launched, opened
from hand_measures import measures
from pictured_sets import Pictured, write_pictured, zoo
from stubs import jpeg

from openmmlo.building.report import write_report
from openmmlo.records import ClassInfo, DatasetInfo

pytest.importorskip("playwright.sync_api", reason="the extra dev has playwright")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    yield from launched()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    return write_report(zoo(folder / "zoo"), measures(), folder / "report.html")


@pytest.fixture(scope="module")
def data(report: Path) -> dict[str, Any]:
    text = report.read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(
        text.split('<script type="application/json" id="data">')[1].split("</script>")[0]
    )
    return found


def examples(data: dict[str, Any], name: str = "", split: str | None = None, group: str | None = None) -> int:
    """Cards that a filter should leave, counted here from the data."""
    return sum(
        (name in data["classes"][own][1].lower())
        and split in (None, data["splits"][place])
        and group in (None, data["groups"][data["classes"][own][2]])
        for own, place, *_ in data["cards"]
    )


def rows(data: dict[str, Any], name: str = "", split: str | None = None, group: str | None = None) -> tuple[int, int]:
    """Rows of the whole data set, and classes, that a filter should count."""
    per_class = [
        sum(count for place, count in enumerate(counts) if split in (None, data["splits"][place]))
        for _, label, of_group, counts in data["classes"]
        if name in label.lower() and group in (None, data["groups"][of_group])
    ]
    return sum(per_class), sum(count > 0 for count in per_class)


def expected_text(data: dict[str, Any], shown: int, **filters: Any) -> str:
    count, (total, classes) = examples(data, **filters), rows(data, **filters)
    first = f"{shown} of {count} {'example' if count == 1 else 'examples'} shown" if count else "No example"
    return (
        f"{first} · {total:,} {'row' if total == 1 else 'rows'} in {classes} {'class' if classes == 1 else 'classes'}"
    )


def test_every_filter_shows_what_it_counts(browser: Any, report: Path, data: dict[str, Any]) -> None:
    it = opened(browser, report)
    assert it.count_text() == expected_text(data, it.shown())
    for split in (None, *data["splits"]):
        it.choose("split", split or "all")
        for group in (None, *data["groups"]):
            it.choose("group", {None: "all", "ood": "OOD"}.get(group, group))  # type: ignore[arg-type]
            count = examples(data, split=split, group=group)
            assert it.shown() == min(40, count)
            assert it.count_text() == expected_text(data, it.shown(), split=split, group=group)
            assert it.chip_count("split", split or "all") == count
            assert it.page.locator("#more").is_visible() == (count > 40)
    assert it.complaints == []
    assert it.requests == [report.as_uri()]


def test_chips_count_what_choosing_them_would_show(browser: Any, report: Path, data: dict[str, Any]) -> None:
    it = opened(browser, report)
    it.page.fill("#search", "frog")
    it.choose("split", "test")
    for group, label in ((None, "all"), ("medium", "medium"), ("few", "few"), ("many", "many")):
        assert it.chip_count("group", label) == examples(data, "frog", "test", group)
    it.choose("group", "few")
    for split in data["splits"]:
        assert it.chip_count("split", split) == examples(data, "frog", split, "few")


def test_search_finds_classes_by_part_and_exactly(browser: Any, report: Path, data: dict[str, Any]) -> None:
    it = opened(browser, report)
    names = it.page.locator("#cards .card h3 bdi")
    it.page.fill("#search", "FROG")
    assert set(names.all_inner_texts()) == {"tree frog", "frog"}
    assert it.count_text() == expected_text(data, it.shown(), name="frog")
    it.page.fill("#search", '"frog"')
    assert set(names.all_inner_texts()) == {"frog"}
    it.page.fill("#search", "n4")
    assert set(names.all_inner_texts()) == {"teapot"}
    it.page.fill("#search", "nothing of the kind")
    assert it.count_text() == "No example · 0 rows in 0 classes"
    it.page.click("#clear")
    assert it.count_text() == expected_text(data, it.shown())
    assert it.page.locator("#clear").is_hidden()


def test_show_more_shows_all_in_the_end(browser: Any, report: Path, data: dict[str, Any]) -> None:
    it = opened(browser, report)
    while it.page.locator("#more").is_visible():
        it.page.click("#more")
    assert it.shown() == len(data["cards"])
    per_split = Counter(it.page.locator("#cards .card .note bdi").all_inner_texts())
    assert per_split == Counter(data["splits"][card[1]] for card in data["cards"])
    broken = it.page.evaluate("[...document.images].filter((i) => !i.complete || !i.naturalWidth).length")
    assert broken == 0


def test_captions_change_between_raw_and_masked(browser: Any, report: Path) -> None:
    it = opened(browser, report)
    it.page.fill("#search", "teapot")
    first = it.page.locator("#cards .card .caption").first
    assert first.locator("mark").all_inner_texts() == ["teapot", "teapot"]
    it.choose("version", "masked")
    assert first.locator("mark").count() == 0
    assert first.locator(".mask").all_inner_texts() == ["[mask]", "[mask]"]
    assert "teapot" not in first.inner_text()


def test_the_address_holds_the_filters(browser: Any, report: Path, data: dict[str, Any]) -> None:
    it = opened(browser, report)
    it.page.fill("#search", "tree frog")
    it.choose("split", "test")
    it.choose("group", "medium")
    it.choose("version", "masked")
    address = it.page.evaluate("location.hash")
    text = it.count_text()
    again = opened(browser, report, address)
    assert again.count_text() == text == expected_text(data, 6, name="tree frog", split="test", group="medium")
    assert again.page.input_value("#search") == "tree frog"
    assert again.page.locator('input[name="version"]:checked').get_attribute("value") == "masked"
    assert again.page.locator("#cards mark").count() == 0
    assert again.page.evaluate("document.getElementById('gallery').getBoundingClientRect().top") < 200
    odd = opened(browser, report, "#gallery?split=none&group=__proto__&class=%F0%9F%91%A9%3C&captions=x")
    assert odd.count_text() == "No example · 0 rows in 0 classes"
    assert odd.complaints == again.complaints == []


def test_details_open_step_and_close_by_keyboard(browser: Any, report: Path) -> None:
    it = opened(browser, report)
    it.page.fill("#search", "umbrella")
    it.page.locator("#cards .card button").first.focus()
    it.page.keyboard.press("Enter")
    dialog = it.page.locator("#detail")
    first = dialog.inner_text()
    assert "umbrella" in first
    assert "[mask]" in first
    assert "48 × 32 pixels" in first
    dialog.get_by_role("button", name="Next").click()
    assert dialog.inner_text() != first
    dialog.get_by_role("button", name="Previous").click()
    assert dialog.inner_text() == first
    it.page.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert it.complaints == []


def test_the_long_tail_names_its_classes(browser: Any, report: Path) -> None:
    it = opened(browser, report)
    plot = it.page.locator("#tail-plot")
    plot.focus()
    for key, text in (
        ("Home", "red fox: 130 images, many, rank 1"),
        ("ArrowRight", "umbrella: 40 images, medium, rank 2"),
        ("End", "frog: 3 images, few, rank 5"),
        ("ArrowLeft", "teapot: 7 images, few, rank 4"),
    ):
        it.page.keyboard.press(key)
        assert plot.get_attribute("aria-valuetext") == text
    it.page.keyboard.press("Enter")
    assert it.page.input_value("#search") == '"teapot"'
    box = it.page.locator("#tail-plot svg.frame").bounding_box()
    it.page.locator("#tail").scroll_into_view_if_needed()
    box = it.page.locator("#tail-plot svg.frame").bounding_box()
    it.page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.6 * box["height"])
    assert it.page.inner_text("#tail-tip").startswith("umbrella")
    assert it.page.locator("#tail-strip img").count() == 5
    assert it.complaints == []


def contrast(one: str, two: str) -> float:
    """Contrast of two "rgb(r, g, b)" by WCAG 2.2."""
    lights = []
    for colour in (one, two):
        parts = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        lights.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(lights) + 0.05) / (min(lights) + 0.05)


COLOURS = """(selector) => {
  const element = document.querySelector(selector);
  let ground = element;
  while (ground && getComputedStyle(ground).backgroundColor === "rgba(0, 0, 0, 0)") ground = ground.parentElement;
  return [getComputedStyle(element).color, getComputedStyle(ground).backgroundColor];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_on_its_ground(browser: Any, report: Path, scheme: str) -> None:
    it = opened(browser, report, color_scheme=scheme)
    selectors = (
        "h1",
        ".lede",
        ".note",
        ".lede .mask",
        "#cards mark",
        "mark.leak",
        ".bar li a",
        ".tag.ood",
        "thead th",
        "button.quiet",
        'input[name="split"]:checked + .chip .of',
        ".chips .of",
        ".missing, .legend",
        "#more",
        "tr.minor td, .facts dt",
    )
    for selector in selectors:
        assert contrast(*it.page.evaluate(COLOURS, selector)) >= 4.5, selector
    ground = it.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (contrast(ground, "rgb(255, 255, 255)") > 10) == (scheme == "dark")
    it.page.click("#theme")
    it.page.click("#theme")
    assert it.page.inner_text("#theme") == "Colours: dark"
    assert contrast(it.page.evaluate("getComputedStyle(document.body).backgroundColor"), "rgb(255, 255, 255)") > 10


HOSTILE = (
    "</script><img src=x onerror=window.harmed=1>",
    "<svg onload=window.harmed=1>",
    "{{7*7}}",
    "\u2028\u2029",
    "\u202eltr",
    "ع" * 60,
    "x" * 300,
    "👩‍👩‍👧‍👦 é",
    "'\"`&amp;",
    "__proto__",
    "javascript:window.harmed=1",
    "constructor",
)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    info = DatasetInfo(
        HOSTILE[0],
        "1",
        HOSTILE[0],
        tuple(ClassInfo(text, text) for text in HOSTILE),
        tuple(range(10, 10 + len(HOSTILE))),
        homepage=HOSTILE[10],
        citation=HOSTILE[6],
        notes=HOSTILE,
    )
    splits = {
        split: [
            Pictured(f"{split}/{text}.jpg", label, text, f"{text} is {text}{text}.", jpeg(label, 30, 30), (text,))
            for label, text in enumerate(HOSTILE)
        ]
        for split in ("train", "a" * 60)
    }
    errors = [
        {"sample_id": text, "split": "train", "class_key": text, "status": "link", "reason": text} for text in HOSTILE
    ]
    captioner = {"captioner": HOSTILE[0], "prompt": "p" * 300, "model": HOSTILE[6]}
    dataset = write_pictured(folder / "set", info, splits, errors=errors, captioner=captioner)
    found = measures()
    audit = found["audit"]
    assert audit is not None
    audit["examples"] = [{**audit["examples"][0], "text": text, "found": text, "sample_id": text} for text in HOSTILE]
    audit["worst_classes"] = [{**audit["worst_classes"][0], "name": text} for text in HOSTILE]
    return write_report(dataset, found, folder / "report.html")


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
def test_hostile_text_runs_nothing_and_breaks_nothing(browser: Any, hostile: Path, width: int) -> None:
    it = opened(browser, hostile, width=width)
    it.page.fill("#search", HOSTILE[0])
    assert it.shown() == 2
    it.page.locator("#cards .card button").first.click()
    assert HOSTILE[0] in it.page.inner_text("#detail")
    assert it.overflow() == 0
    it.page.keyboard.press("Escape")
    for text in ("__proto__", "constructor", "{{7*7}}", "x" * 300):
        it.page.fill("#search", text)
        assert it.shown() == 2
        assert it.overflow() == 0
    it.page.click("#clear")
    while it.page.locator("#more").is_visible():
        it.page.click("#more")
    assert it.shown() == 2 * len(HOSTILE)
    for summary in it.page.locator("summary").all():
        summary.click()
    assert it.overflow() == 0
    wide = it.page.evaluate(WIDE)
    assert wide == []
    assert it.page.evaluate("window.harmed") is None
    assert it.page.evaluate("document.querySelectorAll('img[src=x], svg[onload]').length") == 0
    assert it.complaints == []
    assert it.requests == [hostile.as_uri()]


def test_a_script_that_was_slipped_in_would_not_run(browser: Any, report: Path, tmp_path: Path) -> None:
    """The policy is more than words: with a foreign script in the page, the browser refuses it."""
    changed = tmp_path / "changed.html"
    slipped = '<script>window.harmed=1</script><img src=x onerror="window.harmed=1"></body>'
    changed.write_text(report.read_text(encoding="utf-8").replace("</body>", slipped), encoding="utf-8")
    it = opened(browser, changed)
    assert it.page.evaluate("window.harmed") is None
    assert any("Content Security Policy" in complaint for complaint in it.complaints)


@pytest.mark.parametrize("width", [320, 390, 768, 1440])
def test_no_width_scrolls_sideways(browser: Any, report: Path, width: int) -> None:
    it = opened(browser, report, width=width)
    assert it.overflow() == 0


def test_it_can_be_read_without_scripts_and_printed(browser: Any, report: Path) -> None:
    it = opened(browser, report, java_script_enabled=False)
    assert "The gallery needs the script of this page" in it.page.inner_text("#gallery")
    assert it.page.locator("#filters").is_hidden()
    assert it.page.locator("#words svg").first.is_visible()
    printed = opened(browser, report, color_scheme="dark")
    printed.page.emulate_media(media="print")
    assert printed.page.locator("#filters").is_hidden()
    assert contrast(printed.page.evaluate("getComputedStyle(document.body).backgroundColor"), "rgb(0, 0, 0)") > 15
    assert contrast(*printed.page.evaluate(COLOURS, ".lede")) > 10
