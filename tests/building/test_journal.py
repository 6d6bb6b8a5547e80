"""The journal gives back whole frames and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmmlo.building.journal import Journal

FRAMES = [{"records": [{"p": index, "c": "ø\ud800 \U0001f98a" * index}], "seconds": 0.5} for index in range(6)]


def test_frames_come_back_in_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a.journal")
    assert journal.read() == []
    for frame in FRAMES:
        journal.append(frame)
    assert journal.read() == FRAMES


def test_a_tail_torn_at_any_byte_is_cut_and_appended_over(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a.journal")
    ends = []
    for frame in FRAMES[:3]:
        journal.append(frame)
        ends.append(journal.path.stat().st_size)
    whole = journal.path.read_bytes()
    for cut in range(len(whole)):
        journal.path.write_bytes(whole[:cut])
        kept = sum(end <= cut for end in ends)
        assert journal.read() == FRAMES[:kept]
        assert journal.path.stat().st_size == ([0, *ends][kept])
        journal.append(FRAMES[5])
        assert journal.read() == [*FRAMES[:kept], FRAMES[5]]


@given(position=st.integers(min_value=0), flip=st.integers(min_value=1, max_value=255))
def test_a_flipped_byte_never_gives_a_wrong_frame(
    tmp_path_factory: pytest.TempPathFactory, position: int, flip: int
) -> None:
    journal = Journal(tmp_path_factory.mktemp("journal") / "a.journal")
    for frame in FRAMES[:3]:
        journal.append(frame)
    data = bytearray(journal.path.read_bytes())
    data[position % len(data)] ^= flip
    journal.path.write_bytes(bytes(data))
    read = journal.read()
    assert read == FRAMES[: len(read)]
    assert len(read) < 3


def test_replace_writes_the_whole_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a.journal")
    journal.append(FRAMES[0])
    journal.replace(FRAMES[1:])
    assert journal.read() == FRAMES[1:]
    assert [path.name for path in tmp_path.iterdir()] == ["a.journal"]


def test_a_full_disk_leaves_the_journal_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    Journal(path).append(FRAMES[1])
    code = f"""
import errno, resource
from pathlib import Path
from openmmlo.building.journal import Journal
journal = Journal(Path({str(path)!r}))
size = journal.path.stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, resource.RLIM_INFINITY))
try:
    journal.append({{"records": ["x" * 1000]}})
except OSError as error:
    assert error.errno == errno.EFBIG, error
else:
    raise SystemExit("the write went through")
assert journal.path.stat().st_size == size
"""
    subprocess.run([sys.executable, "-B", "-c", code], check=True, timeout=60)
    assert Journal(path).read() == [FRAMES[1]]
