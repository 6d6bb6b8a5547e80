"""Reported tables: every number of the paper once, read strictly, with the remarks that concern them."""

from __future__ import annotations

import copy
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from openmmlo.errors import SubmissionRefused
from openmmlo.evaluate.benchmark import benchmark_names, load_benchmark
from openmmlo.leaderboard.board import Board
from openmmlo.leaderboard.methods import METHODS
from openmmlo.leaderboard.reported import ReportedRow, direction, read_table, read_tables

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def rows() -> list[ReportedRow]:
    return [row for table in read_tables(Board(CHECKOUT / "leaderboard").reported()) for row in table.rows]


def test_every_number_of_the_papers_tables_stands_once_and_no_other(
    rows: list[ReportedRow], published: list[dict[str, str]]
) -> None:
    expected: Counter[tuple[str, ...]] = Counter()
    for line in published:
        benchmark, _, part = line["benchmark"].partition("/")
        metric = f"{part}.{line['metric']}" if part else line["metric"]
        labels = (line["table"], line["method"], line["variant"], line["backbone"], benchmark, metric, line["unit"])
        expected[(*labels, f"{float(line['value'])}")] += 1
    found = Counter(
        (str(row.table), row.method, row.variant, row.backbone, row.benchmark, metric, row.unit, f"{value}")
        for row in rows
        for metric, value in row.metrics.items()
    )
    assert sum(expected.values()) > 200
    assert found == expected


def test_which_way_is_better_is_what_the_papers_tables_say(
    rows: list[ReportedRow], published: list[dict[str, str]]
) -> None:
    expected = {line["metric"]: line["higher_is_better"] == "true" for line in published}
    found = {
        metric.split(".", 1)[1] if row.table == 2 else metric: direction(metric) == "higher"
        for row in rows
        for metric in row.metrics
    }
    assert found == expected


def test_every_row_is_of_a_benchmark_and_a_method_that_the_leaderboard_knows(rows: list[ReportedRow]) -> None:
    assert len(rows) == 75
    assert {row.benchmark for row in rows} <= set(benchmark_names())
    assert {row.method_key for row in rows} <= set(METHODS)
    assert len({(row.benchmark, row.entry) for row in rows}) == len(rows)
    assert len({(row.benchmark, row.table, row.protocol, row.name) for row in rows}) == len(rows)


def test_ood_rows_name_their_convention_and_only_they(rows: list[ReportedRow]) -> None:
    for row in rows:
        rates = [metric for metric in row.metrics if "fpr95" in metric]
        assert (row.convention == "id_positive") == bool(rates)


def remarks(rows: list[ReportedRow], method: str, benchmark: str, variant: str = "") -> str:
    (row,) = [row for row in rows if (row.method, row.benchmark) == (method, benchmark) and variant in row.variant]
    return " ".join(row.remarks)


def test_the_zero_shot_row_says_which_many_shot_accuracy_its_all_needs(rows: list[ReportedRow]) -> None:
    (row,) = [row for row in rows if (row.table, row.method, row.benchmark) == (1, "CLIP zero-shot", "imagenet-lt")]
    shots = row.metrics
    needed = (70.5 * 1000 - 479 * shots["top1.medium"] - 136 * shots["top1.few"]) / 385
    text = " ".join(row.remarks)
    assert f"{needed:.1f}" == "70.9"
    assert "70.9" in text
    assert f"{(385 * 82.0 + 479 * 70.4 + 136 * 69.6) / 1000:.2f}" in text


def test_a_sum_that_a_remark_writes_out_is_right(rows: list[ReportedRow]) -> None:
    """Every remark on groups that do not recombine, and every row that needs one."""
    count = 0
    for row in rows:
        values = [row.metrics.get(f"top1.{group}") for group in ("many", "medium", "few", "all")]
        if any(value is None for value in values):
            continue
        *groups, stated = (float(value or 0) for value in values)
        sizes = load_benchmark(row.benchmark).group_sizes
        whole = sum(sizes[name] * value for name, value in zip(("many", "medium", "few"), groups, strict=True))
        whole /= sum(sizes.values())
        told = [text for text in row.remarks if text.startswith("Its groups do not recombine")]
        if abs(whole - stated) > 0.1:
            (text,) = told
            assert f"= {whole:.2f}, the table says {stated} ({whole - stated:+.2f})" in text
            count += 1
        else:
            assert not told
    assert count == 9


def test_known_traps_are_remarked_on_the_rows_they_concern(rows: list[ReportedRow]) -> None:
    assert "ResNeXt-50" in remarks(rows, "RIDE", "imagenet-lt")
    assert "ResNeXt-50" not in remarks(rows, "RIDE", "inaturalist2018")
    assert "57.0 for ResNet-50" in remarks(rows, "PaCo", "imagenet-lt")
    assert "ImageNet-21k" in remarks(rows, "LPT", "inaturalist2018")
    assert "ViT-L/14" in remarks(rows, "Decoder", "imagenet-lt")
    assert "Hong et al." in remarks(rows, "LADE", "inaturalist2018")
    assert "384 pixels" in remarks(rows, "LiVT (second row)", "imagenet-lt")
    assert "DeiT-B" in remarks(rows, "T-hp", "imagenet-lt", "scratch")
    assert "image-only" in remarks(rows, "T-hp", "imagenet-lt", "only fine-tuning")
    for row in rows:
        if row.table == 2:
            assert "ID as positive" in row.remarks[0]
            assert ("CIDER's number for balanced CIFAR-100" in " ".join(row.remarks)) == (row.method != "T-hp")


def table() -> dict[str, Any]:
    value: dict[str, Any] = json.loads((CHECKOUT / "leaderboard" / "reported" / "table-4.json").read_text())
    return value


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        (("format",), 2, "format 2"),
        (("rows",), {}, "expected a list"),
        (("table",), True, "whole number"),
        (("rows", 0, "unit"), "fraction", "percent or degrees"),
        (("rows", 0, "convention"), "both", "expected null"),
        (("rows", 0, "metrics"), {}, "name: number"),
        (("rows", 0, "metrics", "top1.all"), "69.4", "expected a number"),
        (("rows", 0, "metrics", "top1.all"), True, "expected a number"),
        (("rows", 0, "benchmark"), "../marks", "benchmark"),
        (("rows", 0, "method"), "=HYPERLINK()", "formula"),
        (("rows", 0, "remarks"), "one text", "list of texts"),
        (("rows", 0, "extra"), 1, "takes no 'extra'"),
        (("rows", 0, "setting", "captions"), "both", "captions"),
    ],
)
def test_what_is_no_reported_table_is_refused(place: tuple[Any, ...], value: Any, reason: str) -> None:
    given = table()
    inner = given
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    with pytest.raises(SubmissionRefused, match=reason):
        read_table(given, "Reported table t")


def test_a_row_twice_and_a_table_twice_are_refused() -> None:
    given = table()
    given["rows"].append(copy.deepcopy(given["rows"][0]))
    with pytest.raises(SubmissionRefused, match="two rows are 'balanced / cosine'"):
        read_table(given, "Reported table t")
    with pytest.raises(SubmissionRefused, match="hold table 4"):
        read_tables({"a": table(), "b": table()})
