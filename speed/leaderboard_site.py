"""The leaderboard's site of 1,000 entries: time to write it, and how soon its table loads and answers in Chromium."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from browsers import chromium
from drawn_boards import board_of, submissions
from measure import Line, repeated, seconds

from openmmlo.leaderboard.board import Board
from openmmlo.leaderboard.site import write_site

ENTRIES = 1_000

ANSWER = """async (act) => {
  const painted = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  await painted();
  const began = performance.now();
  new Function(act)();
  document.body.getBoundingClientRect();
  const answered = performance.now();
  await painted();
  return (answered - began) / 1000;
}"""
"""Seconds from an event to the page laid out anew."""

ACTS = {
    "sort by a metric": "document.querySelectorAll('#board th.number button')[2].click()",
    "sort by name": "document.querySelector('#board [data-key=name] button').click()",
    "filter by mark": "const f = document.getElementById('f-mark'); f.value = f.value ? '' : 're-scored';"
    "f.dispatchEvent(new Event('change'))",
    "search": "const q = document.getElementById('q'); q.value = q.value ? '' : 'loss';"
    "q.dispatchEvent(new Event('input'))",
    "pin a row": "document.querySelectorAll('.pin')[3].click()",
}


def measure(pairs: int) -> list[Line]:
    """Four lines: seconds to write the site, megabytes of its table, seconds to load it, seconds to answer."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        board_of(root / "board", submissions(ENTRIES))
        out = root / "site"

        def write() -> float:
            shutil.rmtree(out, ignore_errors=True)
            return seconds(lambda: write_site(Board(root / "board"), out))

        name = f"Site of {ENTRIES:,} entries, three seeds each"
        lines = [repeated(name, write, unit="s", bar=20, pairs=min(pairs, 3), peer_name="none")]
        page = out / "benchmarks" / "miniature.html"
        lines.append(
            repeated(
                "Size of its table's page",
                lambda: page.stat().st_size / 1e6,
                unit="MB",
                bar=5,
                pairs=1,
                peer_name="none",
            )
        )
        with _browser() as browser:
            lines.append(
                repeated(
                    "Loading that page",
                    lambda: _load(browser, page),
                    unit="s",
                    bar=2,
                    pairs=pairs,
                    peer_name="Chromium",
                )
            )
            tab = browser.new_page()
            tab.goto(page.as_uri())
            for act, script in ACTS.items():
                lines.append(
                    repeated(
                        f"Its answer: {act}", lambda script=script: tab.evaluate(ANSWER, script), unit="s", bar=0.1,
                        pairs=pairs, peer_name="Chromium",
                    )
                )  # fmt: skip
        return lines


def _load(browser: Any, page: Path) -> float:
    tab = browser.new_page()
    took = seconds(lambda: (tab.goto(page.as_uri()), tab.wait_for_selector("#filters:not([hidden])")))
    tab.close()
    return took


@contextmanager
def _browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as tool:
        # The page's policy forbids scripts made of text, which is what the measurement sends.
        started = tool.chromium.launch(
            executable_path=chromium_path(), args=["--no-sandbox"] if os.geteuid() == 0 else []
        )
        context = started.new_context(viewport={"width": 1440, "height": 900}, bypass_csp=True)
        yield context
        started.close()


def chromium_path() -> str:
    """The browser's path. Raises RuntimeError where there is none."""
    found = chromium()
    if found is None:
        raise RuntimeError("No Chromium found (set OPENMMLO_CHROMIUM, or run: playwright install chromium).")
    return found
