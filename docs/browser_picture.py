"""A page in a browser, wide in light beside narrow in dark, on one sheet: what the pictures of the README share."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

HEIGHT, GAP = 1420, 20
WIDE, NARROW = 1240, 390
MOST = 400_000
"""Bytes: people read it in a README."""

Start = tuple[str, int]
"""Where a screenshot begins: an element's selector, and pixels below its upper edge."""


def sheet_of(page: Path, wide: Start, narrow: Start, prepare: Callable[[Any], None] | None = None) -> Image.Image:
    """Both screenshots of a page side by side.

    Args:
        prepare: what is done to the narrow page before.
    """
    found = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    with sync_playwright() as tool:
        path = os.environ.get("OPENMMLO_CHROMIUM") or found
        browser = tool.chromium.launch(executable_path=path, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        left = _shot(browser, page, WIDE, "light", wide, None)
        right = _shot(browser, page, NARROW, "dark", narrow, prepare)
        browser.close()
    sheet = Image.new("RGB", (left.width + GAP + right.width, HEIGHT), "white")
    sheet.paste(left, (0, 0))
    sheet.paste(right, (left.width + GAP, 0))
    return sheet


def save(sheet: Image.Image, target: Path) -> None:
    """Write it, and say how large it is. Raises SystemExit where that is too much."""
    target.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(target, optimize=True)
    size = target.stat().st_size
    print(f"{target.name}: {size / 1000:.0f} kB, {sheet.width} x {sheet.height}")
    if size > MOST:
        raise SystemExit(f"That is more than {MOST / 1000:.0f} kB.")


def _shot(
    browser: Any, page: Path, width: int, scheme: str, start: Start, prepare: Callable[[Any], None] | None
) -> Image.Image:
    context = browser.new_context(viewport={"width": width, "height": HEIGHT}, color_scheme=scheme)
    tab = context.new_page()
    tab.goto(page.as_uri())
    if prepare is not None:
        prepare(tab)
    where, below = start
    top = tab.evaluate("(where) => document.querySelector(where).getBoundingClientRect().top + scrollY", where)
    clip = {"x": 0, "y": max(0, top + below), "width": width, "height": HEIGHT}
    image = tab.screenshot(full_page=True, clip=clip)
    context.close()
    return Image.open(io.BytesIO(image)).convert("RGB")
