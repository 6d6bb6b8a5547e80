"""Tar archives read where they lie: nothing of them is written to disk, and no name in them is used as a path."""

from __future__ import annotations

import gzip
import lzma
import tarfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from openmmlo.errors import DataError

LARGEST = 1 << 30
"""Bytes that a compressed archive may unpack to: all of it is held in memory, for it has no random access."""

_BROKEN = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError)


def unpacked(path: Path) -> dict[str, bytes]:
    """Every regular file of an archive of any compression, by its name; read in one pass, once a process.

    Reaching each file alone would decompress all before it again.

    Raises:
        DataError: damaged, not readable, or larger than LARGEST.
    """
    return _unpacked(path, *_stamp(path))


@lru_cache(maxsize=3)
def _unpacked(path: Path, _modified: int, _size: int) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    left = LARGEST
    try:
        with tarfile.open(path, "r:*") as archive:
            for entry in archive:
                if not entry.isfile():
                    continue
                if entry.size > left:
                    raise DataError(
                        f"{path} unpacks to more than {LARGEST:,} bytes; no archive that is read whole does. Is it the "
                        "original? Otherwise unpack it and name the folder."
                    )
                file = archive.extractfile(entry)
                data = file.read() if file is not None else b""
                if len(data) != entry.size:
                    raise EOFError("it ends early")
                left -= len(data)
                files[entry.name.removeprefix("./")] = data
    except _BROKEN as error:
        raise DataError(f"{path} is damaged ({error}). Fetch the original archive again.") from error
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror or error}.") from error
    return files


def members(path: Path) -> tuple[str, ...]:
    """Names of the regular files of an archive, in its order; links and devices are none.

    Raises:
        DataError: as for :func:`unpacked`.
    """
    return tuple(_places(path, *_stamp(path)) if path.suffix == ".tar" else unpacked(path))


@lru_cache(maxsize=3)
def _places(path: Path, _modified: int, size: int) -> dict[str, tuple[int, int]]:
    """Name -> offset and size of a file in an uncompressed archive."""
    places: dict[str, tuple[int, int]] = {}
    try:
        with tarfile.open(path, "r:") as archive:
            for entry in archive:
                if entry.isfile() and not entry.issparse():
                    if entry.offset_data + entry.size > size:
                        raise EOFError("it ends early")
                    places[entry.name.removeprefix("./")] = (entry.offset_data, entry.size)
            end = archive.offset
        with path.open("rb") as file:
            file.seek(end)
            if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise EOFError("it has no end block")  # cut within a header it would pass for a shorter archive
    except _BROKEN as error:
        raise DataError(f"{path} is damaged ({error}). Fetch the original archive again.") from error
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror or error}.") from error
    return places


@dataclass(frozen=True, slots=True)
class ArchiveImage:
    """A file in a tar archive; ``locator`` is its name there, the archive itself is local and stays out of it."""

    archive: Path
    locator: str

    def read(self) -> bytes:
        try:
            if self.archive.suffix != ".tar":
                return unpacked(self.archive)[self.locator]
            offset, size = _places(self.archive, *_stamp(self.archive))[self.locator]
        except (DataError, KeyError) as error:
            raise OSError(f"{self.locator} is not in the archive, or the archive is damaged") from error
        with self.archive.open("rb") as file:
            file.seek(offset)
            data = file.read(size)
        if len(data) != size:
            raise OSError(f"{self.locator}: the archive ends early")
        return data


def _stamp(path: Path) -> tuple[int, int]:
    """When a file was changed and how large it is: what tells that a remembered reading still holds."""
    try:
        stat = path.stat()
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror}.") from error
    return stat.st_mtime_ns, stat.st_size
