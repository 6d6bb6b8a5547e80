"""Frozen lexicons: those that ship equal what the rules give now, and each file is the one its build asked for."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest

from openmmlo.building import BuildConfig
from openmmlo.building.masking import (
    LEVELS,
    LEXICON_VERSION,
    Form,
    Lexicon,
    Masker,
    build_lexicon,
    bundled,
    describe,
    expand,
    make_lexicon,
    names_digest,
    open_lexicon,
    read_lexicon,
    write_lexicon,
)
from openmmlo.building.masking.frozen import bundled_path
from openmmlo.building.preparation import prepare, record
from openmmlo.building.workspace import Workspace
from openmmlo.cli import main
from openmmlo.data import open_dataset
from openmmlo.errors import DataError, UnknownName
from openmmlo.records import ClassInfo, DatasetInfo
from openmmlo.sources import SOURCES, open_source
from openmmlo.sources.places_lt import class_info

SHIPPED = ("imagenet-lt", "places-lt", "cifar100-lt", "cifar10-lt", "miniature")
SMALL = DatasetInfo("imagefolder", "1", "", (ClassInfo("a", "sea lion"), ClassInfo("b", "great white shark")))


def class_table(source: str) -> DatasetInfo:
    """The official class table, without images or lists."""
    if source == "places-lt":
        keys = read_lexicon(bundled_path(source)).entries
        return DatasetInfo(source, "1", "", tuple(map(class_info, keys)))
    return open_source(source).info()


def test_each_file_in_the_folder_is_of_a_source() -> None:
    files = {path.name for path in bundled_path("x").parent.iterdir()}
    assert files == {f"{source}.json.gz" for source in SHIPPED}
    assert set(SHIPPED) <= set(SOURCES)
    assert sum(bundled_path(source).stat().st_size for source in SHIPPED) < 500_000


@pytest.mark.parametrize("source", SHIPPED)
def test_what_ships_is_what_the_rules_give(source: str) -> None:
    info = class_table(source)
    shipped = bundled(info)
    assert shipped is not None, "the class table or LEXICON_VERSION changed: run openmmlo lexicon build"
    assert shipped.levels == tuple(LEVELS)
    assert (shipped.version, shipped.wordnet) == (LEXICON_VERSION, "3.0")
    again = build_lexicon(info, "head")
    for level in ("strict", "head"):
        assert {key: again.forms(key, level) for key in again.entries} == {
            key: shipped.forms(key, level) for key in shipped.entries
        }
        assert again.level_hash(level) == shipped.level_hash(level)


@pytest.mark.usefixtures("wordnet")
@pytest.mark.parametrize("source", [pytest.param("imagenet-lt", marks=pytest.mark.slow), *SHIPPED[1:]])
def test_what_ships_is_what_wordnet_gives(source: str) -> None:
    info = class_table(source)
    assert build_lexicon(info, "hypernym") == bundled(info)


@pytest.mark.parametrize("source", SHIPPED)
def test_every_name_is_hidden_at_every_level_and_only_once(source: str) -> None:
    info = class_table(source)
    lexicon = bundled(info)
    assert lexicon is not None
    for level in LEVELS:
        masker = Masker(lexicon, [], level)
        for item in info.classes[:: max(1, len(info.classes) // 60)]:
            for name in (item.name.split(" (")[0], *item.synonyms):
                caption = masker.mask("s", f"There is a {name.replace('_', ' ')} near the water.", item.key, False)
                assert caption.spans
                assert masker.mask("s", caption.masked, item.key, False).masked == caption.masked


def test_the_strict_level_is_the_same_whatever_else_was_expanded() -> None:
    shipped = read_lexicon(bundled_path("cifar100-lt"))
    narrow = Lexicon(("strict",), shipped.version, {key: shipped.forms(key, "strict") for key in shipped.entries})
    assert narrow.level_hash("strict") == shipped.level_hash("strict")
    assert narrow.hash != shipped.hash
    assert len({shipped.level_hash(level) for level in LEVELS}) == len(LEVELS)


def test_another_class_table_or_version_does_not_get_the_shipped_lexicon(monkeypatch: pytest.MonkeyPatch) -> None:
    info = class_table("cifar10-lt")
    assert bundled(info) is not None
    renamed = replace(info, classes=(replace(info.classes[0], synonyms=("kite",)), *info.classes[1:]))
    assert bundled(renamed) is None
    assert bundled(replace(info, name="../cifar10-lt")) is None
    assert bundled(replace(info, classes=tuple(reversed(info.classes)))) is not None
    monkeypatch.setattr("openmmlo.building.masking.frozen.VERSION", "0")
    assert bundled(info) is None


@pytest.mark.usefixtures("no_wordnet")
def test_without_wordnet_shipped_class_tables_have_every_level() -> None:
    info = class_table("miniature")
    for level in LEVELS:
        assert level in open_lexicon(info, level).levels
    assert make_lexicon(info, "hypernym") == make_lexicon(info) == bundled(info)
    assert expand(SMALL).levels == make_lexicon(SMALL).levels == ("strict", "head")
    with pytest.raises(DataError, match="openmmlo wordnet setup"):
        open_lexicon(SMALL, "hypernym")
    with pytest.raises(DataError, match="openmmlo wordnet setup"):
        make_lexicon(SMALL, "hypernym")


@pytest.mark.usefixtures("wordnet")
def test_with_wordnet_a_strict_build_holds_hypernyms_for_the_audit() -> None:
    assert expand(SMALL, "strict").levels == make_lexicon(SMALL).levels == tuple(LEVELS)
    assert make_lexicon(SMALL, "head").levels == ("strict", "head")


@pytest.mark.parametrize("name", ["x.json", "x.json.gz", "deep/er/x.json"])
def test_a_lexicon_comes_back_from_its_file_and_is_written_alike(tmp_path: Path, name: str) -> None:
    lexicon = build_lexicon(SMALL)
    write_lexicon(lexicon, tmp_path / name)
    first = (tmp_path / name).read_bytes()
    assert read_lexicon(tmp_path / name) == lexicon
    write_lexicon(lexicon, tmp_path / name)
    assert (tmp_path / name).read_bytes() == first
    assert [path.name for path in (tmp_path / name).parent.iterdir()] == [Path(name).name]


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "lexicon.json"
    for text, message in (
        ("nonsense", "Not a mask lexicon"),
        ('{"level": "strict", "version": "1", "entries": {}}', "Not a mask lexicon"),
        (build_lexicon(replace(SMALL, classes=SMALL.classes[:1])).to_json(), "lacks 1 of the classes.*'b'"),
        (replace(build_lexicon(SMALL), version="1").to_json(), "version 1 of the rules"),
        (build_lexicon(SMALL, "strict").to_json(), "the level 'head'"),
    ):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(DataError, match=message):
            open_lexicon(SMALL, "head", file)
    file.write_bytes(gzip.compress(b"{}")[:-9])
    for path in (file, tmp_path / "none.json", tmp_path):
        with pytest.raises(DataError, match="cannot be read"):
            read_lexicon(path)
    with pytest.raises(DataError, match="cannot be written"):
        write_lexicon(build_lexicon(SMALL), file / "below.json")
    with pytest.raises(UnknownName, match="hypernym"):
        make_lexicon(SMALL, "hyper")


def test_a_users_own_lexicon_masks_the_build(tmp_path: Path) -> None:
    file = tmp_path / "own.json.gz"
    write_lexicon(build_lexicon(SMALL, "head"), file)
    assert open_lexicon(SMALL, "strict", file) == read_lexicon(file)
    assert open_lexicon(replace(SMALL, classes=SMALL.classes[:1]), "strict", file) == read_lexicon(file)


def test_description_counts_forms_and_names_what_is_missing() -> None:
    found = describe(build_lexicon(SMALL, "head"))
    assert found["kinds"]["head"] == {"forms": 4, "without": []}
    assert found["classes"] == 2
    assert found["wordnet"] is None
    assert set(found["level_hashes"]) == {"strict", "head"}
    one = describe(build_lexicon(replace(SMALL, classes=(ClassInfo("a", "lion"), ClassInfo("b", "-")))))
    assert one["kinds"]["head"]["without"] == ["a", "b"]
    assert one["kinds"]["name"]["without"] == ["b"]


def test_digest_of_names_is_of_everything_that_decides_a_lexicon() -> None:
    changed = [
        replace(SMALL, name="places-lt"),
        replace(SMALL, classes=SMALL.classes[:1]),
        replace(SMALL, classes=(ClassInfo("a", "sea lion", ("x",)), SMALL.classes[1])),
        replace(SMALL, classes=(ClassInfo("a", "sea lion", (), ("Aves",)), SMALL.classes[1])),
    ]
    assert len({names_digest(info) for info in (SMALL, *changed)}) == 5
    assert names_digest(replace(SMALL, classes=SMALL.classes[::-1], licence="x")) == names_digest(SMALL)


# On the command line.


def test_lexicon_build_writes_what_the_rules_give(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "own.json.gz"
    words = ["lexicon", "build", "miniature", "--level", "head", "--out", str(file)]
    assert main(words) == 0
    assert "68 classes, levels strict, head" in capsys.readouterr().out
    assert read_lexicon(file) == build_lexicon(class_table("miniature"), "head")
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["file"] == str(file)
    assert told["level_hashes"]["head"] == read_lexicon(file).level_hash("head")
    assert main(["lexicon", "build", "miniature", "--level", "hypernim", "--out", str(file)]) == 2
    assert "Did you mean 'hypernym'" in capsys.readouterr().err


@pytest.mark.usefixtures("no_wordnet")
def test_lexicon_build_of_a_shipped_table_needs_no_wordnet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["lexicon", "build", "cifar10-lt"]) == 0
    assert read_lexicon(tmp_path / "cifar10-lt-lexicon.json") == bundled(class_table("cifar10-lt"))
    assert "hypernym" in capsys.readouterr().out


def test_build_takes_a_lexicon_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    info = open_source("stubs:Generated").info()
    own = tmp_path / "own.json"
    write_lexicon(replace(build_lexicon(info), entries=dict.fromkeys(("c0", "c1", "c2", "c3"), (Form("shade"),))), own)
    words = ["build", "stubs:Generated", "--captioner", "stubs:Describing", "--limit", "8", "--quiet"]
    assert main([*words, "--out", str(tmp_path / "out"), "--lexicon", str(own)]) == 0
    batches = open_dataset(tmp_path / "out").batches("test", ["masked_caption"], 100)
    masked = [text for batch in batches for text in batch.column("masked_caption").to_pylist()]
    assert masked
    assert all("of [mask] " in text and "two red foxes" in text for text in masked)
    assert read_lexicon(tmp_path / "out" / "lexicon.json") == read_lexicon(own)
    assert main([*words, "--out", str(tmp_path / "other"), "--mask-level", "hyper"]) == 2
    assert "Did you mean 'hypernym'" in capsys.readouterr().err


# In a build.


def job(out: Path, **values: object) -> BuildConfig:
    return BuildConfig("stubs:Generated", out, {}, "stubs:Describing", **values)  # type: ignore[arg-type]


def test_identity_of_a_strict_build_does_not_depend_on_wordnet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_wordnet: None, request: pytest.FixtureRequest
) -> None:
    workspace = Workspace(tmp_path / "out")
    without = prepare(job(workspace.out), workspace)
    request.getfixturevalue("wordnet")
    with_it = prepare(job(workspace.out), workspace)
    assert (without.lexicon.levels, with_it.lexicon.levels) == (("strict", "head"), tuple(LEVELS))
    assert without.state["identity"] == with_it.state["identity"]


def test_a_build_keeps_the_lexicon_that_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wordnet: object
) -> None:
    workspace = Workspace(tmp_path / "out")
    first = prepare(job(workspace.out), workspace)
    first.workspace.make()
    assert record(first)
    monkeypatch.delenv("OPENMMLO_DATA")  # WordNet is gone, or this is another machine
    again = prepare(job(workspace.out), workspace)
    assert again.lexicon == first.lexicon
    assert again.lexicon.levels == tuple(LEVELS)


@pytest.mark.usefixtures("no_wordnet")
def test_level_and_lexicon_are_part_of_a_builds_identity(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "out")
    info = open_source("stubs:Generated").info()
    own = tmp_path / "own.json"
    lexicon = build_lexicon(info, "head")
    write_lexicon(replace(lexicon, entries={**lexicon.entries, "c0": ()}), own)
    jobs = (job(workspace.out), job(workspace.out, mask_level="head"), job(workspace.out, lexicon=own))
    prints = {prepare(one, workspace).state["fingerprint"] for one in jobs}
    assert len(prints) == 3
    with pytest.raises(DataError, match="WordNet"):
        prepare(job(workspace.out, mask_level="hypernym"), workspace)


@pytest.mark.usefixtures("wordnet")
def test_classes_without_hypernyms_are_counted_in_a_warning(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "out")
    own = tmp_path / "own.json"
    lexicon = build_lexicon(open_source("stubs:Generated").info(), "hypernym")
    write_lexicon(replace(lexicon, entries={**lexicon.entries, "c0": ()}), own)
    for level, warnings in (("hypernym", 1), ("head", 0)):
        findings = prepare(job(workspace.out, mask_level=level, lexicon=own), workspace).findings
        told = [finding for finding in findings if "no broader term" in finding.what]
        assert len(told) == warnings
    assert "1 of 4 classes, for example 'c0'" in next(
        finding.what
        for finding in prepare(job(workspace.out, mask_level="hypernym", lexicon=own), workspace).findings
        if "no broader term" in finding.what
    )


def test_json_says_which_kind_a_form_is() -> None:
    value = json.loads(build_lexicon(SMALL).to_json())
    assert ["shark", "h"] in value["entries"]["b"]
    assert ["sharks", "ph"] in value["entries"]["b"]
    assert ["sea lions", "pi"] in value["entries"]["a"]
    assert ["sea lion", ""] in value["entries"]["a"]
    assert value["levels"] == ["strict", "head"]
