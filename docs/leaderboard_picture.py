"""Draw docs/images/leaderboard.png: a table of the leaderboard in a browser, wide in light and narrow in dark.

python docs/leaderboard_picture.py [BOARD [BENCHMARK]]

BOARD is a leaderboard's folder, the repository's where none is given; BENCHMARK is miniature. Needs playwright and a
Chromium (OPENMMLO_CHROMIUM, one on PATH, or playwright's own).
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from browser_picture import save, sheet_of
from PIL import Image

from openmmlo.leaderboard.board import open_board
from openmmlo.leaderboard.site import write_site

TARGET = Path(__file__).parent / "images" / "leaderboard.png"
REPOSITORY = Path(__file__).parents[1] / "leaderboard"


def main() -> None:
    """Draw the picture."""
    board, benchmark = [*sys.argv[1:], *("", "")][:2]
    with tempfile.TemporaryDirectory() as temporary:
        site = write_site(open_board(board or REPOSITORY), Path(temporary) / "site").folder
        page = site / "benchmarks" / f"{benchmark or 'miniature'}.html"
        sheet = sheet_of(page, ("body", 0), ("#plots", 20), _few_rows)
    save(sheet.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE), TARGET)


def _few_rows(tab: Any) -> None:
    """The charts with one row at the cursor."""
    if tab.locator("#trade-off").count():
        tab.focus("#trade-off")
        tab.keyboard.press("End")


if __name__ == "__main__":
    main()
