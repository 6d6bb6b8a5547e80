"""The text part against transformers' BERT: as encoder, and as decoder with cross-attention."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import BertConfig, BertForPreTraining, BertLMHeadModel

from openmmlo.models.thp import config_for, load_bert
from openmmlo.models.thp.model import ThpModel
from openmmlo.models.thp.text import KeysValues, attend

SIZES: dict[str, Any] = {
    "vocab_size": 40,
    "text_width": 16,
    "text_layers": 3,
    "text_heads": 4,
    "text_intermediate": 24,
    "text_length": 12,
    "image_size": 16,
    "image_encoder": "vit_tiny_patch16_224",
    "image_options": {"img_size": 16, "patch_size": 8, "embed_dim": 16, "depth": 1, "num_heads": 2},
}


def bert_config(words: int = 40, **more: Any) -> BertConfig:
    return BertConfig(
        vocab_size=words,
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=24,
        max_position_embeddings=20,
        initializer_range=0.3,
        **more,
    )


@pytest.fixture
def model() -> ThpModel:
    torch.manual_seed(0)
    return ThpModel(config_for("thp-mini", **SIZES)).eval()


@pytest.fixture
def texts() -> tuple[torch.Tensor, torch.Tensor]:
    tokens = torch.randint(7, 38, (3, 7), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(tokens)
    mask[1, 4:] = 0
    mask[2, 2:] = 0
    return tokens, mask


def test_with_berts_weights_it_encodes_as_bert(model: ThpModel, texts: tuple[torch.Tensor, torch.Tensor]) -> None:
    """Of 38 words that BERT knows; positions and the first sentence's vector are added before anything else."""
    torch.manual_seed(1)
    bert = BertForPreTraining(bert_config(38)).eval()
    torch.nn.init.normal_(bert.cls.predictions.bias)
    load_bert(model, bert.state_dict())
    tokens, mask = texts
    with torch.no_grad():
        expected = bert.bert(input_ids=tokens, attention_mask=mask).last_hidden_state
        found = model.text.encode(tokens, mask)
        torch.testing.assert_close(found[mask.bool()], expected[mask.bool()], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(model.text.encode(tokens, mask, first=True), found[:, :1], rtol=1e-5, atol=1e-5)
        logits = bert.cls.predictions(expected)
        torch.testing.assert_close(model.word_logits(expected)[..., :38], logits, rtol=1e-5, atol=1e-5)
    assert expected.std() > 0.5


def test_with_berts_weights_it_decodes_as_bert(model: ThpModel, texts: tuple[torch.Tensor, torch.Tensor]) -> None:
    """transformers' BERT as a decoder with cross-attention; the first token is [DEC] in both."""
    torch.manual_seed(2)
    bert = BertLMHeadModel(bert_config(is_decoder=True, add_cross_attention=True)).eval()
    torch.nn.init.normal_(bert.cls.predictions.bias)
    load_bert(model, bert.state_dict())
    crossed = {name: tensor for name, tensor in bert.bert.state_dict().items() if ".crossattention." in name}
    own = {name: tensor for name, tensor in model.text.state_dict().items() if ".crossattention." in name}
    assert crossed.keys() == own.keys()
    model.text.load_state_dict(crossed, strict=False)
    image = torch.randn(3, 5, 16, generator=torch.Generator().manual_seed(3))
    tokens, mask = texts
    begun = tokens.clone()
    begun[:, 0] = model.config.dec_token_id
    with torch.no_grad():
        expected = bert(input_ids=begun, attention_mask=mask, encoder_hidden_states=image).logits
        found = model.decode(image, tokens, mask)
    torch.testing.assert_close(found[mask.bool()], expected[mask.bool()], rtol=1e-5, atol=1e-5)
    assert (found[~mask.bool()] == 0).all()


def test_a_later_token_changes_no_earlier_logit(model: ThpModel, texts: tuple[torch.Tensor, torch.Tensor]) -> None:
    image = torch.randn(3, 5, 16, generator=torch.Generator().manual_seed(3))
    tokens, mask = texts[0], torch.ones_like(texts[0])
    other = tokens.clone()
    other[:, 4] = (other[:, 4] + 3) % 30 + 7
    assert (other[:, 4] != tokens[:, 4]).all()
    with torch.no_grad():
        before, after = model.decode(image, tokens, mask), model.decode(image, other, mask)
        torch.testing.assert_close(after[:, :4], before[:, :4], rtol=0, atol=1e-6)
        assert (after[:, 4:] - before[:, 4:]).abs().amax((1, 2)).min() > 1e-3
        fused = model.text.encode(tokens, mask)
        assert (model.text.encode(other, mask) - fused)[:, :4].abs().amax(2).min() > 1e-5


def test_encoder_and_decoder_share_all_but_self_attention(
    model: ThpModel, texts: tuple[torch.Tensor, torch.Tensor]
) -> None:
    """Which tensors each of the two reads, told by their gradients."""
    image = torch.randn(3, 5, 16, generator=torch.Generator().manual_seed(3))
    read = []
    for through in (lambda: model.fuse(image, *texts), lambda: model.decode_states(image, texts[0])):
        model.zero_grad()
        through().square().sum().backward()
        read.append({name for name, item in model.text.named_parameters() if item.grad is not None})
    encoder, decoder = read
    assert {name.split(".")[3] for name in encoder - decoder} == {"attention"}
    assert {name.split(".")[3] for name in decoder - encoder} == {"causal_attention"}
    shared = encoder & decoder
    assert {name.split(".")[3] for name in shared if name.startswith("encoder")} == {
        "crossattention", "intermediate", "output",
    }  # fmt: skip
    assert "embeddings.word_embeddings.weight" in shared
    assert encoder | decoder == {name for name, _ in model.text.named_parameters()}
    one = sum(item.numel() for name, item in model.text.named_parameters() if ".attention." in name)
    other = sum(item.numel() for name, item in model.text.named_parameters() if ".causal_attention." in name)
    assert one == other == 3 * (4 * (16 * 16 + 16) + 2 * 16)
    pointers = [item.data_ptr() for item in model.state_dict().values()]
    assert len(set(pointers)) == len(pointers)  # nothing is held twice under two names


def test_one_token_at_a_time_gives_what_all_at_once_do(
    model: ThpModel, texts: tuple[torch.Tensor, torch.Tensor]
) -> None:
    image = torch.randn(3, 5, 16, generator=torch.Generator().manual_seed(3))
    memory = model.memory(image)
    with torch.no_grad():
        whole = model.text.decode(texts[0], memory)
        past = None
        for place in range(texts[0].shape[1]):
            states, past = model.text.step(texts[0][:, place], memory, past)
            torch.testing.assert_close(states, whole[:, place], rtol=1e-5, atol=1e-5)


def test_a_text_beyond_the_positions_is_refused(model: ThpModel) -> None:
    tokens = torch.full((1, 13), 7)
    with pytest.raises(ValueError, match="A text of 13 tokens; this model reads 12"):
        model.embed_texts(tokens, torch.ones_like(tokens))


def test_recomputed_activations_give_the_same_gradients(
    model: ThpModel, texts: tuple[torch.Tensor, torch.Tensor]
) -> None:
    model.train()
    pixels = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    gradients = []
    for enable in (False, True):
        if enable:
            model.activation_checkpointing_enable()
            assert model.text.gradient_checkpointing
            assert model.image_encoder.network.grad_checkpointing
        torch.manual_seed(5)  # dropout
        model.zero_grad()
        memory = model.memory(model.image_tokens(pixels))
        (model.fuse(memory, *texts).square().sum() + model.decode(memory, *texts).square().sum()).backward()
        gradients.append({name: item.grad.clone() for name, item in model.named_parameters() if item.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, msg=name)
    model.activation_checkpointing_disable()
    assert not model.text.gradient_checkpointing


def test_dropout_is_that_of_the_configuration(model: ThpModel, texts: tuple[torch.Tensor, torch.Tensor]) -> None:
    shares = {module.p for module in model.text.modules() if isinstance(module, torch.nn.Dropout)}
    assert shares == {0.1}
    model.train()
    assert not torch.equal(model.embed_texts(*texts), model.embed_texts(*texts))
    torch.manual_seed(0)
    still = ThpModel(config_for("thp-mini", **SIZES, dropout=0.0)).train()
    assert torch.equal(still.embed_texts(*texts), still.embed_texts(*texts))


@pytest.mark.parametrize(("masked", "causal"), [(False, False), (True, False), (False, True)])
def test_attention_is_torchs(masked: bool, causal: bool) -> None:
    """Value and gradient, against torch's own function, which other devices use."""
    torch.manual_seed(0)
    given = [torch.randn(2, 3, 5, 4, requires_grad=True) for _ in range(3)]
    mask = torch.tensor([[1, 1, 1, 1, 0], [1, 1, 0, 0, 0]]).bool()[:, None, None, :] if masked else None
    found = attend(given[0], KeysValues(given[1], given[2]), mask, 0.0, causal)
    expected = torch.nn.functional.scaled_dot_product_attention(*given, attn_mask=mask, is_causal=causal)
    torch.testing.assert_close(found, expected)
    weights = torch.randn_like(found)
    one, other = (torch.autograd.grad((output * weights).sum(), given) for output in (found, expected))
    torch.testing.assert_close(one, other)


def test_attention_drops_its_share_and_makes_up_for_it() -> None:
    torch.manual_seed(0)
    queries, keys = torch.randn(2, 1, 1, 400, 8)
    values = torch.eye(400).expand(1, 1, 400, 400)
    whole = attend(queries[None], KeysValues(keys[None], values), None, 0.0, False)
    found = attend(queries[None], KeysValues(keys[None], values), None, 0.25, False)
    dropped = found == 0
    assert float(dropped.float().mean()) == pytest.approx(0.25, abs=0.01)
    torch.testing.assert_close(found[~dropped], whole[~dropped] / 0.75)
