"""Scoring in an environment that holds the documented short list of packages and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from evaluated import predicted
from packaging.requirements import Requirement

from openmmlo.evaluate.predictions import read_predictions, write_predictions
from openmmlo.evaluate.score import score

CHECKOUT = Path(__file__).parents[2]

SHORT_LIST = ("numpy", "pyarrow", "pyyaml", "typer")

RUN = """
import json, sys
from pathlib import Path
from openmmlo.evaluate.score import score_file
found = score_file(Path(sys.argv[1]))
absent = {"torch", "scipy", "sklearn", "pandas", "PIL", "faiss", "transformers", "filelock"}
assert not absent & set(sys.modules), absent & set(sys.modules)
for name in absent:
    try:
        __import__(name)
    except ModuleNotFoundError:
        continue
    raise AssertionError(f"{name} is installed here")
json.dump(found, sys.stdout, allow_nan=False)
"""


def required(names: tuple[str, ...]) -> list[Distribution]:
    """These distributions and whatever they require on this machine."""
    found: dict[str, Distribution] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found[name] = distribution(name)
        needs = map(Requirement, found[name].requires or ())
        waiting.extend(need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""}))
    return list(found.values())


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Interpreter of a fresh environment; the installed packages are linked into it, so no network is needed.

    openmmlo comes as ``pip install --no-deps`` brings it: its package, and nothing that it requires.
    """
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, symlinks=True, with_pip=False)
    python = folder / "bin" / "python"
    asked = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    packages = Path(asked.stdout.strip())
    for item in required(SHORT_LIST):
        for top in {file.parts[0] for file in item.files or () if file.parts[0] not in ("..", "__pycache__")}:
            if not (packages / top).exists():
                (packages / top).symlink_to(Path(str(item.locate_file(top))))
    (packages / "openmmlo").symlink_to(CHECKOUT / "openmmlo")
    return python


def clean(environment: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith(("PYTHON", "COV_"))}


@pytest.mark.slow
def test_the_short_list_is_enough_and_gives_the_same_bits(bare_python: Path, tmp_path: Path) -> None:
    path = tmp_path / "predictions.parquet"
    write_predictions(predicted(seed=11), path)
    done = subprocess.run(
        [bare_python, "-c", RUN, path],
        capture_output=True,
        text=True,
        check=False,
        env=clean(dict(os.environ)),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == score(read_predictions(path))  # JSON keeps every bit of a float64


@pytest.mark.slow
def test_the_command_runs_there(bare_python: Path, tmp_path: Path) -> None:
    path = tmp_path / "predictions.parquet"
    write_predictions(predicted(seed=12, classes=20), path)
    done = subprocess.run(
        [bare_python, "-m", "openmmlo", "score", path, "--json"],
        capture_output=True, text=True, check=False, env=clean(dict(os.environ)), cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == score(read_predictions(path))


def test_scoring_loads_nothing_heavy(tmp_path: Path) -> None:
    path = tmp_path / "predictions.parquet"
    write_predictions(predicted(seed=13, classes=5), path)
    code = (
        "import sys; from pathlib import Path; from openmmlo.evaluate.score import score_file; "
        "import openmmlo.evaluate.compare; score_file(Path(sys.argv[1])); print(*sorted(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded.isdisjoint({"torch", "scipy", "sklearn", "pandas", "PIL", "faiss", "transformers", "datasets"})
