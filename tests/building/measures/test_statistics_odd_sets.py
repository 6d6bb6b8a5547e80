"""Statistics of degenerate, hostile and damaged data sets."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import written_sets
from written_sets import INFO, NAMES, Row, StubWordNet, random_rows, random_splits, write_set

from openmmlo.building.measures.statistics import counting, measure, measure_statistics
from openmmlo.building.word_counts import words
from openmmlo.errors import DataError, WorkerDied
from openmmlo.records import ClassInfo, DatasetInfo


@pytest.fixture(autouse=True)
def _stub_wordnet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "find_wordnet", StubWordNet)


def one_class(counts: tuple[int, ...] | None) -> DatasetInfo:
    return DatasetInfo("one", "1", "", (ClassInfo("c0", "lion", ("lion",)),), counts)


def test_one_class(tmp_path: Path) -> None:
    rows = [Row(0, "c0", "a lion", "a [mask]", ((2, 6),))] * 3
    found = measure_statistics(write_set(tmp_path / "set", {"train": rows}, one_class(None)))
    training = found["training"]
    assert (training["images"], training["imbalance_factor"], training["gini"]) == (3, 1, 0)
    assert training["pareto"] == {"classes": 0.2, "images": 0.2}
    assert training["zipf"] is None
    split = found["splits"]["train"]
    assert split["raw"]["top"] == [["a", 3], ["lion", 3]]
    assert split["masked"]["top"] == [["[mask]", 3], ["a", 3]]
    assert split["masked"]["nouns"]["top"] == []
    assert split["masked"]["nouns"]["gini"] is None
    assert split["raw"]["label_nouns"]["top"] == [["c0", "lion", 3]]
    assert split["naming"]["spearman"] is None
    assert (split["naming"]["captions_naming_own_class"], split["naming"]["masked"]["captions_naming_a_class"]) == (
        3,
        0,
    )


def test_nothing_at_all(tmp_path: Path) -> None:
    found = measure_statistics(write_set(tmp_path / "set", {"train": [], "test": []}, one_class((0,))))
    assert found["training"]["imbalance_factor"] is None
    for split in ("train", "test", "all"):
        block = found["splits"][split]
        assert (block["rows"], block["mask_rate"], block["ood"]) == (0, None, None)
        assert (block["classes"]["max"], block["classes"]["gini"], block["classes"]["empty"]) == (None, None, 1)
        for side in (block["raw"], block["masked"], block["raw"]["nouns"], block["raw"]["label_nouns"]):
            assert (side["tokens"], side["types"], side["top"]) == (0, 0, [])
            assert side["gini"] is side["zipf"] is side["pareto"]["tokens"] is None
    assert (tmp_path / "set" / "label_noun_counts.csv").read_text() == "label,class_key,noun,raw,masked\n"


def test_all_equal_and_all_out_of_distribution(tmp_path: Path) -> None:
    equal = [Row(label, f"c{label}", f"the {NAMES[label]}", "the [mask]", ((4, 9),)) for label in range(6)] * 4
    ood = [Row(-1, "o1", "an okapi", "an [mask]", ((3, 8),))] * 2 + [Row(-1, "", "a tree", "a tree")] * 3
    info = DatasetInfo(INFO.name, "1", "", INFO.classes, (4,) * 6, INFO.ood_classes)
    found = measure_statistics(write_set(tmp_path / "set", {"train": equal, "open": ood}, info))
    train, opened = found["splits"]["train"], found["splits"]["open"]
    assert (train["classes"]["imbalance_factor"], train["classes"]["gini"]) == (1, 0)
    assert train["classes"]["pareto"]["images"] == 0.2
    assert (train["classes"]["zipf"]["slope"], train["classes"]["zipf"]["r2"]) == (0, None)
    assert train["naming"]["spearman"] is None
    assert train["naming"]["captions_naming_own_class"] == 24
    assert opened["classes"]["images"] == 0
    assert (opened["ood"]["rows"], opened["ood"]["unknown"], opened["ood"]["images"]) == (5, 3, 2)
    assert opened["raw"]["label_nouns"]["top"] == [["", "tree", 3], ["", "okapi", 2]]
    assert opened["naming"]["captions_naming_a_class"] == 0
    assert found["splits"]["all"]["rows"] == 29


def test_the_most_frequent_come_by_count_then_by_spelling(tmp_path: Path) -> None:
    letters = [f"{first}{second}" for first in "qwertzuiop" for second in "asdfghjkly"]
    rows = [Row(0, "c0", " ".join(letters), ""), Row(0, "c0", "zz zz yy", "")]
    found = measure_statistics(write_set(tmp_path / "set", {"train": rows}, one_class((2,))))
    assert found["splits"]["train"]["raw"]["top"] == [["zz", 2], *([word, 1] for word in sorted([*letters, "yy"])[:49])]


def test_rows_of_a_class_are_found_under_other_classes_names(tmp_path: Path) -> None:
    rows = [Row(0, "c0", "An umbrella and a kite, umbrellas!", "An umbrella and a kite, umbrellas!")]
    rows += [Row(-1, "c1", "The umbrella.", "The [mask].", ((4, 12),)), Row(1, "c1", "No name", "No name")]
    naming = measure_statistics(write_set(tmp_path / "set", {"train": rows}, INFO))["splits"]["train"]["naming"]
    assert (naming["captions_naming_a_class"], naming["captions_naming_own_class"]) == (2, 1)
    assert (naming["captions_naming_another_class"], naming["classes_named"]) == (1, 2)
    masked = naming["masked"]
    assert (masked["captions_naming_a_class"], masked["captions_naming_own_class"]) == (1, 0)


HOSTILE = [
    "<script>",
    "</script>",
    "=cmd()",
    "\u2028",
    "\x1b[31m",
    "\u202egnp",
    "🦁🏽",
    "\0",
    "a\nb",
    "[x](javascript:1)",
]


def test_hostile_captions_and_names_do_no_harm(tmp_path: Path) -> None:
    classes = tuple(ClassInfo(f"={place}{text}", text, (text,)) for place, text in enumerate(HOSTILE))
    info = DatasetInfo("hostile", "1", "", classes, tuple(range(1, 11)))
    rows = [Row(place, item.key, f"{item.name} lion {item.name}", "") for place, item in enumerate(classes)]
    found = measure_statistics(write_set(tmp_path / "set", {"train": rows}, info))
    words_found = {word for word, _ in found["splits"]["train"]["raw"]["top"]}
    assert words_found == {word for row in rows for word in words(row.caption)}
    table = pd.read_csv(tmp_path / "set" / "label_noun_counts.csv", keep_default_na=False, lineterminator="\n")
    assert all(key.startswith("'=") for key in table["class_key"])


@pytest.mark.parametrize("processes", [1, 2])
def test_a_damaged_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: int) -> None:
    monkeypatch.setattr(counting, "_PART_ROWS", 100)
    dataset = write_set(tmp_path / "set", random_splits(6), INFO, rows_a_file=60)
    (tmp_path / "set" / "data" / "train-00004-of-00009.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(DataError, match=r"no readable data/train-00004-of-00009\.parquet"):
        measure_statistics(dataset, processes=processes)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_missing_lexicon_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: int) -> None:
    monkeypatch.setattr(counting, "_PART_ROWS", 2)
    dataset = write_set(tmp_path / "set", {"train": random_rows(6, 0)}, INFO, rows_a_file=2)
    (tmp_path / "set" / "lexicon.json").unlink()
    with pytest.raises(DataError, match=r"lexicon\.json cannot be read"):
        measure_statistics(dataset, processes=processes)


def test_a_killed_process_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "_PART_ROWS", 2)
    monkeypatch.setattr(counting, "_count", written_sets.die)
    dataset = write_set(tmp_path / "set", {"train": random_rows(20, 0)}, INFO, rows_a_file=2)
    with pytest.raises(WorkerDied, match="run the same command again"):
        measure_statistics(dataset, processes=2)


def test_a_script_without_a_guard_ends_with_a_hint(tmp_path: Path) -> None:
    classes = tuple(ClassInfo(f"c{place}", f"name {place}") for place in range(5000))  # more than a pipe holds
    rows = [Row(0, "c0", "words", "words")] * 4
    write_set(tmp_path / "set", {"train": rows}, DatasetInfo("many", "1", "", classes, (1,) * 5000), rows_a_file=2)
    script = tmp_path / "unguarded.py"
    script.write_text(
        "import sys\n"
        "from openmmlo.building.measures.statistics import counting, measure_statistics\n"
        "from openmmlo.data import open_dataset\n"
        "counting._PART_ROWS = 2\n"
        "measure_statistics(open_dataset(sys.argv[1]), processes=2)\n",
        encoding="utf-8",
    )
    done = subprocess.run([sys.executable, script, tmp_path / "set"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "WorkerDied" in done.stderr.splitlines()[-1]
    assert "__name__" in done.stderr.splitlines()[-1]
