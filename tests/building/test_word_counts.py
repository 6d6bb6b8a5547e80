"""Word and class counts against a count by hand, and as files."""

from __future__ import annotations

import csv
import random
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmmlo.building.word_counts import ShardCounts, words, write_counts
from openmmlo.errors import DataError
from openmmlo.records import Caption, ClassInfo, DatasetInfo

INFO = DatasetInfo(
    "miniature",
    "1",
    "Apache-2.0",
    (ClassInfo("n1", "lion"), ClassInfo("n2", "=HYPERLINK(1)"), ClassInfo("n3", 'a "quoted",\nname')),
    train_counts=(150, 20, 3),
    ood_classes=(ClassInfo("o1", "okapi"),),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A lion, the LION.", ["a", "lion", "the", "lion"]),
        ("the lion's well-lit cage", ["the", "lion's", "well-lit", "cage"]),
        ("the lion’s cage", ["the", "lion's", "cage"]),
        ("-- 'quoted' -dash- 3 4th x2y", ["quoted", "dash", "th", "x", "y"]),
        ("[mask] and [mask]s, [mask]'s [mask]s' [MASK]", ["[mask]", "and", *["[mask]"] * 4]),
        ("[mask]’s [mask]-like", ["[mask]", "[mask]", "like"]),
        ("Cafe\u0301 CAFÉ straße STRASSE", ["café", "café", "strasse", "strasse"]),
        ("snake_case\ttab\nline", ["snake", "case", "tab", "line"]),
        ("सिंह और शेर", ["सिंह", "और", "शेर"]),
        ("", []),
        ("=1+2 @x +y", ["x", "y"]),
    ],
)
def test_words_of_a_caption(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@given(st.text(alphabet="ab'- .,1é\u0301[mask]sS\n", max_size=40))
def test_words_begin_and_end_with_letters(text: str) -> None:
    for word in words(text):
        assert word == "[mask]" or (word[0].isalpha() and not word.endswith(("'", "-")))


def _captions(count: int, seed: int) -> list[tuple[str, str, Caption]]:
    generator = random.Random(seed)
    found = []
    for number in range(count):
        said = generator.choices(["a", "lion", "red", "Tree", "near", "water's"], k=12)
        masked = ["[mask]" if word == "lion" else word for word in said]
        spans = tuple((0, 1) for word in said if word == "lion")
        caption = Caption(str(number), " ".join(said), " ".join(masked), spans)
        found.append((generator.choice(["train", "test", "open"]), generator.choice(["n1", "n2", "o1", ""]), caption))
    return found


def _counted(captions: list[tuple[str, str, Caption]]) -> ShardCounts:
    counts = ShardCounts()
    for split, key, caption in captions:
        counts.add(split, key, caption)
    return counts


def test_counts_are_those_made_by_hand() -> None:
    captions = _captions(300, seed=1)
    counts = _counted(captions)
    for split in ("train", "test", "open"):
        mine = [(key, caption) for where, key, caption in captions if where == split]
        found = counts.splits[split]
        assert found.rows == len(mine)
        assert found.masked_rows == sum("lion" in caption.text for _, caption in mine)
        assert found.class_rows == Counter(key for key, _ in mine)
        assert found.raw_words == Counter(" ".join(caption.text for _, caption in mine).lower().split())
        assert found.masked_words == Counter(" ".join(caption.masked for _, caption in mine).lower().split())


def test_shards_add_up_in_any_order_and_through_json() -> None:
    captions = _captions(200, seed=2)
    shards = [_counted(captions[start : start + 30]) for start in range(0, 200, 30)]
    whole = _counted(captions)
    for order in (shards, shards[::-1]):
        total = ShardCounts()
        for shard in order:
            total.merge(ShardCounts.from_json(shard.to_json()))
        assert total.to_json() == whole.to_json()
    assert ShardCounts.from_json(whole.to_json()) == whole


@pytest.mark.parametrize("text", ["", "[]", '{"train": 3}', '{"train": {"rows": 1}}'])
def test_what_holds_no_counts_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="Not the counts of a shard"):
        ShardCounts.from_json(text)


def test_tables_are_complete_sorted_and_the_same_every_time(tmp_path: Path) -> None:
    captions = _captions(300, seed=3)
    counts = _counted(captions)
    paths = write_counts(tmp_path, counts, INFO)
    assert [path.name for path in paths] == ["class_counts.csv", "word_counts.csv"]
    with paths[0].open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["label"] for row in table] == ["0", "1", "2", "-1", "-1"]
    assert [row["class_key"] for row in table] == ["n1", "n2", "n3", "", "o1"]
    assert [row["name"] for row in table] == ["lion", "'=HYPERLINK(1)", 'a "quoted",\nname', "", "okapi"]
    assert [row["shot_group"] for row in table] == ["many", "medium", "few", "", ""]
    assert list(table[0]) == ["label", "class_key", "name", "train", "test", "open", "shot_group"]
    for row in table:
        for split in ("train", "test", "open"):
            assert int(row[split]) == sum(key == row["class_key"] and where == split for where, key, _ in captions)
    with paths[1].open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    everything = Counter(" ".join(caption.text for _, _, caption in captions).lower().split())
    assert rows[0] == ["word", "raw", "masked"]
    assert {word: int(raw) for word, raw, _ in rows[1:] if int(raw)} == everything
    assert [int(row[1]) for row in rows[1:]] == sorted((int(row[1]) for row in rows[1:]), reverse=True)
    assert {word: (raw, masked) for word, raw, masked in rows[1:]}["[mask]"] == ("0", str(everything["lion"]))
    before = [path.read_bytes() for path in paths]
    reverse = ShardCounts()
    for shard in (_counted(captions[150:]), _counted(captions[:150])):
        reverse.merge(shard)
    assert [path.read_bytes() for path in write_counts(tmp_path, reverse, INFO)] == before
    assert b"\r" not in b"".join(before)


def test_no_cell_is_a_formula(tmp_path: Path) -> None:
    names = ["=1+1", "+1", "-1", "@sum", "\t=1", "'=1", "\uff1d1", "\ud800"]
    info = DatasetInfo("x", "1", "", tuple(ClassInfo(f"={name}", name) for name in names))
    counts = ShardCounts()
    counts.add("train", "==1+1", Caption("s", "=cmd +x -y @z", "=cmd +x -y @z", ()))
    counts.add("train", "@formula", Caption("s", "x", "x", ()))
    for path in write_counts(tmp_path, counts, info):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.reader(file):
                assert not [cell for cell in row if re.match("[=+@\t\r\uff1d]|-(?!1$)", cell)]
