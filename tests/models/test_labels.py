"""Which output is which class: unique matches that cover all classes, or the reason why not."""

from __future__ import annotations

import pytest

from openmmlo.models import Classifier, label_columns
from openmmlo.models.labels import imagenet_names, label_names, normalised
from openmmlo.records import ClassInfo


def named(*labels: str) -> Classifier:
    return Classifier(label_names(labels))


def test_keys_win_over_names() -> None:
    """Two classes are called crane; their wnids tell them apart."""
    classifier = Classifier((("n02012849", "crane"), ("n03126707", "crane"), ("n01440764", "tench")))
    classes = [ClassInfo("n03126707", "crane (n03126707)", ("crane",)), ClassInfo("n02012849", "crane")]
    found = label_columns(classifier, classes)
    assert found.columns is not None
    assert found.columns.tolist() == [1, 0]
    assert found.reason == ""


def test_names_and_synonyms_match_without_case_and_hyphens() -> None:
    classes = [
        ClassInfo("a", "Red  fox", ("Vulpes vulpes",)),
        ClassInfo("b", "fish", ("Tinca_tinca",)),
        ClassInfo("c", "black/cat"),
    ]
    found = label_columns(named("tench, Tinca tinca", "black-cat", "red_fox"), classes)
    assert found.columns is not None
    assert found.columns.tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("classifier", "classes", "reason"),
    [
        (None, ["dog"], "no classifier"),
        (named("LABEL_0", "LABEL_1"), ["dog"], "does not name its 2 outputs"),
        (named("0", "1"), ["0", "1"], "names its 2 outputs by numbers alone, which tell no order"),
        (Classifier((("0", "Rana pipiens"), ("1", "Bufo bufo"))), ["0", "1"], "2 of 2 classes are no output"),
        (named("cat", "dog"), ["dog", "horse", "cow"], "2 of 3 classes are no output of the model: 'horse', 'cow'"),
        (named("crane", "crane"), ["crane"], "class 'crane' fits 2 outputs"),
        (named("dog, puppy", "cat"), ["dog", "puppy"], "classes 'dog' and 'puppy' fit one output"),
    ],
)
def test_maps_that_are_not_one_to_one_say_why(classifier: Classifier | None, classes: list[str], reason: str) -> None:
    found = label_columns(classifier, [ClassInfo(name, name) for name in classes])
    assert found.columns is None
    assert reason in found.reason


def test_numbers_are_names_only_where_they_are_keys_of_openmmlo() -> None:
    """The model's order is alphabetical, the benchmark's by category id: numbers would match, and give about 0 %."""
    classes = [ClassInfo("0", "Rana pipiens"), ClassInfo("1", "Bufo bufo")]
    found = label_columns(Classifier((("0", "Bufo bufo"), ("1", "Rana pipiens"))), classes)
    assert found.columns is not None
    assert found.columns.tolist() == [1, 0]
    assert label_columns(named("0", "1"), classes).columns is None
    own = label_columns(Classifier((("1",), ("0",)), keyed=True), classes)
    assert own.columns is not None
    assert own.columns.tolist() == [1, 0]


def test_imagenets_labels_get_their_wnids() -> None:
    """As checkpoints of transformers name them: by WordNet's words alone, and then two classes are a crane."""
    table = imagenet_names()
    assert len({names[0] for names in table}) == 1000
    labels = [", ".join(names[1:]) for names in table]
    assert len(set(labels)) < 1000
    assert [names[0] for names in label_names(labels)] == [names[0] for names in table]
    classes = [ClassInfo(names[0], names[1]) for names in reversed(table)]
    found = label_columns(named(*labels), classes)
    assert found.columns is not None
    assert found.columns.tolist() == list(reversed(range(1000)))


def test_a_thousand_other_labels_get_none() -> None:
    table = imagenet_names()
    shifted = [", ".join(table[(index + 1) % 1000][1:]) for index in range(1000)]
    assert not any(name.startswith("n0") for names in label_names(shifted) for name in names)


def test_normalised() -> None:
    assert normalised(" Great_White-Shark/fish ") == normalised("great white shark FISH")
