"""What the model says of images, texts and both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from openmmlo.errors import ModelError
from openmmlo.models.thp import ThpModel

MakeModel = Callable[..., ThpModel]
MakePairs = Callable[..., Any]


def test_embeddings_are_unit_and_tell_inputs_apart(tiny_model: MakeModel, pairs: MakePairs) -> None:
    model = tiny_model()
    pixels, tokens, mask = pairs(model)
    for found in (model.embed_images(model.image_tokens(pixels)), model.embed_texts(tokens, mask)):
        assert found.shape == (3, 8)
        torch.testing.assert_close(found.norm(dim=1), torch.ones(3))
        assert (found[0] - found[1]).abs().max() > 0.01


def test_padding_changes_nothing(tiny_model: MakeModel, pairs: MakePairs) -> None:
    model = tiny_model(classes=4)
    pixels, tokens, mask = pairs(model)
    image = model.image_tokens(pixels)
    for row in range(3):
        short = tokens[row : row + 1, : int(mask[row].sum())]
        all_of_it = torch.ones_like(short)
        alone = image[row : row + 1]
        torch.testing.assert_close(model.embed_texts(short, all_of_it)[0], model.embed_texts(tokens, mask)[row])
        torch.testing.assert_close(model.fuse(alone, short, all_of_it)[0], model.fuse(image, tokens, mask)[row])
        torch.testing.assert_close(
            model.decode(alone, short)[0], model.decode(image, tokens, mask)[row, : short.shape[1]]
        )


@pytest.mark.parametrize(("kind", "kappa"), [("thp", 16.0), ("thp", 4.0), ("cosine", 16.0)])
def test_similarities_by_hand(tiny_model: MakeModel, kind: str, kappa: float) -> None:
    model = tiny_model(similarity=kind, kappa=kappa, temperature=0.2)
    x, y = (torch.nn.functional.normalize(torch.randn(count, 8), dim=1) for count in (2, 3))
    found = model.similarities(x, y)
    for row in range(2):
        for column in range(3):
            cosine = float(x[row].double() @ y[column].double())
            expected = cosine if kind == "cosine" else 2 / (1 + kappa * (1 - cosine))
            assert float(found[row, column]) == pytest.approx(expected / 0.2, rel=1e-4, abs=1e-5)
    torch.testing.assert_close(model.similarity_logits(x @ y.T), found)


def test_the_temperature_is_kept_in_its_bounds(tiny_model: MakeModel) -> None:
    model = tiny_model(trainable_kappa=True)
    assert float(model.temperature) == pytest.approx(0.07)
    assert float(model.kappa) == 16.0
    for given, expected in ((0.9, 0.5), (0.0, 0.001), (0.3, 0.3)):
        with torch.no_grad():
            model.temperature.fill_(given)
            model.kappa.fill_(-1.0)
        model.clamp_temperature()
        assert float(model.temperature) == pytest.approx(expected)
        assert float(model.kappa) == pytest.approx(0.01)


def test_kappa_is_trained_where_asked(tiny_model: MakeModel) -> None:
    x = torch.nn.functional.normalize(torch.randn(2, 8), dim=1)
    trained = tiny_model(trainable_kappa=True)
    trained.similarities(x, x.roll(1, 0)).sum().backward()
    assert isinstance(trained.kappa, torch.nn.Parameter)
    assert trained.kappa.grad is not None
    assert float(trained.kappa.grad) != 0
    fixed = tiny_model()
    assert fixed.kappa == 16.0
    assert "kappa" not in fixed.state_dict()


def test_each_text_is_fused_with_the_image_it_is_given(tiny_model: MakeModel, pairs: MakePairs) -> None:
    model = tiny_model()
    pixels, tokens, mask = pairs(model)
    image = model.image_tokens(pixels)
    rows = torch.tensor([2, 0, 0, 1, 2])
    texts = torch.tensor([0, 1, 2, 2, 2])
    found = model.fuse(model.memory(image), tokens[texts], mask[texts], rows)
    assert found.shape == (5, 16)
    for number, (row, text) in enumerate(zip(rows, texts, strict=True)):
        alone = model.fuse(image[row : row + 1], tokens[text : text + 1], mask[text : text + 1])[0]
        torch.testing.assert_close(found[number], alone, rtol=1e-5, atol=1e-5)
    assert (found[2] - found[3]).abs().max() > 1e-4
    assert model.match(found).shape == (5, 2)
    torch.testing.assert_close(model.decode(model.memory(image), tokens), model.decode(image, tokens))


def test_marks_in_front_are_the_configurations(tiny_model: MakeModel, pairs: MakePairs) -> None:
    """What stands first in the tokens is replaced, so it changes nothing; the vectors of the marks do."""
    model = tiny_model()
    pixels, tokens, mask = pairs(model)
    image = model.image_tokens(pixels)
    other = tokens.clone()
    other[:, 0] = 17
    words = model.text.embeddings.word_embeddings.weight
    ways = {
        model.config.enc_token_id: lambda given: model.fuse(image, given, mask),
        model.config.dec_token_id: lambda given: model.decode_states(image, given),
    }
    for mark, through in ways.items():
        before = through(tokens)
        assert torch.equal(through(other), before)
        with torch.no_grad():
            words[mark] += 1.0
        assert not torch.equal(through(tokens), before)
    assert not torch.equal(model.embed_texts(other, mask), model.embed_texts(tokens, mask))
    assert (tokens[:, 0] == model.config.cls_token_id).all()


def test_an_image_alone_is_read_with_the_empty_caption(tiny_model: MakeModel, pairs: MakePairs) -> None:
    model = tiny_model(classes=5)
    pixels, tokens, mask = pairs(model)
    features, logits = model.classify(pixels)
    empty = torch.tensor([[model.config.cls_token_id, model.config.sep_token_id]] * 3)
    again, expected = model.classify(pixels, empty, torch.ones_like(empty))
    assert torch.equal(logits, expected)
    assert torch.equal(features, again)
    assert logits.shape == (3, 5)
    assert features.shape == (3, 16)
    torch.testing.assert_close(model.class_logits(features), logits)
    assert not torch.equal(model.classify(pixels, tokens, mask)[1], logits)


def test_a_classifier_of_images_alone_takes_no_caption(tiny_model: MakeModel, pairs: MakePairs) -> None:
    model = tiny_model(classes=5, reads="image")
    pixels, tokens, mask = pairs(model)
    with pytest.raises(ModelError, match="classifies images alone"):
        model.classify(pixels, tokens, mask)
    found = model(pixels, tokens, mask)
    torch.testing.assert_close(found.logits, model.classify(pixels)[1])
    assert found.text_embeds is not None


def test_a_model_without_classes_says_so(tiny_model: MakeModel, pairs: MakePairs) -> None:
    model = tiny_model()
    pixels, tokens, mask = pairs(model)
    with pytest.raises(ModelError, match="no class head"):
        model.classify(pixels)
    found = model(pixel_values=pixels, input_ids=tokens, attention_mask=mask)
    assert found.logits is None
    torch.testing.assert_close(found.image_embeds, model.embed_images(model.image_tokens(pixels)))
    torch.testing.assert_close(found.text_embeds, model.embed_texts(tokens, mask))


def test_half_precision_computes_similarities_in_full(tiny_model: MakeModel, pairs: MakePairs) -> None:
    model = tiny_model(classes=4, experts=2).train()
    pixels, tokens, mask = pairs(model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        image = model.image_tokens(pixels)
        images, texts = model.embed_images(image), model.embed_texts(tokens, mask)
        similar = model.similarities(images, texts)
        memory = model.memory(image)
        fused = model.fuse(memory, tokens, mask)
        words = model.decode(memory, tokens, mask)
        classes = model.class_logits(model.class_features(fused))
        loss = sum(part.float().square().mean() for part in (similar, words, classes, model.match(fused)))
    assert memory[0].keys.dtype == torch.bfloat16
    assert images.dtype == texts.dtype == similar.dtype == classes.dtype == torch.float32
    torch.testing.assert_close(images.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(similar, model.similarities(images, texts), rtol=0, atol=0)
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_the_head_moves_image_and_text(tiny_model: MakeModel, pairs: MakePairs) -> None:
    model = tiny_model(classes=30)
    pixels, tokens, mask = pairs(model)
    _, logits = model.classify(pixels, tokens, mask)
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 17, 29])).backward()
    for part in (model.head, model.image_encoder, model.text.encoder.layer[0].crossattention):
        assert all(parameter.grad is not None and parameter.grad.abs().max() > 0 for parameter in part.parameters())
    assert all(parameter.grad is None for parameter in model.language_head.parameters())


def test_random_weights_are_berts_in_the_text_part_and_timms_in_the_image_part() -> None:
    from timm import create_model

    from openmmlo.models.thp import config_for

    torch.manual_seed(0)
    model = ThpModel(config_for("thp-mini", text_width=256, text_heads=4))
    query = model.text.encoder.layer[1].causal_attention.self.query
    assert float(query.weight.std()) == pytest.approx(0.02, rel=0.05)
    assert not query.bias.any()
    assert (model.text.embeddings.LayerNorm.weight == 1).all()
    assert float(model.language_head.transform.dense.weight.std()) == pytest.approx(0.02, rel=0.05)
    torch.manual_seed(0)
    options = model.config.image_options
    expected = create_model(model.config.image_encoder, num_classes=0, **options).state_dict()
    for name, tensor in model.image_encoder.network.state_dict().items():
        assert torch.equal(tensor, expected[name]), name
