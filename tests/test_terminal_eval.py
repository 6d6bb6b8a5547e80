"""Tables of a result at the terminal."""

from __future__ import annotations

import pytest
from evaluated import evaluated

from openmmlo.terminal_eval import hundredths, show_measured


def test_what_captions_add_stands_in_a_row_for_every_way_to_read(capsys: pytest.CaptureFixture[str]) -> None:
    measured = evaluated()[0]["measured"]
    show_measured(measured)
    lines = capsys.readouterr().out.splitlines()
    captions = measured["captions"]
    for name, item in (
        ("image only", captions["image_only"]),
        ("caption only, masked", captions["masked"]["caption_only"]),
        ("image and caption as written", captions["raw"]["both"]),
        ("own classifier, image only", captions["own"]["image_only"]),
        ("own classifier, image and masked caption", captions["own"]["masked"]),
    ):
        (line,) = [line for line in lines if line.strip().split("  ")[0] == name]
        assert line.split()[-5:-3] == [hundredths(item["top1_samples"]), hundredths(item["top1_classes"])]
    assert not any("own classifier, image and caption as written" in line for line in lines)
