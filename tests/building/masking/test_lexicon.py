"""Lexicons of the real class tables, of hostile names, and as files."""

from __future__ import annotations

import gzip
import json
import pickle
import time
from pathlib import Path
from typing import get_args

import pytest

from openmmlo.building.masking import LEVELS, Form, Lexicon, Masker, MaskLevel, build_lexicon
from openmmlo.errors import DataError, UnknownName
from openmmlo.records import ClassInfo, DatasetInfo
from openmmlo.sources.imagenet_lt import class_table


def _info(source: str, *names: str) -> DatasetInfo:
    return DatasetInfo(
        source, "1", "", tuple(ClassInfo(f"k{place}", name, (name,)) for place, name in enumerate(names))
    )


@pytest.fixture(scope="module")
def imagenet() -> DatasetInfo:
    return DatasetInfo("imagenet-lt", "1", "", class_table())


@pytest.fixture(scope="module")
def imagenet_lexicon(imagenet: DatasetInfo) -> Lexicon:
    return build_lexicon(imagenet)


def test_imagenet_takes_seconds(imagenet: DatasetInfo) -> None:
    started = time.process_time()
    lexicon = build_lexicon(imagenet)
    assert time.process_time() - started < 10
    assert len(lexicon.entries) == 1000
    assert all(lexicon.entries.values())


def test_every_imagenet_name_and_its_simple_plural_is_masked(imagenet: DatasetInfo, imagenet_lexicon: Lexicon) -> None:
    masker = Masker(imagenet_lexicon, [item.key for item in imagenet.classes])
    for item in imagenet.classes:
        for name in item.synonyms:
            for spelling in (name, name.replace(" ", "_"), name.replace(" ", "-"), name.upper(), name.replace(" ", "")):
                text = f"There is a {spelling} near the water."
                for ood in (False, True):
                    caption = masker.mask("s", text, item.key, ood)
                    assert spelling not in caption.masked.split("near")[0].replace("[mask]", ""), (item.key, spelling)
                assert caption.spans


def test_an_out_of_distribution_caption_loses_every_class(imagenet: DatasetInfo, imagenet_lexicon: Lexicon) -> None:
    lexicon = Lexicon(("strict",), "1", {**imagenet_lexicon.entries, "okapi": (Form("okapi"), Form("okapis", True))})
    masker = Masker(lexicon, [item.key for item in imagenet.classes])
    text = "Okapis, a tiger shark and two school buses beside a giraffe"
    assert masker.mask("s", text, "okapi", True).masked == "[mask]s, a [mask] and two [mask]s beside a giraffe"
    assert masker.mask("s", text, "", True).masked == "Okapis, a [mask] and two [mask]s beside a giraffe"
    assert (
        masker.mask("s", text, "okapi", False).masked == "[mask]s, a tiger shark and two school buses beside a giraffe"
    )


def test_inaturalist_takes_seconds_and_masks_genus_and_species(official_splits: Path) -> None:
    rows = json.loads(gzip.decompress((official_splits / "iNaturalist18_categories.json.gz").read_bytes()))
    classes = tuple(ClassInfo(str(row["id"]), row["name"], (row["name"],)) for row in rows)
    started = time.process_time()
    lexicon = build_lexicon(DatasetInfo("inaturalist2018", "1", "", classes))
    assert time.process_time() - started < 10
    masker = Masker(lexicon, [item.key for item in classes])
    assert len(classes) == 8142
    for item in classes[::7]:
        genus, *_, epithet = item.name.replace("×", "").split()
        text = f"{item.name}, {genus} and {genus[0]}. {epithet}"
        assert genus not in masker.mask("s", text, item.key, False).masked


def test_every_places_folder_is_masked_as_words(official_splits: Path) -> None:
    keys = [line.split()[0] for line in (official_splits / "Places_LT_classnames.txt").read_text().splitlines()]
    classes = tuple(ClassInfo(key, key, (key,)) for key in keys)
    masker = Masker(build_lexicon(DatasetInfo("places-lt", "1", "", classes)), keys)
    for key in keys:
        for text in (key, key.replace("-", "/"), key.replace("-", " ").replace("_", " "), key.partition("-")[0]):
            assert "[mask]" in masker.mask("s", f"in the {text}.", key, False).masked


def test_classes_out_of_distribution_have_entries() -> None:
    info = DatasetInfo("miniature", "1", "", (ClassInfo("a", "cat"),), ood_classes=(ClassInfo("b", "dog"),))
    assert set(build_lexicon(info).entries) == {"a", "b"}


HOSTILE = {
    "html": "<script>alert('x')</script>",
    "quotes": '"it\'s" ‘so’',
    "newlines": "sea\nlion\r\n\ttail",
    "expression": "(a+)+$|[^x]*.{3}\\d(?=",
    "long": "x" * 5000,
    "many words": "ab " * 1666,
    "apostrophes": "s' " * 60,
    "spellings": "o'b.s " * 12,
    "wide": "\ud800 lone",
    "zero": "nul\0nul",
    "mark": "\u0301",
    "emoji": "🦁",
    "right to left": "\u202elion",
}


def test_hostile_names_do_no_harm() -> None:
    info = _info("imagefolder", *HOSTILE.values())
    started = time.process_time()
    lexicon = build_lexicon(info)
    keys = list(lexicon.entries)
    masker = Masker(Lexicon.from_json(lexicon.to_json()), keys)
    texts = [*HOSTILE.values(), "a" * 5000, "ab " * 2000, "s s's' " * 1000, "sea " * 1000]
    for text in texts:
        for key in keys:
            masker.mask("s", text, key, False)
        masker.mask("s", text, "", True)
    assert time.process_time() - started < 10
    assert len(lexicon.to_json()) < 100_000
    assert masker.mask("s", "a sea lion tail", "k2", False).masked == "a [mask]"
    assert lexicon.entries["k4"] == lexicon.entries["k5"] == ()


def test_hash_does_not_depend_on_the_order_of_classes() -> None:
    names = ("cat", "dog", "sea lion")
    classes = [ClassInfo(name, name) for name in names]
    first = build_lexicon(DatasetInfo("x", "1", "", tuple(classes)))
    second = build_lexicon(DatasetInfo("x", "1", "", tuple(reversed(classes))))
    assert first.hash == second.hash
    assert first.to_json() == second.to_json()
    assert first.hash != build_lexicon(DatasetInfo("x", "1", "", tuple(classes[:2]))).hash


def test_json_keeps_what_a_form_is() -> None:
    lexicon = Lexicon(("strict",), "1", {"k": (Form("IT", cased=True), Form("ITs", True, True), Form("löwe"))})
    assert Lexicon.from_json(lexicon.to_json()) == lexicon


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"level": "strict", "version": "1", "entries": {"k": [3]}}', "{"])
def test_what_is_no_lexicon_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="Not a mask lexicon"):
        Lexicon.from_json(text)


def test_unknown_level_and_class_are_refused() -> None:
    with pytest.raises(UnknownName, match="strict"):
        build_lexicon(_info("imagefolder", "cat"), "strikt")
    masker = Masker(build_lexicon(_info("imagefolder", "cat")), ["k0"])
    with pytest.raises(DataError, match="no class 'k9'"):
        masker.mask("s", "a cat", "k9", False)


@pytest.mark.usefixtures("wordnet")
def test_every_level_expands_a_name() -> None:
    assert set(get_args(MaskLevel)) == set(LEVELS)
    for level in LEVELS:
        forms = build_lexicon(_info("imagefolder", "sea lion"), level).entries["k0"]
        assert {Form("sea lion"), Form("sea lions", plural=True, kind="inflection")} <= set(forms)


def test_a_masker_in_use_can_be_sent_to_another_process() -> None:
    masker = Masker(build_lexicon(_info("imagefolder", "sea lion", "IT")), ["k0", "k1"])
    text = "it is a sea lion, says IT"
    expected = [masker.mask("s", text, key, ood) for key in ("k0", "k1") for ood in (False, True)]
    copy = pickle.loads(pickle.dumps(masker))  # noqa: S301 - our own object
    assert [copy.mask("s", text, key, ood) for key in ("k0", "k1") for ood in (False, True)] == expected
