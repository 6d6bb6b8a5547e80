"""Head nouns of names, against what a reader would call the thing."""

from __future__ import annotations

import pytest

from openmmlo.building.masking import Form, build_lexicon
from openmmlo.building.masking.head import head_of
from openmmlo.records import ClassInfo, DatasetInfo
from openmmlo.sources.imagenet_lt import class_table

HEADS = """
great white shark:shark  bird of prey:bird  pair of scissors:scissors  piece of furniture:furniture
bird of paradise:bird  jack in the box:jack  cock of the rock:cock  man of war:man  cup of tea:cup
church outdoor:church  mountain snowy:mountain  attorney general:attorney  court martial:martial
red wolf:wolf  Siamese cat:cat  Indian cobra:cobra  Polaroid camera:camera  Wine glass:glass
Komodo dragon:dragon  African elephant:elephant  black and gold garden spider:spider  bed & breakfast:breakfast
set of all the golf clubs:clubs  T shirt:shirt  lawn mower:mower  half track:track  daddy longlegs:longlegs
"""

NONE = """
lion  Felis catus  F. catus  Panthera leo persica  Bison bison  Apis mellifera  Vinca minor  African grey  Model T
Mexican hairless  Boeing 747  forty two  pick up  drop off  lean to  merry go round  black and white  set of two  one of
"""


@pytest.mark.parametrize("pair", HEADS.replace("\n", "  ").strip().split("  "))
def test_head_is_the_noun_that_names_the_thing(pair: str) -> None:
    name, _, head = pair.partition(":")
    assert head_of(tuple(name.split())) == head


@pytest.mark.parametrize("name", NONE.replace("\n", "  ").strip().split("  "))
def test_what_is_no_noun_is_no_head(name: str) -> None:
    assert head_of(tuple(name.split())) is None


def test_heads_of_imagenet_are_words() -> None:
    """No function word, number or letter is hidden because a name of the real class table ends in it."""
    lexicon = build_lexicon(DatasetInfo("imagenet-lt", "1", "", class_table()), "head")
    heads = {form.text for forms in lexicon.entries.values() for form in forms if form.kind == "head"}
    assert {"shark", "sharks", "dog", "terrier", "wolves", "glass"} <= heads
    assert not heads & {"a", "t", "off", "up", "to", "two", "grey", "gray", "african", "mexican", "round", "go", "it"}
    assert all(len(head) > 1 and not any(map(str.isdigit, head)) for head in heads)
    assert len(lexicon.classes_without("head")) < 500


def test_heads_come_in_both_numbers_and_names_stay_names() -> None:
    info = DatasetInfo("imagefolder", "1", "", (ClassInfo("k", "field mouse", ("field mouse", "mouse")),))
    assert set(build_lexicon(info, "head").entries["k"]) >= {
        Form("mouse"),
        Form("mice", plural=True, kind="inflection"),
        Form("field mice", plural=True, kind="inflection"),
    }
    other = DatasetInfo("imagefolder", "1", "", (ClassInfo("k", "field mouse"),))
    assert set(build_lexicon(other, "head").entries["k"]) >= {
        Form("mouse", kind="head"),
        Form("mice", plural=True, kind="head"),
    }
