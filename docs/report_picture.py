"""Draw docs/images/report.png: the report of the miniature in a browser, wide in light and narrow in dark.

python docs/report_picture.py [DIR]

DIR is a miniature built with ``--set size=192`` and measured; without it one is built, which takes some minutes.
Needs playwright and a Chromium (OPENMMLO_CHROMIUM, one on PATH, or playwright's own).
"""

from __future__ import annotations

import io
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

from openmmlo.building.measures import measure

TARGET = Path(__file__).parent / "images" / "report.png"

HEIGHT, GAP = 1420, 20
MOST = 400_000
"""Bytes: people read it in a README."""


def main() -> None:
    """Draw the picture."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else _miniature(Path(temporary) / "miniature")
        page = measure.report(folder, Path(temporary) / "report.html")
        wide, narrow = _screenshots(page)
    sheet = Image.new("RGB", (wide.width + GAP + narrow.width, HEIGHT), "white")
    sheet.paste(wide, (0, 0))
    sheet.paste(narrow, (wide.width + GAP, 0))
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    # Steps of 6 in each colour cannot be seen, and take the noise of the thumbnails' compression with them.
    sheet.point([min(255, 6 * round(value / 6)) for value in range(256)] * 3).save(TARGET, optimize=True)
    size = TARGET.stat().st_size
    print(f"{TARGET.name}: {size / 1000:.0f} kB, {sheet.width} x {sheet.height}")
    if size > MOST:
        raise SystemExit(f"That is more than {MOST / 1000:.0f} kB.")


def _miniature(out: Path) -> Path:
    from openmmlo.building import BuildConfig, build

    build(BuildConfig("miniature", out, {"size": 192}))
    return out


def _screenshots(page: Path) -> tuple[Image.Image, Image.Image]:
    found = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    with sync_playwright() as tool:
        path = os.environ.get("OPENMMLO_CHROMIUM") or found
        browser = tool.chromium.launch(executable_path=path, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        wide = _shot(browser, page, 1240, "light", "#tail-title", -28)
        narrow = _shot(browser, page, 390, "dark", "#count", -14)
        browser.close()
    return wide, narrow


def _shot(browser: Any, page: Path, width: int, scheme: str, start: str, above: int) -> Image.Image:
    context = browser.new_context(viewport={"width": width, "height": HEIGHT}, color_scheme=scheme)
    tab = context.new_page()
    tab.goto(page.as_uri())
    if scheme == "dark":
        tab.locator('input[name="version"][value="masked"]').check(force=True)
    top = tab.evaluate("(where) => document.querySelector(where).getBoundingClientRect().top + scrollY", start)
    image = tab.screenshot(full_page=True, clip={"x": 0, "y": top + above, "width": width, "height": HEIGHT})
    context.close()
    return Image.open(io.BytesIO(image)).convert("RGB")


if __name__ == "__main__":
    main()
