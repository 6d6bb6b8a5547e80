"""What was asked for is refused at the door where it cannot be, with the name that was meant."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from openmmlo.errors import ConfigError, DataError, UnknownName
from openmmlo.evaluate.benchmark import load_benchmark
from openmmlo.evaluate.configuration import EvalConfig
from openmmlo.evaluate.door import check_asked, detectors_of
from openmmlo.records import ClassInfo

CLIP: Any = SimpleNamespace(reads=frozenset({"image", "text"}), transform=None)
PIXELS: Any = SimpleNamespace(reads=frozenset({"image"}), transform=None)
FRUIT = (ClassInfo("a", "apple"), ClassInfo("b", "pear"))


def resolved(*classes: ClassInfo) -> Any:
    return SimpleNamespace(benchmark=load_benchmark("miniature"), info=SimpleNamespace(classes=classes or FRUIT))


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({"templates": "foto"}, UnknownName, "Did you mean 'photo'"),
        ({"class_names": "openai"}, DataError, "2 of 2 classes are none of them"),
        ({"descriptors": Path("nowhere.yaml")}, DataError, "nowhere.yaml: cannot be read"),
        ({"transform": "olrt"}, UnknownName, "Did you mean 'oltr'"),
        ({"detectors": ("thp_knn",)}, UnknownName, "Did you mean 'thp-knn'"),
    ],
)
def test_what_there_is_not_is_refused(asked: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        check_asked(EvalConfig("m", **asked), CLIP, resolved())


def test_prompts_concern_only_those_who_read_them() -> None:
    check_asked(EvalConfig("m"), CLIP, resolved())
    check_asked(EvalConfig("m", templates="foto"), PIXELS, resolved())
    check_asked(EvalConfig("m", class_names="openai"), CLIP, resolved(ClassInfo("0", "0"), ClassInfo("1", "1")))


def test_detectors_have_the_settings_of_the_benchmark() -> None:
    miniature = load_benchmark("miniature")
    everything = detectors_of(EvalConfig("m"), miniature)
    assert len(everything) == 14
    (own,) = detectors_of(EvalConfig("m", detectors=("knn", "knn")), replace(miniature, neighbours=7))
    assert vars(own)["k"] == 7
    cifar = {item.name: vars(item) for item in detectors_of(EvalConfig("m"), load_benchmark("cifar100-lt-ood"))}
    assert cifar["ash-s"]["percentile"] == 95
    assert cifar["knn"]["k"] == cifar["thp-knn"]["k"] == 50
    with pytest.raises(UnknownName, match="Did you mean 'vim'"):
        detectors_of(EvalConfig("m"), replace(miniature, detector_options={"vom.alpha": 1}))
    with pytest.raises(ConfigError, match="percentile is 120"):
        detectors_of(EvalConfig("m"), replace(miniature, detector_options={"react.percentile": 120}))
