"""Draw docs/images/evaluation.png: the page of an evaluation in a browser, wide in light and narrow in dark.

python docs/evaluation_picture.py [DIR]

DIR is a folder that openmmlo eval wrote; without it ``thp-mini`` is evaluated on the miniature, which takes
some minutes. Needs playwright and a Chromium (OPENMMLO_CHROMIUM, one on PATH, or playwright's own).
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

from openmmlo.evaluate.predictions import read_predictions
from openmmlo.evaluate.report import write_report
from openmmlo.evaluate.result import PREDICTIONS, read_result

TARGET = Path(__file__).parent / "images" / "evaluation.png"

HEIGHT, GAP = 1420, 20
MOST = 400_000
"""Bytes: people read it in a README."""


def main() -> None:
    """Draw the picture."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else _miniature(Path(temporary) / "results")
        page = Path(temporary) / "report.html"
        write_report(read_result(folder), read_predictions(folder / PREDICTIONS), page)
        wide, narrow = _screenshots(page)
    sheet = Image.new("RGB", (wide.width + GAP + narrow.width, HEIGHT), "white")
    sheet.paste(wide, (0, 0))
    sheet.paste(narrow, (wide.width + GAP, 0))
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    # Few colours are on the page besides the smoothed edges of letters. 256 cannot be told from all of them where they
    # are spread over the colours, not over the pixels, most of which are background.
    sheet.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(TARGET, optimize=True)
    size = TARGET.stat().st_size
    print(f"{TARGET.name}: {size / 1000:.0f} kB, {sheet.width} x {sheet.height}")
    if size > MOST:
        raise SystemExit(f"That is more than {MOST / 1000:.0f} kB.")


def _miniature(out: Path) -> Path:
    from openmmlo.evaluate import EvalConfig, evaluate

    return evaluate(EvalConfig("thp-mini", ("miniature",), out=out)).evaluations[0].folder


def _screenshots(page: Path) -> tuple[Image.Image, Image.Image]:
    found = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    with sync_playwright() as tool:
        path = os.environ.get("OPENMMLO_CHROMIUM") or found
        browser = tool.chromium.launch(executable_path=path, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        wide = _shot(browser, page, 1240, "light", "#top", -8)
        narrow = _shot(browser, page, 390, "dark", "#score-choice", -14)
        browser.close()
    return wide, narrow


def _shot(browser: Any, page: Path, width: int, scheme: str, start: str, above: int) -> Image.Image:
    context = browser.new_context(viewport={"width": width, "height": HEIGHT}, color_scheme=scheme)
    tab = context.new_page()
    tab.goto(page.as_uri())
    top = tab.evaluate("(where) => document.querySelector(where).getBoundingClientRect().top + scrollY", start)
    clip = {"x": 0, "y": max(0, top + above), "width": width, "height": HEIGHT}
    image = tab.screenshot(full_page=True, clip=clip)
    context.close()
    return Image.open(io.BytesIO(image)).convert("RGB")


if __name__ == "__main__":
    main()
