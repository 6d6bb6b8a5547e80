"""The commands as a person runs them, in a terminal's words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hub import Hub

RUN = "import sys\nfrom openmmlo.cli import main\nsys.exit(main(sys.argv[1:]))\n"


def _run(client: Any, *words: str) -> tuple[int, str, str]:
    process = client.python(RUN, *words)
    out, errors = process.communicate(timeout=60)
    return process.returncode, out, errors


def test_there_and_back(built: Path, client: Any, hub: Hub, tmp_path: Path) -> None:
    code, out, errors = _run(client, "push", str(built), "tester/lt", "--with-images", "--message", "first")
    assert code == 0, errors
    assert f"Published: {hub.url}/datasets/tester/lt" in out
    assert 'datasets.load_dataset("tester/lt", "masked")' in out
    assert " MB, " in errors
    assert hub.dataset("tester/lt").at("main").title == "first"
    code, out, errors = _run(client, "pull", "tester/lt", "--to", str(tmp_path / "got"), "--quiet")
    assert (code, errors) == (0, "")
    assert "180 rows in 9 files" in out
    assert "all as the manifest says" in out
    (tmp_path / "got" / "lexicon.json").write_text("{}")
    code, out, _ = _run(client, "verify", str(tmp_path / "got"), "--quiet", "--json")
    assert code == 4
    assert json.loads(out)["problems"][0]["where"] == "lexicon.json"


@pytest.mark.slow
def test_a_pulled_copy_opens_and_is_published_again(built: Path, client: Any, hub: Hub, tmp_path: Path) -> None:
    _run(client, "push", str(built), "tester/lt", "--quiet")
    _run(client, "pull", "tester/lt", "--quiet")
    code, out, errors = _run(client, "push", str(client.home / "lt"), "lab/again", "--quiet", "--json")
    assert code == 0, errors
    assert json.loads(out)["sent_files"] == 16
    first, second = (hub.dataset(name).at("main").files for name in ("tester/lt", "lab/again"))
    differing = {path for path in first if first[path].content != second[path].content}
    assert differing == {"README.md"}  # its example names the repository
