"""Draw docs/images/evaluation.png: the page of an evaluation in a browser, wide in light and narrow in dark.

python docs/evaluation_picture.py [DIR]

DIR is a folder that openmmlo eval wrote; without it ``thp-mini`` is evaluated on the miniature, which takes
some minutes. Needs playwright and a Chromium (OPENMMLO_CHROMIUM, one on PATH, or playwright's own).
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from browser_picture import save, sheet_of
from PIL import Image

from openmmlo.evaluate.predictions import read_predictions
from openmmlo.evaluate.report import write_report
from openmmlo.evaluate.result import PREDICTIONS, read_result

TARGET = Path(__file__).parent / "images" / "evaluation.png"


def main() -> None:
    """Draw the picture."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else _miniature(Path(temporary) / "results")
        page = Path(temporary) / "report.html"
        write_report(read_result(folder), read_predictions(folder / PREDICTIONS), page)
        sheet = sheet_of(page, ("#top", -8), ("#score-choice", -14))
    # Few colours are on the page besides the smoothed edges of letters. 256 cannot be told from all of them where they
    # are spread over the colours, not over the pixels, most of which are background.
    save(sheet.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE), TARGET)


def _miniature(out: Path) -> Path:
    from openmmlo.evaluate import EvalConfig, evaluate

    return evaluate(EvalConfig("thp-mini", ("miniature",), out=out)).evaluations[0].folder


if __name__ == "__main__":
    main()
