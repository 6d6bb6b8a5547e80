"""Draw docs/images/report.png: the report of the miniature in a browser, wide in light and narrow in dark.

python docs/report_picture.py [DIR]

DIR is a miniature built with ``--set size=192`` and measured; without it one is built, which takes some minutes.
Needs playwright and a Chromium (OPENMMLO_CHROMIUM, one on PATH, or playwright's own).
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from browser_picture import save, sheet_of

from openmmlo.building.measures import measure

TARGET = Path(__file__).parent / "images" / "report.png"


def main() -> None:
    """Draw the picture."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else _miniature(Path(temporary) / "miniature")
        page = measure.report(folder, Path(temporary) / "report.html")
        sheet = sheet_of(page, ("#tail-title", -28), ("#count", -14), _masked)
    # Steps of 6 in each colour cannot be seen, and take the noise of the thumbnails' compression with them.
    save(sheet.point([min(255, 6 * round(value / 6)) for value in range(256)] * 3), TARGET)


def _masked(tab: Any) -> None:
    tab.locator('input[name="version"][value="masked"]').check(force=True)


def _miniature(out: Path) -> Path:
    from openmmlo.building import BuildConfig, build

    build(BuildConfig("miniature", out, {"size": 192}))
    return out


if __name__ == "__main__":
    main()
