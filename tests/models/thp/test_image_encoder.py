"""Networks of timm as tokens."""

from __future__ import annotations

import pytest
import timm
import torch

from openmmlo.errors import ModelError
from openmmlo.models.thp.image_encoder import ImageEncoder


def test_a_transformer_gives_its_own_tokens() -> None:
    torch.manual_seed(0)
    encoder = ImageEncoder("test_vit", {"img_size": 64}).eval()
    pixels = torch.randn(2, 3, 64, 64)
    found = encoder(pixels)
    assert found.shape == (2, 17, encoder.width)
    torch.testing.assert_close(found, encoder.network.forward_features(pixels))
    torch.testing.assert_close(found[:, 0], encoder.network(pixels))  # timm pools the class token


def test_a_map_comes_behind_its_mean() -> None:
    """The pooled token is what timm itself pools."""
    torch.manual_seed(0)
    encoder = ImageEncoder("test_resnet", {}).eval()
    pixels = torch.randn(2, 3, 96, 96)
    found = encoder(pixels)
    places = encoder.network.forward_features(pixels)
    assert found.shape == (2, 1 + places.shape[2] * places.shape[3], encoder.width)
    torch.testing.assert_close(found[:, 0], encoder.network(pixels), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found[:, 2], places[:, :, 0, 1])


def test_a_map_with_channels_last() -> None:
    torch.manual_seed(0)
    options = {"img_size": 64, "embed_dim": 16, "depths": (1, 1), "num_heads": (2, 2), "window_size": 4}
    encoder = ImageEncoder("swin_tiny_patch4_window7_224", options).eval()
    pixels = torch.randn(1, 3, 64, 64)
    found = encoder(pixels)
    places = encoder.network.forward_features(pixels)
    assert places.shape[-1] == encoder.width
    torch.testing.assert_close(found[:, 2], places[:, 0, 1])
    torch.testing.assert_close(found[:, 0], encoder.network(pixels), rtol=1e-5, atol=1e-6)


def test_a_transformer_without_class_token_is_pooled() -> None:
    torch.manual_seed(0)
    encoder = ImageEncoder("test_vit", {"img_size": 64, "class_token": False, "global_pool": "avg", "fc_norm": False})
    pixels = torch.randn(2, 3, 64, 64)
    found = encoder.eval()(pixels)
    assert found.shape == (2, 17, encoder.width)
    torch.testing.assert_close(found[:, 0], encoder.network(pixels), rtol=1e-5, atol=1e-6)


def test_what_timm_cannot_make() -> None:
    with pytest.raises(ModelError, match="'no_such_net'"):
        ImageEncoder("no_such_net", {})
    with pytest.raises(ModelError, match="image encoder 'test_resnet' with"):
        ImageEncoder("test_resnet", {"img_size": 64})


@pytest.mark.parametrize("name", ["hf-hub:someone/net", "hf_hub:timm/resnet18.a1_in1k", "local-dir:/tmp/net"])
def test_a_configuration_names_no_place_to_fetch_from(name: str) -> None:
    with pytest.raises(ModelError, match=f"'{name}' is no name of timm's own"):
        ImageEncoder(name)


@pytest.mark.parametrize("option", ["pretrained", "checkpoint_path", "pretrained_cfg_overlay", "cache_dir"])
def test_a_configuration_asks_for_no_weights(option: str) -> None:
    with pytest.raises(ModelError, match=rf"image_options has {option}\b.*weights come from"):
        ImageEncoder("test_resnet", {option: "x"})


def test_checkpointing_changes_no_gradient() -> None:
    torch.manual_seed(0)
    encoder = ImageEncoder("test_vit", {"img_size": 32}).train()
    pixels = torch.randn(2, 3, 32, 32)
    gradients = []
    for enable in (False, True):
        encoder.checkpoint_gradients(enable)
        encoder.zero_grad()
        encoder(pixels).square().sum().backward()
        gradients.append([parameter.grad.clone() for parameter in encoder.parameters() if parameter.grad is not None])
    assert encoder.network.grad_checkpointing
    assert len(gradients[0]) == len(gradients[1]) > 10
    for plain, again in zip(*gradients, strict=True):
        torch.testing.assert_close(again, plain)


def test_checkpointing_counts_each_batch_once() -> None:
    """BatchNorm sees a recomputed batch twice; its running statistics must not."""
    states, gradients = [], []
    for enable in (False, True):
        torch.manual_seed(0)
        encoder = ImageEncoder("test_resnet", {}).train()
        encoder.checkpoint_gradients(enable)
        passes: list[int] = []
        encoder.network.layer1[0].bn1.register_forward_pre_hook(lambda *_, seen=passes: seen.append(1))
        for seed in range(2):
            pixels = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(seed))
            encoder(pixels).square().mean().backward()
        assert len(passes) == (4 if enable else 2)
        states.append({name: value.clone() for name, value in encoder.state_dict().items()})
        gradients.append({name: item.grad for name, item in encoder.named_parameters()})
    assert states[0]["network.layer1.0.bn1.num_batches_tracked"] == 2
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, msg=name)
    for name, value in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], value, msg=name)


def test_a_network_that_cannot_recompute_says_so() -> None:
    with torch.device("meta"):
        encoder = ImageEncoder("inception_v4", {})
    encoder.checkpoint_gradients(False)
    with pytest.raises(ModelError, match="InceptionV4 cannot recompute activations; leave gradient checkpointing off"):
        encoder.checkpoint_gradients(True)


def test_the_papers_networks_are_timms() -> None:
    for name in ("vit_base_patch16_224", "vit_large_patch16_224", "resnext50_32x4d"):
        assert timm.is_model(name)
