"""Which of several processes this is, told by what started them: accelerate, torchrun, mpirun, srun with PMI.

Read from the environment as accelerate reads it, with no process group: evaluation shares its work through files.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

_INDEX = ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")
_PROCESSES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
_LOCAL = ("LOCAL_RANK", "MPI_LOCALRANKID", "OMPI_COMM_WORLD_LOCAL_RANK", "MV2_COMM_WORLD_LOCAL_RANK")


def launched() -> tuple[int, int]:
    """(index, number) of this process among those that were started together; (0, 1) where it is alone."""
    index, processes = _first(_INDEX), _first(_PROCESSES)
    if index is None or processes is None or index >= processes:
        return 0, 1
    return index, processes


def local_index() -> int:
    """Place of this process among those of its machine; 0 where it is alone."""
    return _first(_LOCAL) or 0


def _first(names: Sequence[str]) -> int | None:
    """The first of these variables that holds a whole number of 0 or more."""
    values = (os.environ.get(name, "") for name in names)
    return next((int(value) for value in values if value.isascii() and value.isdigit()), None)
