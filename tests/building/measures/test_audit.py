"""The audit of whole data sets: planted leaks come back at their rates, and none where none is; the command."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from written_sets import Row, write_set

from openmmlo.building import BuildConfig, build
from openmmlo.building.masking import Form, Lexicon, Masker, build_lexicon
from openmmlo.building.measures.audit import measure_audit, wording
from openmmlo.cli import main
from openmmlo.data import BuiltDataset, open_dataset
from openmmlo.errors import ConfigError, DataError, UnknownName
from openmmlo.records import ClassInfo, DatasetInfo

NAMES = (
    "red panda", "umbrella", "tree frog", "teapot", "lion", "crane", "great white shark", "dog", "violin", "plane",
    "house finch", "orange",
)  # fmt: skip
COUNTS = (300, 200, 150, 120, 90, 60, 40, 30, 18, 15, 10, 5)
OOD = ("okapi", "sitar")
INFO = DatasetInfo(
    "imagefolder",
    "1",
    "apache-2.0",
    tuple(ClassInfo(f"c{place:02d}", name, (name,)) for place, name in enumerate(NAMES)),
    COUNTS,
    tuple(ClassInfo(f"o{place}", name, (name,)) for place, name in enumerate(OOD)),
)
BROADER = {"c00": "mammal", "c02": "amphibian", "c04": "beast", "c06": "fish", "o0": "ungulate"}
"""Classes that the lexicon has a broader term for."""

HEADS = {"c00": "panda", "c02": "frog", "c06": "shark", "c10": "finch"}

NOISE = (
    "a", "the", "in", "on", "beside", "large", "small", "green", "river", "tree", "leaf", "three", "carpet", "planet",
    "catalogue", "elegant", "dogma", "orangutan", "litter", "pan", "house", "storm", "inches", "sharp", "white", "snow",
    "toy", "table", "standing", "with", "plain", "wall", "of", "light", "frogmarch", "rioting", "crate", "line",
)  # fmt: skip
"""Words of every caption of every class; among them some that hold, or are near to, names and their words."""


@cache
def lexicon() -> Lexicon:
    base = build_lexicon(INFO)
    entries = {
        key: (*forms, *([Form(BROADER[key], kind="hypernym")] if key in BROADER else []))
        for key, forms in base.entries.items()
    }
    return Lexicon(("strict", "head", "hypernym"), base.version, entries, base.names, "3.0")


def disguise(kind: str, name: str, generator: random.Random) -> str:
    joined = name.replace(" ", "")
    if kind == "compound":
        return generator.choice([f"{joined}like", f"mini{joined}", f"{joined}shaped"])
    place = generator.randrange(len(name))
    while not name[place].isalpha():
        place = generator.randrange(len(name))
    edits = [
        name[:place] + "q" + name[place + 1 :],
        name[:place] + "q" + name[place:],
        name[:place] + name[place + 1 :],
    ]
    return generator.choice(edits[:2] if len(joined) < 7 or joined in ("orange", "violin") else edits)


RATES = {"name": 0.03, "inflection": 0.06, "head": 0.05, "hypernym": 0.08, "compound": 0.07, "misspelling": 0.04}


def planted_rows(count: int, seed: int, rates: dict[str, float], ood: bool = False) -> tuple[list[Row], list[set[str]]]:
    """Captions masked by the masker, with leaks put into the masked ones afterwards; and what was put into each."""
    generator = random.Random(seed)
    masker = Masker(lexicon(), [item.key for item in INFO.classes])
    rows, kinds = [], []
    for _ in range(count):
        label = -1 if ood else generator.choices(range(len(NAMES)), COUNTS)[0]
        which = generator.randrange(len(OOD)) if ood else label
        key, name = (f"o{which}", OOD[which]) if ood else (f"c{which:02d}", NAMES[which])
        said = [generator.choice(NOISE) for _ in range(14)]
        planted: dict[str, str] = {}
        for kind, rate in rates.items():
            if generator.random() < rate:
                word = {
                    "name": name,
                    "inflection": next(f.text for f in lexicon().entries[key] if f.kind == "inflection"),
                    "head": HEADS.get(key),
                    "hypernym": BROADER.get(key),
                }.get(kind, disguise(kind, name, generator) if kind in ("compound", "misspelling") else None)
                if word is None or (kind == "misspelling" and len(name) < 6):
                    continue
                planted[kind] = word
        text = " ".join(said).capitalize() + f", with one {name} and some."
        masked = masker.mask("s", text, key, ood)
        extra = "".join(f" {word.upper() if generator.random() < 0.2 else word};" for word in planted.values())
        spans = masked.spans
        rows.append(Row(label, key, text + extra, masked.masked + extra, spans))
        # What is misspelt in its first word ("rde panda") still has its head noun.
        head = planted.get("misspelling", "").rpartition(" ")[2] == HEADS.get(key)
        kinds.append({*planted, *(["head"] if head else [])})
    return rows, kinds


def write(folder: Path, splits: dict[str, Sequence[Row]]) -> BuiltDataset:
    dataset = write_set(folder, splits, INFO)
    (folder / "lexicon.json").write_text(lexicon().to_json(), encoding="utf-8")
    return dataset


def rate(block: Any, kind: str) -> float:
    return float(block["kinds"][kind]["rate"])


def test_planted_leaks_come_back_at_their_rates(tmp_path: Path) -> None:
    planted = {
        "train": planted_rows(1500, 1, RATES),
        "test": planted_rows(900, 2, RATES | {"name": 0.2, "compound": 0.0}),
        "open": planted_rows(400, 3, RATES, ood=True),
    }
    dataset = write(tmp_path / "set", {split: rows for split, (rows, _) in planted.items()})
    found = measure_audit(dataset)
    everything = [kinds for _, truth in planted.values() for kinds in truth]
    for split, truth in {**{split: truth for split, (_, truth) in planted.items()}, "all": everything}.items():
        block = found["leaks"][split]
        assert block["captions"] == len(truth)
        for kind in RATES:
            share = sum(kind in kinds for kinds in truth) / len(truth)
            assert rate(block, kind) == pytest.approx(share, abs=0.01), (split, kind)
        leaking = sum(bool(kinds - {"head", "hypernym"}) for kinds in truth)
        assert block["any"]["rate"] == pytest.approx(leaking / len(truth), abs=0.01)
        left = sum(bool(kinds & {"head", "hypernym"}) for kinds in truth)
        assert block["left_by_level"]["rate"] == pytest.approx(left / len(truth), abs=0.01)
    assert found["counted"] == ["name", "inflection", "compound", "misspelling"]
    assert rate(found["unmasked"]["all"], "name") == 1.0
    assert rate(found["unmasked"]["all"], "misspelling") == rate(found["leaks"]["all"], "misspelling")

    groups = Counter(
        "ood" if row.label < 0 else "many" if COUNTS[row.label] > 100 else "few" if COUNTS[row.label] < 20 else "medium"
        for rows, _ in planted.values()
        for row in rows
    )
    assert {name: block["captions"] for name, block in found["leaks"]["all"]["groups"].items()} == groups
    of_groups = [block["any"]["captions"] for block in found["leaks"]["all"]["groups"].values()]
    assert sum(of_groups) == found["leaks"]["all"]["any"]["captions"]
    assert sum(row["leaking"] for row in found["worst_classes"]) == found["leaks"]["all"]["any"]["captions"]

    texts = {f"{split}/{place}": row.masked for split, (rows, _) in planted.items() for place, row in enumerate(rows)}
    assert Counter(item["kind"] for item in found["examples"]) == dict.fromkeys(RATES, 5)
    for item in found["examples"]:
        assert item["text"] == texts[item["sample_id"]]
        assert item["found"] in item["text"]


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_found_where_nothing_is_planted(tmp_path: Path, seed: int) -> None:
    rows, _ = planted_rows(1200, 10 + seed, {})
    others, _ = planted_rows(300, 20 + seed, {}, ood=True)
    found = measure_audit(write(tmp_path / "set", {"train": rows, "open": others}))
    for kind in RATES:
        assert found["leaks"]["all"]["kinds"][kind] == {"captions": 0, "rate": 0.0}, kind
    assert found["leaks"]["all"]["any"]["captions"] == 0
    assert found["worst_classes"] == found["examples"] == []
    assert rate(found["unmasked"]["all"], "name") == 1.0
    assert "No masked caption" in wording.verdict(found)


@pytest.mark.parametrize(("level", "counted"), [("head", {"head"}), ("hypernym", {"head", "hypernym"})])
def test_another_level_masks_anew_and_counts_more(tmp_path: Path, level: str, counted: set[str]) -> None:
    rows, truth = planted_rows(800, 4, {"head": 0.2, "hypernym": 0.3, "compound": 0.1})
    dataset = write(tmp_path / "set", {"train": rows})
    strict, found = measure_audit(dataset), measure_audit(dataset, level)
    assert set(found["counted"]) == {"name", "inflection", "compound", "misspelling"} | counted
    assert (found["level"], found["built_level"]) == (level, "strict")
    assert found["lexicon_hash"] == lexicon().level_hash(level) != strict["lexicon_hash"]
    for kind in ("head", "hypernym"):
        share = sum(kind in kinds for kinds in truth) / len(truth)
        assert rate(strict["leaks"]["all"], kind) == share
        assert rate(found["leaks"]["all"], kind) == (0.0 if kind in counted else share)
        assert rate(found["unmasked"]["all"], kind) == share
    assert found["masks"]["id"]["masks_per_caption"] > strict["masks"]["id"]["masks_per_caption"]
    assert found["leaks"]["all"]["any"] == found["leaks"]["all"]["kinds"]["compound"]


def test_a_real_build_with_captions_that_leak(tmp_path: Path) -> None:
    """Every second caption names its class visibly; every fifth in disguise, and every tenth names another class."""
    names = ("red fox", "umbrella", "tree frog", "teapot")
    lines = ["sample_id,text"]
    for split in ("train", "test", "open"):
        for index in range(40):
            name = names[index % 4] if split != "open" else "gramophone"
            visible = f"A {name} stands there" if index % 2 == 0 else "Something stands there"
            hidden = f" and looks {name.replace(' ', '')}like" if index % 5 == 0 else ""
            other = f" beside one {names[(index + 1) % 4]}" if index % 10 == 3 and split != "open" else ""
            lines.append(f"{split}/{index:06d},{visible}{hidden}{other}.")
    (tmp_path / "captions.csv").write_text("\n".join(lines), encoding="utf-8")
    options = {"captions": str(tmp_path / "captions.csv"), "column": "text"}
    config = BuildConfig(
        "stubs:Generated", tmp_path / "out", {"images_per_split": 40}, "existing", options, prefetch=0, shard_size=64
    )
    build(config)
    found = measure_audit(open_dataset(tmp_path / "out"))
    for split in ("train", "test"):
        assert found["leaks"][split]["kinds"]["compound"] == {"captions": 8, "rate": 0.2}
        assert found["leaks"][split]["any"] == {"captions": 8, "rate": 0.2}
        assert found["unmasked"][split]["kinds"]["name"] == {"captions": 20, "rate": 0.5}
    assert found["other_classes"]["id"] == {"of": 80, "captions": 8, "rate": 0.1}
    assert found["leaks"]["open"] == found["leaks"]["open"] | {"captions": 0, "unknown": 40}
    assert found["leaks"]["open"]["any"] == {"captions": 0, "rate": None}
    assert found["masks"]["id"]["rate"] == 0.5
    assert found["masks"]["ood"] == {"captions": 40, "masked": 0, "rate": 0.0, "masks_per_caption": 0.0}
    assert found["shortcuts"]["mask_count"]["auroc"] == pytest.approx(0.25)
    assert found["classifier"]["results"]["masked"]["all"] > 0.2  # "umbrellalike" is a word like others


def test_over_masking_is_what_the_background_explains(tmp_path: Path) -> None:
    """Of 200 captions of cranes 60 say crane; of 400 others 20 do. 200 · 20 / 400 = 10 of the 60 are explained."""
    info = DatasetInfo(
        "imagefolder", "1", "", tuple(ClassInfo(name, name, (name,)) for name in ("crane", "lion", "teapot"))
    )
    masker = Masker(build_lexicon(info), ["crane", "lion", "teapot"])
    rows = []
    for label, (key, count, cranes, own) in enumerate(
        (("crane", 200, 60, 0), ("lion", 300, 15, 90), ("teapot", 100, 5, 0))
    ):
        for place in range(count):
            text = "a crane here" if place < cranes else "nothing here"
            text += f" and a {key}" if place < own else ""
            caption = masker.mask("s", text, key, False)
            rows.append(Row(label, key, caption.text, caption.masked, caption.spans))
    found = measure_audit(write_set(tmp_path / "set", {"train": rows}, info))
    over = found["over_masking"]
    assert over["captions_and_forms"] == 60 + 90
    assert over["explained"] == 10.0
    assert over["rate"] == pytest.approx(10 / 150, abs=1e-6)
    crane = {
        "form": "crane",
        "class_key": "crane",
        "name": "crane",
        "captions": 60,
        "explained": 10.0,
        "rate": 0.166667,
    }
    assert over["forms"] == [crane]
    words = sum(len(row.caption.split()) for row in rows)
    assert over["words_hidden"]["id"] == {"words": words, "hidden": 150, "rate": pytest.approx(150 / words, abs=1e-6)}
    assert found["other_classes"]["id"]["captions"] == 20
    assert found["other_classes"]["groups"]["ood"] == {"of": 0, "captions": 0, "rate": None}


def test_masks_of_captions_out_of_distribution_are_told_apart(tmp_path: Path) -> None:
    text = "a lion and an okapi, with two okapis"
    masker = Masker(lexicon(), [item.key for item in INFO.classes])
    caption = masker.mask("s", text, "o0", True)
    assert len(caption.spans) == 3
    rows = [Row(-1, "o0", text, caption.masked, caption.spans), Row(-1, "", "an okapi", "an okapi", ())]
    found = measure_audit(write(tmp_path / "set", {"open": rows}))
    assert found["over_masking"]["ood"] == {"masks": 3, "of_other_classes": 1, "rate": pytest.approx(1 / 3, abs=1e-6)}
    assert found["masks"]["ood"] == {"captions": 2, "masked": 1, "rate": 0.5, "masks_per_caption": 1.5}
    assert found["masks"]["id"] is None
    assert found["leaks"]["all"]["unknown"] == 1
    assert "in distribution" in found["shortcuts"]["reason"]
    assert "reason" in found["classifier"]


def test_forms_of_several_classes_are_counted(tmp_path: Path) -> None:
    classes = (ClassInfo("a", "crane", ("crane",)), ClassInfo("b", "crane", ("crane", "lifting machine")))
    info = DatasetInfo("imagefolder", "1", "", classes)
    rows = [Row(place % 2, "ab"[place % 2], "a crane", "a [mask]", ((2, 7),)) for place in range(10)]
    found = measure_audit(write_set(tmp_path / "set", {"train": rows}, info))
    ambiguous = found["over_masking"]["ambiguous_forms"]
    assert (ambiguous["forms"], ambiguous["ambiguous"], ambiguous["masked"]) == (4, 2, 10)
    assert found["other_classes"]["captions"] == 0
    assert found["over_masking"]["rate"] == 0.0  # no class is without it: there is no background


def test_kinds_that_the_lexicon_lacks_are_undefined(tmp_path: Path) -> None:
    rows, _ = planted_rows(50, 6, {})
    dataset = write_set(tmp_path / "set", {"train": rows}, INFO)
    found = measure_audit(dataset)
    assert found["leaks"]["all"]["kinds"]["hypernym"] is None
    assert found["leaks"]["all"]["left_by_level"] is None
    assert any("broader term" in line for line in wording.remarks(found))
    with pytest.raises(DataError, match="hypernym"):
        measure_audit(dataset, "hypernym")
    with pytest.raises(UnknownName, match="hypernyms"):
        measure_audit(dataset, "hypernyms")
    with pytest.raises(UnknownName, match="split"):
        measure_audit(dataset, splits=["tset"])


def test_the_same_data_give_the_same_bytes(tmp_path: Path) -> None:
    rows, _ = planted_rows(300, 7, RATES)
    values = []
    for name in "ab":
        dataset = write(tmp_path / name, {"train": rows[:200], "val": rows[200:]})
        values.append(json.dumps(measure_audit(dataset), allow_nan=False))
    assert values[0] == values[1]
    assert str(tmp_path) not in values[0]


def test_only_the_splits_asked_for_are_read(tmp_path: Path) -> None:
    train, _ = planted_rows(120, 8, RATES)
    test, truth = planted_rows(80, 9, RATES)
    found = measure_audit(write(tmp_path / "set", {"train": train, "test": test}), splits=["test"])
    assert found["leaks"]["all"]["captions"] == 80
    assert found["leaks"]["all"]["kinds"]["name"]["captions"] == sum("name" in kinds for kinds in truth)
    assert set(found["leaks"]) == {"test", "all"}
    assert found["classifier"]["tested_on"] == "5 folds of test"


def test_an_empty_data_set_is_no_error(tmp_path: Path) -> None:
    found = measure_audit(write(tmp_path / "set", {"train": []}))
    assert found["leaks"]["all"]["any"] == {"captions": 0, "rate": None}
    assert "nothing can leak" in wording.verdict(found)
    wording.tables(found)


HOSTILE = "<script>x</script>\u2028=cmd|\x1b[31m red\u202e\U0001f600\r\n"


@pytest.fixture
def leaking(tmp_path: Path) -> Path:
    rows, _ = planted_rows(200, 11, RATES)
    rows = [replace(row, caption=row.caption + HOSTILE, masked=row.masked + HOSTILE) for row in rows]
    write(tmp_path / "set", {"train": rows})
    return tmp_path / "set"


def test_the_command_prints_tables_and_keeps_the_audit(leaking: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(leaking), "--quiet"]) == 0
    printed = capsys.readouterr().out
    assert "still tell their class at level strict" in printed
    assert "\x1b" not in printed
    kept = json.loads((leaking / "audit.json").read_text(encoding="utf-8"))
    assert kept == measure_audit(open_dataset(leaking))

    (leaking / "audit.json").unlink()
    assert main(["audit", str(leaking), "--quiet", "--level", "head", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["level"] == "head"
    assert not (leaking / "audit.json").exists()


@pytest.mark.parametrize(
    ("limits", "code", "said"),
    [
        (["1"], 0, ""),
        (["0.01"], 4, "of masked captions leak; the limit is 1.0000 %"),
        (["1%"], 4, "the limit is 1.0000 %"),
        (["1", "name=0"], 4, "by kind name"),
        (["name=0.9", "hypernym=0.9"], 0, ""),
        (["nmae=0"], 2, "Did you mean 'name'"),
        (["x"], 2, "a fraction from 0 to 1"),
        (["-1"], 2, "a fraction from 0 to 1"),
        (["nan"], 2, "a fraction from 0 to 1"),
    ],
)
def test_the_command_fails_above_a_limit(
    leaking: Path, capsys: pytest.CaptureFixture[str], limits: list[str], code: int, said: str
) -> None:
    words = [word for limit in limits for word in ("--fail-above", limit)]
    assert main(["audit", str(leaking), "--quiet", *words]) == code
    assert said in capsys.readouterr().err


def test_a_limit_on_what_was_not_looked_for_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows, _ = planted_rows(20, 12, {})
    write_set(tmp_path / "set", {"train": rows}, INFO)
    assert main(["audit", str(tmp_path / "set"), "--quiet", "--fail-above", "hypernym=0"]) == ConfigError.exit_code
    assert "WordNet" in capsys.readouterr().err
