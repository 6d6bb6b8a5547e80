"""Post-hoc logit adjustment: scores less the log prior, and what it does to priors that were learnt."""

from __future__ import annotations

import math

import numpy as np
import pytest

from openmmlo.errors import ConfigError, DataError
from openmmlo.train.posthoc import ClassLayer, Evidence, open_posthoc

COUNTS = np.array([500, 60, 9, 2])
WEIGHT = np.random.default_rng(4).normal(size=(4, 6)).astype(np.float32)


@pytest.mark.parametrize("tau", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("bias", [None, np.array([4.0, 1.0, 0.0, -2.0], np.float32)])
def test_scores_by_hand(tau: float, bias: np.ndarray | None) -> None:
    posthoc = open_posthoc("logit-adjustment", {"tau": tau})
    found = posthoc.apply(ClassLayer("linear", WEIGHT, bias), Evidence(COUNTS)).layer
    assert found.bias is not None
    assert (found.kind, found.bias.dtype, posthoc.needs) == ("linear", np.float32, frozenset())
    feature = np.random.default_rng(5).normal(size=6)
    for c, n in enumerate(COUNTS.tolist()):
        score = float(WEIGHT[c] @ feature) + (0.0 if bias is None else float(bias[c]))
        adjusted = float(found.weight[c] @ feature) + float(found.bias[c])
        assert adjusted == pytest.approx(score - tau * math.log(n / 571), rel=1e-5)


def test_a_layer_that_knows_the_prior_alone_then_knows_nothing() -> None:
    layer = ClassLayer("linear", np.zeros((4, 6), np.float32), np.log(COUNTS / COUNTS.sum()).astype(np.float32))
    found = open_posthoc("logit-adjustment").apply(layer, Evidence(COUNTS)).layer
    assert found.bias is not None
    np.testing.assert_allclose(found.bias, 0.0, atol=1e-6)


def test_what_it_is_not_for() -> None:
    with pytest.raises(ConfigError, match=r"posthoc logit-adjustment is of linear .* this one is 'thp'.*head=linear"):
        open_posthoc("logit-adjustment").apply(ClassLayer("thp", WEIGHT), Evidence(COUNTS))
    with pytest.raises(DataError, match="logit-adjustment: 1 of 4 classes have fewer than 1 training images"):
        open_posthoc("logit-adjustment").apply(ClassLayer("linear", WEIGHT), Evidence(COUNTS * [1, 1, 1, 0]))
    with pytest.raises(ConfigError, match=r"tau is -1\.0; expected 0 or more"):
        open_posthoc("logit-adjustment", {"tau": -1.0})
