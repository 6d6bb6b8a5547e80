"""Class means by hand, and classes that have none."""

from __future__ import annotations

import numpy as np
import pytest

from openmmlo.errors import ConfigError, DataError
from openmmlo.train.posthoc import ClassLayer, Evidence, Labelled, open_posthoc

OLD = ClassLayer("thp", np.ones((3, 5), np.float32), None, 2.0)


def test_rows_point_along_the_mean_of_unit_features() -> None:
    random = np.random.default_rng(1)
    labels = np.repeat([0, 1, 2], [30, 8, 2])
    random.shuffle(labels)
    features = (random.normal(size=(40, 5)) * random.uniform(0.1, 9, (40, 1))).astype(np.float32)
    posthoc = open_posthoc("ncm", {"scale": 12.0})
    assert posthoc.needs == {"train"}
    found = posthoc.apply(OLD, Evidence(np.bincount(labels), Labelled(features, labels))).layer
    assert (found.kind, found.bias, found.scale) == ("cosine", None, 12.0)
    for c in range(3):
        total = np.zeros(5)
        for feature, label in zip(features.astype(np.float64), labels, strict=True):
            if label == c:
                total += feature / np.sqrt((feature**2).sum())
        mean = total / np.sum(labels == c)
        np.testing.assert_allclose(found.weight[c], mean / np.linalg.norm(mean), rtol=1e-5, atol=1e-6)


def test_what_it_cannot_go_by() -> None:
    labels = np.array([0, 0, 2])
    with pytest.raises(DataError, match=r"posthoc ncm: 1 of 3 classes have no training image .class 1 first."):
        open_posthoc("ncm").apply(OLD, Evidence(np.array([2, 0, 1]), Labelled(np.ones((3, 5), np.float32), labels)))
    with pytest.raises(ConfigError, match="takes means of training features, and was given none"):
        open_posthoc("ncm").apply(OLD, Evidence(np.array([2, 1, 1])))
    with pytest.raises(ConfigError, match=r"scale is 1\.0; expected above 1"):
        open_posthoc("ncm", {"scale": 1.0})
