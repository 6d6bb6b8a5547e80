"""Processes that were started together know their places, whatever started them."""

from __future__ import annotations

import pytest
from accelerate.utils.environment import get_cpu_distributed_information

from openmmlo.models.launch import launched, local_index

NAMES = {
    name
    for kind in ("RANK", "SIZE", "LOCAL_RANK")
    for name in (kind, f"PMI_{kind}", f"OMPI_COMM_WORLD_{kind}", f"MV2_COMM_WORLD_{kind}")
} | {"WORLD_SIZE", "MPI_LOCALRANKID"}


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("environment", "expected", "local"),
    [
        ({}, (0, 1), 0),
        ({"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1"}, (1, 4), 1),
        ({"PMI_RANK": "2", "PMI_SIZE": "4", "MPI_LOCALRANKID": "0"}, (2, 4), 0),
        ({"OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_LOCAL_RANK": "1"}, (3, 4), 1),
        ({"MV2_COMM_WORLD_RANK": "1", "MV2_COMM_WORLD_SIZE": "2", "MV2_COMM_WORLD_LOCAL_RANK": "1"}, (1, 2), 1),
        ({"RANK": "0", "WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}, (0, 2), 0),
    ],
)
def test_places_are_those_that_accelerate_reads(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: tuple[int, int], local: int
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert launched() == expected
    assert local_index() == local
    read = get_cpu_distributed_information()
    assert (read.rank, read.world_size, read.local_rank) == (*expected, local)


@pytest.mark.parametrize(
    "environment",
    [{"RANK": "4", "WORLD_SIZE": "4"}, {"RANK": "", "WORLD_SIZE": "2"}, {"RANK": "-1", "WORLD_SIZE": "2"},
     {"RANK": "1"}, {"WORLD_SIZE": "3"}],
)  # fmt: skip
def test_what_names_no_place_is_one_process(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert launched() == (0, 1)
