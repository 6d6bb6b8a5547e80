"""Every classifier of the table keeps the protocol: fit, predict, and plain choices."""

from __future__ import annotations

import json

import numpy as np
import pytest
from banks import clustered

from openmmlo.evaluate.classifiers import CLASSIFIERS, FeatureClassifier


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_classifier_keeps_the_protocol(name: str) -> None:
    import torch

    torch.set_num_threads(1)
    train = clustered(80, 4, 6, seed=0, name="train", noise=0.3)
    validation, test = clustered(40, 4, 6, seed=1, name="val", noise=0.3), clustered(40, 4, 6, seed=2, noise=0.3)
    classifier = CLASSIFIERS.load(name)()
    assert isinstance(classifier, FeatureClassifier)
    assert classifier.name == name
    fitted = classifier.fit(train, 4, validation, seed=0)
    predicted = fitted.predict(test)
    assert predicted.dtype == np.int64
    assert np.mean(predicted == test.labels) > 0.95
    assert json.loads(json.dumps(fitted.choices, allow_nan=False)) == fitted.choices
    assert fitted.choices["trained_on"] == "train"
    if fitted.head is not None:
        assert fitted.head.kind == name
        assert (fitted.head.logits(test).argmax(axis=1) == predicted).all()
    assert CLASSIFIERS.describe(name).endswith(".")
