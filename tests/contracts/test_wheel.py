"""What a person installs: every module and every recipe, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", folder, CHECKOUT],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def files(folder: str, pattern: str) -> set[str]:
    found = {path.relative_to(CHECKOUT).as_posix() for path in (CHECKOUT / folder).rglob(pattern) if path.is_file()}
    assert found
    return {name for name in found if "__pycache__" not in name}


@pytest.mark.slow
def test_wheel_holds_every_module_and_recipe_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    recipes = {f"openmmlo/{name}" for name in files("recipes", "*.yaml")}
    assert held == files("openmmlo", "*") | recipes
    assert "openmmlo/py.typed" in held
    assert "openmmlo/recipes/building/miniature.yaml" in held


@pytest.mark.slow
def test_wheel_says_what_it_is(wheel: zipfile.ZipFile) -> None:
    names = {name.partition(".dist-info/")[2]: name for name in wheel.namelist() if ".dist-info/" in name}
    assert "openmmlo = openmmlo.cli:main" in wheel.read(names["entry_points.txt"]).decode()
    assert b"Apache License" in wheel.read(names["licenses/LICENSE"])
    metadata = wheel.read(names["METADATA"]).decode()
    assert "License-Expression: Apache-2.0" in metadata
    assert "Requires-Python: >=3.11" in metadata
    assert "# openmmlo" in metadata
