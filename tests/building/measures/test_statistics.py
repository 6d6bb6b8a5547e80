"""Statistics of whole data sets against pandas and brute force on random captions; degenerate sets; the command."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from written_sets import INFO, NAMES, NOUNS, Row, StubWordNet, joined, random_splits, write_set

from openmmlo.building.measures.statistics import counting, measure, measure_statistics
from openmmlo.building.measures.statistics.label_nouns import write_label_nouns
from openmmlo.building.measures.statistics.tails import gini, pareto_share, zipf_fit
from openmmlo.building.measures.statistics.tally import Pairs, Vocabulary, pair_keys
from openmmlo.building.word_counts import words
from openmmlo.building.wordnet import find_wordnet
from openmmlo.building.wordnet_files import lay_out
from openmmlo.records import ClassInfo


@pytest.fixture(autouse=True)
def _stub_wordnet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "find_wordnet", StubWordNet)


def expected_words(captions: Sequence[str], only: set[str] | None = None) -> dict[str, Any]:
    """The block of one column by pandas, over what the word counter of the build sees."""
    said = pd.Series([word for caption in captions for word in words(caption)], dtype=object)
    if only is not None:
        said = said[said.str.removesuffix("'s").isin(only)]
    counts = said.value_counts()
    top = counts.rename_axis("word").reset_index(name="n").sort_values(["n", "word"], ascending=[False, True])
    return {
        "tokens": len(said),
        "types": said.nunique(),
        "hapaxes": int((counts == 1).sum()),
        "top": [[word, count] for word, count in zip(top["word"][:50], top["n"][:50], strict=True)],
        "gini": gini(counts),
        "pareto": {"types": 0.2, "tokens": pareto_share(counts)},
        "rank_frequency": [[rank, count] for rank, count in enumerate(top["n"].tolist(), 1)],
    }


def close(found: Any, expected: Any) -> bool:
    return bool(found == (expected if expected is None else pytest.approx(expected, rel=1e-5, abs=1e-9)))


def check_split(found: dict[str, Any], rows: Sequence[Row]) -> None:
    masked_rows = sum(bool(row.spans) for row in rows)
    assert (found["rows"], found["masked_rows"]) == (len(rows), masked_rows)
    assert close(found["mask_rate"], masked_rows / len(rows) if rows else None)
    images = Counter(row.label for row in rows)
    positive = [images[label] for label in range(6) if images[label]]
    block = found["classes"]
    assert (block["classes"], block["empty"], block["images"]) == (6, 6 - len(positive), sum(positive))
    assert (block["max"], block["min"]) == ((max(positive), min(positive)) if positive else (None, None))
    assert close(block["imbalance_factor"], max(positive) / min(positive) if positive else None)
    assert close(block["gini"], gini([images[label] for label in range(6)]))
    keys = Counter(row.class_key for row in rows if row.label == -1)
    if keys:
        assert (found["ood"]["rows"], found["ood"]["unknown"]) == (keys.total(), keys[""])
        assert found["ood"]["classes"] == len(set(keys) - {""})
    else:
        assert found["ood"] is None
    for column, captions in (("raw", [row.caption for row in rows]), ("masked", [row.masked for row in rows])):
        for only, block in ((None, found[column]), (NOUNS, found[column]["nouns"])):
            expected = expected_words(captions, only)
            assert {key: block[key] for key in ("tokens", "types", "hapaxes", "top", "rank_frequency")} == {
                key: expected[key] for key in ("tokens", "types", "hapaxes", "top", "rank_frequency")
            }
            assert close(block["gini"], expected["gini"])
            assert close(block["pareto"]["tokens"], expected["pareto"]["tokens"])
            fit = zipf_fit([count for _, count in expected["rank_frequency"]], 5)
            assert close(block["zipf"] and block["zipf"]["slope"], fit and fit.slope)
        pairs = expected_pairs(rows, captions)
        assert found[column]["label_nouns"]["types"] == len(pairs)
        assert found[column]["label_nouns"]["tokens"] == pairs.total()
        for key, noun, count in found[column]["label_nouns"]["top"]:
            assert pairs[int(key[1:]) if key else -1, noun] == count
        check_naming(found["naming"] if column == "raw" else found["naming"]["masked"], rows, captions)


def expected_pairs(rows: Sequence[Row], captions: Sequence[str]) -> Counter[tuple[int, str]]:
    return Counter(
        (row.label, word)
        for row, caption in zip(rows, captions, strict=True)
        for word in words(caption)
        if word.removesuffix("'s") in NOUNS
    )


def check_naming(found: dict[str, Any], rows: Sequence[Row], captions: Sequence[str]) -> None:
    named = [{place for place, name in enumerate(NAMES) if name in words(caption)} for caption in captions]
    own = [INFO.classes.index(item) if (item := _class(row.class_key)) else None for row in rows]
    assert found["captions_naming_a_class"] == sum(map(bool, named))
    assert found["captions_naming_own_class"] == sum(mine in places for mine, places in zip(own, named, strict=True))
    assert found["captions_naming_another_class"] == sum(
        bool(places - {mine}) for mine, places in zip(own, named, strict=True)
    )
    per_class = [sum(place in places for places in named) for place in range(6)]
    assert found["classes_named"] == sum(map(bool, per_class))
    if len(set(per_class)) == 1:
        assert found["spearman"] is None
    else:
        expected = scipy.stats.spearmanr(per_class, INFO.train_counts)
        assert close(found["spearman"]["rho"], expected.statistic)
        assert close(found["spearman"]["p"], expected.pvalue)
        assert found["spearman"]["classes"] == 6


def _class(key: str) -> ClassInfo | None:
    return next((item for item in INFO.classes if item.key == key), None)


@pytest.mark.parametrize("seed", [1, 2])
def test_every_number_agrees_with_pandas_and_brute_force(tmp_path: Path, seed: int) -> None:
    splits = random_splits(seed)
    found = measure_statistics(write_set(tmp_path / "set", splits, INFO))
    assert list(found["splits"]) == [*splits, "all"]
    for split, rows in (*splits.items(), ("all", joined(splits))):
        check_split(found["splits"][split], rows)
    training = found["training"]
    assert (training["classes"], training["empty"], training["images"]) == (6, 1, 253)
    assert (training["max"], training["min"], training["imbalance_factor"]) == (150, 4, 37.5)
    assert training["shot_groups"] == {"many": 1, "medium": 2, "few": 3}
    assert found["wordnet"] == "3.0"
    json.dumps(found, allow_nan=False)


def test_label_noun_table_holds_every_pair(tmp_path: Path) -> None:
    splits = random_splits(3)
    found = measure_statistics(write_set(tmp_path / "set", splits, INFO))
    rows = joined(splits)
    table = pd.read_csv(tmp_path / "set" / "label_noun_counts.csv", keep_default_na=False)
    assert list(table.columns) == ["label", "class_key", "noun", "raw", "masked"]
    for column, captions in (("raw", [row.caption for row in rows]), ("masked", [row.masked for row in rows])):
        counts = zip(table["label"], table["noun"], table[column], strict=True)
        assert {(label, noun): count for label, noun, count in counts if count} == expected_pairs(rows, captions)
    assert table["class_key"].tolist() == [f"c{label}" if label >= 0 else "" for label in table["label"]]
    order = [((label + 7) % 7, -raw, -masked, noun) for label, _, noun, raw, masked in table.itertuples(index=False)]
    assert order == sorted(order)
    expected = {"file": "label_noun_counts.csv", "pairs": len(table), "rows": len(table), "least_count": 1}
    assert found["label_noun_counts"] == expected


def test_label_noun_table_drops_the_rarest_where_it_would_be_too_long(tmp_path: Path) -> None:
    vocabulary = Vocabulary()
    numbers = vocabulary.numbers(["kite", "=tree", "leaf", "river"])
    pairs = Pairs()
    pairs.add(pair_keys(np.array([0, 0, 1, -1]), np.array(numbers)), np.array([[5, 0], [1, 2], [2, 2], [0, 9]]))
    found = write_label_nouns(tmp_path, pairs, vocabulary.words, INFO, most_rows=3)
    assert found == {"file": "label_noun_counts.csv", "pairs": 4, "rows": 2, "least_count": 3}
    lines = (tmp_path / "label_noun_counts.csv").read_text(encoding="utf-8").splitlines()
    assert lines == ["label,class_key,noun,raw,masked", "0,c0,kite,5,0", "-1,,river,0,9"]
    assert write_label_nouns(tmp_path, pairs, vocabulary.words, INFO, most_rows=4)["least_count"] == 1
    assert "0,c0,'=tree,1,2\n" in (tmp_path / "label_noun_counts.csv").read_text(encoding="utf-8")


def test_without_wordnet_nouns_are_absent_and_no_old_table_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = write_set(tmp_path / "set", random_splits(4), INFO)
    with_nouns = measure_statistics(dataset)
    assert (tmp_path / "set" / "label_noun_counts.csv").is_file()
    monkeypatch.setattr(measure, "find_wordnet", lambda: None)
    found = measure_statistics(dataset)
    assert not (tmp_path / "set" / "label_noun_counts.csv").exists()
    assert found["wordnet"] is None
    assert found["label_noun_counts"] is None
    for split, block in found["splits"].items():
        for column in ("raw", "masked"):
            assert block[column]["nouns"] is None
            assert block[column]["label_nouns"] is None
            assert block[column]["top"] == with_nouns["splits"][split][column]["top"]


def test_the_number_of_processes_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "_PART_ROWS", 100)
    dataset = write_set(tmp_path / "set", random_splits(5), INFO, rows_a_file=60)
    seen = Seen()
    alone = measure_statistics(dataset, seen, processes=1)
    table = (tmp_path / "set" / "label_noun_counts.csv").read_bytes()
    (tmp_path / "set" / "label_noun_counts.csv").unlink()
    assert (seen.total, seen.rows, seen.closed) == (720, 720, True)
    assert measure_statistics(dataset, seen, processes=2) == alone
    assert seen.rows == 1440
    assert (tmp_path / "set" / "label_noun_counts.csv").read_bytes() == table


class Seen:
    """A Progress that remembers."""

    def __init__(self) -> None:
        self.total = self.rows = 0
        self.closed = False

    def start(self, total: int, done: int) -> None:
        self.total = total

    def advance(self, rows: int, failed: int) -> None:
        self.rows += rows

    def say(self, message: str) -> None:
        raise AssertionError(message)

    def close(self) -> None:
        self.closed = True


def test_nouns_of_the_real_wordnet(wordnet_dict: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out(wordnet_dict, tmp_path / "data" / "nltk_data")
    monkeypatch.setenv("OPENMMLO_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(measure, "find_wordnet", find_wordnet)
    caption = "The lion's teeth are in a sunny green meadow; it runs quickly, lions eat grass at rivers, let's see."
    found = measure_statistics(write_set(tmp_path / "set", {"train": [Row(0, "c0", caption, caption)]}, INFO))
    assert found["wordnet"] == "3.0"
    nouns = {word for word, _ in found["splits"]["train"]["raw"]["nouns"]["top"]}
    assert nouns == {"lion's", "teeth", "meadow", "lions", "grass", "rivers"}
