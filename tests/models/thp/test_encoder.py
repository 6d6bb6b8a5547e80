"""T-hp checkpoints behind the door: what is encoded, what is known of them, where they are found, what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_thp
import torch
from noise_images import noise_images
from safetensors.torch import load_file, save_file

from openmmlo.cli import DONE, main
from openmmlo.errors import ModelError
from openmmlo.evaluate.banks import Banks
from openmmlo.evaluate.configuration import EvalConfig
from openmmlo.evaluate.result import Notes
from openmmlo.models import Encoder, open_model
from openmmlo.models.encoder import Remarks
from openmmlo.models.thp import ThpConfig, tokenize
from openmmlo.models.thp.configuration import changed, values_of
from openmmlo.models.thp.encoder import LATER, configuration_digest, encoder_of
from openmmlo.models.thp.opening import NAMES, SHIPPED, Opened, shipped
from openmmlo.progress import Silent

NAMED = [["n1", "cat", "house cat"], ["n2", "dog"], ["n3", "bird"]]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("thp") / "classifier"
    return tiny_thp.save(folder, classes=3, class_names=NAMED, benchmark="miniature", recipe_digest="e" * 64)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_thp.save(tmp_path_factory.mktemp("thp") / "pretrained", temperature=0.05)


def pixels(count: int = 4) -> torch.Tensor:
    return torch.randn((count, 3, 16, 16), generator=torch.Generator().manual_seed(5))


def tokens(texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    return tokenize(tiny_thp.tokenizer(), texts, 24)


def test_a_classifier_gives_what_its_class_layer_reads(classifier: Path) -> None:
    encoder = open_model(str(classifier))
    model = tiny_thp.model(classes=3, class_names=NAMED)
    assert isinstance(encoder, Encoder)
    assert encoder.reads == {"image", "text", "pair"}
    assert encoder.logit_scale is None
    texts = ["a red square", "blue stars on yellow", "[mask]", ""]
    with torch.no_grad():
        for found, (features, logits) in (
            (encoder.encode_images(pixels()), model.classify(pixels())),
            (encoder.encode_pairs(pixels(), texts), model.classify(pixels(), *tokens(texts))),
        ):
            torch.testing.assert_close(found.features, features)
            torch.testing.assert_close(found.logits, logits)
        empty = encoder.encode_pairs(pixels(), [""] * 4)
        torch.testing.assert_close(empty.logits, encoder.encode_images(pixels()).logits)
        states = model.text.encode(*tokens(texts))[:, 0]
    torch.testing.assert_close(encoder.encode_texts(texts), states, rtol=1e-4, atol=1e-5)
    assert encoder.count_truncated(["red " * 40, *texts]) == 1


@pytest.mark.parametrize("head", ["thp", "cosine"])
def test_the_centres_of_a_spherical_head_explain_its_logits(head: str) -> None:
    model = tiny_thp.model(classes=3, class_names=NAMED, head=head, head_scale_start=4.0)
    encoder = encoder_of("x", Opened(model, tiny_thp.tokenizer(), 24))
    own = encoder.classifier
    assert own is not None
    assert own.names == (("n1", "cat", "house cat"), ("n2", "dog"), ("n3", "bird"))
    assert own.weight is None
    assert own.centres is not None
    found = encoder.encode_images(pixels())
    features, centres = found.features.detach().double().numpy(), own.centres.astype(np.float64)
    cosine = features @ centres.T / np.linalg.norm(features, axis=1)[:, None] / np.linalg.norm(centres, axis=1)
    expected = 4.0 * (cosine if head == "cosine" else 2 / (1 + 16 * (1 - cosine)))
    assert found.logits is not None
    np.testing.assert_allclose(found.logits.detach().numpy(), expected, rtol=1e-4)


def test_a_linear_head_is_a_linear_classifier() -> None:
    model = tiny_thp.model(classes=3, class_names=NAMED, head="linear", experts=2)
    encoder = encoder_of("x", Opened(model, tiny_thp.tokenizer(), 24))
    own, found = encoder.classifier, encoder.encode_pairs(pixels(), ["red", "blue", "green", "white"])
    assert own is not None
    assert own.weight is not None
    assert own.bias is not None
    assert own.centres is None
    assert found.logits is not None
    np.testing.assert_allclose(
        found.features.detach().numpy() @ own.weight.T + own.bias, found.logits.detach().numpy(), rtol=1e-4, atol=1e-5
    )


def test_a_head_that_saw_no_captions_reads_no_pairs() -> None:
    model = tiny_thp.model(classes=2, reads="image")
    encoder = encoder_of("x", Opened(model, tiny_thp.tokenizer(), 24))
    assert encoder.reads == {"image", "text"}
    assert encoder.classifier is not None
    assert encoder.classifier.names == ((), ())
    with pytest.raises(ModelError, match="does not read an image together with its caption"):
        encoder.encode_pairs(pixels(1), ["red"])


def test_before_fine_tuning_images_and_texts_share_a_space(pretrained: Path) -> None:
    encoder = open_model(str(pretrained))
    model = tiny_thp.model(temperature=0.05)
    assert encoder.reads == {"image", "text"}
    assert encoder.classifier is None
    assert encoder.logit_scale == pytest.approx(20.0)
    texts = [*tiny_thp.TEXTS, "red", "a white heart"]
    images, words = encoder.encode_images(pixels(64)).features, encoder.encode_texts(texts)
    torch.testing.assert_close(images.norm(dim=1), torch.ones(64))
    torch.testing.assert_close(words.norm(dim=1), torch.ones(5))
    similar = model.similarities(images, words)
    assert similar.argmax(1).unique().numel() > 1
    assert torch.equal(similar.argmax(1), (images @ words.T).argmax(1))
    torch.testing.assert_close(similar, 20 * 2 / (1 + 16 * (1 - images @ words.T)), rtol=1e-4, atol=1e-4)


def test_images_are_squeezed_onto_the_square_and_gradients_reach_the_pixels(classifier: Path) -> None:
    encoder = open_model(str(classifier))
    image = noise_images(1)[0].resize((40, 20))
    made = encoder.transform(image)
    expected = np.asarray(image.resize((16, 16), 3), np.float32).transpose(2, 0, 1) / 255  # 3 is bicubic
    np.testing.assert_allclose(made.numpy(), (expected - 0.5) / 0.5, atol=1e-6)
    assert encoder.transform.record["resize"] == [16, 16]
    leaf = pixels(2).requires_grad_()
    found = encoder.encode_images(leaf)
    assert found.logits is not None
    (gradient,) = torch.autograd.grad(found.logits[0].sum(), leaf)
    assert gradient[0].abs().max() > 0
    assert gradient[1].abs().max() == 0  # images are not mixed
    with pytest.raises(ModelError, match="does not take pixels of 3 x 24 x 24"):
        encoder.encode_images(torch.zeros(1, 3, 24, 24))
    with torch.no_grad():
        half = open_model(str(classifier), dtype="bfloat16").encode_images(pixels()).features
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, encoder.encode_images(pixels()).features, rtol=0.1, atol=0.1)


def test_identity_says_what_decides_a_feature_and_where_from(classifier: Path, tmp_path: Path) -> None:
    found = open_model(str(classifier)).identity()
    assert found["library"] == "openmmlo"
    assert found["architecture"] == "thp-mini"
    assert found["benchmark"] == "miniature"
    assert found["recipe"] == "e" * 64
    assert found["text_length"] == 24
    assert all(len(found[key]) == 64 for key in ("weights", "tokenizer", "configuration"))
    assert str(classifier.parent) not in json.dumps(found)
    copied = shutil.copytree(classifier, tmp_path / "elsewhere")
    assert open_model(str(copied)).identity() == found

    def changed(key: str, **changes: Any) -> bool:
        other = tiny_thp.save(tmp_path / key, 1 if key == "weights" else 0, **changes)
        given = open_model(str(other)).identity()
        return bool(given[key] != found[key])

    own = {"classes": 3, "class_names": NAMED, "benchmark": "miniature", "recipe_digest": "e" * 64}
    assert changed("weights", **own)
    assert changed("configuration", **own, head_kappa=8.0)


def test_values_that_came_later_change_no_digest_of_a_model_without_them() -> None:
    """Results and caches of the models that ship with the package stay theirs."""
    found = {name: configuration_digest(ThpConfig.from_pretrained(SHIPPED / name)) for name in shipped()}
    assert found["thp-mini"] == "87e4342fc9ceb2400e0bbece5cbae289d39fff14ae694581744e4dd7524c3438"
    assert found["thp-mini-pretrained"] == "30e6fde1dbd6455310a0ee5e830f849b6149ed1dbec8f7799c16eefbf55700bf"
    plain = tiny_thp.config(classes=3, head="linear")
    digests = {configuration_digest(changed(values_of(plain), **one)) for one in ({}, *({key: value} for key, value in
               {"head_r_start": 0.4, "class_scales": True}.items()))}  # fmt: skip
    assert len(digests) == 3
    assert all(getattr(ThpConfig(), name) == value for name, value in LATER.items())


def test_class_scales_are_part_of_the_rows_that_detectors_read(tmp_path: Path) -> None:
    model = tiny_thp.model(classes=3, head="linear", class_scales=True)
    with torch.no_grad():
        model.head.class_scales.copy_(torch.tensor([0.5, 1.0, 3.0]))
    model.save_pretrained(tmp_path / "scaled")
    tiny_thp.tokenizer().save_pretrained(tmp_path / "scaled")
    encoder = open_model(str(tmp_path / "scaled"))
    found = encoder.encode_images(pixels())
    classifier = encoder.classifier
    assert classifier is not None
    assert classifier.bias is not None
    expected = found.features.numpy() @ classifier.weight.T + classifier.bias
    np.testing.assert_allclose(found.logits, expected, rtol=1e-4, atol=1e-5)


def test_known_names_take_a_folder_or_a_file_of_weights(classifier: Path, tmp_path: Path) -> None:
    expected = open_model(str(classifier)).identity()
    for weights in (classifier, classifier / "model.safetensors"):
        encoder = open_model("thp-mini", weights=weights)
        assert encoder.name == "thp-mini"
        assert encoder.identity() == expected
    other = tmp_path / "other"
    shutil.copytree(classifier, other)
    state = load_file(other / "model.safetensors")
    save_file({key: value + 1 for key, value in state.items()}, other / "later.safetensors")
    assert open_model("thp-mini", weights=other / "later.safetensors").identity()["weights"] != expected["weights"]


def test_shipped_weights_are_opened_by_name_alone(
    classifier: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shutil.copytree(classifier, tmp_path / "thp-mini")
    monkeypatch.setattr("openmmlo.models.thp.opening.SHIPPED", tmp_path)
    assert open_model("thp-mini").identity() == open_model(str(classifier)).identity()


def test_what_does_not_fit_a_name_is_refused(classifier: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"are of 'thp-mini'; thp-vit-b is 'thp-vit-b'.*--model DIR"):
        open_model("thp-vit-b", weights=classifier)
    alone = tmp_path / "alone.safetensors"
    shutil.copy(classifier / "model.safetensors", alone)
    with pytest.raises(ModelError, match=r"no config.json lies beside them.*--weights DIR"):
        open_model("thp-mini", weights=alone)
    with pytest.raises(ModelError, match="does not exist"):
        open_model("thp-mini", weights=tmp_path / "nothing.pt")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "config.json").write_text('{"model_type": "clip"}')
    with pytest.raises(ModelError, match="are of a clip model, not of a T-hp one"):
        open_model("thp-mini", weights=foreign)


def test_damaged_folders_are_refused(classifier: Path, tmp_path: Path) -> None:
    def damaged(name: str) -> Path:
        return shutil.copytree(classifier, tmp_path / name)

    cut = damaged("cut")
    state = load_file(cut / "model.safetensors")
    save_file(
        {key: value for key, value in state.items() if not key.startswith("match_head")}, cut / "some.safetensors"
    )
    with pytest.raises(ModelError, match=r"2 are missing.*match_head.bias"):
        open_model("thp-mini", weights=cut / "some.safetensors")
    without = damaged("without")
    (without / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="holds no complete weights"):
        open_model(str(without))
    wordless = damaged("wordless")
    (wordless / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match="tokenizer"):
        open_model(str(wordless))
    renumbered = damaged("renumbered")
    values = json.loads((renumbered / "config.json").read_text())
    values |= {"enc_token_id": values["dec_token_id"], "dec_token_id": values["enc_token_id"]}
    (renumbered / "config.json").write_text(json.dumps(values))
    with pytest.raises(ModelError, match=r"dec_token_id is 6 in config.json and 5 in the tokenizer"):
        open_model(str(renumbered))


def test_a_checkpoint_in_the_hubs_cache_is_opened_offline(
    classifier: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    commit = "0123456789abcdef0123456789abcdef01234567"
    repo = tmp_path / "models--owner--tiny"
    shutil.copytree(classifier, repo / "snapshots" / commit)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(commit)
    expected = open_model(str(classifier)).identity()
    assert open_model("hf:owner/tiny").identity() == expected | {"revision": commit}


def test_remarks_on_a_model_are_warnings_of_its_results() -> None:
    model = tiny_thp.model(classes=2)
    encoder = encoder_of("x", Opened(model, tiny_thp.tokenizer(), 24, remarks=("Its head was never trained.",)))
    assert isinstance(encoder, Remarks)
    notes = Notes()
    Banks(EvalConfig(model="x"), encoder, None, notes, Silent())  # type: ignore[arg-type]
    assert notes.warnings == ["Its head was never trained."]


def test_every_name_has_an_architecture() -> None:
    from openmmlo.models import MODELS
    from openmmlo.models.thp import ARCHITECTURES

    assert set(NAMES) == {name for name in MODELS if name.startswith("thp-")}
    assert set(NAMES.values()) == set(ARCHITECTURES) - {"thp-tiny"}  # of experiments alone; nothing is shipped of it


@pytest.mark.slow
def test_an_evaluation_compares_nothing_across_spaces_and_shows_the_models_own_captions(
    pretrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    built = tmp_path / "built"
    options = {"size": 32, "largest": 6, "ratio": 3, "test_per_class": 1, "near_per_class": 1}
    settings = [word for key, value in options.items() for word in ("--set", f"{key}={value}")]
    splits = [word for split in ("train", "test", "near_ood") for word in ("--split", split)]
    assert main(["build", "miniature", "--out", str(built), "--quiet", "--no-measure", *splits, *settings]) == DONE
    classes = json.loads((built / "classes.json").read_text())["classes"]
    names = [[item["key"], item["name"]] for item in classes]
    own = tiny_thp.save(tmp_path / "own", classes=len(names), class_names=names, benchmark=str(built), head="thp")

    def result(folder: Path, *more: str) -> dict[str, Any]:
        words = ["eval", "--model", str(folder), "--out", str(tmp_path / "results"), "--workers", "0", "--quiet"]
        words += ["--detector", "odin", "--detector", "knn"]
        capsys.readouterr()
        assert main([*words, "--cache", str(tmp_path / "cache"), "--json", "--no-report", *more]) == DONE
        found: dict[str, Any] = json.loads(capsys.readouterr().out)["results"][0]["result"]
        return found

    found = result(own)  # the checkpoint's own benchmark, which it names
    assert found["classifier"]["kind"] == "model"
    assert found["digests"]["recipe"] is None
    assert "share no space" in found["classifier"]["not_available"]["zero-shot"]
    geometry = found["measured"]["geometry"]
    assert geometry["basis"] == "images"
    assert all("share no space" in geometry["reasons"][name] for name in ("intra", "inter", "ood", "modality_gap"))
    assert geometry["weights"]["summary"]["inter"]["mean"] > 0
    captions = found["measured"]["captions"]
    assert captions["masked"]["both"]["reads"] == "pairs"
    scored = found["scored"]["classification"]["test"]
    assert captions["own"]["image_only"]["top1_samples"] == scored["top1_samples"]
    assert captions["own"]["masked"]["rows"] == captions["own"]["raw"]["rows"] == scored["rows"] == len(names)
    (outside,) = found["scored"]["ood"].values()
    assert set(outside["detectors"]) == {"odin", "knn"}

    found = result(pretrained, "--benchmark", str(built))
    assert found["classifier"]["kind"] == "zero-shot"
    assert found["classifier"]["choices"]["scale"] == pytest.approx(20.0)
    assert found["measured"]["geometry"]["basis"] == "captions"
    assert found["measured"]["geometry"]["summary"]["intra"]["mean"] > 0
    assert "own" not in found["measured"]["captions"]
