"""The authors' layout: written by hand from a tiny model, read back to equal outputs; what is odd in it is named."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tiny_thp
import torch
import torch.nn.functional as F  # noqa: N812

from openmmlo.errors import ConfigError, ModelError
from openmmlo.models import open_model
from openmmlo.models.thp import ARCHITECTURES, ThpModel, config_for, token_ids, tokenize
from openmmlo.models.thp.architectures import Architecture
from openmmlo.models.thp.opening import open_named
from openmmlo.models.thp.released import Released, as_released, is_released, read_released
from openmmlo.records import ClassInfo, DatasetInfo
from openmmlo.train.finetune import FinetuneTask
from openmmlo.train.recipe import FinetuneRecipe

State = dict[str, torch.Tensor]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def pretrained(model: ThpModel) -> State:
    """A pre-training checkpoint as the release's runner saves it: twice what is shared, momentum copies, queues."""
    own = model.state_dict()
    found: State = {}
    for key, value in own.items():
        if key.startswith("image_encoder.network."):
            found[key.replace("image_encoder.network.", "visual_encoder.")] = value
            found[key.replace("image_encoder.network.", "visual_encoder_m.")] = value + 1
        elif key.startswith("text.") and ".causal_attention." in key:
            found["text_decoder.bert." + key.removeprefix("text.").replace("causal_attention", "attention")] = value
        elif key.startswith("text."):
            bare = key.removeprefix("text.")
            found[f"text_encoder.{bare}"] = value
            found[f"text_encoder_m.{bare}"] = value + 1
            if ".attention." not in bare:
                found[f"text_decoder.bert.{bare}"] = value
        elif key.startswith("language_head."):
            found["text_decoder.cls.predictions." + key.removeprefix("language_head.")] = value
    found["text_decoder.cls.predictions.decoder.weight"] = own["text.embeddings.word_embeddings.weight"]
    found["text_decoder.cls.predictions.decoder.bias"] = own["language_head.bias"]
    for there, here in (("vision_proj", "image_projection"), ("text_proj", "text_projection")):
        for part in ("weight", "bias"):
            found[f"{there}.{part}"] = own[f"{here}.{part}"]
            found[f"{there}_m.{part}"] = own[f"{here}.{part}"] + 1
    found |= {"itm_head.weight": own["match_head.weight"], "itm_head.bias": own["match_head.bias"]}
    found |= {"temp": own["temperature"], "queue_ptr": torch.zeros(1, dtype=torch.long)}
    found |= {"image_queue": torch.randn(16, 8), "text_queue": torch.randn(16, 8)}
    for part in ("text_encoder", "text_decoder.bert"):
        found[f"{part}.embeddings.position_ids"] = torch.arange(24)[None]
    return {key: value.clone() for key, value in found.items()}


def finetuned(model: ThpModel, head: State) -> State:
    """A fine-tuning checkpoint: encoders and a class head, with its momentum copy."""
    kept = {key: value for key, value in pretrained(model).items() if re.match(r"(visual|text)_encoder\.", key)}
    return kept | head | {key.replace("cls_head", "cls_head_m"): value + 1 for key, value in head.items()}


def read(state: State, **changes: Any) -> Released:
    """Read with the tiny model's values that no tensor shows; the others are left at thp-vit-b's, which are wrong."""
    hidden = {key: tiny_thp.SIZES[key] for key in ("image_encoder", "image_options", "image_size", "text_heads",
              "text_width", "text_layers", "text_intermediate")}  # fmt: skip
    marks = {key: value for key, value in token_ids(tiny_thp.tokenizer()).items() if key != "vocab_size"}
    return read_released(state, "thp-vit-b", "checkpoint_best.pth", **hidden, **marks, **changes)


def made(found: Released) -> ThpModel:
    model = ThpModel(found.config)
    model.load_state_dict(found.state)
    return model.eval()


def inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    pixels = torch.randn((3, 3, 16, 16), generator=torch.Generator().manual_seed(2))
    return pixels, *tokenize(tiny_thp.tokenizer(), tiny_thp.TEXTS, 24)


def head_of(width: int, classes: int, kind: str) -> State:
    generator = torch.Generator().manual_seed(9)

    def linear(place: int, rows: int) -> State:
        return {
            f"cls_head.{place}.weight": torch.randn((rows, width), generator=generator),
            f"cls_head.{place}.bias": torch.randn(rows, generator=generator),
        }

    if kind == "mlp":
        return linear(0, width) | linear(2, classes)
    centres = {"cls_head.3.weight": torch.randn((classes, width), generator=generator)}
    return (
        linear(0, width)
        | linear(2, width)
        | centres
        | ({"cls_head.3.s_": torch.tensor([0.7])} if kind == "tSP" else {})
    )


@torch.no_grad()
def test_a_pretrained_file_gives_the_outputs_of_the_model_it_was_written_from() -> None:
    model = tiny_thp.model(3, temperature=0.11)
    found = read(pretrained(model))
    assert is_released(pretrained(model))
    assert not is_released(model.state_dict())
    assert (found.config.vocab_size, found.config.text_length, found.config.projection) == (120, 24, 16)
    assert found.lacks == found.remarks == ()
    assert found.text_length == 24  # of at most 30, which is what its pre-training reads
    other = made(found)
    pixels, tokens, mask = inputs()
    image = model.image_tokens(pixels)
    assert torch.equal(image, other.image_tokens(pixels))
    assert torch.equal(model.embed_images(image), other.embed_images(image))
    assert torch.equal(model.embed_texts(tokens, mask), other.embed_texts(tokens, mask))
    assert torch.equal(model.match(model.fuse(image, tokens, mask)), other.match(other.fuse(image, tokens, mask)))
    assert torch.equal(model.decode(image, tokens, mask), other.decode(image, tokens, mask))
    assert torch.equal(model.similarities(image[:, 0], image[:, 1]), other.similarities(image[:, 0], image[:, 1]))


@pytest.mark.parametrize("kind", ["tSP", "Cosine", "mlp"])
@torch.no_grad()
def test_a_fine_tuned_file_gives_the_head_that_it_holds(kind: str) -> None:
    model = tiny_thp.model(4)
    head = head_of(32, 5, kind)
    found = read(finetuned(model, head))
    assert found.config.classes == 5
    assert found.lacks == ("text decoder", "projections", "matching head")
    assert any("no text decoder, no projections, no matching head" in remark for remark in found.remarks)
    assert any("never trained" in remark for remark in found.remarks) == (kind == "tSP")
    pixels, tokens, mask = inputs()
    features, logits = made(found).classify(pixels, tokens, mask)
    # By the release's own formulas: [CLS] stays in front, and the whole head is used.
    state = model.text.encode(tokens, mask, model.memory(model.image_tokens(pixels)))[:, 0]
    inner = F.relu(F.linear(state, head["cls_head.0.weight"], head["cls_head.0.bias"]))
    outer = F.linear(inner, head["cls_head.2.weight"], head["cls_head.2.bias"])
    close = partial(torch.testing.assert_close, rtol=1e-4, atol=1e-4)  # float32, in another order of operations
    if kind == "mlp":
        close(features, inner)
        close(logits, outer)
        return
    close(features, outer)
    cosine = F.normalize(outer) @ F.normalize(head["cls_head.3.weight"]).T
    expected = cosine if kind == "Cosine" else 2 / (1 + 16 * (1 - cosine)) * (1 + F.softplus(torch.tensor(0.7)))
    close(logits, expected)


def test_parts_that_are_absent_are_the_same_every_time() -> None:
    state = finetuned(tiny_thp.model(4), head_of(32, 5, "tSP"))
    first, second = read(state).state, read(state).state
    assert first.keys() == tiny_thp.model(classes=5).state_dict().keys()
    assert all(torch.equal(value, second[key]) for key, value in first.items())


@pytest.fixture
def _small_vit_b(monkeypatch: pytest.MonkeyPatch) -> None:
    """thp-vit-b with fewer and narrower layers."""
    options = {"img_size": 64, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2}
    small = ARCHITECTURES["thp-mini"].values | {"image_encoder": "vit_tiny_patch16_224", "image_options": options}
    monkeypatch.setitem(ARCHITECTURES, "thp-vit-b", Architecture("small", small))


@pytest.mark.usefixtures("_small_vit_b")
def test_sizes_are_those_that_the_tensors_show() -> None:
    state = pretrained(ThpModel(config_for("thp-vit-b", image_size=40, vocab_size=90, text_length=19, projection=24)))
    config = read_released(state, "thp-vit-b", "x").config
    assert (config.image_size, config.image_options["img_size"]) == (40, 40)
    assert (config.vocab_size, config.text_length, config.projection) == (90, 19, 24)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text_encoder.encoder.layer.0.adapter.weight": torch.zeros(2)}, r"1 weights .* are of no part .*adapter"),
        ({"audio_encoder.weight": torch.zeros(2)}, r"1 names are not of the released layout \(audio_encoder.weight\)"),
        ({"vision_proj.weight": torch.zeros(16, 31)}, r"misshaped \(vision_proj.weight \(16, 31\), expected"),
        ({"text_decoder.bert.embeddings.LayerNorm.weight": torch.zeros(32)}, "are one weight in the released model"),
        ({"visual_encoder.pos_embed": torch.zeros(1, 4, 32)}, r"has 4 places; expected 1 \+ n \* n"),
        ({"itm_head.bias": None}, r"1 weights .* are missing \(itm_head.bias\)"),
        ({"text_encoder.encoder.layer.1.output.dense.bias": None,
          "text_decoder.bert.encoder.layer.1.output.dense.bias": None}, r"missing \(text_encoder.encoder.layer.1"),
        ({"text_decoder.bert.encoder.layer.1.attention.self.key.bias": None},
         r"missing \(text_decoder.bert.encoder.layer.1.attention.self.key.bias\)"),
    ],
)  # fmt: skip
def test_what_is_not_of_the_layout_is_named(change: dict[str, torch.Tensor | None], message: str) -> None:
    state: dict[str, Any] = pretrained(tiny_thp.model()) | change
    with pytest.raises(ModelError, match=rf"checkpoint_best.pth.*{message}"):
        read({key: value for key, value in state.items() if value is not None})


def test_a_file_of_a_run_that_froze_the_image_encoder_says_so() -> None:
    state = finetuned(tiny_thp.model(), head_of(32, 5, "tSP"))
    with pytest.raises(ModelError, match=r"holds no visual_encoder.*: runs that freeze"):
        read({key: value for key, value in state.items() if not key.startswith("visual_encoder")})


def test_the_release_has_no_resnext() -> None:
    with pytest.raises(ModelError, match="no released layout"):
        read_released({"visual_encoder.x": torch.zeros(1)}, "thp-resnext50", "x")


def test_captions_are_reworded_as_the_release_reads_them() -> None:
    assert as_released('The "Red" square, (left of it): a [mask]. ') == "the red square , left of it a [ mask ]"


@pytest.mark.usefixtures("_small_vit_b")
@pytest.mark.parametrize("wrapped", [True, False])
def test_weights_names_a_released_file(wrapped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = tiny_thp.tokenizer()
    monkeypatch.setattr(
        "openmmlo.models.thp.tokenizer.open_tokenizer", lambda name: {"bert-base-uncased": tokenizer}[name]
    )
    torch.manual_seed(0)
    model = ThpModel(config_for("thp-vit-b", **token_ids(tokenizer))).eval()
    state = pretrained(model)
    torch.save({"model": state, "epoch": 3, "config": {"run": {}}} if wrapped else state, tmp_path / "checkpoint_3.pth")
    opened = open_named("thp-vit-b", tmp_path / "checkpoint_3.pth")
    assert opened.text_length == 30  # of 64 positions
    encoder = open_model("thp-vit-b", weights=tmp_path / "checkpoint_3.pth")
    pixels = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(
            encoder.encode_images(pixels).features, model.embed_images(model.image_tokens(pixels))
        )
        expected = model.embed_texts(*tokenize(tokenizer, ["a red [ mask ] , left"], 30))
    torch.testing.assert_close(encoder.encode_texts(["A (red) [mask], left!"]), expected)
    assert encoder.count_truncated(["red " * 29]) == 1


@pytest.mark.usefixtures("_small_vit_b")
def test_fine_tuning_starts_from_a_released_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = tiny_thp.tokenizer()
    monkeypatch.setattr("openmmlo.models.thp.tokenizer.open_tokenizer", lambda name: tokenizer)
    torch.manual_seed(0)
    model = ThpModel(config_for("thp-vit-b", **token_ids(tokenizer)))
    file = tmp_path / "checkpoint_3.pth"
    torch.save({"model": finetuned(model, head_of(128, 5, "tSP"))}, file)
    info = DatasetInfo("pictures", "1", "cc0-1.0", (ClassInfo("a", "ant"), ClassInfo("b", "bee")), (4, 4))
    train = SimpleNamespace(labels=np.zeros(8))
    data: Any = SimpleNamespace(dataset=SimpleNamespace(info=info), train=train, class_counts=np.array([8, 0]))
    recipe = FinetuneRecipe(weights=str(file), model="thp-vit-b", text_length=64, experts=2)
    made = FinetuneTask(recipe).objective(tokenizer, data).model
    assert (made.config.classes, made.config.experts, made.config.text_length) == (2, 2, 64)
    image, text = model.image_encoder.state_dict(), model.text.state_dict()
    assert all(torch.equal(value, image[key]) for key, value in made.image_encoder.state_dict().items())
    # The release's classifier has [CLS] in front where ours has [ENC]; its decoder is in no such file.
    text["embeddings.word_embeddings.weight"][made.config.enc_token_id] = text["embeddings.word_embeddings.weight"][
        made.config.cls_token_id
    ]
    now = made.text.state_dict()
    assert {
        key for key, value in text.items() if not torch.equal(now[key], value) and ".causal_att" not in key
    } == set()
    with pytest.raises(ConfigError, match=r"'checkpoint_3\.pth', which does not say its architecture"):
        FinetuneTask(replace(recipe, model=None)).check(data)
    with pytest.raises(ModelError, match=r"text_length is 65, and weights .* have places for 64 tokens"):
        FinetuneTask(replace(recipe, text_length=65)).objective(tokenizer, data)


@torch.no_grad()
def test_text_encoder_and_decoder_are_those_of_blip_as_transformers_has_it() -> None:
    from transformers import BlipTextConfig
    from transformers.models.blip.modeling_blip_text import BlipTextLMHeadModel, BlipTextModel

    settings = BlipTextConfig(
        vocab_size=120, hidden_size=32, encoder_hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=24, hidden_act="gelu", is_decoder=True,
    )  # fmt: skip
    torch.manual_seed(8)
    encoder, decoder = BlipTextModel(settings, add_pooling_layer=False).eval(), BlipTextLMHeadModel(settings).eval()
    for weight in [*encoder.parameters(), *decoder.parameters()]:
        weight.normal_(0.0, 0.3)
    shared = {key: value for key, value in encoder.state_dict().items() if ".attention." not in key}
    decoder.bert.load_state_dict(shared, strict=False)
    model = tiny_thp.model(1)
    state = {key: value for key, value in pretrained(model).items() if not key.startswith("text_encoder")}
    state = {key: value for key, value in state.items() if not key.startswith("text_decoder")}
    state |= {f"text_encoder.{key}": value for key, value in encoder.state_dict().items()}
    state |= {f"text_decoder.{key}": value for key, value in decoder.state_dict().items()}
    found = made(read(state))
    pixels, tokens, mask = inputs()
    image = found.image_tokens(pixels)
    begun = torch.cat([torch.full_like(tokens[:, :1], found.config.enc_token_id), tokens[:, 1:]], 1)
    alone = encoder(input_ids=tokens, attention_mask=mask, is_decoder=False).last_hidden_state[:, 0]
    torch.testing.assert_close(found.text.encode(tokens, mask)[:, 0], alone, rtol=1e-4, atol=1e-5)
    seen = encoder(input_ids=begun, attention_mask=mask, encoder_hidden_states=image, is_decoder=False)
    torch.testing.assert_close(found.fuse(image, tokens, mask), seen.last_hidden_state[:, 0], rtol=1e-4, atol=1e-5)
    begun[:, 0] = found.config.dec_token_id
    written = decoder(input_ids=begun, attention_mask=mask, encoder_hidden_states=image).logits
    real = mask.bool()
    torch.testing.assert_close(found.decode(image, tokens)[real], written[real], rtol=1e-4, atol=1e-4)
