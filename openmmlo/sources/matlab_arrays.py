"""A MATLAB file comes in, its named plain arrays go out; anything else in it is refused, and nothing is run.

SciPy reads version 5 files (MATLAB 5 to 7.2) as data. The header is looked at first: only numeric arrays are asked for,
of a size that is known before anything is decompressed.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from openmmlo.errors import DataError

Array = np.ndarray[Any, np.dtype[Any]]

LARGEST = 1 << 32
"""Bytes of the largest array that is read."""

_HDF5 = b"\x89HDF\r\n\x1a\n"
_HEADER = 128
_SIZES: Mapping[str, int] = {
    **{f"{sign}int{bits}": bits // 8 for sign in ("", "u") for bits in (8, 16, 32, 64)},
    "single": 4,
    "double": 8,
}


def read_arrays(file: Path, names: Sequence[str]) -> dict[str, Array]:
    """The arrays of these names; further variables of the file are not read.

    Raises:
        DataError: not a version 5 file (version 7.3 is HDF5), a missing or repeated name, a variable that is no plain
            numeric array (an object, a function, a cell, a structure), or a damaged file.
    """
    _check_header(file)
    from scipy.io import loadmat, whosmat  # light to list sources without it

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = whosmat(file, appendmat=False)
            _check_variables(file, names, found)
            values = loadmat(file, appendmat=False, variable_names=list(names))
    except DataError:
        raise
    except MemoryError as error:
        raise DataError(f"{file} does not fit into memory.") from error
    except Exception as error:  # a damaged file raises anything from TypeError to zlib.error in SciPy's reader
        raise DataError(f"{file} is damaged ({_line(error)}). Fetch the original file again.") from error
    arrays = {name: values.get(name) for name in names}
    for name, value in arrays.items():
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "iuf":
            raise DataError(f"{file}: {name} could not be read as an array of numbers. Fetch the original file again.")
    return arrays


def _check_header(file: Path) -> None:
    try:
        with file.open("rb") as opened:
            head = opened.read(_HEADER)
            opened.seek(512)
            later = opened.read(len(_HDF5))
    except OSError as error:
        raise DataError(f"Cannot read {file}: {error.strerror}.") from error
    if _HDF5 in (head[: len(_HDF5)], later) or head.startswith(b"MATLAB 7.3"):
        raise DataError(
            f"{file} is a MATLAB 7.3 (HDF5) file; expected version 5, as the data set is published. Fetch the original "
            "file, or save it again with -v7."
        )
    if len(head) < _HEADER or head[124:128] not in (b"\x00\x01IM", b"\x01\x00MI"):
        raise DataError(f"{file} is no MATLAB file of version 5. Fetch the original file again.")


def _check_variables(file: Path, names: Sequence[str], found: Sequence[tuple[str, tuple[int, ...], str]]) -> None:
    times = Counter(name for name, _, _ in found)
    for name, shape, kind in found:
        if name not in names:
            continue
        if times[name] > 1:
            raise DataError(
                f"{file} holds {times[name]} variables {name!r}; expected one. Fetch the original file again."
            )
        if kind not in _SIZES:
            raise DataError(
                f"{file}: {name} is a {kind}; expected a plain array of numbers. It was refused unread. Fetch the "
                "original file again."
            )
        size = math.prod(shape) * _SIZES[kind]
        if size > LARGEST:
            raise DataError(f"{file}: {name} takes {size:,} bytes; expected at most {LARGEST:,}. Is it the right file?")
    missing = [name for name in names if not times[name]]
    if missing:
        held = ", ".join(sorted(times)) or "nothing"
        raise DataError(f"{file} holds no {' and no '.join(missing)}; it holds {held:.120}. Is it the right file?")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
