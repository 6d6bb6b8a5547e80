"""The command line answers at once, what travels is light, and rooms import only whom they may."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "torchvision", "transformers", "datasets", "faiss", "timm", "matplotlib", "pandas", "rich", "nltk")
CHECKOUT = Path(__file__).parents[2]


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False, env=environment)


def loaded_by(code: str) -> set[str]:
    """Top-level modules that are loaded after ``code`` ran in an interpreter of its own."""
    done = python("-c", f"import json, sys\n{code}\njson.dump(sorted(sys.modules), sys.stderr)")
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in json.loads(done.stderr)}


@pytest.mark.parametrize("words", [["--help"], ["build", "--help"], ["check", "--help"], ["--version"], ["list", "-h"]])
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    loaded = loaded_by(f"from openmmlo.cli import main\nassert main({words!r}) == 0")
    assert "typer" in loaded
    assert loaded.isdisjoint([*HEAVY, "numpy", "PIL", "pyarrow", "yaml"])


@pytest.mark.parametrize("module", ["records", "catalog", "config", "errors", "sources", "building", "cli", "terminal"])
def test_rooms_load_nothing_heavy(module: str) -> None:
    assert loaded_by(f"import openmmlo.{module}").isdisjoint(HEAVY)


def test_importing_the_package_loads_none_of_its_rooms() -> None:
    done = python("-c", "import sys, openmmlo; print([name for name in sys.modules if name.startswith('openmmlo')])")
    assert done.stdout.strip() == "['openmmlo']"


def test_tables_describe_themselves_without_heavy_imports() -> None:
    assert loaded_by("from openmmlo.cli import main\nassert main(['list']) == 0").isdisjoint(HEAVY)


def test_help_answers_at_once() -> None:
    """Under 0.3 s of processor time, all of it one thread's: what the clock shows when nothing else runs."""
    python("-m", "openmmlo", "--help")
    seconds = []
    for _ in range(8):
        before = os.times()
        done = python("-m", "openmmlo", "--help")
        after = os.times()
        seconds.append(after.children_user - before.children_user + after.children_system - before.children_system)
        assert done.returncode == 0
        assert "doctor" in done.stdout
    assert min(seconds) < 0.3


def test_names_of_the_package_load_on_first_use() -> None:
    import openmmlo

    for name in openmmlo.__all__:
        assert getattr(openmmlo, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'fly'"):
        _ = openmmlo.fly


@pytest.mark.slow
def test_who_may_import_whom() -> None:
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([command], cwd=CHECKOUT, capture_output=True, text=True, check=False,
                          env={**os.environ, "PYTHONPATH": str(CHECKOUT)})  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout
