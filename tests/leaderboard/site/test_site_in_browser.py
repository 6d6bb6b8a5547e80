"""The site in a real browser: order, filters, address, comparison, keyboard, every width, both themes, axe-core."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from browsers import Opened, launched, opened
from drawn_boards import board_of, submissions

from openmmlo.leaderboard import limits
from openmmlo.leaderboard.board import Board
from openmmlo.leaderboard.site import write_site

pytest.importorskip("playwright.sync_api", reason="the extra dev has playwright")

PAGES = ("index.html", "methods.html", "benchmarks/miniature.html", "benchmarks/imagenet-lt.html",
         "entries/miniature/ce.html")  # fmt: skip
FEW = "classification.test.groups.few"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    yield from launched()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    board = board_of(tmp_path_factory.mktemp("board"), submissions(24), ("focal",))
    return write_site(board, tmp_path_factory.mktemp("site")).folder


def at(browser: Any, site: Path, address: str = "", **options: Any) -> Opened:
    found = opened(browser, site / "benchmarks/miniature.html", address, **options)
    found.page.wait_for_selector("#filters:not([hidden])")
    return found


def names(it: Opened) -> list[str]:
    return [str(text) for text in it.page.locator("#board tbody th .clip:not(.note)").all_inner_texts()]


def keys(it: Opened) -> list[str]:
    found: list[str] = it.page.evaluate("[...document.querySelectorAll('#board tbody tr')].map((row) => row.id)")
    assert all(key.startswith("row-") for key in found)
    return [key.removeprefix("row-") for key in found]


def column(it: Opened, key: str) -> list[float]:
    """The numbers of a column as they stand, without deviations and differences."""
    place = it.page.evaluate("(key) => document.querySelector(`#board [data-key='${key}']`).cellIndex", key)
    texts = it.page.evaluate(
        "(place) => [...document.querySelectorAll('#board tbody tr')].map((row) => row.cells[place].firstChild.data)",
        place,
    )
    return [float(text) for text in texts if text != "–"]


def address(it: Opened) -> str:
    text: str = it.page.evaluate("location.hash")
    return text


@pytest.mark.parametrize(("width", "scheme"), [(320, "light"), (390, "dark"), (1440, "light")])
def test_every_page_opens_quietly_at_every_width(browser: Any, site: Path, width: int, scheme: str) -> None:
    for name in PAGES:
        it = opened(browser, site / name, width=width, color_scheme=scheme)
        for summary in it.page.locator("summary").all():
            summary.click()
        assert it.overflow() == 0, name
        assert it.complaints == [], name
        assert it.requests == [(site / name).as_uri()], name
        it.page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser: Any, site: Path, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="the extra dev has axe").Axe()
    for name in PAGES[:3] + PAGES[4:]:
        it = opened(browser, site / name, width=1280, color_scheme=scheme)
        if name.startswith("benchmarks"):
            it.page.locator("#board .pin").nth(2).click()
            it.page.locator("#trade-off").focus()
        found = axe.run(it.page, options={"resultTypes": ["violations"]}).response["violations"]
        assert [(item["id"], item["impact"], item["nodes"][0]["html"][:200]) for item in found] == [], name
        it.page.context.close()


def test_a_heading_sorts_both_ways_and_says_so(browser: Any, site: Path) -> None:
    it = at(browser, site)
    head = it.page.locator(f"#board [data-key='{FEW}']")
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    found = column(it, FEW)
    assert found == sorted(found, reverse=True)
    assert len(found) == 25
    assert it.page.locator("#board [aria-sort]").count() == 1
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert column(it, FEW) == found[::-1]
    it.page.locator("#board [data-key='name'] button").click()
    assert [name.lower() for name in names(it)] == sorted(
        (name.lower() for name in names(it)), key=lambda name: name[:2]
    )
    ranks = it.page.locator("#board tbody .rank").all_inner_texts()
    assert "1" in {rank.split("–")[0] for rank in ranks}
    assert it.complaints == []


def test_a_metric_for_which_less_is_better_starts_with_the_least(browser: Any, site: Path) -> None:
    it = at(browser, site)
    key = it.page.evaluate(
        "Object.keys(data.columns).find((key) => data.columns[key].less && data.headline.includes(key))"
    )
    head = it.page.locator(f"#board [data-key='{key}']")
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    found = column(it, key)
    assert found == sorted(found)
    assert len(set(found)) > 5


def test_filters_leave_what_they_say_and_count_it(browser: Any, site: Path) -> None:
    it = at(browser, site)
    every = len(names(it))
    for facet, value in (("mark", "reproduced"), ("captions", "yes"), ("scratch", "no"), ("backbone", "thp-tiny")):
        option = it.page.locator(f"#f-{facet} option[value='{value}']").inner_text()
        it.page.select_option(f"#f-{facet}", value)
        assert option == f"{value} ({len(names(it))})"
        assert 0 < len(names(it)) < every
        assert it.page.inner_text("#count") == f"{len(names(it))} of {every} rows"
        it.page.select_option(f"#f-{facet}", "")
    it.page.select_option("#f-mark", "reported")
    assert sorted(names(it)) == ["LADE", "cRT"]
    assert it.page.locator("#board tbody .tag").all_inner_texts() == ["reported"] * 2
    it.page.get_by_text("Clear filters").click()
    assert len(names(it)) == every
    it.page.fill("#q", "angstrom lovelace")
    assert 0 < len(names(it)) < every
    it.page.fill("#q", "no such thing")
    assert it.page.locator("#none").is_visible()
    assert names(it) == []
    assert it.complaints == []


def test_a_view_has_an_address(browser: Any, site: Path) -> None:
    it = at(browser, site)
    assert address(it) == ""
    it.page.locator(f"#board [data-key='{FEW}'] button").click()
    it.page.locator(f"#board [data-key='{FEW}'] button").click()
    it.page.select_option("#f-captions", "no")
    it.page.fill("#q", "o")
    it.page.locator("#board .pin").nth(1).click()
    it.page.select_option("#f-columns", index=1)
    seen = names(it), it.page.locator("#board thead").inner_text(), it.page.inner_text("#count")
    link = it.page.get_attribute("#permalink", "href")
    assert link == address(it) != ""
    other = at(browser, site, link)
    assert (names(other), other.page.locator("#board thead").inner_text(), other.page.inner_text("#count")) == seen
    assert other.page.input_value("#q") == "o"
    assert other.page.locator(".pin[aria-pressed='true']").count() == 1
    other.page.evaluate("location.hash = 'mark=reported'")
    other.page.wait_for_function("document.querySelectorAll('#board tbody tr').length === 2")
    assert other.page.input_value("#f-captions") == ""
    wild = at(
        browser, site, "#sort=__proto__&pin=constructor&columns=%3Cb%3E&mark=toString&q=%F0%9F&order=up&all=x&method=a"
    )
    assert wild.complaints == []
    assert it.complaints == other.complaints == []


def test_a_pinned_row_stays_on_top_and_others_show_differences(browser: Any, site: Path) -> None:
    it = at(browser, site)
    before = dict(zip(keys(it), column(it, FEW), strict=True))
    it.page.locator("#board .pin").nth(4).click()
    pinned = keys(it)[0]
    assert it.page.locator("#board tr").nth(2).get_attribute("class") == "pinned"
    assert f"differences from {names(it)[0]}" in it.page.inner_text("#count")
    place = it.page.evaluate("(key) => document.querySelector(`[data-key='${key}']`).cellIndex", FEW)
    told = it.page.evaluate(
        "(place) => [...document.querySelectorAll('#board tbody tr')].map((row) => "
        "[(row.cells[place].querySelector('.diff') || { textContent: '' }).textContent, row.cells[place].innerHTML])",
        place,
    )
    assert told[0][0] == ""
    cells = it.page.evaluate(
        "(key) => Object.fromEntries(data.keys.map((name, at) => [name, data.columns[key].cells[at]]))", FEW
    )
    coloured = 0
    for key, (text, html) in zip(keys(it)[1:], told[1:], strict=True):
        away = before[key] - before[pinned]
        noise = ((cells[key][2] or 0) + (cells[pinned][2] or 0)) / 100
        sure = abs(away) > noise + 0.01 and not key.startswith("table-")
        assert ("better" in html, "worse" in html) == (sure and away > 0, sure and away < 0), key
        coloured += sure
        assert float(text.replace("−", "-")) == pytest.approx(away, abs=0.0051)
    assert 0 < coloured < len(told) - 2
    focused = it.page.evaluate("document.activeElement.getAttribute('aria-pressed')")
    assert focused == "true"
    it.page.locator("#board .pin").first.click()
    assert it.page.locator("#board .diff").count() == 0
    assert dict(zip(keys(it), column(it, FEW), strict=True)) == before


def test_columns_of_another_group_and_the_points_follow(browser: Any, site: Path) -> None:
    it = at(browser, site)
    sets = it.page.locator("#f-columns option").all_inner_texts()
    assert "OOD: mean of all" in sets
    for name in sets[1:]:
        it.page.select_option("#f-columns", name)
        assert it.page.locator("#board thead th.over").all_inner_texts() == [name]
        assert it.page.locator("#board tbody tr").first.locator(".number").count() >= 2
    it.page.select_option("#f-columns", "headline")
    dots = it.page.locator("#trade-off path[data-look=few]")
    assert dots.get_attribute("d").count("M") == 23
    it.page.select_option("#f-mark", "reproduced")
    shown = len(names(it))
    assert dots.get_attribute("d").count("M") == shown
    assert it.page.locator("#trade-off path.others").get_attribute("d").count("M") == 2 * (25 - shown)
    first = it.page.locator("#outside path[data-look=scored]").get_attribute("d")
    it.page.select_option("#f-outside", index=3)
    assert it.page.locator("#outside path[data-look=scored]").get_attribute("d") != first
    assert it.complaints == []


def test_by_keyboard_alone(browser: Any, site: Path) -> None:
    it = at(browser, site)
    it.page.keyboard.press("Tab")
    assert it.page.evaluate("document.activeElement.className") == "skip"
    it.page.focus("#q")
    it.page.keyboard.type("loss")
    some = len(names(it))
    assert 0 < some < 25
    seen = []
    for _ in range(40):
        it.page.keyboard.press("Tab")
        seen.append(it.page.evaluate("document.activeElement.textContent + '|' + document.activeElement.className"))
        if seen[-1].startswith("Few"):
            break
    else:
        raise AssertionError(seen)
    it.page.keyboard.press("Enter")
    assert it.page.get_attribute(f"#board [data-key='{FEW}']", "aria-sort") == "descending"
    it.page.locator(".pin").first.focus()
    it.page.keyboard.press("Space")
    assert it.page.get_attribute(".pin", "aria-pressed") == "true"
    it.page.focus("#trade-off")
    it.page.keyboard.press("Home")
    tip = it.page.locator("#trade-off .tip")
    first = tip.inner_text()
    it.page.keyboard.press("ArrowRight")
    assert tip.inner_text() != first
    assert "re-scored" in tip.inner_text() or "reproduced" in tip.inner_text() or "reported" in tip.inner_text()
    assert it.page.get_attribute("#trade-off", "aria-valuetext").split(", ")[0] == tip.inner_text().split("\n")[0]
    it.page.keyboard.press("Escape")
    assert tip.is_hidden()


def test_from_a_row_to_its_page_and_back_with_it_pinned(browser: Any, site: Path) -> None:
    it = at(browser, site)
    name = names(it)[1]
    it.page.locator("#board tbody tr").nth(1).locator("th a").first.click()
    assert name in it.page.inner_text("h1")
    it.page.get_by_text("compare with the others").click()
    it.page.wait_for_selector(".pinned")
    assert names(it)[0] == name
    it.page.locator("nav a", has_text="Methods").click()
    assert it.page.inner_text("h1") == "Methods"
    it.page.locator("#crt a", has_text="miniature").click()
    it.page.wait_for_selector("#filters:not([hidden])")
    assert "method crt" in it.page.inner_text("#count")
    assert it.complaints == []


def test_without_scripts_every_row_is_there(browser: Any, site: Path) -> None:
    it = opened(browser, site / "benchmarks/miniature.html", java_script_enabled=False)
    assert it.page.locator("#board tbody tr").count() == 25
    assert it.page.locator("#filters").is_hidden()
    assert it.page.locator("#trade-off path[data-look=few]").is_visible()


@pytest.mark.parametrize("width", [390, 1440])
def test_hostile_names_run_nothing_and_break_nothing(
    browser: Any, tmp_path: Path, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "_MARKUP", re.compile("(?!)"))  # HTML is refused before; pages do not rely on that
    texts = ("</script><img src=x onerror=window.harmed=1>", "x" * 120, "ع" * 60, "{{7*7}}<b>", "__proto__")
    drawn = [
        replace(item, name=text, authors=(text[:90],), setting=replace(item.setting, backbone=text))
        for item, text in zip(submissions(len(texts)), texts, strict=True)
    ]
    found = write_site(board_of(tmp_path / "board", drawn), tmp_path / "site").folder
    it = at(browser, found, width=width)
    for place in range(5):
        it.page.select_option("#f-backbone", index=place)
        it.page.locator("#board .pin").first.click()
    it.page.focus("#trade-off")
    for _ in range(6):
        it.page.keyboard.press("ArrowRight")
    assert it.overflow() == 0
    assert it.page.evaluate("window.harmed") is None
    assert it.page.locator("main img").count() == 0
    own = opened(browser, found / "entries" / "miniature" / f"{drawn[0].entry}.html", width=width)
    assert own.overflow() == 0
    assert it.complaints == own.complaints == []


@pytest.mark.slow
def test_many_rows_stay_small_and_come_when_asked_for(browser: Any, tmp_path: Path) -> None:
    board = board_of(tmp_path / "board", submissions(120, seeds=1), reported=False)
    page = write_site(Board(board.root), tmp_path / "site").folder / "benchmarks/miniature.html"
    assert page.stat().st_size < 1_200_000
    it = at(browser, page.parents[1])
    assert it.page.locator("#board tbody tr").count() == 50
    it.page.get_by_text("Show all 120 rows").click()
    assert it.page.locator("#board tbody tr").count() == 120
