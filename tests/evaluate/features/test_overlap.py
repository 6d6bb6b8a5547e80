"""Images in and out of distribution at once are found by their bytes."""

from __future__ import annotations

import numpy as np

from openmmlo.evaluate.features.bank import FeatureBank
from openmmlo.evaluate.features.overlap import overlap


def bank(name: str, digests: list[str] | None, count: int = 0) -> FeatureBank:
    rows = len(digests or [0] * count)
    ids = np.array([f"{name}-{row}" for row in range(rows)], dtype=object)
    sha256 = None if digests is None else np.array(digests, dtype=object)
    return FeatureBank(name, ids, ids, np.zeros(rows, np.int64), np.ones((rows, 2), np.float32), sha256=sha256)


def test_shared_images_are_named_and_counted() -> None:
    found = overlap(
        [bank("test", ["a", "b", "b", "c"]), bank("train", ["x", "c"])],
        [bank("svhn", ["b", "q", "b"]), bank("lsun", ["q"]), bank("isun", ["c"])],
    )
    assert [(one.id_set, one.ood_set, one.pairs, one.rows) for one in found] == [
        ("test", "svhn", (("test-1", "svhn-0"), ("test-1", "svhn-2")), 3),
        ("test", "isun", (("test-3", "isun-0"),), 1),
        ("train", "isun", (("train-1", "isun-0"),), 1),
    ]
    assert found[0].line.startswith("2 of 3 images of svhn are images of test too, for example 'svhn-0' is 'test-1'")


def test_texts_and_disjoint_sets_share_nothing() -> None:
    assert overlap([bank("test", ["a"])], [bank("far", ["b"]), bank("texts", None, 3)]) == ()
    assert overlap([bank("test", None, 3)], [bank("far", ["b"])]) == ()
