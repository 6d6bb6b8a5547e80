"""The cache is checked before it is believed, and a bank is never half there."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from counted_encoders import TinyEncoder, files_of, pictures

from openmmlo.errors import DiskFull
from openmmlo.evaluate.features import chunks, store
from openmmlo.evaluate.features.bank import FeatureBank
from openmmlo.evaluate.features.chunks import Chunk, ChunkDamaged, Cut, Parts
from openmmlo.evaluate.features.extract import extract
from openmmlo.progress import Silent
from openmmlo.records import Sample, digest_of

ROWS = 21


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(chunks, "ROWS", 8)


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    return pictures(tmp_path / "images", ROWS)


class Said(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


@pytest.fixture
def make(tmp_path: Path, samples: list[Sample]) -> Callable[..., FeatureBank]:
    def run(encoder: TinyEncoder, **options: Any) -> FeatureBank:
        given = {"cache": tmp_path / "cache", "batch_size": 4, "workers": 0, **options}
        return extract(encoder, "noise", samples, **given)

    return run


def folder_of(cache: Path) -> Path:
    (meta,) = cache.rglob("meta.json")
    return meta.parent


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def other_shape(folder: Path) -> None:
    np.save(folder / "features.npy", np.ones((3, 2), np.float32))


def wrong_but_sealed(folder: Path) -> None:
    """Arrays of another length, with digests that fit them."""
    other_shape(folder)
    path = folder / "features.npy"
    meta = json.loads((folder / "meta.json").read_bytes())
    del meta["digest"]
    meta["files"]["features.npy"] = {"bytes": path.stat().st_size, "sha256": store.file_digest(path)}
    (folder / "meta.json").write_text(json.dumps(meta | {"digest": digest_of(meta)}), encoding="utf-8")


def foreign(folder: Path) -> None:
    """The meta.json of another bank, whole in itself."""
    meta = json.loads((folder / "meta.json").read_bytes())
    del meta["digest"]
    meta["identity"]["model"] = {"architecture": "another"}
    meta["fingerprint"] = digest_of(meta["identity"])
    (folder / "meta.json").write_text(json.dumps(meta | {"digest": digest_of(meta)}), encoding="utf-8")


def older_layout(folder: Path) -> None:
    meta = json.loads((folder / "meta.json").read_bytes())
    del meta["digest"]
    meta["format"] = 0
    (folder / "meta.json").write_text(json.dumps(meta | {"digest": digest_of(meta)}), encoding="utf-8")


def renamed_class(folder: Path) -> None:
    text = (folder / "meta.json").read_text(encoding="utf-8")
    (folder / "meta.json").write_text(text.replace('"name": "noise"', '"name": "nulse"'), encoding="utf-8")


def truncated(folder: Path) -> None:
    path = folder / "features.npy"
    path.write_bytes(path.read_bytes()[:-64])


POISONS: dict[str, Callable[[Path], object]] = {
    "a flipped bit in the features": lambda folder: flip(folder / "features.npy", -10),
    "a flipped bit in the logits": lambda folder: flip(folder / "logits.npy", 200),
    "a flipped bit in the header": lambda folder: flip(folder / "features.npy", 20),
    "a flipped bit in the rows": lambda folder: flip(folder / "rows.parquet", 100),
    "a truncated file": truncated,
    "a missing file": lambda folder: (folder / "logits.npy").unlink(),
    "an empty file": lambda folder: (folder / "features.npy").write_bytes(b""),
    "another shape": other_shape,
    "another shape under fitting digests": wrong_but_sealed,
    "the meta.json of another bank": foreign,
    "an altered meta.json": renamed_class,
    "another layout": older_layout,
    "no JSON": lambda folder: (folder / "meta.json").write_text("{", encoding="utf-8"),
    "other JSON": lambda folder: (folder / "meta.json").write_text("[1]", encoding="utf-8"),
    "no meta.json": lambda folder: (folder / "meta.json").unlink(),
}


@pytest.mark.parametrize("poison", POISONS)
def test_a_poisoned_entry_is_made_anew_and_says_so(
    make: Callable[..., FeatureBank], tmp_path: Path, poison: str
) -> None:
    make(TinyEncoder())
    cache = tmp_path / "cache"
    sound = files_of(cache)
    POISONS[poison](folder_of(cache))
    assert files_of(cache) != sound
    said = Said()
    encoder = TinyEncoder()
    bank = make(encoder, progress=said)
    assert encoder.rows == ROWS
    assert files_of(cache) == sound
    assert len(said.lines) == 1
    assert said.lines[0].startswith("Features of noise in the cache cannot be used (")
    assert bank.extraction is not None
    assert bank.extraction.distrusted
    assert not bank.extraction.from_cache


def test_a_file_in_the_place_of_a_bank_is_replaced(make: Callable[..., FeatureBank], tmp_path: Path) -> None:
    import shutil

    make(TinyEncoder())
    folder = folder_of(tmp_path / "cache")
    sound = files_of(tmp_path / "cache")
    shutil.rmtree(folder)
    folder.write_text("not a bank", encoding="utf-8")
    make(TinyEncoder())
    assert files_of(tmp_path / "cache") == sound


def test_a_bank_says_what_decides_it_and_nothing_of_this_machine(
    make: Callable[..., FeatureBank], tmp_path: Path
) -> None:
    bank = make(TinyEncoder())
    folder = folder_of(tmp_path / "cache")
    meta = json.loads((folder / "meta.json").read_bytes())
    assert folder.name == bank.fingerprint == digest_of(meta["identity"])
    assert meta["identity"]["model"] == {"architecture": "tiny", "weights": 0}
    assert meta["identity"]["transform"] == {"kind": "tiny", "scale": 1.0}
    assert set(meta["files"]) == {"features.npy", "logits.npy", "rows.parquet"}
    assert str(tmp_path) not in (folder / "meta.json").read_text(encoding="utf-8")
    assert pq.read_table(folder / "rows.parquet").column_names == ["sample_id", "class_key", "label", "sha256"]
    assert np.load(folder / "features.npy", allow_pickle=False).shape == (ROWS, 16)
    assert {path.name for path in folder.parent.iterdir()} == {folder.name, f"{folder.name}.lock"}


def test_arrays_are_mapped_and_cannot_be_written(make: Callable[..., FeatureBank]) -> None:
    for _ in range(2):  # fresh, and from the cache
        bank = make(TinyEncoder())
        assert isinstance(bank.features, np.memmap)
        assert isinstance(bank.logits, np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            bank.features[0, 0] = 1.0


class Stopping(TinyEncoder):
    """Raises after so many rows."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.most = rows

    def _count(self, rows: int) -> None:
        if self.rows >= self.most:
            raise KeyboardInterrupt
        super()._count(rows)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_interrupted_extraction_goes_on_after_its_finished_chunks(
    make: Callable[..., FeatureBank], tmp_path: Path, workers: int
) -> None:
    whole = tmp_path / "whole"
    make(TinyEncoder(), cache=whole)
    with pytest.raises(KeyboardInterrupt):
        make(Stopping(12), workers=workers)
    encoder = TinyEncoder()
    make(encoder, workers=workers)
    assert encoder.rows == ROWS - 8
    assert files_of(tmp_path / "cache") == files_of(whole)


def test_chunks_of_another_batch_size_are_not_mixed_in(make: Callable[..., FeatureBank], tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        make(Stopping(12), batch_size=4)
    encoder = TinyEncoder()
    make(encoder, batch_size=2)
    assert encoder.rows == ROWS
    make(TinyEncoder(), batch_size=2, cache=tmp_path / "whole")
    assert files_of(tmp_path / "cache") == files_of(tmp_path / "whole")


@pytest.mark.parametrize("damage", ["flip", "truncate", "foreign", "empty"])
def test_a_damaged_chunk_is_computed_again(make: Callable[..., FeatureBank], tmp_path: Path, damage: str) -> None:
    make(TinyEncoder(), cache=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        make(Stopping(16))
    first, second = sorted((tmp_path / "cache").rglob("*.npz"))
    data = first.read_bytes()
    changed = {"flip": data[:400] + bytes([data[400] ^ 1]) + data[401:], "truncate": data[:-40], "empty": b""}
    first.write_bytes(changed.get(damage, second.read_bytes()))
    encoder = TinyEncoder()
    said = Said()
    make(encoder, progress=said)
    assert encoder.rows == ROWS - 8
    assert any("chunk 0" in line for line in said.lines)
    assert files_of(tmp_path / "cache") == files_of(tmp_path / "whole")


def test_a_full_disk_says_so_and_keeps_what_is_finished(
    make: Callable[..., FeatureBank], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", full)
        with pytest.raises(DiskFull, match="No space left"):
            make(TinyEncoder())
    assert not list((tmp_path / "cache").rglob("*.tmp"))
    with monkeypatch.context() as patch:
        patch.setattr(store._ArrayFile, "append", full)
        with pytest.raises(DiskFull, match="make room"):
            make(TinyEncoder())
    assert not list((tmp_path / "cache").rglob("*.tmp"))
    encoder = TinyEncoder()
    assert len(make(encoder)) == ROWS
    assert encoder.rows == 0  # only the last step was missing


def test_two_threads_on_one_key_share_the_work(make: Callable[..., FeatureBank], tmp_path: Path) -> None:
    make(TinyEncoder(), cache=tmp_path / "whole")
    encoders = [TinyEncoder(seconds=0.02), TinyEncoder(seconds=0.02)]
    banks: list[FeatureBank] = []
    threads = [threading.Thread(target=lambda one=one: banks.append(make(one))) for one in encoders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(bank) for bank in banks] == [ROWS, ROWS]
    assert sum(encoder.rows for encoder in encoders) == ROWS
    assert all(encoder.rows for encoder in encoders)
    assert files_of(tmp_path / "cache") == files_of(tmp_path / "whole")


def test_what_a_killed_assembly_left_is_cleared(make: Callable[..., FeatureBank], tmp_path: Path) -> None:
    bank = make(TinyEncoder())
    folder = folder_of(tmp_path / "cache")
    sound = files_of(tmp_path / "cache")
    (folder / "meta.json").unlink()
    left = folder.with_name(f"{bank.fingerprint}.abc.tmp")
    left.mkdir()
    (left / "features.npy").write_bytes(b"half")
    make(TinyEncoder())
    assert files_of(tmp_path / "cache") == sound


@pytest.mark.parametrize(("rows", "batch"), [(1, 1), (8, 3), (21, 4), (1000, 64), (5, 600), (513, 512)])
def test_cuts_cover_every_position_once(rows: int, batch: int) -> None:
    cut = Cut(rows, batch)
    positions = [position for chunk in range(cut.chunks) for part in cut.batches(chunk) for position in part]
    assert positions == list(range(rows))
    assert [p for chunk in range(cut.chunks) for p in cut.positions(chunk)] == positions
    assert all(len(part) <= batch for chunk in range(cut.chunks) for part in cut.batches(chunk))
    assert all(len(cut.positions(chunk)) for chunk in range(cut.chunks))


def test_a_chunk_is_read_as_it_was_written(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "x.parts-4", Cut(10, 4))
    random = np.random.default_rng(0)
    chunk = Chunk(
        np.array([8], np.int64),
        random.normal(size=(1, 3)).astype(np.float16),
        None,
        ("ab",),
        ((9, "missing", "no file where the list says it is"),),
    )
    assert parts.claim(1)
    assert not Parts(parts.folder, parts.cut).claim(1)
    parts.save(1, chunk)
    assert Parts(parts.folder, parts.cut).claim(1)
    found = parts.load(1)
    np.testing.assert_array_equal(found.features, chunk.features)
    assert (found.rows.tolist(), found.logits, found.sha256, found.failed) == ([8], None, chunk.sha256, chunk.failed)
    assert parts.missing() == [0]
    with pytest.raises(ChunkDamaged):
        parts.load(0)
