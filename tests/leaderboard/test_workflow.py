"""The workflow of pull requests: what it may, whose code it runs, and that its commands exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from miniature_results import edited, files_of
from packaging.requirements import Requirement

from openmmlo.cli import main
from openmmlo.leaderboard.board import Board

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def workflow() -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load((CHECKOUT / ".github/workflows/leaderboard.yml").read_text())
    return found


def steps(workflow: dict[Any, Any], job: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = workflow["jobs"][job]["steps"]
    return found


def test_a_pull_request_is_read_with_a_token_that_reads(workflow: dict[Any, Any]) -> None:
    triggers = workflow[True]  # YAML 1.1 reads the key ``on`` as a truth value
    assert "pull_request_target" in triggers
    assert not triggers["pull_request_target"]  # what filters skip, nobody has looked at
    assert triggers["push"]["branches"] == ["main"]
    assert workflow["permissions"] == {"contents": "read"}
    assert "permissions" not in workflow["jobs"]["review"]
    assert workflow["jobs"]["mark"]["permissions"] == {"contents": "write"}
    assert workflow["jobs"]["review"]["if"] == "github.event_name == 'pull_request_target'"
    assert workflow["jobs"]["mark"]["if"] == "github.event_name == 'push'"
    text = (CHECKOUT / ".github/workflows/leaderboard.yml").read_text()
    assert "secrets." not in text


def test_nothing_of_the_pull_request_is_run(workflow: dict[Any, Any]) -> None:
    checkouts = {
        step["with"]["path"]: step["with"] for step in steps(workflow, "review") if "path" in step.get("with", {})
    }
    assert checkouts["base"]["ref"] == "${{ github.event.pull_request.base.sha }}"
    assert checkouts["proposed"]["ref"] == "${{ github.event.pull_request.head.sha }}"
    assert not any(item["persist-credentials"] for item in checkouts.values())
    for step in steps(workflow, "review"):
        command = step.get("run", "")
        assert "${{" not in command  # what a stranger names never becomes a word of the shell
        assert "cache" not in step.get("with", {})
        assert step.get("working-directory", ".") in (".", "base")
        for line in command.splitlines():
            words = shlex.split(line)
            assert words[0] in ("python", "git", "mkdir")
            if words[0] == "python":
                assert words[1:3] in (["-m", "pip"], ["-m", "openmmlo"])
            if words[1:3] == ["-m", "pip"]:
                assert not any("/" in word for word in words)  # no package of a folder


@pytest.mark.parametrize("job", ["review", "mark"])
def test_what_it_installs_is_what_the_package_asks_for(workflow: dict[Any, Any], job: str) -> None:
    declared = {Requirement(item).name: item for item in _dependencies()}
    (command,) = (step["run"] for step in steps(workflow, job) if "pip install" in step.get("run", ""))
    wanted = [Requirement(word) for word in shlex.split(command)[5:]]
    assert {item.name for item in wanted} >= {"numpy", "pyarrow", "pyyaml", "typer", "huggingface-hub"}
    assert "torch" not in {item.name for item in wanted}
    assert all(str(item) == declared[item.name] for item in wanted)


def _dependencies() -> list[str]:
    return list(tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["dependencies"])


def test_actions_have_a_version(workflow: dict[Any, Any]) -> None:
    used = [step["uses"] for job in workflow["jobs"] for step in steps(workflow, job) if "uses" in step]
    assert used
    assert all(re.fullmatch(r"actions/(checkout@v4|setup-python@v5)", name) for name in used)


def openmmlo_words(workflow: dict[Any, Any], job: str) -> list[str]:
    (command,) = (step["run"] for step in steps(workflow, job) if "-m openmmlo" in step.get("run", ""))
    return shlex.split(command)[3:]


def test_the_review_as_the_workflow_runs_it(
    workflow: dict[Any, Any], board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its git commands on a repository, then its command: an entry is welcome, a mark is not."""

    def git(*words: str, folder: Path) -> str:
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words]
        return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout

    place = tmp_path / "place"
    base = place / "base"
    base.mkdir(parents=True)
    git("init", "--quiet", "--initial-branch=main", folder=base)
    (base / "README.md").write_text("A checkout.")
    git("add", ".", folder=base)
    git("commit", "--quiet", "-m", "Begin", folder=base)
    git("clone", "--quiet", str(base), str(place / "proposed"), folder=place)
    (base / "README.md").write_text("It went on.")
    git("commit", "--quiet", "-a", "-m", "On", folder=base)
    for path, data in files_of(board.root).items():
        target = place / "proposed/leaderboard" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    git("add", ".", folder=place / "proposed")
    git("commit", "--quiet", "-m", "Submit", folder=place / "proposed")

    (commands,) = (step["run"] for step in steps(workflow, "review") if "worktree" in step.get("run", ""))
    subprocess.run(["bash", "-euc", commands], cwd=place, check=True, capture_output=True)
    assert (place / "before/README.md").read_text() == "A checkout."
    monkeypatch.chdir(base)
    words = openmmlo_words(workflow, "review")
    assert main(words) == 0
    proposed = Board(place / "proposed/leaderboard")
    mark = proposed.mark_path(proposed.entries()[0].digest)
    assert not mark.exists()  # a review writes nothing
    mark.parent.mkdir()
    mark.write_text("{}")
    assert main(words) == 4


def test_the_marks_as_the_workflow_writes_them(
    workflow: dict[Any, Any], board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    board.root.rename(board.root.with_name("leaderboard"))
    monkeypatch.chdir(board.root.parent)
    words = openmmlo_words(workflow, "mark")
    assert main(words) == 0
    marked = Board(Path("leaderboard"))
    assert len(marked.marks) == 2
    edited(marked.submission_path("miniature", "other"), lambda value: value.update(note="Changed."))
    assert main(words) == 0
    assert {mark.entry for mark in Board(Path("leaderboard")).marks.values()} == {"focal-loss", "other"}
    assert len(Board(Path("leaderboard")).marks) == 2
