"""``openmmlo stats``: what it writes, what it shows, how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from written_sets import INFO, StubWordNet, random_rows, random_splits, write_set

from openmmlo.building.measures.statistics import measure
from openmmlo.cli import main


@pytest.fixture(autouse=True)
def _stub_wordnet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "find_wordnet", StubWordNet)


def test_the_command_writes_and_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_set(tmp_path / "set", random_splits(7), INFO)
    assert main(["stats", str(tmp_path / "set"), "--quiet"]) == 0
    shown = capsys.readouterr().out
    written = (tmp_path / "set" / "stats.json").read_bytes()
    assert "open (OOD)" in shown
    raw, masked = (json.loads(written)["splits"]["train"][side]["tokens"] for side in ("raw", "masked"))
    assert f"{raw:,} | {masked:,}" in shown
    assert main(["stats", str(tmp_path / "set"), "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == json.loads(written)
    assert "720 of 720 captions" in captured.err
    assert (tmp_path / "set" / "stats.json").read_bytes() == written


def test_the_command_says_where_nouns_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(measure, "find_wordnet", lambda: None)
    write_set(tmp_path / "set", {"train": [], "open": random_rows(5, 1, ood=True)}, INFO)
    assert main(["stats", str(tmp_path / "set"), "--quiet"]) == 0
    assert "Nouns were not counted" in capsys.readouterr().out
    assert main(["stats", str(tmp_path / "none"), "--quiet"]) == 2
