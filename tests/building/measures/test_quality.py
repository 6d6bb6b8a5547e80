"""The quality card of whole data sets: planted defects come back exactly; odd sets; processes; the command."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from written_sets import Row, die, write_set

from openmmlo.building.captioners import PAPER_PROMPT
from openmmlo.building.measures import store
from openmmlo.building.measures.quality import measure_quality, reading
from openmmlo.building.measures.quality.measure import GROUPS
from openmmlo.building.word_counts import words
from openmmlo.cli import main
from openmmlo.data import BuiltDataset, open_dataset
from openmmlo.errors import DataError, WorkerDied
from openmmlo.records import ClassInfo, DatasetInfo

COUNTS = (150, 101, 100, 20, 19, 0)
CLASSES = tuple(ClassInfo(f"c{place}", f"thing{place}", (f"thing{place}",)) for place in range(len(COUNTS)))
INFO = DatasetInfo("tiny", "1", "apache-2.0", CLASSES, COUNTS)
GROUP_OF = dict(enumerate(("many", "many", "medium", "medium", "few", "few"))) | {-1: "ood"}

VOCABULARY = [f"{a}{b}{c}" for a in "bdfgklm" for b in "aeiou" for c in "nprstvz"]

DEFECTS = {
    "empty": "...",
    "repeated_ngrams": "{} and the dog and the dog and the dog and the dog.",
    "refusals": "I'm sorry, but {} cannot be described.",
    "prompt_echoes": "What does this picture describe? {}.",
    "unfinished": "{} and then",
    "addresses": "{} from https://example.org.",
    "special_tokens": "{}</s>.",
    "broken_characters": "{} \ufffd.",
    "other_script": "собака на траве под деревом у старого дома ({:.3})!",
}

COPIES = ("exact_duplicates", "near_duplicates", "across_classes", "masked_duplicates", "masked_across_classes")


def sentence(rng: random.Random, length: int = 25) -> str:
    return " ".join(rng.choices(VOCABULARY, k=length))


def row(label: int, caption: str, key: str | None = None) -> Row:
    return Row(
        label, (f"c{label}" if label >= 0 else "x") if key is None else key, caption, f"[mask] {caption}", ((0, 0),)
    )


def with_prompt(dataset: BuiltDataset, prompt: str = PAPER_PROMPT) -> BuiltDataset:
    captioner = {**dataset.manifest["captioner"], "prompt": prompt}
    return replace(dataset, manifest={**dataset.manifest, "captioner": captioner})


def planted(seed: int) -> tuple[dict[str, list[Row]], dict[tuple[str, str], dict[str, int]]]:
    """Rows of each split, and how many of (split, group) have which defect."""
    rng = random.Random(seed)
    rows: dict[str, list[Row]] = {}
    told: dict[tuple[str, str], dict[str, int]] = {}
    for split, count in (("train", 260), ("val", 0), ("test", 150), ("open", 40)):
        rows[split] = []
        for _ in range(count):
            label = -1 if split == "open" else rng.randrange(len(COUNTS))
            caption, found = f"{sentence(rng)}.", told.setdefault((split, GROUP_OF[label]), {})
            found["captions"] = found.get("captions", 0) + 1
            if rng.random() < 0.5:
                kind = rng.choice(list(DEFECTS))
                caption = DEFECTS[kind].format(sentence(rng))
                found[kind] = found.get(kind, 0) + 1
            rows[split].append(row(label, caption))
    return rows, told


def told_of(told: Mapping[tuple[str, str], Mapping[str, int]], kind: str, split: str = "", group: str = "") -> int:
    return sum(found.get(kind, 0) for (s, g), found in told.items() if split in ("", s) and group in ("", g))


@pytest.mark.parametrize("seed", range(2))
def test_planted_defects_come_back_exactly(tmp_path: Path, seed: int) -> None:
    rows, told = planted(seed)
    found = measure_quality(with_prompt(write_set(tmp_path / "set", rows, INFO, rows_a_file=70)))
    cards = {("", ""): found["groups"]["all"]}
    cards |= {("", name): found["groups"][name] for name in GROUPS}
    cards |= {(name, ""): found["splits"][name] for name in rows}
    for (split, group), card in cards.items():
        captions = told_of(told, "captions", split, group)
        assert card["captions"] == captions
        for kind in DEFECTS:
            expected = told_of(told, kind, split, group)
            if kind == "unfinished":  # these hold no full stop either
                expected += 0
            rate = pytest.approx(expected / captions, abs=1e-6) if captions else None
            assert {key: card[kind][key] for key in ("captions", "rate")} == {"captions": expected, "rate": rate}, kind
    kinds = [example["kind"] for example in found["examples"]]
    assert {kind: min(3, told_of(told, kind)) for kind in DEFECTS} == {kind: kinds.count(kind) for kind in DEFECTS}
    texts = {f"{split}/{place}": one.caption for split, part in rows.items() for place, one in enumerate(part)}
    assert all(texts[example["sample_id"]] == example["text"] for example in found["examples"])
    assert all(example["sample_id"].startswith(f"{example['split']}/") for example in found["examples"])


def test_lengths_agree_with_numpy(tmp_path: Path) -> None:
    rng = random.Random(3)
    rows = {name: [row(0, sentence(rng, rng.randint(0, 60))) for _ in range(count)] for name, count in
            (("train", 71), ("test", 30))}  # fmt: skip
    found = measure_quality(write_set(tmp_path / "set", rows, INFO))
    for name, part in rows.items():
        for key, lengths in (
            ("words", [len(words(one.caption)) for one in part]),
            ("characters", [len(one.caption) for one in part]),
        ):
            low, median, high = np.quantile(lengths, (0.05, 0.5, 0.95))
            expected = {"mean": np.mean(lengths), "median": median, "p05": low, "p95": high, "max": max(lengths)}
            assert found["splits"][name][key] == pytest.approx(expected, abs=1e-6)


def test_captions_are_cut_where_tokens_exceed_the_limit(tmp_path: Path) -> None:
    """``a`` is one token of CLIP's, start and end are two, ``[mask]`` is three."""
    rows = {"train": [row(0, " ".join("a" * count)) for count in (10, 72, 73, 75, 76, 90)]}
    found = measure_quality(write_set(tmp_path / "set", rows, INFO), "clip")
    assert found["limits"] == [{"encoder": "clip", "tokenizer": "clip", "tokens": 77, "reason": None}]
    card = found["splits"]["train"]
    assert card["truncated"]["clip"] == {
        "captions": 4, "rate": 0.666667, "as_written": {"captions": 2, "rate": 0.333333},
    }  # fmt: skip
    assert card["tokens"]["clip"]["max"] == 95
    assert card["tokens"]["clip"]["median"] == (73 + 75) / 2 + 5
    assert measure_quality(open_dataset(tmp_path / "set"), "clip", tokens=20)["splits"]["train"]["truncated"]["clip"][
        "as_written"
    ] == {"captions": 5, "rate": 0.833333}


def test_repeated_ngrams_are_a_share_of_all(tmp_path: Path) -> None:
    rows = {"train": [row(0, "a b c d e"), row(0, "a b c d a b c d"), row(0, "one two")]}
    card = measure_quality(write_set(tmp_path / "set", rows, INFO))["splits"]["train"]
    assert card["repeated_ngrams"] == {"captions": 0, "rate": 0.0, "ngrams": round(1 / 7, 6)}


def copied(tmp_path: Path) -> tuple[dict[str, list[Row]], dict[str, Any]]:
    rng = random.Random(7)
    base = [sentence(rng, 40) for _ in range(40)]
    near = f"{base[0]} more"
    rows = {
        "train": [
            row(0, base[0]), row(1, base[0].upper()), row(0, near), row(2, base[1]),
            *(row(3, text) for text in base[5:25]),
        ],
        "test": [row(0, base[1]), row(4, near), row(0, base[2]), *(row(5, text) for text in base[25:40])],
        "open": [row(-1, base[3], "x"), row(-1, base[3], "y"), row(-1, base[4], ""), row(-1, base[4], "")],
    }  # fmt: skip
    return rows, measure_quality(write_set(tmp_path / "set", rows, INFO))


def test_copies_by_split_class_and_training(tmp_path: Path) -> None:
    _, found = copied(tmp_path)
    counts = {
        name: {kind: card[kind] and card[kind]["captions"] for kind in (*COPIES, "copies_of_train")}
        for name, card in found["splits"].items()
    }
    names = (*COPIES, "copies_of_train")
    assert counts == {
        "train": dict(zip(names, (2, 3, 4, 2, 4, None), strict=True)),
        "test": dict(zip(names, (0, 0, 2, 0, 2, 2), strict=True)),
        "open": dict(zip(names, (4, 4, 2, 4, 2, 0), strict=True)),
    }
    of_train = {name: found["groups"][name]["copies_of_train"] for name in ("all", "many", "medium", "few", "ood")}
    assert of_train == {
        "all": {"captions": 2, "rate": round(2 / 22, 6)},
        "many": {"captions": 1, "rate": 0.5},
        "medium": None,
        "few": {"captions": 1, "rate": round(1 / 16, 6)},
        "ood": {"captions": 0, "rate": 0.0},
    }


def test_the_largest_clusters_are_named(tmp_path: Path) -> None:
    rows, found = copied(tmp_path)
    first = {"captions": 4, "texts": 2, "classes": 3, "splits": {"train": 3, "test": 1}}
    second = {"captions": 2, "texts": 1, "classes": 2, "splits": {"train": 1, "test": 1}}
    assert [{key: cluster[key] for key in first} for cluster in found["clusters"]] == [
        first, second, {**second, "splits": {"open": 2}}, {**second, "classes": 0, "splits": {"open": 2}},
    ]  # fmt: skip
    assert [cluster["sample_id"] for cluster in found["clusters"]] == ["train/0", "train/3", "open/0", "open/2"]
    assert found["clusters"][0]["text"] == rows["train"][0].caption


@pytest.mark.parametrize(
    "splits",
    [
        {},
        {"train": []},
        {"train": [], "test": [row(0, "")]},
        {"train": [row(0, "A dog.")]},
        {"open": [row(-1, "A dog."), row(-1, "")]},
        {"test": [row(0, "\u2028\n"), row(5, "</script><img src=x onerror=alert(1)>\u202e=1+1")]},
        {"train": [row(0, "x" * 100_000), row(0, "a b c " * 20_000), row(0, "\u0301" * 999)]},
    ],
)
def test_odd_sets_give_cards_without_numbers_made_up(tmp_path: Path, splits: Mapping[str, Sequence[Row]]) -> None:
    dataset = write_set(tmp_path / "set", splits, INFO)
    found = measure_quality(dataset)
    assert json.loads((store.save(tmp_path, "quality", found)).read_bytes()) == found
    assert list(found["splits"]) == list(splits)
    for name, card in found["splits"].items():
        assert card["captions"] == len(splits[name])
        nothing = not splits[name]
        assert (card["words"]["mean"] is None) == nothing
        assert (card["truncated"]["clip"]["rate"] is None) == nothing
        assert all(card[kind] is None or (card[kind]["rate"] is None) == nothing for kind in (*DEFECTS, *COPIES))
        assert card["prompt_echoes"] is None
    assert all(len(example["text"]) <= 400 for example in found["examples"])


def test_without_training_counts_there_is_no_head_and_no_tail(tmp_path: Path) -> None:
    rows = {"test": [row(0, "A dog."), row(1, "A cat.")], "open": [row(-1, "A cow.")]}
    found = measure_quality(write_set(tmp_path / "set", rows, replace(INFO, train_counts=None)))
    assert {name: card["captions"] for name, card in found["groups"].items()} == {
        "all": 3, "many": 0, "medium": 0, "few": 0, "ood": 1,
    }  # fmt: skip
    assert found["groups"]["all"]["copies_of_train"] is None


def test_a_captioner_without_full_stops_is_not_blamed(tmp_path: Path) -> None:
    stops, none = "A dog on grass.", "a dog on grass"
    for number, (part, expected) in enumerate((((stops, stops, none), 1), ((stops, none, none), None))):
        rows = {"train": [row(0, caption) for caption in part]}
        card = measure_quality(write_set(tmp_path / str(number), rows, INFO))["groups"]["all"]
        assert card["unfinished"] == (expected and {"captions": 1, "rate": round(1 / 3, 6)})


@pytest.mark.slow
def test_processes_and_file_cuts_change_nothing(tmp_path: Path) -> None:
    rows, _ = planted(5)
    whole = with_prompt(write_set(tmp_path / "whole", rows, INFO, rows_a_file=1000))
    parts = with_prompt(write_set(tmp_path / "parts", rows, INFO, rows_a_file=17))
    alone = measure_quality(parts, workers=1)
    assert json.dumps(measure_quality(parts, workers=2)) == json.dumps(alone)
    assert {**measure_quality(whole), "dataset": ""} == {**alone, "dataset": ""}


class Heard:
    """A Progress that remembers."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def start(self, total: int, done: int) -> None:
        self.events.append(("start", total, done))

    def advance(self, rows: int, failed: int) -> None:
        self.events.append(rows)

    def say(self, message: str) -> None:
        self.events.append(message)

    def close(self) -> None:
        self.events.append("close")


def test_progress_counts_captions_and_is_closed(tmp_path: Path) -> None:
    heard = Heard()
    dataset = write_set(tmp_path / "set", {"train": [row(0, f"{n} dogs") for n in range(25)]}, INFO, rows_a_file=10)
    measure_quality(dataset, progress=heard)
    assert heard.events == [("start", 25, 0), 10, 10, 5, "comparing the captions with each other", "close"]
    dataset.files("train")[1].unlink()
    heard = Heard()
    with pytest.raises(DataError, match="train-00001"):
        measure_quality(dataset, progress=heard)
    assert heard.events[-1] == "close"


@pytest.mark.slow
def test_a_killed_process_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = write_set(tmp_path / "set", {"train": [row(0, f"{n} dogs") for n in range(25)]}, INFO, rows_a_file=10)
    monkeypatch.setattr(reading, "_look_shared", die)
    with pytest.raises(WorkerDied, match="was killed"):
        measure_quality(dataset, workers=2)


def test_the_command_prints_a_table_and_leaves_quality_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows, _ = planted(6)
    folder = write_set(tmp_path / "set", rows, INFO).folder
    assert main(["quality", str(folder), "--quiet"]) == 0
    shown = capsys.readouterr().out
    lines = {line.strip().partition("  ")[0]: line.split() for line in shown.splitlines()}
    assert lines["all"] == ["all", "many", "medium", "few", "ood"]
    assert lines["captions"][1:] == [f"{told_of(_, 'captions', group=name):,}" for name in ("", *GROUPS)]
    first = (folder / "quality.json").read_bytes()
    value = json.loads(first)
    assert store.load(folder, "quality", open_dataset(folder).digest) == value
    assert main(["quality", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == value
    assert (folder / "quality.json").read_bytes() == first
    assert main(["quality", str(folder), "--quiet", "--tokenizer", "clip", "--tokens", "10"]) == 0
    assert "cut: clip, 10 tokens" in capsys.readouterr().out
    assert main(["quality", str(tmp_path / "none")]) == 2
    assert main(["quality", str(folder), "--tokens", "10"]) == 2
