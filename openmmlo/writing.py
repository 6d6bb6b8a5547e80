"""Files that are whole at every moment, and a full disk that says so."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from openmmlo.errors import DiskFull

NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def write_aside(path: Path, content: str | bytes) -> None:
    """Write a whole file aside, sync it and rename it into place; do nothing where it already reads so.

    The caller holds the lock under which this file is written.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
        return
    aside = path.with_name(f".{path.name}.tmp")  # one name: what a kill leaves, the next run overwrites
    with aside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable, where the system offers it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP, errno.EBADF}:
            raise
    finally:
        os.close(descriptor)


@contextmanager
def space_needed(out: Path) -> Iterator[None]:
    """Turn 'no space left' from anything inside into a message that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        free = shutil.disk_usage(out).free / 2**30
        raise DiskFull(
            f"Writing to {out} stopped: {os.strerror(error.errno or 0)} ({free:.2f} GiB free). "
            "Every finished batch is kept; make room and run the same command to go on."
        ) from error
