"""What is written as a result: of no machine but in its own block, and never a number that JSON cannot hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from openmmlo.errors import DataError
from openmmlo.evaluate.result import impersonal, read_result, write_result


def test_a_result_names_no_folder_of_ones_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    root = tmp_path / "sets"
    root.mkdir()
    (tmp_path / "link").symlink_to(root)
    monkeypatch.setenv("OPENMMLO_DATA", f"{tmp_path / 'link'}/")
    monkeypatch.setenv("HOME", "/home/someone")
    value: dict[str, Any] = {
        "not_run": [{"what": "set svhn", "reason": f"Searched: {tmp_path / 'link'}/svhn, {root}/SVHN, {root}."}],
        "warnings": ["/home/someone/x.png is broken", "/home/someoneelse/x", f"{root}s/x"],
        "numbers": {"a": 1.5, "b": None, "c": (1, True)},
    }
    assert impersonal(value) == {
        "not_run": [
            {
                "what": "set svhn",
                "reason": "Searched: $OPENMMLO_DATA/svhn, $OPENMMLO_DATA/SVHN, $OPENMMLO_DATA.",
            }
        ],
        "warnings": ["~/x.png is broken", "/home/someoneelse/x", f"{root}s/x"],
        "numbers": {"a": 1.5, "b": None, "c": [1, True]},
    }
    monkeypatch.delenv("OPENMMLO_DATA")
    assert impersonal("/usr/share") == "/usr/share"


def test_what_is_undefined_is_none_and_what_is_read_is_a_result(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_result(tmp_path, {"format": 1, "scored": {"auroc": float("nan")}})
    assert not (tmp_path / "result.json").exists()
    with pytest.raises(DataError, match=r"holds no result\.json"):
        read_result(tmp_path)
    write_result(tmp_path, {"format": 1, "scored": {"auroc": None}})
    assert read_result(tmp_path)["scored"] == {"auroc": None}
    (tmp_path / "result.json").write_text('{"format": 2, "scored": {}}')
    with pytest.raises(DataError, match="no result of format 1"):
        read_result(tmp_path)
    (tmp_path / "result.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read as JSON"):
        read_result(tmp_path)
