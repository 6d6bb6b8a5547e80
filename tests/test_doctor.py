"""What the doctor says of machines that lack something, and that it tells no secrets."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from openmmlo import doctor
from openmmlo.doctor import GIB
from openmmlo.records import Finding


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def only(examination: Callable[[], Any]) -> Finding:
    (finding,) = examination()
    assert isinstance(finding, Finding)
    return finding


def installed(monkeypatch: pytest.MonkeyPatch, versions: dict[str, str], requires: dict[str, list[str]]) -> None:
    """Pretend that exactly these distributions are installed."""

    def version(name: str) -> str:
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    def required(name: str) -> list[str] | None:
        version(name)
        return requires.get(name)

    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setattr(metadata, "requires", required)


@pytest.mark.slow
def test_every_finding_that_is_not_ok_has_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "HUB_PATIENCE", 0.2)
    findings = doctor.examine()
    assert len(findings) >= len(doctor.EXAMINATIONS)
    assert all(finding.what for finding in findings)
    assert all(finding.remedy for finding in findings if finding.level != "ok")


def test_versions_below_what_is_required_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    requires = ["torch>=2.8", "pillow>=11.3", "tqdm>=4", "pytest>=8; extra == 'dev'", "old>=1; python_version < '3'"]
    installed(monkeypatch, {"openmmlo": "1", "torch": "2.1", "tqdm": "4.67"}, {"openmmlo": requires})
    said, old, missing, good = doctor.versions()
    assert said.level == "ok"
    assert (old.level, old.remedy) == ("error", 'pip install "torch>=2.8"')
    assert old.what.startswith("torch 2.1;")
    assert missing.what.startswith("pillow is missing")
    assert good == Finding("ok", "tqdm 4.67")


def test_a_checkout_that_is_not_installed_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, {}, {})
    assert [finding.level for finding in doctor.versions()] == ["ok", "warning"]


def test_torchvision_built_for_another_torch_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"torch": "2.9.0+cu128", "torchvision": "0.23.0"}
    installed(monkeypatch, versions, {"torchvision": ["numpy", "torch==2.8.0", "gdown; extra == 'gdown'"]})
    finding = only(doctor.torch_and_torchvision)
    assert finding.level == "error"
    assert finding.what == "torchvision 0.23.0 was built for torch==2.8.0; torch is 2.9.0+cu128"
    assert "torch torchvision" in finding.remedy


def test_local_builds_of_the_right_torch_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"torch": "2.8.0+cpu", "torchvision": "0.23.0+cpu"}
    installed(monkeypatch, versions, {"torchvision": ["torch==2.8.0"]})
    monkeypatch.setattr(doctor, "import_module", lambda name: None)
    assert only(doctor.torch_and_torchvision) == Finding("ok", "torchvision 0.23.0+cpu fits torch 2.8.0+cpu")


def test_torchvision_that_does_not_load_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        assert name == "torchvision.ops"
        raise RuntimeError("operator torchvision::nms does not exist\nmore")

    monkeypatch.setattr(doctor, "import_module", broken)
    finding = only(doctor.torch_and_torchvision)
    assert finding.level == "error"
    assert finding.what.endswith("operator torchvision::nms does not exist")


def test_missing_torchvision_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, {"torch": "2.9.0"}, {})
    assert only(doctor.torch_and_torchvision).what == "torchvision not installed"


@pytest.mark.slow
def test_the_installed_pair_is_judged_as_it_is() -> None:
    finding = only(doctor.torch_and_torchvision)
    assert finding.level == "ok"
    assert metadata.version("torchvision") in finding.what


@pytest.mark.parametrize(("built", "advice"), [("12.8", "nvidia-smi"), (None, "install a torch built for")])
def test_no_accelerator_is_a_warning(built: str | None, advice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", built)
    monkeypatch.setattr(torch.version, "hip", None, raising=False)
    finding = only(doctor.devices)
    assert finding.level == "warning"
    assert advice in finding.remedy


@pytest.mark.gpu
def test_accelerators_are_named_with_their_memory() -> None:
    import torch

    findings = list(doctor.devices())
    assert len(findings) == torch.cuda.device_count()
    assert all(torch.cuda.get_device_name(number) in finding.what for number, finding in enumerate(findings))
    assert findings[0].what.endswith("bf16")


def test_memory_is_that_of_the_container(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.read_text

    def read(self: Path, *arguments: Any, **options: Any) -> str:
        return "4294967296\n" if self.name == "memory.max" else real(self, *arguments, **options)

    monkeypatch.setattr(Path, "read_text", read)
    assert doctor.usable_memory() == 4 * GIB
    finding = only(doctor.machine)
    assert finding.level == "warning"
    assert "4 GiB memory" in finding.what


def test_cores_are_those_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 5, 7}, raising=False)
    assert doctor.usable_cores() == 3


class Session:
    """A Hub that answers, or does not."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.asked: list[tuple[str, float]] = []

    def head(self, url: str, timeout: float, follow_redirects: bool) -> None:
        self.asked.append((url, timeout))
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize(
    ("token", "said"), [("hf_secret", "a token is set"), (None, "no token is set, which public checkpoints")]
)
def test_a_hub_that_answers_and_a_token_that_is_not_told(
    token: str | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    session = Session()
    monkeypatch.setattr(huggingface_hub, "get_session", lambda: session)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: token)
    monkeypatch.setattr(huggingface_hub.constants, "is_offline_mode", lambda: False)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "https://me:hf_secret@hub.example:8443")
    finding = only(doctor.hub)
    assert finding.level == "ok"
    assert "https://hub.example:8443" in finding.what
    assert said in finding.what
    assert "hf_secret" not in finding.what
    assert session.asked == [("https://me:hf_secret@hub.example:8443", 3.0)]


def test_a_hub_that_does_not_answer_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "get_session", lambda: Session(ConnectionError("https://me:hf_secret@x")))
    monkeypatch.setattr(huggingface_hub.constants, "is_offline_mode", lambda: False)
    finding = only(doctor.hub)
    assert finding.level == "warning"
    assert "(ConnectionError)" in finding.what
    assert "HF_HUB_OFFLINE=1" in finding.remedy
    assert "hf_secret" not in finding.what + finding.remedy


def test_an_offline_machine_does_not_ask_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    session = Session()
    monkeypatch.setattr(huggingface_hub, "get_session", lambda: session)
    monkeypatch.setattr(huggingface_hub.constants, "is_offline_mode", lambda: True)
    assert only(doctor.hub).level == "ok"
    assert session.asked == []


def test_little_space_is_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(100 * GIB, 97 * GIB, 3 * GIB))
    finding = doctor.space("this folder", tmp_path / "not" / "yet", "Give --out another.")
    assert finding == Finding(
        "warning", f"3 GiB free for this folder ({tmp_path / 'not' / 'yet'})", "Give --out another."
    )
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(100 * GIB, 0, 100 * GIB))
    assert doctor.space("this folder", tmp_path, "x").level == "ok"


def test_a_data_root_that_is_no_folder_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert only(doctor.data).level == "ok"
    monkeypatch.setenv("OPENMMLO_DATA", str(tmp_path / "nowhere"))
    assert only(doctor.data).level == "error"
    (tmp_path / "root" / "imagenet").mkdir(parents=True)
    monkeypatch.setenv("OPENMMLO_DATA", str(tmp_path / "root"))
    assert "imagenet" in only(doctor.data).what


def test_an_examination_that_fails_is_a_finding_and_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Any:
        raise OSError("libcudart.so.12 is missing")

    monkeypatch.setattr(doctor, "EXAMINATIONS", (broken, doctor.data))
    first, second = doctor.examine()
    assert (first.level, second.level) == ("error", "ok")
    assert first.what == "broken could not be examined: OSError: libcudart.so.12 is missing"


def test_weights_in_the_package_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("openmmlo.models.thp.opening.SHIPPED", tmp_path)
    (finding,) = doctor.weights()
    assert finding.level == "warning"
    assert "thp-mini, thp-mini-pretrained" in finding.what
    (tmp_path / "thp-mini").mkdir()
    (tmp_path / "thp-mini" / "config.json").write_text("{}")
    there, absent = doctor.weights()
    assert (there.level, there.what) == ("ok", "Weights in the package: thp-mini")
    assert absent.what == "No weights of thp-mini-pretrained in the package"
