"""Tables of a board: whose numbers stand where, and who is ranked against whom."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_entries import SETTING, block, made, written
from scipy import stats

from openmmlo.leaderboard.board import Board
from openmmlo.leaderboard.marks import Reproduction
from openmmlo.leaderboard.reported import read_tables
from openmmlo.leaderboard.rows import Row, Table, tables, tables_of

REPORTED = Path(__file__).parents[2] / "leaderboard" / "reported"
ALL, FEW = "classification.test.top1_samples", "classification.test.groups.few"


def table(*entries: Any) -> Table:
    (found,) = tables_of(entries, [])
    return found


def row(found: Table, name: str) -> Row:
    (one,) = [item for item in found.rows if item.entry == name]
    return one


def test_a_row_shows_the_numbers_of_its_mark_and_not_those_that_were_sent() -> None:
    honest = made("focal", [block(0.8, 0.6, few) for few in (0.30, 0.32, 0.37)])
    boasting = made("focal", [block(0.9, 0.9, 0.9)] * 3)
    found = table(replace(boasting, mark=honest.mark))
    value = row(found, "focal").values[FEW]
    assert value.values == (0.30, 0.32, 0.37)
    assert value.mean == pytest.approx(0.33)
    low, high = stats.t.interval(0.95, 2, loc=0.33, scale=stats.sem([0.30, 0.32, 0.37]))
    assert value.interval == pytest.approx((low, high))


def test_an_entry_without_a_mark_is_no_row_and_is_named_as_awaiting() -> None:
    found = table(made("lade", [block(0.8, 0.6, 0.3)] * 3, mark=None), made("ce", [block(0.8, 0.5, 0.1)] * 3))
    assert [item.entry for item in found.rows] == ["ce"]
    assert found.awaiting == ("lade",)


def test_rows_are_ranked_by_every_metric_in_its_own_direction() -> None:
    good = made("good", [block(0.8, 0.6, few) for few in (0.500, 0.501, 0.502)])
    bad = made("bad", [block(0.8, 0.6, few) for few in (0.100, 0.101, 0.102)])
    found = table(bad, good)
    assert [item.entry for item in found.rows] == ["good", "bad"]
    for key in (FEW, "classification.test.false_head_rate", "ood.near-ood.detectors.knn.fpr95_id_positive"):
        texts = [rank.text for name in ("good", "bad") if (rank := row(found, name).values[key].rank)]
        assert texts == ["1", "2"], key
    many = [
        rank.text
        for name in ("good", "bad")
        if (rank := row(found, name).values["classification.test.groups.many"].rank)
    ]
    assert many == ["1–2", "1–2"]


def test_a_metric_that_one_seed_lacks_has_no_value() -> None:
    lacking = copy.deepcopy(block(0.8, 0.6, 0.2))
    lacking["classification"]["test"]["false_head_rate"] = None
    found = table(made("ce", [block(0.8, 0.6, 0.3), lacking]), made("crt", [block(0.7, 0.6, 0.4)] * 2))
    assert "classification.test.false_head_rate" not in row(found, "ce").values
    assert "classification.test.false_head_rate" in row(found, "crt").values
    assert "classification.test.harmonic_mean" not in {column.key for column in found.columns}


def test_without_one_of_the_ood_sets_there_is_no_mean_over_them() -> None:
    """Whoever leaves out the hardest set does not stand before who was evaluated on all."""
    lacking = copy.deepcopy(block(0.8, 0.6, 0.3))
    del lacking["ood"]["near-ood"]
    lacking["ood_groups"] = {
        "all": lacking["ood"]["far-ood"]["detectors"],
        "far": lacking["ood"]["far-ood"]["detectors"],
    }
    found = table(made("far-alone", [lacking] * 3), made("one-seed", [block(0.8, 0.6, 0.3), lacking]),
                  made("whole", [block(0.7, 0.5, 0.2)] * 3))  # fmt: skip
    mean, far = "ood_groups.all.knn.auroc", "ood.far-ood.detectors.knn.auroc"
    assert {item.entry for item in found.rows if mean in item.values} == {"whole"}
    assert {item.entry for item in found.rows if far in item.values} == {"whole", "far-alone", "one-seed"}
    assert "ood_groups.far.knn.auroc" in row(found, "far-alone").values
    for name in ("far-alone", "one-seed"):
        said = "Not evaluated on near-ood: it has no mean over the sets that this is one of."
        assert said in row(found, name).remarks
    assert not row(found, "whole").remarks


@pytest.mark.parametrize("benchmark", ["miniature", "imagenet-lt"])
def test_where_no_hash_says_which_classes_are_few_shot_a_remark_does(benchmark: str) -> None:
    setting = replace(SETTING, training_set=benchmark)
    (found,) = tables_of([made("ce", [block(0.8, 0.6, 0.3)] * 3, benchmark=benchmark, setting=setting)], [])
    said = "Which classes are few-shot is as its predictions say: the training list is not pinned."
    assert (said in row(found, "ce").remarks) == (benchmark == "imagenet-lt")


def test_a_row_of_which_one_seed_was_reproduced_says_which() -> None:
    entry = made("crt", [block(0.8, 0.6, few) for few in (0.3, 0.4, 0.5)])
    assert entry.mark is not None
    again = tuple(Reproduction(seed, "c" * 64, 1.0, 0.0, ALL, "0.1.0", "cpu", "2026-11-25") for seed in range(3))
    one = replace(entry, mark=replace(entry.mark, mark="reproduced", reproductions=again[1:2]))
    every = replace(entry, mark=replace(entry.mark, mark="reproduced", reproductions=again))
    said = "Reproduced: seed 1 of 3 seeds; the others are re-scored."
    assert row(table(one), "crt").remarks == (said,)
    assert row(table(every), "crt").remarks == ()


def test_the_first_columns_are_accuracies_and_fixed_detectors_whatever_is_best() -> None:
    found = table(made("ce", [block(0.8, 0.6, 0.3)] * 3))
    shown = [column.key for column in found.columns if column.headline]
    assert shown == [
        ALL, "classification.test.groups.many", "classification.test.groups.medium", FEW,
        "ood_groups.all.knn.auroc", "ood_groups.all.knn.fpr95_id_positive",
    ]  # fmt: skip
    assert "ood.near-ood.detectors.energy.auroc" in {column.key for column in found.columns}


def test_one_seed_is_remarked() -> None:
    found = table(made("one", [block(0.8, 0.6, 0.3)], note="Trained twice as long."))
    one = row(found, "one")
    assert one.seeds == 1
    assert one.values[FEW].interval is None
    assert any("One seed" in text for text in one.remarks)
    assert "The authors: Trained twice as long." in one.remarks


def test_a_row_that_learned_from_another_training_set_is_shown_and_not_ranked() -> None:
    other = made("more", [block(0.9, 0.9, 0.9)] * 3, setting=replace(SETTING, training_set="imagenet"))
    nothing = made("zero-shot", [block(0.1, 0.1, 0.1)], setting=replace(SETTING, training_set="none"))
    found = table(other, made("ce", [block(0.8, 0.6, 0.3)] * 3), nothing)
    assert row(found, "more").values[ALL].rank is None
    assert row(found, "more").protocol is None
    assert any("not ranked" in text for text in row(found, "more").remarks)
    texts = [rank.text for name in ("ce", "zero-shot") if (rank := row(found, name).values[ALL].rank)]
    assert texts == ["1", "2"]


@pytest.mark.parametrize(
    "named", ["miniature", "miniature train", "fca7256bc7d7cb89e54100ab8a18cc514c67730556644efee22e93bb0ec98fd1"]
)
def test_a_training_set_is_the_benchmarks_by_name_or_by_the_hash_of_its_list(named: str) -> None:
    found = table(made("ce", [block(0.8, 0.6, 0.3)] * 3, setting=replace(SETTING, training_set=named)))
    assert row(found, "ce").protocol == "miniature, version 1"


def papers() -> Any:
    return read_tables({path.stem: json.loads(path.read_text()) for path in sorted(REPORTED.glob("*.json"))})


def test_a_reported_row_and_a_rescored_one_share_a_column_and_never_a_rank() -> None:
    scored = copy.deepcopy(block(0.5, 0.4, 0.3))
    entries = [
        made(name, [scored] * 3, benchmark="imagenet-lt", setting=replace(SETTING, training_set="imagenet-lt"))
        for name in ("ours", "other")
    ]
    (found,) = [item for item in tables_of(entries, papers()) if item.benchmark.name == "imagenet-lt"]
    assert row(found, "ours").values[ALL].rank == row(found, "other").values[ALL].rank
    assert row(found, "ours").protocol == "imagenet-lt, version 1"
    best = {
        item.protocol: item
        for item in found.rows
        if (rank := item.values.get(ALL)) and rank.rank and rank.rank.best == 1
    }
    assert set(best) == {
        "imagenet-lt, version 1", "Table 1, training from scratch", "Table 1, only fine-tuning",
        "Table 5, where T-hp is used", "Table 6, kappa",
    }  # fmt: skip
    assert best["Table 1, training from scratch"].values[ALL].mean == pytest.approx(0.694)


def test_every_reported_number_is_in_a_row_with_its_mark_and_source() -> None:
    found = tables_of([], papers())
    rows = [item for part in found for item in part.rows]
    assert len(rows) == 75
    assert sum(len(item.values) for item in rows) == sum(len(line.metrics) for part in papers() for line in part.rows)
    assert {item.mark for item in rows} == {"reported"}
    assert all(item.seeds is None and item.paper and "ICLR 2025" in item.source for item in rows)
    for part in found:
        keys = {column.key for column in part.columns}
        assert all(set(item.values) <= keys for item in part.rows)


def test_ood_numbers_of_a_paper_have_columns_of_their_own() -> None:
    """They are of each method's own score: none of our detectors' columns is the same quantity."""
    (found,) = [item for item in tables_of([], papers()) if item.benchmark.name == "cifar100-lt-ood"]
    assert all(column.key.startswith("reported.") for column in found.columns)
    directions = {column.key: column.direction for column in found.columns}
    assert directions["reported.svhn.fpr95.id_positive"] == "lower"
    assert directions["reported.svhn.auroc"] == "higher"
    protocols = {item.name: item.protocol for item in found.rows}
    assert protocols["T-hp"] != protocols["CIDER"]


def test_a_board_on_disk_gives_the_same_tables(tmp_path: Path) -> None:
    entries = [
        made(name, [block(0.8, 0.6, few + step / 100) for step in range(3)])
        for name, few in (("ce", 0.1), ("crt", 0.3))
    ]
    board = Board(written(tmp_path, entries))
    assert [item.rows for item in tables(board)] == [item.rows for item in tables_of(entries, [])]
    assert [item.entry for item in tables(board)[0].rows] == ["crt", "ce"]
