"""Checkpoints found and fetched: what is asked of the Hub, what is downloaded, and which device takes them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from openmmlo.building.captioners import loading
from openmmlo.building.captioners.loading import findings, resolve_dtype, worker_device
from openmmlo.errors import ModelError
from openmmlo.models.checkpoints import (
    Checkpoint,
    all_files,
    has_weights,
    locate,
    small_files,
    source_identity,
)
from openmmlo.models.loading import explained

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """What the Hub would answer for one repository, and what was asked of it."""

    def __init__(self, files: dict[str, int], cache: Path) -> None:
        self.files = files
        self.cache = cache
        self.asked: list[str] = []
        self.patterns: list[str] = []

    def model_info(self, _: Any, name: str, *, revision: str, timeout: float, files_metadata: bool) -> SimpleNamespace:
        assert timeout <= 10
        self.asked.append(revision)
        siblings = [SimpleNamespace(rfilename=file, size=size) for file, size in self.files.items()]
        return SimpleNamespace(sha=COMMIT, siblings=siblings, safetensors=SimpleNamespace(total=4_000_000_000))

    def snapshot_download(self, name: str, *, revision: str, allow_patterns: list[str]) -> str:
        assert revision == COMMIT
        self.patterns = allow_patterns
        return str(self.cache)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Hub:
    import huggingface_hub
    from huggingface_hub import HfApi, constants

    files = {"config.json": 10, "model-00001-of-00002.safetensors": 30, "model-00002-of-00002.safetensors": 12}
    served = Hub({**files, "pytorch_model-00001-of-00001.bin": 42}, tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(HfApi, "model_info", lambda *names, **options: served.model_info(*names, **options))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", served.snapshot_download)
    return served


def test_a_branch_is_resolved_once_and_recorded(hub: Hub) -> None:
    found = locate("owner/name", None, {})
    assert found == Checkpoint("owner/name", commit=COMMIT)
    assert source_identity(found) == {"model": "owner/name", "commit": COMMIT}
    assert locate("owner/name", "v2", {"owner/name": "unused"}).commit == COMMIT
    assert hub.asked == ["main", "v2"]
    assert locate("owner/name", None, {"owner/name": COMMIT}) == found
    assert hub.asked == ["main", "v2"]


def test_weights_are_downloaded_once(hub: Hub) -> None:
    """Repositories hold the same weights in two formats; one of them is tens of gigabytes for nothing."""
    checkpoint = Checkpoint("owner/name", commit=COMMIT)
    assert small_files(checkpoint) == hub.cache
    assert not any("safetensors" in pattern or ".bin" in pattern for pattern in hub.patterns)
    all_files(checkpoint)
    weights = [pattern for pattern in hub.patterns if "safetensors" in pattern or ".bin" in pattern]
    assert weights == ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    hub.files = {"config.json": 10, "pytorch_model.bin": 42}
    all_files(checkpoint)
    assert hub.patterns[-1] == "pytorch_model.bin"
    hub.files = {"config.json": 10}
    with pytest.raises(ModelError, match="holds no weights"):
        all_files(checkpoint)


def test_a_download_and_a_model_too_large_are_announced(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_free_memory", lambda kind: 8 * 1024**3)
    hub.files = {"model.safetensors": 3 * 1024**3}
    found = findings(Checkpoint("owner/name", commit=COMMIT), "cpu", "float32")
    said = {finding.level: finding for finding in found}
    assert any("3.0 GiB will be downloaded" in finding.what for finding in found)
    assert "14.9 GiB in float32 on cpu a worker; at most 8.0 GiB are free" in said["error"].what
    assert any(finding.level == "warning" and "many seconds an image" in finding.what for finding in found)
    hub.files = {"model.safetensors": 1 << 60}
    found = findings(Checkpoint("owner/name", commit=COMMIT), "cpu", "bfloat16")
    assert any(finding.level == "error" and "the cache's disk has" in finding.what for finding in found)


@pytest.mark.parametrize("error", ["RepositoryNotFoundError", "GatedRepoError", "RevisionNotFoundError"])
def test_the_hubs_refusals_are_explained(error: str, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import HfApi, errors

    def refuse(*_: object, **__: object) -> None:
        kind = getattr(errors, error)
        raise kind.__new__(kind)

    monkeypatch.setattr(HfApi, "model_info", refuse)
    message = {"RepositoryNotFoundError": "Check the spelling", "GatedRepoError": "accept its terms"}
    with pytest.raises(ModelError, match=message.get(error, "no revision 'main'")):
        locate("owner/name", None, {})


def test_a_real_connection_that_fails_is_quick(hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The client itself against a closed port; a cached reference then serves instead."""
    from huggingface_hub import HfApi

    monkeypatch.undo()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    plain = HfApi.__init__
    monkeypatch.setattr(HfApi, "__init__", lambda self: plain(self, endpoint="http://127.0.0.1:9"))
    with pytest.raises(ModelError, match=r"Hub cannot be reached .*hf download owner/name; then set HF_HOME"):
        locate("owner/name", None, {})
    repository = tmp_path / "models--owner--name"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    (repository / "snapshots" / COMMIT).mkdir(parents=True)
    (repository / "snapshots" / COMMIT / "config.json").write_text("{}")
    assert locate("owner/name", None, {}).commit == COMMIT


def test_names_that_are_neither_folder_nor_model(tmp_path: Path) -> None:
    for name in ("./absent", str(tmp_path / "absent"), "a/b/c", "~/absent", "owner/na me", ""):
        with pytest.raises(ModelError, match="There is no folder"):
            locate(name, None, {})


def test_weights_in_parts_count_only_whole(tmp_path: Path) -> None:
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    (tmp_path / "model-1.safetensors").touch()
    assert not has_weights(tmp_path)
    (tmp_path / "model-2.safetensors").touch()
    assert has_weights(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text("{")
    assert not has_weights(tmp_path)


def test_workers_take_the_accelerators_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [worker_device("auto", worker) for worker in range(3)] == ["cuda:0", "cuda:1", "cuda:0"]
    assert [worker_device("cuda", worker) for worker in range(3)] == ["cuda:0", "cuda:1", "cuda:0"]
    assert [worker_device("cuda:1", worker) for worker in range(3)] == ["cuda:1"] * 3
    assert worker_device("cpu", 1) == "cpu"
    assert resolve_dtype("auto", "auto") == "bfloat16"
    assert resolve_dtype("auto", "cpu") == "float32"
    with pytest.raises(ModelError, match=r"'cuda:2' is not on this machine.* 2 CUDA devices"):
        worker_device("cuda:2", 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert worker_device("auto", 3) == "cpu"
    with pytest.raises(ModelError, match="cuda"):
        worker_device("cuda", 0)


def test_what_loading_throws_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class OutOfMemoryError(RuntimeError):
        """Named as torch names it."""

    with pytest.raises(ModelError, match=r"do not fit each other.*pip install"), explained(tmp_path):
        raise RuntimeError("operator torchvision::nms does not exist")
    with pytest.raises(OutOfMemoryError), explained(tmp_path):
        raise OutOfMemoryError("CUDA out of memory")
    monkeypatch.setitem(sys.modules, "torchvision", None)
    found = findings(Checkpoint("x", folder=tmp_path), "cpu", "float32")
    assert any(finding.level == "error" and "torchvision does not load" in finding.what for finding in found)
