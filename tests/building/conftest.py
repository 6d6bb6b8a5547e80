"""WordNet where a test asks for it, and none where it must not be found."""

from __future__ import annotations

from pathlib import Path

import pytest

from openmmlo.building import wordnet as room
from openmmlo.building.wordnet import WordNet, find_wordnet, set_up


@pytest.fixture(scope="session")
def nltk_data(wordnet_dict: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An NLTK data folder with WordNet 3.0."""
    folder = tmp_path_factory.mktemp("data") / "nltk_data"
    set_up(wordnet_dict, folder)
    return folder


@pytest.fixture
def no_wordnet(monkeypatch: pytest.MonkeyPatch) -> None:
    """WordNet is nowhere, whatever this machine has."""
    monkeypatch.setattr(room, "_nltk_path", list)


@pytest.fixture
def wordnet(nltk_data: Path, no_wordnet: None, monkeypatch: pytest.MonkeyPatch) -> WordNet:
    """WordNet 3.0, found as a user's: under OPENMMLO_DATA."""
    monkeypatch.setenv("OPENMMLO_DATA", str(nltk_data.parent))
    found = find_wordnet()
    assert found is not None
    return found
