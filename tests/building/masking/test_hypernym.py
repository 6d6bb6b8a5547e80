"""Broader terms: from which synset, how far up, and which of their words."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from openmmlo.building.masking import Lexicon, build_lexicon, senses
from openmmlo.building.masking.hypernym import GROUPS, TOPS
from openmmlo.building.wordnet import WordNet
from openmmlo.errors import DataError
from openmmlo.records import ClassInfo, DatasetInfo
from openmmlo.sources import open_source

pytestmark = pytest.mark.usefixtures("wordnet")


def lexicon(source: str, *classes: ClassInfo) -> Lexicon:
    return build_lexicon(DatasetInfo(source, "1", "", classes), "hypernym")


def broader(source: str, *names: str, key: str = "k", groups: tuple[str, ...] = ()) -> set[str]:
    found = lexicon(source, ClassInfo(key, names[0], names, groups)).entries[key]
    return {form.text for form in found if form.kind == "hypernym" and not form.plural}


@cache
def data_lines(folder: Path) -> dict[int, list[str]]:
    """Offset -> fields of data.noun, read by hand."""
    lines = (folder / "data.noun").read_text("ascii").splitlines()
    return {int(line[:8]): line.partition("|")[0].split() for line in lines if not line.startswith(" ")}


def lemmas_above(folder: Path, offset: int) -> set[str]:
    """Lemmas of a synset and of everything above it but the top file, by the pointers @ and @i alone."""
    found: set[str] = set()
    fields = data_lines(folder)[offset]
    count = int(fields[3], 16)
    if fields[1] != "03":
        found |= {fields[4 + 2 * place].replace("_", " ").lower() for place in range(count)}
    rest = fields[4 + 2 * count :]
    for place in range(int(rest[0])):
        symbol, target, part, _ = rest[1 + 4 * place : 5 + 4 * place]
        if symbol in ("@", "@i") and part == "n":
            found |= lemmas_above(folder, int(target))
    return found


@pytest.mark.parametrize("wnid", ["n02509815", "n01484850", "n02085620", "n04146614", "n07753592", "n10565667"])
def test_broader_terms_are_lemmas_that_the_files_put_above(wnid: str, wordnet_dict: Path) -> None:
    allowed = lemmas_above(wordnet_dict, int(wnid[1:])) | {"animal", "beast", "creature", "animate being", "fauna"}
    allowed |= {"person", "individual", "someone", "somebody", "mortal", "food", "nutrient"}
    said = {re.sub(r"[-']", " ", name) for name in allowed} | allowed
    found = broader("imagenet-lt", "xyzzy", key=wnid)
    names = {text for text in found if not re.match(r"\w\. ", text)}
    assert names
    assert {re.sub(r"[-']", " ", text) for text in names} <= said


def test_a_class_loses_what_is_above_it_and_nothing_else() -> None:
    found = broader("imagenet-lt", "lesser panda", key="n02509815")
    assert {"animal", "mammal", "carnivore", "vertebrate", "procyonid"} <= found
    assert not found & {"entity", "object", "whole", "unit", "thing", "organism", "being", "bear", "cat", "dog"}


def test_words_that_mostly_mean_something_else_stay() -> None:
    assert "toy" not in broader("imagenet-lt", "Chihuahua", key="n02085620")
    assert "cat" in broader("imagenet-lt", "tiger", key="n02129604")
    assert not broader("imagefolder", "street") & {"way", "artifact"}
    assert not broader("imagefolder", "pistol") & {"piece", "arm", "system"}


def test_the_first_sense_is_taken_unless_other_names_say_better() -> None:
    assert "bird" in broader("imagefolder", "crane")  # no sense of it was ever tagged: animals go first
    assert "bird" not in broader("imagefolder", "crane (lifting device)")
    assert "device" in broader("imagefolder", "crane (lifting device)")
    assert "animal" in broader("imagefolder", "skunk")
    assert "chessman" in broader("imagefolder", "chess rook")
    assert "fish" in broader("imagefolder", "red snapper fillet", "red snapper")
    assert {"automobile", "motorcar", "vehicle"} <= broader("imagefolder", "car")
    assert "artifact" not in broader("imagefolder", "car")


def test_a_name_unknown_to_wordnet_goes_by_its_head_or_has_none() -> None:
    assert "dog" in broader("imagefolder", "zzyzx terrier")
    for name in ("zzyzx", "<qwrt>zzyzx(1)</qwrt>", "", "\u202e\0", "🦁", "x" * 5000, "n02509815", "狮子"):
        found = lexicon("imagefolder", ClassInfo("k", name, (name,)))
        assert found.classes_without("hypernym") == ("k",), name


def test_one_person_or_place_is_no_class() -> None:
    assert "poet" not in broader("imagefolder", "crane")
    assert "writer" not in broader("imagefolder", "crane")


def test_species_are_known_by_name_by_genus_and_by_group() -> None:
    oak = broader("inaturalist2018", "Quercus zzyzx", groups=("Plantae",))
    assert {"oak", "tree", "plant"} <= oak
    duck = broader("inaturalist2018", "Anas platyrhynchos", groups=("Aves",))
    assert {"mallard", "duck", "bird", "animal"} <= duck
    assert "mallard" not in broader("inaturalist2018", "Anas zzyzx", groups=("Aves",))
    assert "bird" in broader("inaturalist2018", "Zzyzx zzyzx", groups=("Aves",))
    assert broader("inaturalist2018", "Zzyzx zzyzx") == set()
    assert "group" not in oak | duck
    assert "genus" not in oak | duck


def test_groups_of_species_are_the_synsets_they_are_named_after(wordnet: WordNet) -> None:
    kinds = {
        "Actinopterygii": "fish", "Amphibia": "amphibian", "Animalia": "animal", "Arachnida": "arachnid",
        "Aves": "bird", "Bacteria": "bacteria", "Fungi": "fungus", "Insecta": "insect", "Mammalia": "mammal",
        "Mollusca": "mollusk",
        "Plantae": "plant", "Protozoa": "protozoan", "Reptilia": "reptile",
    }  # fmt: skip
    assert {group: wordnet.synset(wnid).lemma_names()[0] for group, wnid in GROUPS.items()} == kinds


def test_senses_set_by_hand_are_senses_of_the_name(wordnet: WordNet) -> None:
    known = {info.key for info in open_source("cifar100-lt", {}).info().classes}
    assert set(senses.CIFAR100) <= known
    assert set(senses.MINIATURE) <= {info.key for info in open_source("miniature", {}).info().classes}
    for key, offset in (senses.CIFAR100 | senses.MINIATURE).items():
        assert wordnet.synset(offset) in wordnet.senses(key.removesuffix("_tree").replace("_", " ")), key
    for key, offset in senses.PLACES.items():
        assert wordnet.synset(offset).lexname() in ("noun.artifact", "noun.object", "noun.location"), key


def test_a_sense_set_by_hand_goes_before_the_likeliest(official_splits: Path, wordnet: WordNet) -> None:
    places = open_source("places-lt", {"lists": official_splits}).info()
    assert set(senses.PLACES) <= {info.key for info in places.classes}
    hidden = {form.text for form in build_lexicon(places, ("strict", "head", "hypernym")).entries["yard"]}
    assert "geographic area" in hidden
    assert "linear unit" not in hidden


def test_the_top_is_what_wordnets_top_file_holds(wordnet: WordNet) -> None:
    names = {wordnet.synset(wnid).name() for wnid in ("n00015388", "n00017222", "n00007846", "n00021265")}
    assert names == TOPS
    assert {wordnet.senses(name)[0].lexname() for name in ("animal", "person", "food")} == {"noun.Tops"}


def test_both_numbers_of_a_broader_term() -> None:
    forms = lexicon("imagenet-lt", ClassInfo("n10565667", "scuba diver")).entries["n10565667"]
    found = {(form.text, form.plural) for form in forms if form.kind == "hypernym"}
    assert {("person", False), ("people", True), ("persons", True)} <= found


def test_a_class_key_that_is_no_synset_goes_by_its_name() -> None:
    assert "animal" in broader("imagenet-lt", "dog", key="n99999999")


@pytest.mark.usefixtures("no_wordnet")
def test_without_wordnet_the_error_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENMMLO_DATA")
    with pytest.raises(DataError, match=r"(?s)hypernym.*openmmlo wordnet setup --from DIR"):
        lexicon("imagefolder", ClassInfo("k", "cat"))
