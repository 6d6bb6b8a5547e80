"""A real browser for tests of pages: where it is, and a page in it with all that it complained of."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest


def launched() -> Iterator[Any]:
    """A running browser, closed afterwards. Without one a test is skipped; in .ci/run that is an error."""
    from playwright.sync_api import sync_playwright

    path = chromium()
    if path is None:
        missing = "no Chromium found (set OPENMMLO_CHROMIUM, or run: playwright install chromium)"
        assert "OPENMMLO_REQUIRE_BROWSER" not in os.environ, missing
        pytest.skip(missing)
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    with sync_playwright() as tool:
        started = tool.chromium.launch(executable_path=path, args=["--no-sandbox"] if root else [])
        yield started
        started.close()


def chromium() -> str | None:
    """Path of a browser: OPENMMLO_CHROMIUM, one on PATH, or playwright's own; None where there is none."""
    if given := os.environ.get("OPENMMLO_CHROMIUM"):
        return given
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if found := shutil.which(name):
            return found
    from playwright.sync_api import sync_playwright

    with sync_playwright() as tool:
        own = tool.chromium.executable_path
    return own if Path(own).is_file() else None


@dataclass
class Opened:
    """A page in the browser, with whatever it complained of or asked for."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def count_text(self) -> str:
        text: str = self.page.inner_text("#count")
        return text

    def shown(self) -> int:
        number: int = self.page.locator("#cards .card").count()
        return number

    def choose(self, name: str, label: str) -> None:
        self._chip(name, label).click()

    def chip_count(self, name: str, label: str) -> int:
        return int(self._chip(name, label).locator(".of").inner_text().replace(",", ""))

    def _chip(self, name: str, label: str) -> Any:
        return self.page.locator(f"#{name}s label", has=self.page.get_by_text(label, exact=True))

    def overflow(self) -> int:
        pixels: int = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        return pixels


def opened(browser: Any, path: Path, address: str = "", width: int = 1440, **options: Any) -> Opened:
    context = browser.new_context(viewport={"width": width, "height": 900}, **options)
    found = Opened(context.new_page())
    found.page.on("console", lambda message: found.complaints.append(f"{message.type}: {message.text}"))
    found.page.on("pageerror", lambda error: found.complaints.append(f"error: {error}"))
    found.page.on("dialog", lambda dialog: (found.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    found.page.on("request", lambda request: found.requests.append(request.url))
    found.page.goto(f"{path.as_uri()}{address}")
    return found
