"""The scene captioner: true captions of the miniature, and a plain word to every other source."""

from __future__ import annotations

import io
import itertools
import json
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from openmmlo.building.captioners import Captioner, open_captioner
from openmmlo.errors import ConfigError, ModelError
from openmmlo.records import Sample
from openmmlo.sources.files import FileImage
from openmmlo.sources.miniature import SPLITS, Miniature, picture_at
from openmmlo.sources.miniature_captions import caption_of


def prepared(captioner: Captioner, samples: list[Sample]) -> list[object]:
    return [captioner.prepare(sample, Image.open(io.BytesIO(sample.image.read()))) for sample in samples]


@pytest.mark.parametrize("split", SPLITS)
def test_captions_every_split_in_order(split: str) -> None:
    captioner = open_captioner("scene")
    assert isinstance(captioner, Captioner)
    captioner.load(worker=1)
    samples = list(itertools.islice(Miniature(seed=5, size=32).samples(split), 6))
    inputs = pickle.loads(pickle.dumps(prepared(captioner, samples)))  # noqa: S301 - made on the same line
    captions = captioner.caption(inputs)
    assert captions == [caption_of(picture_at(sample.image.locator)[0]) for sample in samples]
    assert captions == [captioner.caption([item])[0] for item in inputs]
    assert captioner.caption([]) == []


def test_other_images_are_refused_with_what_to_use() -> None:
    sample = next(Miniature().samples("train"))
    other = replace(sample, source="places-lt", image=FileImage(Path(), "a.jpg"))
    with pytest.raises(ModelError, match=r"source 'miniature' alone.*'places-lt'.*'instructblip'"):
        open_captioner("scene").prepare(other, Image.new("RGB", (8, 8)))


def test_identity_is_plain_json_and_check_finds_no_fault() -> None:
    captioner = open_captioner("scene")
    identity = captioner.identity()
    assert json.loads(json.dumps(identity)) == identity == {"captioner": "scene", "version": "1"}
    assert [finding.level for finding in captioner.check()] == ["ok"]
    with pytest.raises(ConfigError):
        open_captioner("scene", {"device": "cpu"})


def test_needs_no_torch() -> None:
    code = (
        "import sys; from openmmlo.building.captioners import open_captioner as o; from openmmlo.sources.miniature "
        "import Miniature as M; s = next(M().samples('train')); c = o('scene'); c.caption([c.prepare(s, None)]);"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
