"""A class layer out of a model and into it: the same scores, and a checkpoint like any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_thp
import torch

from openmmlo.errors import ConfigError, UnknownName
from openmmlo.models.thp import load_model
from openmmlo.train.posthoc import POSTHOC, ClassLayer, Evidence, Labelled, Posthoc, open_posthoc
from openmmlo.train.posthoc.class_layer import class_layer, put_class_layer

FUSED = torch.randn(5, 32, generator=torch.Generator().manual_seed(2))


def scores(layer: ClassLayer, features: np.ndarray) -> np.ndarray:
    if layer.kind == "linear":
        return np.asarray(features @ layer.weight.T + (0.0 if layer.bias is None else layer.bias))
    unit = [values / np.linalg.norm(values, axis=1, keepdims=True) for values in (features, layer.weight)]
    return np.asarray(layer.scale * unit[0] @ unit[1].T)


@pytest.mark.parametrize(
    "values",
    [{"head": "linear"}, {"head": "linear", "class_scales": True}, {"head": "cosine", "head_scale_start": 7.0}],
)
@torch.no_grad()
def test_what_is_taken_out_scores_as_the_model_does(values: dict[str, object]) -> None:
    model = tiny_thp.model(classes=3, **values)
    if model.head.class_scales is not None:
        model.head.class_scales.copy_(torch.tensor([0.5, 1.0, 3.0]))
    features = model.class_features(FUSED)
    expected = model.class_logits(features)
    np.testing.assert_allclose(scores(class_layer(model), features.numpy()), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", POSTHOC)
@torch.no_grad()
def test_what_is_put_in_scores_as_the_layer_does_and_is_saved_with_the_model(name: str, tmp_path: Path) -> None:
    model = tiny_thp.model(classes=3, head="linear", class_scales=True, recipe_digest="a" * 64).train()
    state = {key: value.clone() for key, value in model.state_dict().items() if not key.startswith("head.")}
    features = model.class_features(FUSED)
    random = np.random.default_rng(0)
    seen = Labelled(random.normal(size=(30, 32)).astype(np.float32), np.arange(30) % 3)
    posthoc = open_posthoc(name)
    assert isinstance(posthoc, Posthoc)
    layer = posthoc.apply(class_layer(model), Evidence(np.array([90, 9, 3]), seen, seen)).layer
    put_class_layer(model, layer)
    assert torch.equal(model.class_features(FUSED), features)
    np.testing.assert_allclose(model.class_logits(features), scores(layer, features.numpy()), rtol=1e-4, atol=1e-4)
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in state.items())
    assert model.head.training
    model.save_pretrained(tmp_path)
    again = load_model(tmp_path)
    assert (again.config.head, again.config.class_scales, again.config.recipe_digest) == (layer.kind, False, "a" * 64)
    torch.testing.assert_close(again.class_logits(features), model.class_logits(features), rtol=0, atol=0)


def test_another_shape_or_kind_is_refused() -> None:
    model = tiny_thp.model(classes=3, head="linear")
    for layer in (ClassLayer("linear", np.ones((4, 32))), ClassLayer("thp", np.ones((3, 32)))):
        with pytest.raises(ValueError, match=r"expected linear or cosine, \(3, 32\)"):
            put_class_layer(model, layer)
    with pytest.raises(ValueError, match="no class head"):
        class_layer(tiny_thp.model())


@pytest.mark.parametrize("name", ["tau-norm", "logit-adjustment"])
def test_directions_have_no_length_and_no_bias_to_adjust(name: str) -> None:
    layer = class_layer(tiny_thp.model(classes=3, head="cosine"))
    with pytest.raises(ConfigError, match=f"posthoc {name} is of linear class layers, and this one is 'cosine'"):
        open_posthoc(name, {"tau": 1.0}).apply(layer, Evidence(np.array([3, 2, 1])))


def test_an_unknown_one_or_option_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"No post-hoc classifier named 'tau_norm'\. Did you mean 'tau-norm'"):
        open_posthoc("tau_norm")
    with pytest.raises(ConfigError, match=r"posthoc tau-norm takes no 'tua'\. Did you mean 'tau'"):
        open_posthoc("tau-norm", {"tua": 1.0})
