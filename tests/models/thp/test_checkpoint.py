"""Saved, loaded, published: the same model; and checkpoints that do not fit."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_thp
import torch
from hub import Hub
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModel

from openmmlo.errors import ConfigError, ModelError
from openmmlo.models import open_model
from openmmlo.models.thp import ThpConfig, ThpModel, load_model, register, tokenize
from openmmlo.train.run import halved

MakeModel = Callable[..., ThpModel]
MakePairs = Callable[..., Any]


@pytest.fixture
def saved(tiny_model: MakeModel, tmp_path: Path) -> Callable[..., tuple[ThpModel, Path]]:
    def save(**values: Any) -> tuple[ThpModel, Path]:
        model = tiny_model(**values)
        with torch.no_grad():
            model.temperature.fill_(0.031)
        model.save_pretrained(tmp_path / "saved")
        return model, tmp_path / "saved"

    return save


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"classes": 3, "class_names": [["a"], ["b"], ["c"]], "experts": 2, "trainable_kappa": True},
        {"classes": 3, "head": "wrapped-cauchy", "head_r_start": 0.2},
        {"classes": 3, "head": "linear", "class_scales": True},
        {"classes": 3, "head": "linear", "image_encoder": "test_resnet", "image_options": {}, "image_size": 64},
    ],
)
def test_saved_and_loaded_it_is_the_same_bit_for_bit(saved: Any, pairs: MakePairs, values: dict[str, Any]) -> None:
    model, folder = saved(**values)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    register()
    register()
    pixels, tokens, mask = pairs(model)
    config = AutoConfig.from_pretrained(folder)
    assert isinstance(config, ThpConfig)
    assert config.class_names == values.get("class_names", [])
    for again in (
        ThpModel.from_pretrained(folder).eval(),
        AutoModel.from_pretrained(folder).eval(),
        load_model(folder),
    ):
        assert isinstance(again, ThpModel)
        assert not again.training
        state = again.state_dict()
        assert state.keys() == model.state_dict().keys()
        for name, tensor in model.state_dict().items():
            assert torch.equal(state[name], tensor), name
        with torch.no_grad():
            found, expected = again(pixels, tokens, mask), model(pixels, tokens, mask)
            assert found.keys() == expected.keys()
            for name in expected:
                assert torch.equal(found[name], expected[name]), name
            assert torch.equal(again.similarities(found.image_embeds, found.text_embeds),
                               model.similarities(found.image_embeds, found.text_embeds))  # fmt: skip
            assert torch.equal(again.generate_captions(pixels), model.generate_captions(pixels))


def test_half_of_the_bytes_are_read_in_full_precision(saved: Any, tmp_path: Path) -> None:
    model, _ = saved()
    model.half().save_pretrained(tmp_path / "half")
    again = load_model(tmp_path / "half")
    assert {parameter.dtype for parameter in again.parameters()} == {torch.float32}
    assert torch.equal(again.match_head.weight, model.match_head.weight.float())


@pytest.mark.parametrize("head", ["thp", "linear"])
def test_weights_stored_in_half_precision_are_computed_with_in_full(tmp_path: Path, head: str) -> None:
    """As ``stored: fp16`` leaves a folder: transformers and openmmlo alike open it in float32, tokenizer included."""
    folder = tmp_path / "half"
    model = tiny_thp.model(classes=3, head=head, experts=2)
    model.save_pretrained(folder, state_dict=halved(model.state_dict()))
    tiny_thp.tokenizer().save_pretrained(folder)
    assert {value.dtype for value in load_file(folder / "model.safetensors").values()} == {torch.float16}
    assert json.loads((folder / "config.json").read_text())["dtype"] == "float32"
    register()
    texts = ["a small red square", "", "two [mask]s on a dark ground"]
    tokens, mask = tokenize(tiny_thp.tokenizer(), texts, 24)
    pixels = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    rounded = {name: value.half().float() for name, value in model.state_dict().items()}
    model.load_state_dict(rounded)
    encoder = open_model(str(folder), device="cpu")
    with torch.no_grad():
        expected = model(pixels, tokens, mask).logits
        again = AutoModel.from_pretrained(folder).eval()
        assert {value.dtype for value in again.state_dict().values()} == {torch.float32}
        assert torch.equal(again(pixels, tokens, mask).logits, expected)
        found = encoder.encode_pairs(pixels, texts)
        assert found.logits is not None
        torch.testing.assert_close(found.logits, expected)


@pytest.mark.parametrize("head", ["thp", "linear"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_model_opened_in_half_precision_computes(tmp_path: Path, head: str, dtype: torch.dtype) -> None:
    """As ``AutoModel.from_pretrained(folder, dtype=...)`` gives it, on a CPU; unit vectors and scores are float32."""
    model = tiny_thp.model(classes=3, head=head, experts=2, head_scale_start=3.0)
    model.save_pretrained(tmp_path / "saved")
    register()
    half = AutoModel.from_pretrained(tmp_path / "saved", dtype=dtype).eval()
    assert {value.dtype for value in half.state_dict().values()} == {dtype}
    tokens, mask = tokenize(tiny_thp.tokenizer(), ["a small red square", "two green stars", ""], 24)
    pixels = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, found = model(pixels, tokens, mask), half(pixels.to(dtype), tokens, mask)
        for name in ("image_embeds", "text_embeds", "logits"):
            assert found[name].dtype == torch.float32
            torch.testing.assert_close(found[name], expected[name], rtol=0.1, atol=0.1)
        assert half.generate_captions(pixels.to(dtype), max_length=4).shape[0] == 3


def test_a_pretrained_model_gets_a_head(saved: Any, pairs: MakePairs) -> None:
    model, folder = saved()
    names = [["a"], ["b"]]
    found = load_model(folder, new_head=True, classes=2, class_names=names, experts=3, router_top_k=1, dropout=0.0)
    pixels, tokens, mask = pairs(model)
    assert found.classify(pixels, tokens, mask)[1].shape == (3, 2)
    assert found.config.class_names == names
    assert found.text.embeddings.dropout.p == 0.0
    assert torch.equal(found.embed_texts(tokens, mask), model.embed_texts(tokens, mask))


def test_another_head_takes_the_place_of_the_old_one(saved: Any) -> None:
    model, folder = saved(classes=3, class_names=[["a"], ["b"], ["c"]])
    found = load_model(folder, new_head=True, classes=3, class_names=[["x"], ["y"], ["z"]])
    assert not torch.equal(found.head.centres, model.head.centres)
    assert torch.equal(found.match_head.weight, model.match_head.weight)
    assert load_model(folder, new_head=True, classes=0, class_names=[]).head is None
    kept = load_model(folder)
    assert torch.equal(kept.head.centres, model.head.centres)


def test_a_linear_head_is_given_class_scales_that_change_nothing(saved: Any, pairs: MakePairs) -> None:
    model, folder = saved(classes=3, head="linear")
    found = load_model(folder, class_scales=True)
    assert found.head.class_scales.tolist() == [1.0] * 3
    pixels, tokens, mask = pairs(model)
    with torch.no_grad():
        assert torch.equal(found.classify(pixels, tokens, mask)[1], model.classify(pixels, tokens, mask)[1])
        found.head.class_scales.copy_(torch.tensor([1.0, 2.0, 0.5]))
        found.save_pretrained(folder)
        again = load_model(folder)
        assert torch.equal(again.classify(pixels, tokens, mask)[1], found.classify(pixels, tokens, mask)[1])


def test_class_scales_that_a_checkpoint_should_have_are_not_made_up(saved: Any) -> None:
    _, folder = saved(classes=3, head="linear")
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, "class_scales": True}))
    with pytest.raises(ModelError, match=r"missing \(head\.class_scales"):
        load_model(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": 4, "class_names": []}, r"head.centres \(3, 16\) for \(4, 16\).*take a new one"),
        ({"experts": 2}, r"missing \(head.adapter.*take a new one"),
        ({"text_width": 32}, "weights are of another shape"),
        ({"text_layers": 3}, r"missing \(text.encoder.layer.2"),
        ({"text_layers": 1}, r"of no use to it \(text.encoder.layer.1"),
        ({"text_length": 9}, r"position_embeddings.weight \(12, 16\) for \(9, 16\)"),
    ],
)
def test_a_checkpoint_of_another_shape(saved: Any, changes: dict[str, Any], message: str) -> None:
    _, folder = saved(classes=3)
    with pytest.raises(ModelError, match=message):
        load_model(folder, **changes)


def test_what_is_no_checkpoint_of_this_model(saved: Any, tmp_path: Path) -> None:
    _, folder = saved()
    with pytest.raises(ConfigError, match=r"no value 'clases'\. Did you mean 'classes'"):
        load_model(folder, clases=2)
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"holds no model\.safetensors"):
        load_model(folder)
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, "model_type": "bert"}))
    with pytest.raises(ModelError, match="is a 'bert'; expected model_type 'thp'"):
        load_model(folder)
    with pytest.raises(ModelError, match=r"Cannot read config\.json"):
        load_model(tmp_path)


def test_importing_the_room_loads_no_torch() -> None:
    program = (
        "import sys; from openmmlo.models.thp import ARCHITECTURES, register; "
        "print(len(ARCHITECTURES), 'torch' in sys.modules, 'transformers' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["5", "False", "False"]


@pytest.mark.slow
def test_published_and_loaded_by_name_it_is_the_same(saved: Any, pairs: MakePairs, tmp_path: Path) -> None:
    model, folder = saved(classes=3)
    program = (
        "import sys, torch; from transformers import AutoModel; from openmmlo.models.thp import ThpModel, register; "
        "register(); ThpModel.from_pretrained(sys.argv[1]).push_to_hub('someone/mini'); "
        "torch.save(AutoModel.from_pretrained('someone/mini').state_dict(), sys.argv[2])"
    )
    from hub_repos import USER

    with Hub() as hub:
        program = program.replace("someone", USER)
        arguments = [sys.executable, "-c", program, str(folder), str(tmp_path / "again.pt")]
        subprocess.run(arguments, env=hub.environment(tmp_path / "home"), check=True, capture_output=True)
        assert hub.uploads
    again = torch.load(tmp_path / "again.pt", weights_only=True)
    assert again.keys() == model.state_dict().keys()
    for name, tensor in model.state_dict().items():
        assert torch.equal(again[name], tensor)
