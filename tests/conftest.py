"""What several test files share."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from odd_images import make_odd_images

from openmmlo.records import Status


@pytest.fixture(scope="session")
def official_splits() -> Path:
    """Folder with the real official lists: ``OPENMMLO_TEST_SPLITS``, else the copy kept beside the checkout."""
    beside = Path(__file__).parents[2] / "shared" / "data" / "splits"
    folder = Path(os.environ.get("OPENMMLO_TEST_SPLITS", beside))
    if not folder.is_dir():
        pytest.skip("the official lists are not at hand; set OPENMMLO_TEST_SPLITS to a folder that holds them")
    return folder


@pytest.fixture(scope="session")
def wordnet_dict() -> Path:
    """Folder with the files of WordNet 3.0: ``OPENMMLO_TEST_WORDNET``, else where Debian's packages put them."""
    folder = Path(os.environ.get("OPENMMLO_TEST_WORDNET", "/usr/share/wordnet"))
    if not all((folder / name).is_file() for name in ("data.noun", "index.sense")):
        missing = f"{folder} does not hold WordNet 3.0 (Debian: wordnet-base, wordnet-sense-index)"
        assert "OPENMMLO_REQUIRE_WORDNET" not in os.environ, missing
        pytest.skip(f"{missing}; set OPENMMLO_TEST_WORDNET to a folder that does")
    return folder


@pytest.fixture(autouse=True)
def _no_data_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's OPENMMLO_DATA must not decide what a test finds."""
    monkeypatch.delenv("OPENMMLO_DATA", raising=False)


@pytest.fixture
def odd_images(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], dict[str, Status]]:
    """make(folder) fills a folder with odd and broken image files: file name -> what must become of it."""

    def make(folder: Path) -> dict[str, Status]:
        return make_odd_images(folder, tmp_path_factory.mktemp("outside"))

    return make


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of a saved tiny checkpoint by kind (``instructblip-vicuna``, ``blip`` ...); made once, never changed."""
    made: dict[str, Path] = {}

    def make(kind: str) -> Path:
        if kind not in made:
            import tiny_checkpoints  # it loads torch, which most tests do without
            import torch

            torch.set_num_threads(1)  # for models this small threads cost more than they bring
            made[kind] = tiny_checkpoints.MAKERS[kind](tmp_path_factory.mktemp("checkpoints") / kind)
        return made[kind]

    return make


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of a saved tiny encoder or classifier by kind (``clip``, ``timm`` ...); made once, never changed."""
    made: dict[str, Path] = {}

    def make(kind: str) -> Path:
        if kind not in made:
            import tiny_encoders  # it loads torch, which most tests do without
            import torch

            torch.set_num_threads(1)
            made[kind] = tiny_encoders.ENCODERS[kind](tmp_path_factory.mktemp("encoders") / kind)
        return made[kind]

    return make


@pytest.fixture(scope="session")
def tiny_instructblip(tiny_checkpoint: Callable[[str], Path]) -> Callable[[str], Path]:
    """Folder of a tiny InstructBLIP by flavour: ``flan-t5`` or ``vicuna``."""
    return lambda flavour: tiny_checkpoint(f"instructblip-{flavour}")


@pytest.fixture(scope="session")
def tiny_vlm(tiny_checkpoint: Callable[[str], Path]) -> Callable[[str], Path]:
    """Folder of another tiny image-text model by architecture: ``blip``, ``llava`` or ``qwen2-vl``."""
    return tiny_checkpoint


@pytest.fixture(scope="session")
def published() -> list[dict[str, str]]:
    """The paper's tables as a file of columns table, method, value ..., where a machine has one."""
    path = Path(os.environ.get("OPENMMLO_TEST_TABLES") or Path(__file__).parents[2] / "shared" / "paper" / "tables.csv")
    if not path.is_file():
        pytest.skip("the paper's tables are not at hand; OPENMMLO_TEST_TABLES names their file")
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
